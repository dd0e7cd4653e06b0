"""The codes of zones and DNS records as we read and write them: MTS450 to MTS499, and MTS702."""

from __future__ import annotations

from mtasts_deploy.catalogue.entry import Entry

_UNSEEN = "The zone counts as unknown: no domain whose records lie in it is changed, so mail goes on as before."
_UNWRITTEN = "Nothing was written to the zone, so senders go on seeing the records that were there."

ENTRIES: tuple[Entry, ...] = (
    Entry(
        code="MTS450",
        title="A zone file cannot be read",
        why=_UNSEEN,
        fix="Make the file readable, a regular file, and UTF-8 text.",
    ),
    Entry(
        code="MTS451",
        title="A zone file is not YAML",
        why=_UNSEEN,
        fix="Correct the syntax at the place that the message names. Indent with spaces.",
        bad="_mta-sts:\n\ttype: TXT",
        good="_mta-sts:\n  type: TXT\n  value: 'v=STSv1\\; id=20260101\\;'",
    ),
    Entry(
        code="MTS452",
        title="A zone file is too large, too deep, or expands to too much",
        why=_UNSEEN + " The limits are 16 MiB, a nesting of 100, and 10000 entries through aliases.",
        fix="Correct the brackets or the indentation, write aliased records out, or split the zone.",
    ),
    Entry(
        code="MTS453",
        title="A name or a setting stands twice in a zone file",
        why="YAML forbids it and octoDNS silently uses one of the two, so what is published is not what the file seems to say. " + _UNSEEN,
        fix="Merge the two into one list of records under one key.",
        bad="_mta-sts: {type: TXT, value: a}\n_mta-sts: {type: TXT, value: b}",
        good="_mta-sts: {type: TXT, values: [a, b]}",
    ),
    Entry(
        code="MTS454",
        title="Records come from an included file",
        why="Names that are not visible in the zone file itself may exist in the included one; an MX record that "
        "is not seen could leave a mail "
        "host out of the policy. " + _UNSEEN,
        fix="Write the names that mtasts-deploy looks at in the zone file itself; an `!include` for other names is fine.",
        bad="<<: !include common.yaml",
    ),
    Entry(
        code="MTS455",
        title="A record depends on an alias, an anchor or a merge key",
        why="The record cannot be changed without changing other records with it. Its domain is blocked; nothing is written.",
        fix="Write the record out in full under its own key.",
        bad="_mta-sts: *shared",
        good="_mta-sts:\n  type: TXT\n  value: 'v=STSv1\\; id=20260101\\;'",
    ),
    Entry(
        code="MTS456",
        title="A zone file does not say what octoDNS expects",
        why="octoDNS would refuse the file or read it otherwise than it looks. " + _UNSEEN,
        fix="Correct the entry at the place that the message names: `name: {type: TXT, value: text}`.",
        bad="_mta-sts: {type: TXT, value: 20260101}",
        good="_mta-sts: {type: TXT, value: '20260101'}",
    ),
    Entry(
        code="MTS457",
        title="A zone stands in two files, or in one that octoDNS does not find",
        why="octoDNS refuses a zone with a file under its Unicode name and another under its ASCII name. " + _UNSEEN,
        fix="Keep one file per zone, with its name in lower case.",
        bad="zones/b\u00fccher.example.yaml and zones/xn--bcher-kva.example.yaml",
        good="zones/b\u00fccher.example.yaml",
    ),
    Entry(
        code="MTS458",
        title="A zone does not exist at its provider",
        why="octoDNS would create it, and an empty new zone can take a domain's mail down. " + _UNWRITTEN,
        fix="Create the zone at the provider (for zone files: an empty file will do), or correct `zone` or `dns` of the domain.",
    ),
    Entry(
        code="MTS459",
        title="A CNAME stands where a TXT record is to go",
        why="A name with a CNAME holds nothing else (RFC 1034 \u00a73.6.2); some servers accept the TXT record and ignore it. "
        + _UNWRITTEN,
        fix="Remove the CNAME, or publish where it points and declare `sts: elsewhere` here.",
        ref="RFC 1034 \u00a73.6.2",
    ),
    Entry(
        code="MTS460",
        title="The zone does not answer for the name",
        why="NS or DNAME records at or above the name hand it to another zone; a record written here would never be seen. " + _UNWRITTEN,
        fix="Name the zone that holds the name (`zone`), at the provider that serves it.",
        ref="RFC 6672 \u00a72.4",
    ),
    Entry(
        code="MTS461",
        title="The provider would change the zone itself",
        why="Such a change (a service plan, a zone setting) may cost money and is not a record of ours. " + _UNWRITTEN,
        fix="Make that change yourself, or correct the provider's options.",
    ),
    Entry(
        code="MTS462",
        title="The provider overwrites whole zones",
        why="It cannot read what is there and writes our records only, so every other record would be lost. " + _UNWRITTEN,
        fix="Use octodns_bind.Rfc2136Provider, or keep the zone as YAML.",
        bad="class: octodns_bind.ZoneFileProvider",
        good="class: octodns_bind.Rfc2136Provider",
    ),
    Entry(
        code="MTS463",
        title="A zone cannot be read through octoDNS",
        why="octoDNS reads whole zones, so one record that it cannot understand, or a refused access, hides all of it. " + _UNSEEN,
        fix="Correct the record that the message names, or the access.",
    ),
    Entry(
        code="MTS464",
        title="octoDNS leaves the record as it is",
        why="The record is marked `ignored`, `included` or `excluded` for this provider, or the provider is switched off. " + _UNWRITTEN,
        fix="Remove the mark, or `apply_disabled`.",
        bad="_mta-sts:\n  octodns: {ignored: true}\n  type: TXT\n  value: v=STSv1\\; id=1\\;",
    ),
    Entry(
        code="MTS465",
        title="A zone file cannot be edited in place here",
        why="The layout at this place is so unusual that the edit would touch something else. " + _UNWRITTEN,
        fix="Write the record in the usual way, one key a line.",
    ),
    Entry(
        code="MTS466",
        title="A zone file was changed by somebody else during the run",
        why="Writing now would undo their change. " + _UNWRITTEN,
        fix="Run the command again.",
    ),
    Entry(
        code="MTS467",
        title="A zone file lies outside its directory",
        why="It is a symbolic link to somewhere else, and writing through it would change a file that the declaration does not name. "
        + _UNWRITTEN,
        fix="Put the file itself into the directory, or set `directory` to where it lies.",
    ),
    Entry(
        code="MTS468",
        title="Writing a zone failed",
        why="If the provider failed halfway, what was written is unknown until the zone is read again. Policies "
        "are served before their records "
        "move, so both the old and the new record name bytes that are served.",
        fix="Correct what the message says and run `deploy apply` again: it goes on from what is there.",
    ),
    Entry(
        code="MTS469",
        title="A DNS provider cannot be used as configured",
        why="Nothing can be read or written through it, so its domains stay as they are.",
        fix="Install its package, set the variables that its `env/` options name, and remove options that it does not have.",
        bad="class: mtasts_deploy.dns.zone_files.ZoneFilesProvider\nsplit_extension: .",
    ),
    Entry(
        code="MTS470",
        title="A provider that edits TXT records was asked to change others",
        why=_UNWRITTEN,
        fix="Change other records in the zone file itself, or use octodns.provider.yaml.YamlProvider as the target.",
    ),
    Entry(
        code="MTS471",
        title="The zones of a provider cannot be listed",
        why="It is not known which zone holds a domain's records, so its domains stay as they are.",
        fix="Create the directory or correct the access; or name the zone of each domain (`zone`).",
    ),
    Entry(
        code="MTS472",
        title="The package of a provider is not installed",
        why="Each provider of octoDNS is a package of its own. Nothing is looked at or written until it is there.",
        fix="Install the extra that the message names.",
        good="pip install 'mtasts-deploy[route53]'",
    ),
    Entry(
        code="MTS473",
        title="A secret of a provider is not to be had",
        why="A variable is not set, or a secret handler did not give the value. Nothing is looked at or written until it is there.",
        fix="Set the variable where this runs; in CI, make the secret known to this job.",
        bad="api_key: env/PDNS_API_KEY",
        good="export PDNS_API_KEY=…",
    ),
    Entry(
        code="MTS474",
        title="A provider denies access",
        why="The key is wrong, has expired, or lacks a right. The domains in the zones concerned stay as they are.",
        fix="Check the key and its rights. Reading needs the zone with all of its records; with RFC 2136 also zone transfers.",
    ),
    Entry(
        code="MTS475",
        title="A provider does not answer",
        why="It was tried several times. The domains in the zones concerned stay as they are; the others go on.",
        fix="Check its address and port, and the network from here; then run the command again.",
    ),
    Entry(
        code="MTS476",
        title="A provider takes no more requests for now",
        why="It was tried several times, each time after a longer pause. The domains in the zones concerned stay as they are.",
        fix="Run the command again later; or give the provider limits.",
        good="limits: {route53: {max_in_flight: 4, per_second: 5}}",
    ),
    Entry(
        code="MTS477",
        title="A provider fails",
        why="It answers with an error. If that was while a zone was written, what was written is unknown until it is read again.",
        fix="Run the command again later; look at the provider's status page, or at its log if it is yours.",
    ),
    Entry(
        code="MTS478",
        title="A zone holds a record that octoDNS cannot read",
        why="octoDNS reads whole zones, so one such record hides all others, although it is none of ours. " + _UNSEEN,
        fix="Correct the record that the message names, at the provider.",
    ),
    Entry(
        code="MTS479",
        title="octodns-sync writes the same zone",
        why="It owns whole zones: it would delete our records at its next run, and senders would find no policy.",
        fix="Let one of them own the zone: take it out of the octoDNS configuration, or write the records there.",
        bad="octodns: production.yaml   # whose zones: have example.com. with this provider as target",
    ),
    Entry(
        code="MTS486",
        title="The octoDNS configuration cannot be used",
        why="`octodns:` names it so that `dns:` can name its providers. The declaration is not used until it can be read.",
        fix="Correct the path, which counts from the declaration's directory, or the file.",
        good="octodns: config/production.yaml",
    ),
    Entry(
        code="MTS487",
        title="The address of the policy host cannot stand beside other records",
        why="No other record can stand beside a CNAME, and an ALIAS is an address already. Records of other types at the name are never "
        "touched. " + _UNWRITTEN,
        fix="Remove those records, or declare `address` with `a` and `aaaa`.",
        bad="mta-sts: [{type: CAA, …}, {type: A, …}] and address: {cname: policies.example.net}",
        good="address: {a: [192.0.2.1]}",
        ref="RFC 1034 §3.6.2",
    ),
    Entry(
        code="MTS702",
        title="A record changed since it was planned",
        why="Somebody else wrote it after the plan was made, and writing now would undo that. " + _UNWRITTEN,
        fix="Plan again and look at what changed.",
    ),
)
