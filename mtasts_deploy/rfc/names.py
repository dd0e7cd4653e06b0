"""Mail domains and mx patterns: text in, `Domain` and `MxPattern` out.

RFC 8461 §3.1 to §3.3 and §4.1, RFC 8460 §3, RFC 5321 §4.1.2. Names are kept as A-labels in lower case without the root dot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mtasts_deploy.diagnostics import Problem, Severity
from mtasts_deploy.rfc._text import TextError, at, printable, shown

MAX_NAME = 253
"""Octets of a name in text form without the root dot (RFC 1035 §2.3.4)."""
MAX_DOMAIN = MAX_NAME - len("_smtp._tls.")
"""Octets of a mail domain, so that the longest of our owner names still fits (RFC 8460 §3)."""

# RFC 5321 §4.1.2 sub-domain, RFC 1035 §2.3.4. Explicit ASCII classes: "\w" and IGNORECASE know Unicode (the Kelvin sign is a "k").
_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_PATTERN = re.compile(rf"(?![0-9.]+\Z)(?:\*\.)?(?:{_LABEL}\.)*{_LABEL}")
_ONE_LABEL = re.compile(_LABEL)
_ADDRESS = re.compile(r"[0-9.]+|\[.*|[0-9A-Fa-f:.]{2,}", re.DOTALL)
# MX hosts may carry an underscore in reality; a wildcard covers them (ruling A14).
_HOST_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# UTS 46 §2.3: full stop, ideographic, fullwidth and halfwidth ideographic.
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
# Second-level labels under which registries of two-letter domains sell names; no public suffix list is at hand.
_REGISTRY_LABELS = frozenset({"ac", "co", "com", "edu", "go", "gov", "gv", "ne", "net", "or", "org"})

_HOST_RULE = "RFC 5321 §4.1.2"
_LENGTH_RULE = "RFC 1035 §2.3.4"
_MX_RULE = "RFC 8461 §3.2"


class DomainError(TextError):
    """The text is not a mail domain; the problems say which label and why."""


class MxPatternError(TextError):
    """The text is not an mx pattern; the problems say what and where."""


def _alabel(label: str) -> str:
    """One label as A-label in lower case. Raises UnicodeError where IDNA refuses it (RFC 5891 §4)."""
    if label.isascii():
        return label.lower()
    import idna  # 20 ms with its tables; most names never need it

    # UTS 46, non-transitional: ß stays ß. Python's own codec is IDNA 2003 and makes it ss.
    mapped = idna.uts46_remap(label, std3_rules=False, transitional=False)
    return mapped.lower() if mapped.isascii() else idna.alabel(mapped).decode("ascii")


def _label_problem(label: str, column: int, whole: str) -> Problem | None:
    """What is wrong with one A-label, if anything."""
    if _ONE_LABEL.fullmatch(label):
        return None
    if not label:
        return Problem(code="MTS200", message=f"{shown(whole)} has an empty label", column=column, section=_HOST_RULE)
    if len(label) > 63:
        message = f"the label {shown(label)} has {len(label)} octets; 63 are the most"
        return Problem(code="MTS202", message=message, column=column, section=_LENGTH_RULE)
    other = re.search(r"[^A-Za-z0-9-]", label)
    if other is None:
        side = "begins" if label.startswith("-") else "ends"
        return Problem(code="MTS201", message=f"the label {shown(label)} {side} with a hyphen", column=column, section=_HOST_RULE)
    message = f"the label {shown(label)} has {shown(other[0])} in it; a label has only letters, digits and hyphens"
    return Problem(code="MTS201", message=message, column=column + other.start(), section=_HOST_RULE)


def read_name(text: str, limit: int = MAX_NAME) -> tuple[str, list[Problem]]:
    """A host name (without root dot) as A-labels in lower case, and everything that is wrong with it.

    U-labels are mapped by UTS 46 and encoded by IDNA 2008; labels in ASCII only follow the letter-digit-hyphen rule, so that names
    which IDNA 2008 no longer allows stay usable as A-labels.
    """
    if len(text) > 4 * MAX_NAME:
        message = f"{shown(text)} has {len(text)} characters; a name has at most {limit} octets here"
        return text, [Problem(code="MTS202", message=message, section=_LENGTH_RULE)]
    labels: list[str] = []
    problems: list[Problem] = []
    column = 1
    for raw in _DOTS.split(text):
        try:
            label = _alabel(raw)
        except UnicodeError as error:
            message = f"the label {shown(raw)} is not allowed in an internationalised domain name: {printable(str(error), 120)}"
            hint = "If the name is registered nevertheless, write its A-label (xn--…)."
            problems.append(Problem(code="MTS203", message=message, column=column, section="RFC 5891 §4", hint=hint))
        else:
            labels.append(label)
            if problem := _label_problem(label, column, text):
                problems.append(problem)
        column += len(raw) + 1
    name = ".".join(labels)
    if not problems and len(name) > limit:
        prefixes = " (253 less the 11 of `_smtp._tls.`)" if limit == MAX_DOMAIN else ""
        message = f"{shown(name)} has {len(name)} octets; {limit} are the most{prefixes}"
        problems.append(Problem(code="MTS202", message=message, section=_LENGTH_RULE))
    return name, problems


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Domain:
    """A mail domain, the policy domain of RFC 8461 §1.1: `text` is A-labels, lower case, no root dot. Made by `Domain.parse`."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Domain:
        """The domain that this text names: A-labels or U-labels, one root dot tolerated (RFC 8461 §3.2, RFC 5891).

        Raises `DomainError` for what cannot be a mail domain of ours: address literals and IP addresses (RFC 8461 §3.4), empty labels,
        underscores, labels over 63 octets, names that leave no room for `_smtp._tls.`.
        """
        if len(text) <= MAX_DOMAIN and _DOMAIN.fullmatch(text):
            return cls(text=text.lower())
        name = text[:-1] if len(text) > 1 and _DOTS.match(text[-1]) else text
        if problem := _not_a_domain(name):
            raise DomainError(problem)
        name, problems = read_name(name, MAX_DOMAIN)
        # Mapping may bring forth what was refused above, as full-width digits do.
        if not problems and (problem := _not_a_domain(name)):
            problems = [problem]
        if problems:
            raise DomainError(*problems)
        return cls(text=name)

    def __str__(self) -> str:
        return self.text

    @property
    def unicode(self) -> str:
        """The domain as U-labels; labels that IDNA 2008 cannot decode stay A-labels (RFC 5891 §5.4)."""
        return ".".join(map(_ulabel, self.text.split("."))) if "xn--" in self.text else self.text

    @property
    def display(self) -> str:
        """For people: `bücher.example (xn--bcher-kva.example)`, or only the name where both are the same."""
        return self.text if (unicode := self.unicode) == self.text else f"{unicode} ({self.text})"

    @property
    def sts_record(self) -> str:
        """Owner name of the MTA-STS record (RFC 8461 §3.1)."""
        return f"_mta-sts.{self.text}"

    @property
    def tlsrpt_record(self) -> str:
        """Owner name of the TLSRPT record (RFC 8460 §3)."""
        return f"_smtp._tls.{self.text}"

    @property
    def policy_host(self) -> str:
        """The host that serves the policy (RFC 8461 §3.2)."""
        return f"mta-sts.{self.text}"

    @property
    def policy_url(self) -> str:
        """Where senders fetch the policy (RFC 8461 §3.2, §3.3)."""
        return f"https://mta-sts.{self.text}/.well-known/mta-sts.txt"


def _ulabel(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    import idna

    try:
        return idna.ulabel(label)
    except UnicodeError:
        return label


def _not_a_domain(text: str) -> Problem | None:
    """Mistakes about the whole text, with a message of their own."""
    if text in ("", "."):
        what = "nothing" if not text else "the root"
        return Problem(code="MTS200", message=f"a mail domain is needed here, and there is {what}", section="RFC 8461 §1.1")
    # RFC 8461 §3.4: address literals have no policy. No top-level domain is numeric (RFC 3696 §2), so 192.0.2.1 ends here as well.
    if _is_address(text) or re.search(r"(?:\A|\.)[0-9]+\Z", text):
        message = f"{shown(text)} is or ends like an address; only a domain name has a policy"
        return Problem(code="MTS204", message=message, section="RFC 8461 §3.4")
    if "@" in text:
        message = f"{shown(text)} is a mail address; only the domain is declared"
        domain = text.rpartition("@")[2]
        hint = f"Write `{printable(domain)}`." if domain else None
        return Problem(code="MTS204", message=message, column=text.index("@") + 1, section="RFC 8461 §1.1", hint=hint)
    return None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class MxPattern:
    """One `mx` value of a policy (RFC 8461 §3.2): a host name, or `*.` and a name. `text` is A-labels in lower case. Made by `parse`."""

    text: str

    @classmethod
    def parse(cls, text: str) -> MxPattern:
        """The pattern; U-labels become A-labels. Raises `MxPatternError`, also for a root dot, an underscore and an IP address."""
        if len(text) <= MAX_NAME and _PATTERN.fullmatch(text):
            return cls(text=text.lower())
        if problem := _not_one_host(text):
            raise MxPatternError(problem)
        wildcard = "*." if text.startswith("*.") else ""
        if problems := _misplaced(text):
            raise MxPatternError(*sorted(problems, key=lambda problem: problem.column))
        name, problems = read_name(text[len(wildcard) :], MAX_NAME - len(wildcard))
        # Mapping may bring forth what was refused above, as full-width digits do.
        if not problems and (problem := _not_one_host(name)):
            raise MxPatternError(problem)
        if problems:
            raise MxPatternError(*(at(problem, 1, 1 + len(wildcard)) for problem in problems))
        return cls(text=wildcard + name)

    def __str__(self) -> str:
        return self.text

    def matches(self, host: str | Domain) -> bool:
        """Does this pattern allow that MX host (RFC 8461 §4.1)? U-labels and one root dot are understood; no text raises.

        A wildcard stands for exactly one whole label; a plain pattern is never a suffix.
        """
        name = host.text if isinstance(host, Domain) else _host_name(host)
        # RFC 8461 §4.1, RFC 9525 §6.3; no regular expression, no suffix test
        if not self.text.startswith("*."):
            return name == self.text
        left, dot, right = name.partition(".")
        return bool(dot) and right == self.text[2:] and _HOST_LABEL.fullmatch(left) is not None

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is valid but hardly meant: `*.org`, `*.co.uk`, a single label (ruling A16)."""
        labels = self.text.removeprefix("*.").split(".")
        if self.text.startswith("*."):
            registry = len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _REGISTRY_LABELS
            if len(labels) > 1 and not registry:
                return ()
            message = f"{self.text} allows every name directly under {'.'.join(labels)}, whoever owns it"
            hint = "Name the MX hosts, or a wildcard under a domain of the mail provider."
            return (Problem(code="MTS215", message=message, severity=Severity.WARN, section="RFC 8461 §10.4", hint=hint),)
        if len(labels) > 1:
            return ()
        message = f"{self.text} is a single label; no public certificate can be issued for such a host"
        return (Problem(code="MTS216", message=message, severity=Severity.WARN, section="RFC 8461 §4.2", hint="Write the full host name."),)


def _host_name(host: str) -> str:
    """An MX host as it is compared; the empty string for what no pattern can match."""
    bare = host[:-1] if host.endswith(".") else host
    if bare.isascii():
        return bare.lower()
    if len(bare) > MAX_NAME:
        return ""
    try:
        return ".".join(map(_alabel, _DOTS.split(bare.removesuffix("\u3002"))))
    except UnicodeError:
        return ""


def _is_address(text: str) -> bool:
    """An IPv4 or IPv6 address or an address literal (RFC 5321 §4.1.3), also a broken one; never a host name."""
    if _ADDRESS.fullmatch(text) is None:
        return False
    return text.startswith("[") or text.count(":") > 1 or (not text.strip("0123456789.") and bool(text.strip(".")))


def _not_one_host(text: str) -> Problem | None:
    """Mistakes after which the rest of the value means nothing."""
    if text == "*":
        # RFC 8461 §3.2: the grammar is ["*."] Domain; a lone * cannot be derived.
        message = (
            "`mx: *` is not valid and never means any host: strict senders reject the whole policy, and lenient ones keep a pattern that "
            "equals no host and, in enforce, stop delivering mail"
        )
        hint = "Name the MX hosts of the domain, one mx line each, or *.provider.example where the mail provider says so."
        return Problem(code="MTS210", message=message, section=f"{_MX_RULE}, §4.1", hint=hint)
    if _is_address(text):
        message = f"{shown(text)} is an IP address; a pattern is compared with host names and certificates, which this can never equal"
        return Problem(code="MTS213", message=message, section=f"{_MX_RULE}, §4.1", hint="Write the name that the MX record has.")
    other = re.search(r"[\s,;:/@]", text)
    if other is None and text:
        return None
    if other is None:
        message = "the mx value is empty"
    elif "://" in text:
        message = f"{shown(text)} is a URL; an mx value is a host name"
    elif re.match(r"[0-9]+[ \t]", text):
        message = f"{shown(text)} begins with a preference; an mx value is a host name, not the data of an MX record"
    elif re.search(r":[0-9]+\Z", text):
        message = f"{shown(text)} has a port; an mx value is a host name"
    else:
        message = f"{shown(text)} is not one host name: there is {shown(other[0])} in it"
    return Problem(
        code="MTS214", message=message, column=other.start() + 1 if other else 1, section=_MX_RULE, hint="One mx line for each host name."
    )


def _misplaced(text: str) -> list[Problem]:
    """Dots, wildcards and underscores where a pattern has none."""
    problems: list[Problem] = []
    if text == ".":
        message = "`.` is the null MX (RFC 7505), not a host name; no pattern can name it"
        return [Problem(code="MTS212", message=message, section=_MX_RULE, hint="A domain that receives no mail needs no policy.")]
    if text.startswith("."):
        message = f"{shown(text)} begins with a dot, which is no wildcard"
        problems.append(
            Problem(code="MTS212", message=message, section=_MX_RULE, hint=f"For the hosts directly below: `*{printable(text)}`.")
        )
    if text.endswith(".") and text != "*.":
        message = f"{shown(text)} ends with a dot; an mx value has no root dot"
        problems.append(
            Problem(code="MTS212", message=message, column=len(text), section=_MX_RULE, hint=f"Write `{printable(text[:-1])}`.")
        )
    stray = text.find("*", 1 if text.startswith("*.") and text != "*." else 0)
    if stray >= 0:
        message = f"{shown(text)} has a wildcard that is not the whole left-most label before a name"
        hint = "The only form is *. and a name; it stands for exactly one label."
        problems.append(Problem(code="MTS211", message=message, column=stray + 1, section=f"{_MX_RULE}, §4.1", hint=hint))
    if "_" in text:
        # ruling A14; POL-15
        above = text[text.rfind("_") :].partition(".")[2].removesuffix(".")
        message = f"{shown(text)} has an underscore, which no mx value may have; such an MX host cannot be named"
        first_only = "_" not in text.partition(".")[2] and "*" not in text
        hint = f"Rename the host, or cover it by `*.{printable(above)}`." if above and first_only else "Rename the host."
        problems.append(Problem(code="MTS217", message=message, column=text.index("_") + 1, section=_HOST_RULE, hint=hint))
    return problems
