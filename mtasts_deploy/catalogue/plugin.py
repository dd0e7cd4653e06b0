"""The codes of `dns: plugin` and of the octoDNS plugin: MTS480 to MTS489."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="MTS480",
        title="Records that octodns-sync writes",
        why="With `dns: plugin` alone the zone is looked at through its name servers, and cannot be written by `deploy`.",
        fix="Please report this: no plan should come to such a step.",
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
    Entry(
        code="MTS483",
        title="A record of ours stands in another source of the zone",
        why="The plugin publishes the record with the id whose policy is served. A second one, written by hand, would name other bytes, "
        "and senders that find two values use none. octodns-sync stops before it changes anything.",
        fix="Remove the record from the source that the message names; the plugin publishes it from now on. Or let the plugin take its "
        "place with `populate_should_replace: true`.",
        bad="_mta-sts: {type: TXT, value: v=STSv1\\; id=20260101\\;}    (in the zone file, beside the source of the plugin)",
        ref="RFC 8461 §3.1",
    ),
    Entry(
        code="MTS484",
        title="A new MX host that a policy in use does not name",
        why="A sender that holds a policy in mode enforce refuses to deliver to an MX host that it does not name, and it need not look "
        "again before the policy runs out, or before the id in DNS changes. So the policy must name the host before the MX record does. "
        "octodns-sync leaves the zone as it is. Hosts that the ledger has seen as MX hosts never stop a zone.",
        fix="Add the host to `mx:` of the domain. Run `deploy apply`, then octodns-sync, which publishes the new id, then `deploy apply`, "
        "which sees it. One TTL of the record later the MX record may be added. To turn this off for a zone, disable the validator in the "
        "`validators` of that zone in the octoDNS config.",
        bad="zone example.com gets MX mx3.example.com while the served policy has mode enforce and mx1, mx2",
        good="example.com: {mx: [zone, mx3.example.com]}",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS485",
        title="This octoDNS knows no validators of zones",
        why="They came with octoDNS 1.18; before it the config cannot name one. octodns-sync stops before it changes anything.",
        fix="Install octoDNS 1.18 or newer, or remove the validator from the octoDNS config.",
    ),
    Entry(
        code="MTS488",
        title="The ledger has no record to publish where one may be live",
        why="octodns-sync removes what its sources do not have. The source would have nothing for this domain, because the ledger does not "
        "know it (it was lost, or this checkout does not have it), or knows a live record that was not handed over yet. Publishing that "
        "would take a live `_mta-sts` record away. So octodns-sync stops before it changes anything.",
        fix="Give octodns-sync the ledger that `deploy apply` writes (a shared `state`, or `.mtasts/ledger/` committed). For a new domain "
        "run `deploy apply` first. Where nothing can be removed (a fence, a zone that was never "
        "published), set `unknown_domains: skip`.",
        bad="octodns-sync --doit          (in a checkout without .mtasts/ledger/)",
        good="deploy apply && octodns-sync --doit",
    ),
)
