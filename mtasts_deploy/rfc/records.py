"""The two TXT records: all values at the name in, one `StsRecord` or `TlsrptRecord` out, and back to the canonical form.

RFC 8461 §3.1 and RFC 8460 §3, which share their grammar: a version, then fields between semicolons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mtasts_deploy.diagnostics import Problem, Severity
from mtasts_deploy.rfc._text import WSP, TextError, as_error, at, errors, name_problem, shown
from mtasts_deploy.rfc.ids import PolicyId, id_problem
from mtasts_deploy.rfc.rua import DELIMITERS, URI_TEXT, parse_rua, rua_problems

__all__ = ["RecordError", "StsRecord", "TlsrptRecord", "TxtValue", "parse_rua", "parse_sts", "parse_tlsrpt"]

TxtValue = str | Sequence[bytes] | Sequence[str]
"""One TXT value: its text with the character-strings joined, or the character-strings."""

_SPACE = (" ", "\t")
_MANY_OCTETS = 1200  # an answer above this may not fit into UDP
# What we and most others publish: read without looking at it character by character.
_CANONICAL_STS = re.compile(r"v=STSv1;[ \t]*id=([A-Za-z0-9]{1,32});?")
# RFC 8461 §3.1 and RFC 8460 §3: %x21-3A / %x3C / %x3E-7E, which leaves out space, `;` and `=`
_EXTENSION_VALUE = re.compile(r"[!-:<>-~]+")


class RecordError(TextError):
    """The values are no record, or the record cannot be rendered; `problems` has everything found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StsRecord:
    """The `_mta-sts` record (RFC 8461 §3.1). `warnings` are about the text it was read from and do not count in `==`."""

    id: PolicyId
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    def render(self) -> str:
        """The one canonical form: `v=STSv1; id=…;` (RFC 8461 §3.1)."""
        return f"v=STSv1; id={self.id.text};"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsrptRecord:
    """The `_smtp._tls` record (RFC 8460 §3): the usable `mailto` and `https` URIs, in their order. `warnings` do not count in `==`."""

    rua: tuple[str, ...]
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    def render(self) -> str:
        """The one canonical form: `v=TLSRPTv1; rua=…,…`, with `,` `!` `;` in URIs encoded and their schemes in lower case (RFC 8460 §3).

        Raises `RecordError` without a URI and for one that is no URI.
        """
        if not self.rua:
            message = "a TLSRPT record needs at least one URI"
            raise RecordError(Problem(code="MTS320", message=message, section="RFC 8460 §3"))
        items: list[str] = []
        for uri in self.rua:
            scheme, colon, rest = uri.partition(":")
            item = f"{scheme.lower()}{colon}{rest}".translate(DELIMITERS)
            if not URI_TEXT.fullmatch(item):
                raise RecordError(*map(as_error, rua_problems(item)))
            items.append(item)
        return f"v=TLSRPTv1; rua={','.join(items)}"


def parse_sts(values: Sequence[TxtValue]) -> StsRecord:
    """The MTA-STS record among all TXT values at `_mta-sts` of a domain, as a strict sender reads them (RFC 8461 §3.1).

    Raises `RecordError` with every problem where no sender may find a policy id: no record, several, or one that breaks the grammar.
    """
    if len(values) == 1:
        value = values[0] if isinstance(values[0], str) else _joined(values[0])
        if match := _CANONICAL_STS.fullmatch(value):
            return StsRecord(id=PolicyId(text=match[1]))
    reader = _Reader("STSv1", "id", "RFC 8461 §3.1")
    found: str | None = None
    for item in reader.fields(values):
        if item.name != "id" or found is not None:
            reader.extension(item)
            continue
        found = item.value
        reader.names.add("id")
        if problem := id_problem(found):
            reader.problems.append(at(problem, 1, item.column + 3))
    if reader.lacks_wanted:
        reader.add("MTS309", "the record has no id", hint=reader.spelling)
    if found is None or reader.failed:
        raise RecordError(*reader.problems)
    return StsRecord(id=PolicyId(text=found), warnings=tuple(reader.problems))


def parse_tlsrpt(values: Sequence[TxtValue]) -> TlsrptRecord:
    """The TLSRPT record among all TXT values at `_smtp._tls` of a domain, as a strict reporter reads them (RFC 8460 §3).

    URIs of other schemes than `mailto` and `https` are left out with a warning. Raises `RecordError` with every problem where no
    reporter may find a usable URI.
    """
    reader = _Reader("TLSRPTv1", "rua", "RFC 8460 §3")
    rua: list[str] = []
    before = "v"
    for item in reader.fields(values):
        if item.name == "rua":
            _check_place(reader, item, before)
            reader.names.add("rua")
            rua += _uris(reader, item.value, item.column + 4)
        else:
            if before == "rua" and item.tight:
                message = f"a `;` ended the URI, and {shown(item.name)} became an unknown field; inside a URI it is %3B"
                hint = "Encode the `;`, or put a space after it if the field is meant."
                reader.add("MTS323", message, column=item.column - 1, hint=hint, severity=Severity.WARN)
            reader.extension(item)
        before = item.name
    if reader.lacks_wanted:
        reader.add("MTS320", "the record has no rua, so no reports are sent", hint=reader.spelling)
    if not rua and not reader.failed:
        # ruling A12: other schemes are skipped, but one URI must be left
        reader.problems = [as_error(problem) if problem.code == "MTS324" else problem for problem in reader.problems]
    if reader.failed:
        raise RecordError(*reader.problems)
    return TlsrptRecord(rua=tuple(rua), warnings=tuple(reader.problems))


def _check_place(reader: _Reader, item: _Field, before: str) -> None:
    """Warn of a rua that some reporters do not find, or read in their own way."""
    if "rua" in reader.names:
        # ruling A11: the grammar allows it and all are collected
        message = "rua is there twice; some reporters take the first, some the last, some none"
        reader.add("MTS331", message, column=item.column, hint="One rua with commas between the URIs.", severity=Severity.WARN)
    elif before != "v":
        message = "rua does not follow directly after the version; one reporter looks only there"
        reader.add("MTS329", message, column=item.column, hint="Put rua first.", severity=Severity.WARN)


def _uris(reader: _Reader, value: str, column: int) -> list[str]:
    """The usable URIs of one rua value (RFC 8460 §3): items between commas, with white space around the comma allowed."""
    usable: list[str] = []
    for part in value.split(","):
        item = part.strip(WSP)
        start = column + len(part) - len(part.lstrip(WSP))
        column += len(part) + 1
        if not item:
            reader.add("MTS321", "the list of URIs has an empty item", column=start, hint="One comma between two URIs, none at the end.")
            continue
        if item != part:
            reader.add(
                "MTS329", "white space beside a comma; one reporter keeps it as part of the URI", column=start, severity=Severity.WARN
            )
        problems = [at(problem, 1, start) for problem in rua_problems(item)]
        reader.problems += problems
        if not any(problem.code == "MTS324" for problem in problems):
            usable.append(item)
        if item[:8].lower().startswith(("mailto:", "https:")) and not item.startswith(("mailto:", "https:")):
            message = "the scheme is not in lower case, which is valid, and which some reporters do not expect"
            reader.add("MTS329", message, column=start, severity=Severity.WARN)
    return usable


def _joined(value: Sequence[bytes] | Sequence[str]) -> str:
    """Character-strings are joined without a space (RFC 8461 §3.1; RFC 7208 §3.3)."""
    return "".join([part if isinstance(part, str) else part.decode("utf-8", "replace") for part in value])


class _Field(NamedTuple):
    """One field of a record: `column` is that of the name; `tight` says that no white space is beside the `;` before it."""

    name: str
    value: str
    column: int
    tight: bool


class _Reader:
    """The grammar that both records share. `problems` and `names` fill while `fields` goes on."""

    def __init__(self, version: str, wanted: str, section: str) -> None:
        self.problems: list[Problem] = []
        self.names = {"v"}
        self._token = f"v={version}"
        self._wanted = wanted
        self._section = section
        self._began = False

    @property
    def lacks_wanted(self) -> bool:
        """Was there a record, and no field in it with the wanted name, not even a bad one?"""
        return self._began and self._wanted not in self.names

    @property
    def spelling(self) -> str | None:
        """A hint if the wanted field is there in another spelling."""
        near = next((name for name in sorted(self.names) if name.lower() == self._wanted), None)
        return f"Upper and lower case count: write `{near}=` as `{self._wanted}=`." if near else f"Add `{self._wanted}=…`."

    @property
    def failed(self) -> bool:
        """Is one of the problems an error?"""
        return bool(errors(self.problems))

    def add(self, code: str, message: str, *, column: int = 1, hint: str | None = None, severity: Severity = Severity.ERROR) -> None:
        """One more problem."""
        self.problems.append(Problem(code=code, message=message, severity=severity, column=column, section=self._section, hint=hint))

    def fields(self, values: Sequence[TxtValue]) -> Iterator[_Field]:
        """The fields of the one record among the values, those left out that are no `name=value` in ASCII."""
        text = self._only([value if isinstance(value, str) else _joined(value) for value in values])
        if text is None or not self._begins(text):
            return
        self._began = True
        if len(text) > _MANY_OCTETS:
            message = f"the record has {len(text)} octets; the answer may not fit into one UDP packet"
            self.add("MTS330", message, hint="Fewer or shorter URIs.", severity=Severity.WARN)
        version, *parts = text.split(";")
        end = len(version) + 1  # columns up to and with the `;`
        before = version
        for part in parts:
            start = end + 1 + len(part) - len(part.lstrip(WSP))
            end += len(part) + 1
            last = end > len(text)
            if found := self._field(part, start, last, part[:1] not in _SPACE and before[-1:] not in _SPACE):
                yield found
            before = part

    def _only(self, texts: list[str]) -> str | None:
        """RFC 8461 §3.1, RFC 8460 §3: discard what does not begin with the version and `;`; exactly one must remain."""
        if len(texts) == 1:
            return texts[0]
        ours = [text for text in texts if text.startswith(f"{self._token};")]
        others = [text for text in texts if not text.startswith(f"{self._token};")]
        if not ours:
            near = f"; of several values, {shown(others[0])} does not begin with `{self._token};`" if others else ""
            self.add("MTS300", f"there is no TXT value that begins with `{self._token};`{near}")
            return None
        if len(ours) > 1:
            same = ", all of them equal" if len(set(ours)) == 1 else ""
            self.add(
                "MTS301", f"{len(ours)} TXT values begin with `{self._token};`{same}; senders then use none", hint="Leave exactly one."
            )
            return None
        for other in others:
            version = other.startswith(self._token.rstrip("0123456789"))
            message = f"another TXT value beside the record: {shown(other)}; some senders fail at it"
            self.add("MTS302", message, severity=Severity.NOTE if version else Severity.WARN, hint="Move it to another name.")
        return ours[0]

    def _begins(self, text: str) -> bool:
        """Does the record begin with its version and a delimiter?"""
        token = self._token
        head = text.partition(";")[0].rstrip(WSP)
        if head == token:
            if text[len(token) :].startswith(_SPACE):
                message = f"white space between `{token}` and the `;`; some senders look for `{token};`"
                self.add("MTS304", message, column=len(token) + 1, hint=f"Write `{token};`.", severity=Severity.WARN)
            return True
        if head == f"{token}\\":
            message = "there is a backslash before the semicolon; it is the escape of a tool, and senders read it as text"
            self.add("MTS306", message, column=len(head), hint="Write the record without backslashes.")
            return False
        self.add("MTS303", f"the record does not begin with `{token};` but with {shown(text[:30])}", hint=self._why_not(text))
        return False

    def _why_not(self, text: str) -> str | None:
        """The mistake behind a record that begins otherwise."""
        token = self._token
        if text.startswith('"'):
            return "enter the value without quotation marks"
        if text.lstrip().startswith(token):
            return "nothing may come before the version, not even white space" if text[:1].isspace() else f"put a `;` after `{token}`"
        if text.lower().startswith(token.lower()):
            return f"upper and lower case count: `{token}`"
        if token in text:
            return "the version comes first"
        if text.startswith(("v=STSv1", "v=TLSRPTv1")):
            return "the MTA-STS record belongs at _mta-sts, the TLSRPT record at _smtp._tls"
        if re.match(r"v=spf1|v=DMARC1|v=DKIM1", text):
            return "a wildcard TXT record above may answer for this name"
        return f"the only version is {token}"

    def _field(self, part: str, start: int, last: bool, tight: bool) -> _Field | None:
        bare = part.strip(WSP)
        if not bare:
            if not last:  # RFC 8461 §3.1: one closing `;` is allowed, with white space around it
                self.add("MTS305", "there is nothing between two `;`", column=start, hint="Remove one of them.")
            return None
        if last and part[-1] in _SPACE:
            # ruling A10
            self.add("MTS305", "white space at the end of the record without a closing `;`", column=start + len(bare), hint="Remove it.")
        name, equals, value = bare.partition("=")
        if not bare.isascii():
            # RFC 8461 §3.1: US-ASCII
            other = re.search(r"[^\x00-\x7f]", bare)
            column = start + (other.start() if other else 0)
            self.names.add(name)
            self.add("MTS308", f"{shown(bare)} has characters outside ASCII; a record has none", column=column)
            return None
        if not equals:
            self.names.add(name)
            self.add("MTS307", f"{shown(bare)} is not a field: there is no `=` in it", column=start)
            return None
        if name.rstrip(WSP) == self._wanted != name:
            self.names.add(self._wanted)
            self.add("MTS307", f"white space between `{self._wanted}` and `=`", column=start, hint=f"Write `{self._wanted}=`.")
            return None
        return _Field(name, value, start, tight)

    def extension(self, item: _Field) -> None:
        """Check a field that is not read, because it is unknown or came before (RFC 8461 §3.1, §3.2; RFC 8460 §3)."""
        seen = item.name in self.names
        self.names.add(item.name)
        if problem := name_problem(item.name):
            self.add("MTS307", problem, column=item.column)
        elif not _EXTENSION_VALUE.fullmatch(item.value):
            what = shown(item.value) if item.value else "nothing"
            message = f"`{item.name}` has {what} as its value; it is one or more visible ASCII characters, none of them `=`"
            self.add("MTS307", message, column=item.column + len(item.name) + 1)
        elif seen:
            message = f"`{item.name}` is there twice; all but the first are ignored by the RFC, but not by all senders"
            self.add("MTS311", message, column=item.column, hint="Remove one of them.", severity=Severity.WARN)
        else:
            hint = "Remove it; no sender uses it."
            self.add("MTS312", f"the unknown field `{item.name}` is ignored", column=item.column, hint=hint, severity=Severity.NOTE)
