"""The policy of a domain: bytes in, `Policy` out, and back to the one canonical form (RFC 8461 §3.2).

Reading goes line by line and finds every problem of the text, each with its place.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from mtasts_deploy.diagnostics import Problem, Severity
from mtasts_deploy.rfc._text import WSP, TextError, at, errors, name_problem, printable, shown
from mtasts_deploy.rfc.ids import PolicyId, PolicyIdError, policy_id
from mtasts_deploy.rfc.names import MxPattern, MxPatternError

__all__ = [
    "MAX_MAX_AGE",
    "MAX_SIZE",
    "VERSION",
    "Mode",
    "Policy",
    "PolicyError",
    "PolicyId",
    "PolicyIdError",
    "max_age_problems",
    "parse_policy",
    "policy_id",
    "render_policy",
]

VERSION = "STSv1"
MAX_MAX_AGE = 31_557_600
"""Seconds: one year of 365.25 days (RFC 8461 §3.2)."""
MAX_SIZE = 64 * 1024
"""Bytes that senders are asked to read at least (RFC 8461 §3.3), "64 kilobytes" read as 64 KiB."""
DAY = 86_400
WEEK = 604_800


class Mode(Enum):
    """What a sender does with a host that fails (RFC 8461 §3.2, §5)."""

    NONE = "none"
    TESTING = "testing"
    ENFORCE = "enforce"

    def __str__(self) -> str:
        return self.value


_RULE = "RFC 8461 §3.2"
_FAMILIAR_SIZE = 8 * 1024  # one sender reads only 10 KiB
_MODES = {mode.value: mode for mode in Mode}
_KNOWN = ("version", "mode", "mx", "max_age")
_DIGITS = re.compile(r"[0-9]{1,10}")  # 1*10DIGIT; int() alone takes "+5", "6_0" and full-width digits
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BARE_CR = re.compile(r"\r(?!\n)")
_WRONG_SIGN = re.compile(r"(version|mode|mx|max_age)[ \t]*=(.*)", re.DOTALL)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class PolicyError(TextError):
    """The bytes are no policy, or the policy cannot be rendered; `problems` has everything found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy (RFC 8461 §3.2). `max_age` is seconds. `warnings` are about the text it was read from and do not count in `==`."""

    version: str
    mode: Mode
    max_age: int
    mx: tuple[MxPattern, ...]
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    def means(self, other: Policy) -> bool:
        """Is it the same to a sender, whatever the order of its mx?"""
        return (self.mode, self.max_age, frozenset(self.mx)) == (other.mode, other.max_age, frozenset(other.mx))


def parse_policy(body: bytes) -> Policy:
    """Read a policy as a strict sender does (RFC 8461 §3.2, §3.3), with warnings for what other senders read differently.

    mx patterns come in the order of the file, each once. Raises `PolicyError` with every problem (warnings included).
    """
    reader = _Reader(body)
    policy = reader.read()
    if policy is None:
        raise PolicyError(*reader.problems)
    return policy


def render_policy(policy: Policy) -> bytes:
    """The one canonical form (RFC 8461 §3.2): version, mode, sorted mx, max_age; ASCII; every line ends with CRLF.

    Equal policies give equal bytes, whatever the order of their mx. Raises `PolicyError` for what some sender refuses: a max_age
    of 0 or above one year, testing or enforce without mx, more than 64 KiB.
    """
    mx = sorted({pattern.text for pattern in policy.mx})
    lines = "".join([f"mx: {pattern}\r\n" for pattern in mx])
    body = f"version: {policy.version}\r\nmode: {policy.mode.value}\r\n{lines}max_age: {policy.max_age}\r\n".encode("ascii")
    fine = policy.version == VERSION and 0 < policy.max_age <= MAX_MAX_AGE and len(body) <= MAX_SIZE
    if fine and (mx or policy.mode is Mode.NONE):
        return body
    raise PolicyError(*_refusals(policy, len(body)))


def _refusals(policy: Policy, size: int) -> list[Problem]:
    problems: list[Problem] = []
    if policy.version != VERSION:
        message = f"version is {shown(policy.version)}; the only version is {VERSION}"
        problems.append(Problem(code="MTS227", message=message, section="RFC 8461 §3.2"))
    if not policy.mx and policy.mode is not Mode.NONE:
        problems.append(_no_mx(policy.mode))
    if not 0 < policy.max_age <= MAX_MAX_AGE:
        code = "MTS230" if policy.max_age else "MTS231"
        message = f"max_age is {policy.max_age} s; only 1 to {MAX_MAX_AGE} s are rendered, as senders refuse the rest"
        problems.append(Problem(code=code, message=message, section="RFC 8461 §3.2"))
    if size > MAX_SIZE:
        problems.append(_too_large(size))
    return problems


def _no_mx(mode: Mode) -> Problem:
    """The problem of a policy that names no host though its mode needs one."""
    message = f"mode is {mode} and no mx is named; senders refuse such a policy"
    return Problem(
        code="MTS232", message=message, section="RFC 8461 §3.2", hint="Name each MX host of the domain in an mx line of its own."
    )


def _too_large(size: int) -> Problem:
    """The problem of a policy that senders may refuse to read to its end."""
    message = f"the policy has {size} bytes; senders may stop reading after {MAX_SIZE}"
    return Problem(code="MTS238", message=message, section="RFC 8461 §3.3", hint="Use wildcards for hosts under one domain.")


def max_age_problems(mode: Mode, max_age: int) -> tuple[Problem, ...]:
    """What senders may do with this max_age (seconds); nothing in mode none, which is short-lived (RFC 8461 §3.2, §8.3, §10.2)."""
    section = "RFC 8461 §3.2, §10.2"
    if max_age == 0:
        message = "max_age is 0 s: some senders refuse such a policy, the others forget it at once"
        return (Problem(code="MTS231", message=message, severity=Severity.WARN, section="RFC 8461 §3.2"),)
    if mode is Mode.NONE:
        return ()
    if max_age < DAY:
        message = f"max_age is {max_age} s, less than a day ({DAY}); some senders raise it and one is said to ignore such a policy"
        return (Problem(code="MTS233", message=message, severity=Severity.WARN, section=section, hint="A week (604800) or more."),)
    if mode is Mode.ENFORCE and max_age < WEEK:
        message = f"max_age is {max_age} s, less than a week ({WEEK}); an attacker needs to block renewal only that long"
        return (Problem(code="MTS233", message=message, severity=Severity.WARN, section=section, hint="A week (604800) or more."),)
    if max_age == MAX_MAX_AGE:
        message = f"max_age is {max_age} s, the very maximum, which one sender takes for too much"
        return (Problem(code="MTS233", message=message, severity=Severity.NOTE, section=section, hint="At most 31536000 (365 days)."),)
    return ()


class _Reader:
    """Reads one body. `problems` fills while `read` goes on; `read` gives None if any of them is an error."""

    def __init__(self, body: bytes) -> None:
        self.problems: list[Problem] = []
        self._body = body
        self._line = 0
        self._seen: dict[str, int] = {}  # field name → the line where it first stood, also if it was wrong there
        self._near: dict[str, int] = {}  # known name in another spelling → its line
        self._mode: Mode | None = None
        self._max_age: int | None = None
        self._mx: dict[MxPattern, None] = {}
        self._fields: dict[str, Callable[[str, int], None]] = {
            "version": self._read_version,
            "mode": self._read_mode,
            "mx": self._read_mx,
            "max_age": self._read_max_age,
        }

    def read(self) -> Policy | None:
        """The policy, or None after an error."""
        text = self._text()
        if text is not None:
            lines = text.split("\n")  # never splitlines(): it splits at VT, FF, NEL and U+2028 as well
            if not lines[-1]:
                lines.pop()  # RFC 8461 §3.2: one line end may follow the last field
            for self._line, line in enumerate(lines, 1):
                self._read_line(line[:-1] if line.endswith("\r") else line)
            self._check_whole()
        if errors(self.problems) or self._mode is None or self._max_age is None:
            return None
        return Policy(version=VERSION, mode=self._mode, max_age=self._max_age, mx=tuple(self._mx), warnings=tuple(self.problems))

    def _add(self, code: str, message: str, *, column: int = 1, hint: str | None = None, severity: Severity = Severity.ERROR) -> None:
        line = self._line or 1
        self.problems.append(Problem(code=code, message=message, severity=severity, line=line, column=column, section=_RULE, hint=hint))

    # -- the bytes -------------------------------------------------------------------------------------------------------------

    def _text(self) -> str | None:
        """The text with LF or CRLF line ends, or None where nothing in it can be read as a policy."""
        body = self._body
        if len(body) > MAX_SIZE:
            self.problems.append(_too_large(len(body)))
            return None
        if body.startswith(_UTF16):
            self._add("MTS220", "the file is UTF-16 text; a policy is UTF-8", hint="Save it as UTF-8 without byte order mark.")
            return None
        if not body.strip(b" \t\r\n"):
            self._add("MTS221", "the policy is empty")
            return None
        if body.startswith(codecs.BOM_UTF8):
            self._add("MTS220", "the file begins with a byte order mark", hint="Save it as UTF-8 without byte order mark.")
            body = body[3:]
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError as error:
            before = body[: error.start]
            self._line = before.count(b"\n") + 1
            column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
            self._add(
                "MTS220", f"the byte 0x{body[error.start]:02x} is not UTF-8", column=column, hint="Save it as UTF-8, or better ASCII."
            )
            text = body.decode("utf-8", "replace")
        return self._familiar(text)

    def _familiar(self, text: str) -> str | None:
        """Tell apart what is no policy at all; mend what would repeat itself on every line."""
        start = text.lstrip(" \t\r\n")
        if start.startswith(("{", "[")):
            self._add("MTS222", "this is a JSON policy, a form of the drafts before 2018", hint="Write lines such as `mode: testing`.")
            return None
        if start.startswith("<"):
            self._add("MTS223", "this is a HTML or XML page, not a policy", hint="The host answers with a page of its own; serve the file.")
            return None
        if bare := _BARE_CR.search(text):
            self._line = text.count("\n", 0, bare.start()) + 1
            column = bare.start() - text.rfind("\n", 0, bare.start())
            self._add("MTS224", "a bare CR, which is no line end", column=column, hint="End lines with CRLF.")
            text = _BARE_CR.sub("\n", text)
        if len(self._body) > _FAMILIAR_SIZE:
            self._line = 0
            self._add("MTS238", f"the policy has {len(self._body)} bytes; one sender reads only 10 KiB", severity=Severity.WARN)
        return text

    # -- the lines -------------------------------------------------------------------------------------------------------------

    def _read_line(self, line: str) -> None:
        name, colon, rest = line.partition(":")
        if colon and (read := self._fields.get(name)):
            value = rest.strip(WSP)
            column = len(name) + 2 + len(rest) - len(rest.lstrip(WSP))
            self._known(name, value, column, read)
        elif not line.strip(WSP):
            self._add("MTS221", "a blank line; a policy has none", hint="Remove the line.")
        elif line[0] in WSP:
            self._indented(line)
        elif line.startswith("#"):
            self._add("MTS223", "a policy has no comments", hint="Remove the line.")
        elif not colon:
            self._no_colon(line)
        else:
            self._extension(name, rest)

    def _known(self, name: str, value: str, column: int, read: Callable[[str, int], None]) -> None:
        first = self._seen.setdefault(name, self._line)
        if name != "mx" and first != self._line:
            # RFC 8461 §3.2, last paragraph: all but the first are ignored, also when the value is wrong; but it must be a field.
            if self._is_value(name, value, column):
                message = f"`{name}` was given in line {first}; senders should ignore this one, and some take it"
                self._add("MTS234", message, hint="Remove one of them.", severity=Severity.WARN)
            return
        if value.endswith(";"):
            message = f"the value of `{name}` ends with `;`, as in the TXT record; lines of a policy do not"
            self._add("MTS226", message, column=column + len(value) - 1, hint="Remove the `;`.")
            value = value[:-1].rstrip(WSP)
        read(value, column)

    def _indented(self, line: str) -> None:
        name = line.partition(":")[0].strip(WSP)
        if name in _KNOWN:
            self._seen.setdefault(name, self._line)
            self._add("MTS223", f"white space before `{name}`", hint="Begin the line with the field name.")
        else:
            self._add("MTS223", "a line that begins with white space; lines cannot be continued", hint="One field on each line.")

    def _no_colon(self, line: str) -> None:
        if wrong := _WRONG_SIGN.fullmatch(line):
            self._seen.setdefault(wrong[1], self._line)
            hint = f"Write `{wrong[1]}: {printable(wrong[2].strip(WSP)).rstrip(';')}`."
            self._add("MTS225", f"`{wrong[1]}=` is the form of a TXT record; a policy has a colon", column=line.index("=") + 1, hint=hint)
        else:
            self._add("MTS223", f"{shown(line)} is not a field; there is no colon in it")

    def _extension(self, name: str, rest: str) -> None:
        value = rest.strip(WSP)
        column = len(name) + 2 + len(rest) - len(rest.lstrip(WSP))
        if (bare := name.rstrip(WSP)) in _KNOWN:
            self._seen.setdefault(bare, self._line)
            self._add("MTS223", f"white space between `{bare}` and the colon", column=len(bare) + 1, hint=f"Write `{bare}:`.")
            return
        if problem := name_problem(name):
            self._add("MTS235", problem)
            return
        if (known := name.lower().replace("-", "_")) in _KNOWN:
            self._near.setdefault(known, self._line)
        if not self._is_value(name, value, column):
            return
        first = self._seen.setdefault(name, self._line)
        if first != self._line:
            self._add("MTS234", f"`{name}` was given in line {first}; this one is ignored", severity=Severity.WARN)
        elif ":" in value or not value.isascii():
            what = "a colon" if ":" in value else "characters outside ASCII"
            message = f"the unknown field `{name}` has {what} in its value; some senders fail at that"
            self._add("MTS236", message, column=column, hint="Remove the field; no sender uses it.", severity=Severity.WARN)
        else:
            self._add(
                "MTS236", f"the unknown field `{name}` is ignored", hint="Remove the field; no sender uses it.", severity=Severity.NOTE
            )

    def _is_value(self, name: str, value: str, column: int) -> bool:
        """Visible ASCII and UTF-8 characters with inner spaces (RFC 8461 §3.2, sts-policy-ext-value)?"""
        control = _CONTROL.search(value)
        if value and control is None:
            return True
        what = f"a control character (0x{ord(control[0]):02x}) in" if control else "nothing as"
        self._add("MTS235", f"`{name}` has {what} its value", column=column + (control.start() if control else 0))
        return False

    # -- the fields ------------------------------------------------------------------------------------------------------------

    def _read_version(self, value: str, column: int) -> None:
        if value != VERSION:
            message = f"version is {shown(value)}; the only version is {VERSION}"
            self._add("MTS227", message, column=column, hint=f"Write `version: {VERSION}`.")

    def _read_mode(self, value: str, column: int) -> None:
        self._mode = _MODES.get(value)
        if self._mode is not None:
            return
        word = re.match(r"[A-Za-z]*", value)
        near = word[0].lower() if word else ""
        hint = "Write `mode: testing`." if near == "report" else f"Write `mode: {near}`." if near in _MODES else None
        message = f"mode is {shown(value)}; it is none, testing or enforce, in lower case and nothing else on the line"
        self._add("MTS228", message, column=column, hint=hint)

    def _read_max_age(self, value: str, column: int) -> None:
        if not _DIGITS.fullmatch(value):
            message = f"max_age is {shown(value)}; it is 1 to 10 ASCII digits, a number of seconds without sign or unit"
            self._add("MTS229", message, column=column)
        elif int(value) > MAX_MAX_AGE:
            message = f"max_age is {int(value)} s, more than a year ({MAX_MAX_AGE}); senders refuse it or change it"
            self._add("MTS230", message, column=column, hint="At most 31536000 (365 days).")
        else:
            self._max_age = int(value)

    def _read_mx(self, value: str, column: int) -> None:
        if not value.isascii():
            # RFC 8461 §3.2: A-labels on the wire
            message = f"the mx value {shown(value)} has characters outside ASCII; names in a policy are A-labels (xn--…)"
            self._add("MTS219", message, column=column, hint=_in_ascii(value))
            return
        try:
            pattern = MxPattern.parse(value)
        except MxPatternError as error:
            self.problems += [at(problem, self._line, column) for problem in error.problems]
            return
        if pattern in self._mx:
            self._add("MTS218", f"the mx {pattern} is there twice", column=column, hint="Remove one of them.", severity=Severity.WARN)
            return
        self._mx[pattern] = None
        if warnings := pattern.warnings:
            self.problems += [at(problem, self._line, column) for problem in warnings]

    # -- the whole -------------------------------------------------------------------------------------------------------------

    def _check_whole(self) -> None:
        for name in ("version", "mode", "max_age"):
            if name not in self._seen:
                self._missing(name, f"`{name}` is missing")
        if self._mode is not None and "mx" not in self._seen:
            if self._mode is not Mode.NONE:
                self._missing("mx", _no_mx(self._mode).message, "MTS232")
            else:
                message = "mode is none and no mx is named; that is valid, but two senders refuse it"
                self._line = self._seen["mode"]
                self._add("MTS237", message, hint="Keep the mx lines of the earlier policy.", severity=Severity.WARN)
        if self._mode is not None and self._max_age is not None:
            line = self._seen["max_age"]
            self.problems += [at(problem, line, 1) for problem in max_age_problems(self._mode, self._max_age)]

    def _missing(self, name: str, message: str, code: str = "MTS239") -> None:
        near = self._near.get(name)
        self._line = near or 0
        hint = f"Field names are case-sensitive and exact; write this one `{name}:`." if near else f"Add a line `{name}: …`."
        self._add(code, message, hint=hint)


def _in_ascii(value: str) -> str | None:
    """The same pattern in A-labels, as a hint."""
    try:
        return f"Write `mx: {MxPattern.parse(value)}`."
    except MxPatternError:
        return None
