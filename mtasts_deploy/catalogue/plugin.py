"""The codes of `dns: plugin` and of the octoDNS plugin: MTS480 to MTS489."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="MTS480",
        title="`dns: plugin` without a provider to look at",
        why="octodns-sync writes the records of this domain, at a time that nobody tells us. An id may be reused, and an old one "
        "forgotten, only after a look has shown what is live, and the MX records must be read somewhere as well.",
        fix="Name the provider that octodns-sync writes to beside `plugin`. It is read and never written. For zone files of octoDNS that "
        "is the directory of the target, not that of the source.",
        bad="example.com: {dns: plugin}",
        good="providers: {published: {class: mtasts_deploy.dns.zone_files.ZoneFilesProvider, directory: published}}\n"
        "domains: {example.com: {dns: [plugin, published]}}",
    ),
    Entry(
        code="MTS481",
        title="A provider with the name `plugin`",
        why="`dns: plugin` means that octodns-sync writes the records, so no provider can have this name.",
        fix="Give the provider another name, here and in the `dns:` of its domains.",
        bad="providers: {plugin: {class: mtasts_deploy.dns.zone_files.ZoneFilesProvider, directory: zones}}",
    ),
    Entry(
        code="MTS482",
        title="A zone that octodns-sync and `deploy apply` would both write",
        why="octodns-sync removes from its zones every record that its sources do not have. What `deploy apply` writes there would be "
        "deleted at the next run, and senders would keep a policy that nobody can change any more. The domains of the zone stay as they "
        "are.",
        fix="Let one of the two write the zone: `plugin` in the `dns` of each of its domains, or of none.",
        bad="a.example.com: {dns: [plugin, local]}\nb.example.com: {dns: local}    (both in the zone example.com)",
        good="a.example.com: {dns: [plugin, local]}\nb.example.com: {dns: [plugin, local]}",
    ),
)
