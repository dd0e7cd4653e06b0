"""The codes of records and policies as `deploy verify` sees them: MTS529 to MTS583."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

_AT: Final = "RFC 8461 §3.3"
_RECORD: Final = "RFC 8461 §3.1"
_TLSRPT: Final = "RFC 8460 §3"

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="MTS529",
        title="The policy host has only IPv6 addresses",
        why="Senders without IPv6 get no policy and deliver as if there were none.",
        fix="Add an A record for `mta-sts.DOMAIN`.",
        ref=_AT,
    ),
    Entry(
        code="MTS534",
        title="The id does not belong to the served policy",
        why="Our ids are the first digits of the SHA-256 of the policy. Here the policy was changed without the record, or the record "
        "without the policy, or a cache serves an old one. Senders that see the id file the wrong policy under it and keep it for its "
        "max_age.",
        fix="Run `deploy apply`. Look at who else writes the record or the file, and at caches before the policy host.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS535",
        title="The addresses of the policy host serve different policies",
        why="Which policy a sender gets is chance, and it keeps it under the one id until max_age is over.",
        fix="Bring all servers behind the name up to date, and wait for or purge their caches.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS536",
        title="Another policy is served than the declared one",
        why="The declaration was changed and not applied, or somebody else has put a policy there.",
        fix="`deploy plan` shows what an apply would change.",
    ),
    Entry(
        code="MTS537",
        title="The policy host lets only browsers in",
        why="A filter against robots refused us and let the same request through under the name of a browser. Mail servers are robots: "
        "they get no policy and deliver as if there were none. TLS reports call it `sts-policy-fetch-error`.",
        fix="Exempt `/.well-known/mta-sts.txt` from bot checks, geographic blocks and rate limits.",
        ref=_AT,
        reported="sts-policy-fetch-error",
    ),
    Entry(
        code="MTS538",
        title="The certificate of the policy host ends soon",
        why="After its end senders get no policy: new ones deliver as if there were none, the others go on with what they hold.",
        fix="Renew it, and look why it has not been renewed by itself: it has less than 14 days.",
        ref=_AT,
    ),
    Entry(
        code="MTS560",
        title="The domain has no MTA-STS record",
        why="Senders encrypt if they can and deliver in the clear if somebody on the way prevents it.",
        fix="`deploy init` writes a declaration. Begin with `mode: testing` and a TLSRPT record.",
        good="_mta-sts.example.com. TXT v=STSv1; id=9c0f2b6ce4d0a1f3b7d2e8a1;",
        ref=_RECORD,
    ),
    Entry(
        code="MTS562",
        title="The name servers of a zone disagree about a record",
        why="Which record a sender sees depends on which server its resolver asked.",
        fix="Look at the zone's serial on each server, at transfers, and at forgotten servers in the NS records.",
        ref=_RECORD,
    ),
    Entry(
        code="MTS563",
        title="The resolver has another answer than the zone's name servers",
        why="It remembers what was there before. Senders behind such a resolver act on the old record until its TTL has passed.",
        fix="Wait for the TTL and look again.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS564",
        title="A record is a CNAME to a name without a TXT record",
        why="Senders follow the CNAME and find nothing: there is no MTA-STS, or no reports. If the target can be registered, whoever does "
        "it publishes for the domain.",
        fix="Ask the operator of the target, or remove the CNAME.",
        bad="_mta-sts.example.com. CNAME _mta-sts.gone.example.",
        ref=_RECORD,
    ),
    Entry(
        code="MTS565",
        title="Not every name server of a zone answers",
        why="Resolvers that ask the silent one wait and ask again; some senders give up before that, and have no policy.",
        fix="Repair the server, or remove it from the NS records here and in the zone above.",
    ),
    Entry(
        code="MTS566",
        title="A record is published by somebody else, through a CNAME",
        why="That is delegation: the policy host must lead to the same operator, else ids and policies get out of step.",
        fix="Declare the domain with `sts: elsewhere`, so that it is looked at and never written.",
        ref="RFC 8461 §8.2",
    ),
    Entry(
        code="MTS570",
        title="The domain has no TLSRPT record",
        why="Nobody tells the domain when senders cannot fetch its policy or reach its MX hosts over TLS. A policy in testing does nothing "
        "at all without reports.",
        fix="Declare `tlsrpt:` with a mailbox, best in another domain.",
        good="_smtp._tls.example.com. TXT v=TLSRPTv1; rua=mailto:tls-reports@example.net",
        ref=_TLSRPT,
    ),
    Entry(
        code="MTS571",
        title="The mailbox for reports is in a domain that takes no mail",
        why="Reporters send their reports there and get them back.",
        fix="Correct the address, or give its domain an MX record.",
        bad="rua=mailto:tls-reports@exmaple.com",
        ref=_TLSRPT,
    ),
    Entry(
        code="MTS572",
        title="The HTTPS server for reports does not answer",
        why="Reporters try for a day and give up. They may, but need not, overlook a bad certificate.",
        fix="Correct the URI or repair the server.",
        ref=_TLSRPT,
    ),
    Entry(
        code="MTS573",
        title="Reports about a domain go to that domain only",
        why="While its MX hosts cannot be reached, the reports about that cannot be delivered either.",
        fix="Name a mailbox in another domain as well, or an `https:` URI.",
        ref=_TLSRPT,
    ),
    Entry(
        code="MTS580",
        title="The policy host serves another policy than the one that was put there",
        why="Somebody else has changed the file, a cache still has an old one, or files that were applied were never shipped. Senders "
        "follow what is served.",
        fix="Find out which it is; `deploy plan` shows what an apply would do.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS581",
        title="The `_mta-sts` record is not the one that was published",
        why="Somebody else has changed or removed it, or zone files that were applied were never shipped.",
        fix="`deploy plan` shows how an apply would put it right. Its id is never used again.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS582",
        title="The MX hosts have changed since the last apply",
        why="A policy in `enforce` must name a host before it takes mail.",
        fix="Run `deploy apply`; with `mx: zone` the policy follows.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS583",
        title="The policy host leads to an address that the last apply did not see",
        why="What is published goes to the servers that are known. A new one that nobody told of may serve an old policy, or none.",
        fix="Run `deploy apply`: it notes the address and opens a move.",
        ref="RFC 8461 §8.1",
    ),
)
