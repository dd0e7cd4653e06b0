"""Where TLS reports go: the URIs of `rua` (RFC 8460 §3, RFC 3986, RFC 6068)."""

from __future__ import annotations

import re

from mtasts_deploy.diagnostics import Problem, Severity
from mtasts_deploy.rfc._text import WSP, as_error, errors, printable
from mtasts_deploy.rfc._text import shown as quoted
from mtasts_deploy.rfc.names import read_name

_RULE = "RFC 8460 §3"
DELIMITERS = str.maketrans({",": "%2C", "!": "%21", ";": "%3B"})
"""How the characters that a record gives a meaning are written inside a URI (RFC 8460 §3)."""
# RFC 8460 §3 with RFC 3986 App. A, less `,` `!` `;`: a scheme, then the characters that a URI may have
URI_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@$&'()*+=-]|%[0-9A-Fa-f]{2})+")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_NO_URI_CHARACTER = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_SIZE_SUFFIX = re.compile(r"![0-9]+[kmgt]?\Z", re.IGNORECASE)
# RFC 5321 §4.1.2: Dot-string or Quoted-string
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*|\"(?:[ !#-\[\]-~]|\\[ -~])*\"")
_LOCAL_RESERVED = str.maketrans({char: f"%{ord(char):02X}" for char in "/[]&;="})  # RFC 6068 §2
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\]")
_AUTHORITY = re.compile(r"//([^/?#]*)")


def parse_rua(uri: str) -> tuple[str, tuple[Problem, ...]]:
    """One declared URI, as it goes into the record, and what is wrong with it (RFC 8460 §3); errors make it unusable.

    The scheme becomes lower case, hosts become A-labels, other non-ASCII text is percent-encoded as UTF-8; a raw `;` or `!` is encoded
    with a warning. Errors: a `,` (two URIs are a list), schemes other than `mailto` and `https`, `mailto` without exactly one address
    with a domain or with a non-ASCII local part, `https` without host or with credentials.
    """
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return uri, (_no_scheme(uri),)
    if (comma := uri.find(",")) >= 0:
        message = f"{shown(uri)} has a comma, which separates two URIs"
        return uri, (_problem("MTS323", message, comma + 1, hint="Write a list of URIs, or %2C for a comma that belongs to the URI."),)
    if suffix := _SIZE_SUFFIX.search(uri):
        return uri, (_size_suffix(uri, suffix.start()),)
    problems: list[Problem] = []
    for sign, code in ((";", "%3B"), ("!", "%21")):
        if (place := uri.find(sign)) >= 0:
            message = f"{shown(uri)} has a raw `{sign}`; it is published as {code}"
            problems.append(_problem("MTS323", message, place + 1, hint=f"Write `{code}`.", severity=Severity.WARN))
    kind = scheme[1].lower()
    normalise = {"mailto": _normal_mailto, "https": _normal_https}.get(kind)
    normal = f"{kind}:{normalise(uri[scheme.end() :])}" if normalise else uri
    problems += [as_error(problem) if problem.code == "MTS324" else problem for problem in rua_problems(normal)]
    if kind == "mailto" and not errors(problems) and _addresses(normal[7:].partition("?")[0])[1:]:
        problems.append(_problem("MTS325", f"{shown(uri)} has more than one address", hint="Write a list with one URI for each address."))
    return (uri if errors(problems) else normal), tuple(problems)


def rua_problems(uri: str) -> tuple[Problem, ...]:
    """What is wrong with one URI of a record (RFC 8460 §3). A scheme that no reporter knows is a warning: the URI is skipped."""
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return (_no_scheme(uri),)
    if other := _NO_URI_CHARACTER.search(uri):
        message = f"{shown(uri)} has {quoted(other[0])} in it, which no URI may have"
        hint = "Put a comma between two URIs." if other[0] in WSP else f"Write it as `{_escaped(other[0])}`."
        return (_problem("MTS322", message, other.start() + 1, section=f"{_RULE}, RFC 3986 §2", hint=hint),)
    if broken := _BROKEN_ESCAPE.search(uri):
        message = f"{shown(uri)} has a `%` without two hexadecimal digits after it"
        return (_problem("MTS322", message, broken.start() + 1, section=f"{_RULE}, RFC 3986 §2.1", hint="Write %25 for the character %."),)
    if suffix := _SIZE_SUFFIX.search(uri):
        return (_size_suffix(uri, suffix.start()),)
    if raw := re.search(r"[!,;]", uri):
        message = f"{shown(uri)} has a raw `{raw[0]}`"
        return (_problem("MTS323", message, raw.start() + 1, hint=f"Write `{DELIMITERS[ord(raw[0])]}`."),)
    match scheme[1].lower():
        case "mailto":
            return _mailto_problems(uri, uri[7:])
        case "https":
            return _https_problems(uri, uri[6:])
        case other_scheme:
            message = f"{shown(uri)} has the scheme {other_scheme}; reporters know mailto and https"
            return (_problem("MTS324", message, severity=Severity.WARN),)


def _problem(
    code: str, message: str, column: int = 1, *, section: str = _RULE, hint: str | None = None, severity: Severity = Severity.ERROR
) -> Problem:
    return Problem(code=code, message=message, severity=severity, column=column, section=section, hint=hint)


def shown(uri: str) -> str:
    """The URI for a message, without what may be a password."""
    return quoted(_masked(uri))


def _masked(uri: str) -> str:
    before, at_sign, host = uri.rpartition("@")
    return f"{before.partition(':')[0]}:…@{host}" if at_sign and ":" in before and "mailto:" not in before.lower() else uri


def _no_scheme(uri: str) -> Problem:
    if uri.startswith("<"):
        message, hint = f"{shown(uri)} is in angle brackets, which are no part of a URI", f"Write `{printable(_masked(uri.strip('<>')))}`."
    elif "@" in uri:
        message, hint = f"{shown(uri)} is a mail address, not a URI", f"Write `mailto:{printable(uri.strip())}`."
    else:
        message, hint = f"{shown(uri)} is not a URI: it has no scheme", "begin it with mailto: or https:"
    return _problem("MTS322", message, section=f"{_RULE}, RFC 3986 §3.1", hint=hint)


def _size_suffix(uri: str, place: int) -> Problem:
    message = f"{shown(uri)} ends with a size limit, which exists in DMARC only"
    return _problem("MTS323", message, place + 1, hint=f"Write `{printable(_masked(uri[:place]))}`.")


def _escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))


def _decoded(text: str) -> str:
    """Percent-escapes as characters of their code; enough to see structure and what is not ASCII."""
    return _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)


def _encoded(text: str) -> str:
    """What a URI cannot have beyond ASCII, and the delimiters of the record, percent-encoded."""
    return re.sub(r"[^\x00-\x7f]+", lambda found: _escaped(found[0]), text).translate(DELIMITERS)


def _in_alabels(host: str) -> str:
    """The host with A-labels; unchanged where that cannot be, for the check that follows."""
    if host.isascii():
        return host
    name, problems = read_name(host)
    return host if problems else name


def _normal_mailto(rest: str) -> str:
    address, question, headers = rest.partition("?")
    local, at_sign, domain = address.rpartition("@")
    # A local part outside ASCII stays, so that the check refuses it: such an address cannot be reached by every reporter.
    local = local.translate(_LOCAL_RESERVED).translate(DELIMITERS)
    return f"{local}{at_sign}{_in_alabels(domain).translate(DELIMITERS)}{question}{_encoded(headers)}"


def _normal_https(rest: str) -> str:
    authority = _AUTHORITY.match(rest)
    if authority is None:
        return _encoded(rest)
    before, at_sign, host = authority[1].rpartition("@")
    name, colon, port = host.partition(":") if not host.startswith("[") else (host, "", "")
    return f"//{before}{at_sign}{_in_alabels(name)}{colon}{port}{_encoded(rest[authority.end() :])}"


def _addresses(text: str) -> list[str]:
    """The addresses of a mailto URI (RFC 6068 §2); a comma inside a quoted local part separates nothing."""
    decoded = _decoded(text)
    return decoded.split(",") if decoded.count("@") > 1 else [decoded]


def _mailto_problems(uri: str, rest: str) -> tuple[Problem, ...]:
    section = f"{_RULE}, RFC 6068 §2"
    text, question, _ = rest.partition("?")
    for address in _addresses(text):
        local, at_sign, domain = address.rpartition("@")
        if not address:
            message = f"{shown(uri)} has no address"
        elif not at_sign or not domain:
            message = f"{shown(uri)} has no domain in its address"
        elif not address.isascii():
            message = f"{shown(uri)} has characters outside ASCII in its address; not every reporter can send there"
        elif not _LOCAL_PART.fullmatch(local):
            message = f"{shown(uri)} has {quoted(local)} before the @, which is no local part of a mail address"
        elif found := read_name(domain)[1]:
            message = f"{shown(uri)} has no usable domain in its address: {found[0].message}"
        else:
            continue
        return (_problem("MTS325", message, section=section, hint="Write mailto:, an address, and nothing else."),)
    if question:
        message = f"{shown(uri)} has header fields after the `?`; reporters may ignore them"
        return (_problem("MTS326", message, uri.index("?") + 1, section=section, hint="Remove them.", severity=Severity.WARN),)
    return ()


def _https_problems(uri: str, rest: str) -> tuple[Problem, ...]:
    authority = _AUTHORITY.match(rest)
    if authority is None or not authority[1]:
        return (_problem("MTS327", f"{shown(uri)} has no host", hint="Write https://, a host and a path."),)
    _, at_sign, host = authority[1].rpartition("@")
    if at_sign:
        message = "the https URI has credentials before its host, and everybody can read the record"
        return (_problem("MTS328", message, len("https://") + 1, hint="Let the path or the query tell the tenant."),)
    match = _HOST.match(host)
    port = host[match.end() :] if match else ""
    if match is None or not re.fullmatch(r"(?::[0-9]{0,5})?", port) or int(port[1:] or 0) > 65535:
        return (_problem("MTS327", f"{shown(uri)} has {quoted(host)} where a host, or a host and a port, must be"),)
    return ()
