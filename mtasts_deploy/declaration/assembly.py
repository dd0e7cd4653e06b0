"""The trees of all files → the parts of a `Declaration`. What cannot be used is left out and noted in `problems`.

Domains whose own settings are the same text are checked once: ten thousand domains cost their names, and a few settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

from mtasts_deploy.declaration import blocks, rules, shape, storage
from mtasts_deploy.declaration.model import ZONE_FILES, Allowance, Confirm, Declaration, DomainSettings, Places, ProviderSpec
from mtasts_deploy.declaration.nodes import Node, children_of
from mtasts_deploy.declaration.settings import EMPTY, Block, Names, read_block
from mtasts_deploy.declaration.shape import Fault
from mtasts_deploy.declaration.sources import Source
from mtasts_deploy.declaration.wording import shown
from mtasts_deploy.diagnostics import Diagnostic, Severity, Span
from mtasts_deploy.rfc.names import Domain, DomainError

_BUILT_IN: Final = {one.name: one.default for one in fields(DomainSettings) if one.name not in ("domain", "where", "at")}
_DOMAIN_HINT: Final = "Write what stands after the `@` of its mail addresses, such as example.com."
_OWN_NAMES: Final = re.compile(r"(?:mta-sts|_mta-sts|_smtp\._tls)\.(.+)", re.IGNORECASE)


class _Group:
    """Domains whose own settings are the same text; `node` is the first of them."""

    __slots__ = ("by_domain", "faults", "findings", "node", "own", "shared", "values")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.own = EMPTY
        self.shared: tuple[_Placed, ...] = ()
        self.values: Mapping[str, Any] = _BUILT_IN
        self.faults: Sequence[Fault] = ()
        self.findings: Sequence[rules.Finding] = ()
        self.by_domain = False


class _Entry(NamedTuple):
    """One declared domain, the place of its name, the node of its settings and its file."""

    domain: Domain
    where: Span
    node: Node
    file: str
    group: _Group


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A block of settings with the node that it comes from, in the main file."""

    block: Block = EMPTY
    node: Node | None = None


_NOWHERE: Final = _Placed()


class Assembly:
    """One load. `declaration()` once; then `problems` has everything that was found."""

    def __init__(self, sources: list[Source], today: date, directory: Path) -> None:
        """`sources` begin with the main file, which lies in `directory`."""
        self.problems: list[Diagnostic] = []
        self._sources = sources
        self._main = sources[0]
        self._blocks: Mapping[str, Node] = children_of(self._main.root)
        self._today = today
        self._lacking: dict[rules.Finding, tuple[_Entry, int]] = {}
        self._octodns = blocks.octodns(self._main, directory, self.problems)
        self._specs: Mapping[str, ProviderSpec] = {}
        self._handlers = {"env", *children_of(self._blocks.get("secret_handlers")), *self._octodns.handlers}

    def declaration(self, path: Path, directory: Path) -> Declaration:
        """The declaration, complete only if `problems` has no error."""
        bad = self._shapes()
        entries, groups = self._entries()
        names = Names(
            providers={"local": None, **children_of(self._blocks.get("providers")), **self._octodns.providers},
            hosts={"local": None, **children_of(self._blocks.get("hosts"))},
            profiles=children_of(self._blocks.get("profiles")),
            today=self._today,
        )
        defaults, profiles = self._shared(names, bad)
        self._specs = blocks.providers(self._main, self._octodns, set(names.providers), self.problems)
        self._evaluate(groups, names, defaults, profiles)
        domains = self._settings(entries)
        self._closing(entries, profiles)
        hosts = storage.hosts(self._main, self.problems)
        return Declaration(
            path=path,
            directory=directory,
            providers=self._specs,
            hosts=hosts,
            state=storage.state(self._main, hosts, self._specs.values(), self.problems),
            domains=domains,
        )

    # --- files and the blocks beside the domains ---

    def _shapes(self) -> set[shape.Path]:
        """Note the faults of shape in all files; the paths in the main file that cannot be used."""
        bad: set[shape.Path] = set()
        for source in self._sources:
            root, value = source.root, source.root.value
            if isinstance(value, dict):
                value = dict(value)
                if isinstance(value.get("domains"), dict):
                    value["domains"] = None
                if source.main:
                    self.problems += blocks.secrets(root, self._handlers, source.name)
            for fault in shape.file_faults(value, root, shape.ROOT if source.main else shape.INCLUDED):
                self.problems.append(fault.diagnostic(root, source.name))
                if source.main:
                    bad.add(fault.path)
        return bad

    def _shared(self, names: Names, bad: set[shape.Path]) -> tuple[_Placed, dict[str, _Placed]]:
        defaults = self._block(("defaults",), self._blocks.get("defaults"), names, bad)
        profiles = {
            name: self._block(("profiles", name), node, names, bad) for name, node in children_of(self._blocks.get("profiles")).items()
        }
        return defaults, profiles

    def _block(self, path: shape.Path, node: Node | None, names: Names, bad: set[shape.Path]) -> _Placed:
        if node is None or not isinstance(node.value, dict):
            return _Placed()
        depth = len(path)
        wrong = {one[depth] for one in bad if one[:depth] == path and len(one) > depth}
        block = read_block(node.value, names, wrong)
        self.problems += [fault.diagnostic(node, self._main.name) for fault in block.faults]
        return _Placed(block=block, node=node)

    # --- domains ---

    def _entries(self) -> tuple[list[_Entry], list[_Group]]:
        """The domains of all files in order, and their groups."""
        groups: dict[str, _Group] = {}
        entries: dict[str, _Entry] = {}
        for source in self._sources:
            node = children_of(source.root).get("domains")
            if node is None or node.keys is None:
                continue
            for name, (line, column) in node.keys.items():
                where = Span(path=source.name, line=line, column=column)
                domain = self._domain(name, where)
                if domain is None:
                    continue
                child = node.children[name]
                text = repr(child.value)
                group = groups.get(text)
                if group is None:
                    group = groups[text] = _Group(child)
                entry = _Entry(domain, where, child, source.name, group)
                if (before := entries.setdefault(domain.text, entry)) is not entry:
                    self._twice(domain, name, where, before.where)
        return list(entries.values()), list(groups.values())

    def _domain(self, name: str, where: Span) -> Domain | None:
        try:
            domain = Domain.parse(name)
        except DomainError as error:
            hint = None
            if name.startswith("*"):
                hint = "Sub-domains inherit nothing: declare each one that receives mail (RFC 8461 §3.4)."
            elif found := _OWN_NAMES.match(name):
                hint = f"Declare the mail domain, `{found[1]}`; the names of its records follow from it."
            for problem in error.problems[:1] if hint else error.problems:
                self._note(problem.code, problem.message, where, hint=hint or problem.hint or _DOMAIN_HINT, ref=problem.section)
            return None
        if domain.text.startswith("mta-sts."):
            message = f"{name} is the policy host of {name[8:]}; is it a mail domain as well?"
            hint = f"Declare `{name[8:]}`; its policy host follows from it."
            self._note("MTS159", message, where, hint=hint, severity=Severity.WARN, domain=domain.text)
        return domain

    def _twice(self, domain: Domain, name: str, where: Span, before: Span) -> None:
        said = domain.display if name in (domain.text, domain.unicode) else f"{name} ({domain.text})"
        message = f"{said} is declared for the second time; the first is at {before}"
        self._note("MTS154", message, where, hint="Keep one of the two.", domain=domain.text)

    def _evaluate(self, groups: Sequence[_Group], names: Names, defaults: _Placed, profiles: Mapping[str, _Placed]) -> None:
        """What each group comes to; its findings about its own settings are kept for each of its domains."""
        faults = shape.domain_faults([group.node.value for group in groups], [group.node for group in groups])
        zone_files = {name for name, spec in self._specs.items() if spec.class_name == ZONE_FILES}
        for index, group in enumerate(groups):
            wrong = faults.get(index, ())
            if isinstance(group.node.value, dict):
                group.own = read_block(group.node.value, names, {fault.path[0] for fault in wrong})
            own = group.own
            group.faults = [*wrong, *own.faults]
            profile = profiles.get(own.values.get("profile", ""), _NOWHERE)
            group.shared = (profile, defaults)
            values = {**_BUILT_IN, **defaults.block.values, **profile.block.values, **own.values}
            group.values = values
            group.by_domain = rules.by_domain(values)
            given = {setting: block for block in (defaults.block, profile.block, own) for setting in block.given}
            values["by_hand"] = not values["plugin"] and zone_files.issuperset(values["dns"])
            if "confirm" not in given:
                values["confirm"] = Confirm.STORAGE if values["by_hand"] else Confirm.HTTPS
            lost = {setting for setting, block in given.items() if setting not in block.values}
            if any(not fault.path for fault in wrong):  # no mapping at all, so nobody knows what was meant
                lost.add("profile")
            found = [*rules.combination(values, lost), *rules.ineffective(own.given, values)]
            group.findings = [finding for finding in found if not self._shared_finding(finding, group)]

    def _settings(self, entries: Iterable[_Entry]) -> dict[Domain, DomainSettings]:
        domains: dict[Domain, DomainSettings] = {}
        for entry in entries:
            domain, where, node, file, group = entry
            for fault in group.faults:
                self.problems.append(fault.diagnostic(node, file, domain.text))
            for finding in group.findings:
                self._finding(finding, entry)
            if group.by_domain:
                for finding in rules.of_domain(domain, group.values):
                    if not self._shared_finding(finding, group):
                        self._finding(finding, entry)
            values = group.values
            if values["allow"]:
                values = {**values, "allow": _placed_allowances(values["allow"], node, file)}
            domains[domain] = DomainSettings(domain=domain, where=where, at=Places(file, node.children), **values)
        return domains

    def _shared_finding(self, finding: rules.Finding, group: _Group) -> bool:
        """Note a finding at the profile or the defaults whose setting it is about; False if it is about the domain's own."""
        setting = finding.setting
        if setting is None or setting in group.own.given:
            return False
        for placed in group.shared:
            if placed.node is not None and setting in placed.block.given:
                self.problems.append(_diagnostic(finding, self._at(placed.node.children[setting])))
                return True
        return False

    def _finding(self, finding: rules.Finding, entry: _Entry) -> None:
        if finding.setting in entry.group.own.given:
            where = shape.span(entry.node, (str(finding.setting),), entry.file)
            self.problems.append(_diagnostic(finding, where, entry.domain.text))
        elif finding.setting is None:
            first, count = self._lacking.get(finding, (entry, 0))
            self._lacking[finding] = (first, count + 1)
        else:
            self.problems.append(_diagnostic(finding, entry.where, entry.domain.text))

    # --- what can be said only when everything was seen ---

    def _closing(self, entries: Sequence[_Entry], profiles: Iterable[str]) -> None:
        for finding, (entry, count) in self._lacking.items():
            others = f" ({count - 1} other domain{'s' if count > 2 else ''} as well)" if count > 1 else ""
            said = replace(finding, message=finding.message + others)
            self.problems.append(_diagnostic(said, entry.where, entry.domain.text if count == 1 else None))
        own = (entry.node.value for entry in entries)
        used = {raw["profile"] for raw in own if isinstance(raw, dict) and isinstance(raw.get("profile"), str)}
        for name in profiles:
            if name not in used:
                where = shape.span(self._main.root, ("profiles", name), self._main.name, key=True)
                hint = "Remove it, or name it with `profile:`."
                self._note("MTS153", f"no domain uses the profile {shown(name)}", where, hint=hint, severity=Severity.WARN)
        if not entries and not self.problems and all(source.whole for source in self._sources):
            line, column = (self._main.root.keys or {}).get("domains", (self._main.root.line, self._main.root.column))
            where = Span(path=self._main.name, line=line, column=column)
            self._note("MTS155", "no domain is declared", where, hint="Add one: `domains: {example.com: }`.", severity=Severity.WARN)

    def _at(self, node: Node) -> Span:
        return Span(path=self._main.name, line=node.line, column=node.column)

    def _note(
        self,
        code: str,
        message: str,
        where: Span,
        *,
        hint: str | None,
        ref: str | None = None,
        severity: Severity = Severity.ERROR,
        domain: str | None = None,
    ) -> None:
        self.problems.append(Diagnostic(code=code, message=message, severity=severity, where=where, domain=domain, hint=hint, ref=ref))


def _placed_allowances(allow: Sequence[Allowance], node: Node, file: str) -> tuple[Allowance, ...]:
    return tuple(replace(one, where=shape.span(node, ("allow", index), file)) for index, one in enumerate(allow))


def _diagnostic(finding: rules.Finding, where: Span, domain: str | None = None) -> Diagnostic:
    return Diagnostic(
        code=finding.code,
        message=finding.message,
        severity=finding.severity,
        where=where,
        domain=domain,
        hint=finding.hint,
        ref=finding.ref,
    )
