"""The codes of guards, and of what is worth saying about a plan: MTS400 to MTS449. MTS411 is a wait."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

_STAYS: Final = "The domain is blocked: what is published stays as it is, and other domains go on."

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="MTS401",
        title="An MX host is in no mx pattern of the policy",
        why="A sender that enforces the policy does not deliver to a host that no pattern names: it tries the other hosts, queues the "
        "mail, and bounces it after days. A host counts as live until one TTL after its MX record was first missed, as senders may have "
        "it cached. In testing mode the mail arrives and is reported as a failure, so there it is a warning.",
        fix="Add the host to `mx:`, or use `mx: zone`, which follows the MX records. If the host is a mistake, remove its MX record and "
        "wait one TTL. `--allow MTS401=DOMAIN` publishes anyway.",
        bad="example.com: {mode: enforce, mx: [mx1.example.com]}    (and the zone has mx1 and mx2)",
        good="example.com: {mode: enforce, mx: zone}",
        ref="RFC 8461 §4.1",
    ),
    Entry(
        code="MTS402",
        title="A CNAME stands where our record must be",
        why="No other record can stand beside a CNAME. Senders follow it, so whoever owns its target decides what they see (this is how "
        "mail hosts publish for their customers). " + _STAYS,
        fix="To leave the record to the owner of the target, declare `sts: elsewhere`, or leave `tlsrpt` out. To publish it here, "
        "remove the CNAME first.",
        bad="_mta-sts: {type: CNAME, value: example-com._mta-sts.mailhost.example.}",
        good="example.com: {sts: elsewhere}",
        ref="RFC 8461 §3.1",
    ),
    Entry(
        code="MTS403",
        title="The zone does not answer for the record's name",
        why="NS records below the apex give the name away to another zone, and a DNAME gives all names below it to another name. A "
        "record written here would be seen by nobody. " + _STAYS,
        fix="Name the zone that does hold the record with `zone:`, and its provider with `dns:`.",
        bad="zone example.com has NS records at _smtp._tls.example.com, another zone holds it",
        good="example.com: {zone: {tlsrpt: _tls.example.com}}",
        ref="RFC 1034 §4.2.1",
    ),
    Entry(
        code="MTS404",
        title="No zone of the provider holds the domain",
        why="There is no place where the records could be written. " + _STAYS,
        fix="Add the zone to the provider (for the local one: a file zones/DOMAIN.yaml), or name another provider with `dns:`, or "
        "another zone with `zone:`. Who publishes by hand uses `deploy render`.",
        bad="domains: {example.com: }    (and there is no zones/example.com.yaml)",
    ),
    Entry(
        code="MTS405",
        title="The first enforce policy would be held for more than a week",
        why="Senders hold a policy for max_age and need not look again. A mistake in a first enforce policy (a host that is missing, a "
        "certificate that does not fit) then refuses mail for as long as that, whatever is corrected meanwhile.",
        fix="Start with `max_age: 1w` or less, and lengthen it when a week in enforce has gone well. `--allow MTS405=DOMAIN` publishes "
        "anyway.",
        bad="example.com: {mode: enforce, max_age: 26w}",
        good="example.com: {mode: enforce, max_age: 1w}",
        ref="RFC 8461 §3.2",
    ),
    Entry(
        code="MTS407",
        title="The domain has a null MX, yet a policy is declared",
        why="A null MX says that the domain takes no mail at all, so a policy about its MX hosts protects nothing and only confuses. "
        + _STAYS,
        fix="Declare `sts: false`. If senders may hold a policy of the domain, declare `mode: none` first.",
        bad="parked.example: {mode: enforce}    (and its MX record is `0 .`)",
        good="parked.example: {sts: false}",
        ref="RFC 7505 §3",
    ),
    Entry(
        code="MTS408",
        title="`tlsrpt: false` would remove a record of somebody else",
        why="Reports about the domain go to whoever is named there. The ledger does not know the record as published by this tool, so "
        "somebody else may rely on it. " + _STAYS,
        fix="Leave `tlsrpt` out to leave the record alone. If it may go, lift the guard with `--allow MTS408=DOMAIN`.",
        bad="example.com: {tlsrpt: false}    (and the record names reports@other.example)",
        good="example.com:    (without tlsrpt)",
        ref="RFC 8460 §3",
    ),
    Entry(
        code="MTS409",
        title="Domains that share a policy file are to get different policies",
        why="The file can hold only one policy. Whichever domain were put last, the other's id would name bytes that are not served, and "
        "senders would file one domain's policy under the other. " + _STAYS,
        fix="Let the `key` of the host have `{policy_host}`, so that each domain has a file of its own. If they are to share one, give "
        "them the same settings and MX hosts, and apply them together (no `--domain` for one of them).",
        bad="hosts: {cdn: {type: s3, bucket: policies.example.com, key: mta-sts.txt}}",
        good='hosts: {cdn: {type: s3, bucket: policies.example.com, key: "{policy_host}/mta-sts.txt"}}',
    ),
    Entry(
        code="MTS410",
        title="`confirm: storage` beside a real provider",
        why="A look into the store of the host proves that the file is there, not that senders get it: a certificate, a redirect or a "
        "cache in between is not seen. A record that moves now would send them to something else. " + _STAYS,
        fix="Remove `confirm`: the policy is then fetched as senders fetch it. If that is not possible from where you run, lift the guard "
        "with `--allow MTS410=DOMAIN` and look at the policy yourself before each apply.",
        bad="example.com: {dns: route53, confirm: storage}",
        good="example.com: {dns: route53}",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS411",
        title="Mode enforce waits until the MX records have been watched",
        why="A secondary MX host that nobody thought of, or one that is still cached, would be refused by enforcing senders. So a "
        "domain is published in testing first and moves to enforce at a later apply, when its MX records have been watched for one TTL.",
        fix="Nothing: run `deploy apply` again at the time that the plan names. `--allow MTS411=DOMAIN` does not wait.",
        ref="RFC 8461 §4.1",
    ),
    Entry(
        code="MTS412",
        title="The providers do not agree on the MX records",
        why="Which MX hosts a sender sees depends on the server that answers. The policy must name them all, so the union is used.",
        fix="Make the MX records of all providers of the domain the same.",
    ),
    Entry(
        code="MTS413",
        title="The domain has neither MX nor address records",
        why="Nobody can deliver mail to it, with a policy or without.",
        fix="Add its MX records, or declare `sts: false`.",
        ref="RFC 5321 §5.1",
    ),
    Entry(
        code="MTS414",
        title="A policy is live although `sts: false` is declared",
        why="The setting leaves alone what is there; it removes nothing. To delete a record or a file does not end a policy: senders go "
        "on applying the one that they hold.",
        fix="Declare `mode: none` to withdraw the policy; when max_age has passed, `sts: false` says the truth. Or declare the policy "
        "again.",
        bad="example.com: {sts: false}    (and senders hold an enforce policy)",
        good="example.com: {mode: none}",
        ref="RFC 8461 §8.3",
    ),
    Entry(
        code="MTS415",
        title="A live domain is no longer declared",
        why="Nothing is removed because a line has gone: senders would be left with the policy that they hold. But nobody keeps this "
        "policy up to date either, and the next change of its MX records may cost mail.",
        fix="Declare it again with `mode: none` to withdraw the policy, or with its old settings to keep it.",
        good="example.com: {mode: none}",
        ref="RFC 8461 §8.3",
    ),
    Entry(
        code="MTS416",
        title="An mx pattern stays although it is no longer declared",
        why="A host that it names is still an MX host of the domain, and a policy without it would make enforcing senders refuse that "
        "host.",
        fix="Remove the MX record first; the pattern leaves one TTL later, at the next apply. Or declare the pattern.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS417",
        title="Other TXT values stand beside our record",
        why="They are not ours, so they stay. Senders should ignore them; some fail on any second value and then see no record at all.",
        fix="Find out who put them there, and move them to another name if you can.",
        bad='_mta-sts.example.com. TXT "v=STSv1; id=1;" "site-verification=abc"',
        ref="RFC 8461 §3.1",
    ),
    Entry(
        code="MTS418",
        title="An id of our form is live that the ledger does not know",
        why="The ledger was lost, or another clone published and its ledger did not come along. What that id was exposed to is unknown, "
        "so it is replaced, and new ids carry a counter that no lost one can have reached. While the state is not kept this happens at "
        "each run, and each time every sender fetches the policy again.",
        fix="Keep `.mtasts/ledger/` with the declaration: commit it after each apply.",
    ),
    Entry(
        code="MTS419",
        title="The MX records of the domain cannot be seen in the zone",
        why="A CNAME or a delegation hides them. Without them nobody knows whether a policy covers the hosts that take the mail. The "
        "domain is left as it is.",
        fix="Name the zone that holds the MX records: `zone: {mx: ZONE}`. A domain with a CNAME at its name cannot have MX records of "
        "its own.",
        good="mail.example.com: {zone: {mx: mail.example.com}}",
        ref="RFC 2181 §10.1",
    ),
    Entry(
        code="MTS420",
        title="A policy in mode none has no mx line",
        why="RFC 8461 allows it, but some senders refuse such a policy and keep the old one, which may enforce.",
        fix="Name the last MX hosts with `mx:`.",
        bad="version: STSv1\nmode: none\nmax_age: 86400",
        good="version: STSv1\nmode: none\nmx: mx1.example.com\nmax_age: 86400",
        ref="RFC 8461 §3.2",
    ),
    Entry(
        code="MTS421",
        title="The file on the policy host is no valid policy",
        why="Senders that fetch it now get no policy; those that hold an older one keep it. The apply replaces the file.",
        fix="Nothing, if the file may be replaced. Else find out who wrote it, and declare `sts: elsewhere`.",
        ref="RFC 8461 §3.2",
    ),
    Entry(
        code="MTS422",
        title="`address` would replace an address that this tool did not put there",
        why="Somebody else has led the policy host there, perhaps to a server that other names use as well. " + _STAYS,
        fix="Declare the address that is there, and apply: from then on it is managed, and can be changed. If it may go at once, "
        "`--allow MTS422=DOMAIN` replaces it. A live policy is copied to the new place and proved there first.",
        bad="example.com: {address: {cname: new.example.net}}    (and mta-sts.example.com is a CNAME to old.example.net)",
        good="example.com: {address: {cname: old.example.net}}    (then apply, then change it)",
    ),
    Entry(
        code="MTS423",
        title="A host that may still serve the policy is not declared any more",
        why="Senders may have an address in their caches that leads to the old host, or the policy host still leads there. They would find "
        "the new id in DNS and fetch an old policy, which they then keep under the new id. " + _STAYS,
        fix="Leave the old host under `hosts:` until `deploy plan` says that nobody is led there any more. If it is gone already, or the "
        "same address is served from elsewhere now, `--allow MTS423=DOMAIN` goes on without it.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS424",
        title="The state was lost, and nothing tells which host serves the policy",
        why="A live id of ours is not in the ledger, and what is declared is not what is there: the policy host leads to another "
        "address, or another declared host has a policy of the domain, too. With `confirm: storage` nothing is fetched, so an id could be "
        "pushed whose bytes are not where senders are led. " + _STAYS,
        fix="Declare `host` and `address` as they are now and apply; then change them again, and the policy is moved in order. If the "
        "declared host serves there already, `--allow MTS424=DOMAIN` goes on; `confirm: https` proves it by a fetch.",
        bad="example.com: {host: cdn, address: {cname: cdn.example.net}, confirm: storage}    (and mta-sts.example.com still is a CNAME to "
        "web.example.net)",
        good="example.com: {host: web, address: {cname: web.example.net}, confirm: storage}",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS425",
        title="Somebody else has made the live policy milder than the declaration",
        why="The served policy is not one that this tool published, and it has a lower mode, or more hosts in the same mode. Perhaps "
        "somebody did that at night because mail was not delivered; to undo it unasked could lose mail again. It is not asked about "
        "what an earlier commit published, nor about what was live before this tool published anything; and nothing stops a policy that "
        "names a live MX host which senders may be refusing. " + _STAYS,
        fix="If the milder policy is meant to stay, commit it: `mode: testing`, or the host under `mx:`. If not, "
        "`--allow MTS425=DOMAIN` publishes what is declared.",
        bad="example.com: {mode: enforce}    (and the policy file was edited by hand to `mode: testing`)",
        good="example.com: {mode: testing}    (then apply; back to enforce in a commit of its own)",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS430",
        title="A stricter policy, while senders would not deliver",
        why="Before a domain goes to `enforce`, names fewer hosts or asks to be remembered for longer, its policy host and every MX host "
        "are looked at as a sender does, at every address. One of them fails: mail to it would be refused, or the policy could not be had. "
        + _STAYS,
        fix="Mend what the message names. `deploy verify` shows everything that is wrong. `--allow MTS430=DOMAIN` goes on all the same.",
        ref="RFC 8461 §8.4",
    ),
    Entry(
        code="MTS431",
        title="A stricter policy, and nobody could look",
        why="Missing evidence is not evidence: port 25 cannot be reached from this machine, or DNS gave no answer. " + _STAYS,
        fix="Run `deploy verify --out evidence.json` where mail is sent from, and give the file to `plan` and `apply` with `--evidence`: "
        "it counts for 24 hours, if MX hosts and their addresses are the same. `--allow MTS431=DOMAIN` goes on without.",
        ref="RFC 8461 §8.4",
    ),
    Entry(
        code="MTS432",
        title="A stricter policy, and nobody has looked",
        why="All DNS providers of the domain are zone files, which somebody ships: `plan` and `apply` open no socket for it.",
        fix="Run `deploy verify` before you ship the zones.",
        ref="RFC 8461 §8.4",
    ),
)
