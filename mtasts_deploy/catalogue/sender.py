"""The codes of DNS and the policy host as a sender sees them: MTS500 to MTS569."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

_NO_POLICY: Final = (
    "A sender that asks this address gets no policy: it delivers as if there were none, or goes on with the one that it holds. "
    "TLS reports call it "
)
_FETCH: Final = _NO_POLICY + "`sts-policy-fetch-error`."
_WEBPKI: Final = _NO_POLICY + "`sts-webpki-invalid`."
_AT: Final = "RFC 8461 §3.3"

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="MTS500",
        title="An address of the policy host refuses connections",
        why="No web server listens there on port 443. " + _FETCH,
        fix="Start the web server, or remove the address from DNS: senders pick any address of `mta-sts.DOMAIN`.",
        ref=_AT,
    ),
    Entry(
        code="MTS501",
        title="An address of the policy host does not answer",
        why="Nothing came back, so a firewall drops the connection or nobody has the address. " + _FETCH,
        fix="Look at the firewall and whether the address is still right. Remove it from DNS if nothing is there.",
        ref=_AT,
    ),
    Entry(
        code="MTS502",
        title="An address of the policy host cannot be reached",
        why="No route leads there, though this machine reaches others of the same family. " + _FETCH,
        fix="Look whether the address is still right: a private one, for instance, is of no use to senders.",
        ref=_AT,
    ),
    Entry(
        code="MTS503",
        title="The policy host closed the connection without an answer",
        why="It accepted the connection and gave up before it had answered. " + _FETCH,
        fix="Look at the log of the server, or of the proxy before it.",
        ref=_AT,
    ),
    Entry(
        code="MTS504",
        title="An address is of a family that this machine does not have",
        why="Senders with IPv6 may use that address, and nobody here knows what it serves. It is neither proved nor held against the host.",
        fix="Run where both families work, or look at the address by other means.",
        ref=_AT,
    ),
    Entry(
        code="MTS505",
        title="The policy host did not answer in time",
        why="The whole answer must be there within a minute; many senders wait for 4 to 30 seconds. " + _FETCH,
        fix="Look at the load of the server, and for a bot check or a rate limit before it. `--timeout` sets how long we wait.",
        ref=_AT,
    ),
    Entry(
        code="MTS506",
        title="The policy host is slow",
        why="Some senders give up after 4 seconds and then have no policy.",
        fix="Serve the file from something that is always awake. It is a few hundred octets and needs no application.",
        ref=_AT,
    ),
    Entry(
        code="MTS510",
        title="The certificate of the policy host has expired",
        why=_WEBPKI,
        fix="Renew it, and look why it was not renewed by itself.",
        ref=_AT,
    ),
    Entry(
        code="MTS511",
        title="The certificate of the policy host is not valid yet",
        why=_WEBPKI,
        fix="Look at the clock of this machine, or wait until the certificate begins.",
        ref=_AT,
    ),
    Entry(
        code="MTS512",
        title="The certificate is not for the policy host",
        why="It must name `mta-sts.DOMAIN` as subjectAltName, also where that name is a CNAME; a wildcard stands for one label. " + _WEBPKI,
        fix="Get a certificate for that very name, and let the server choose it by SNI.",
        bad="subjectAltName: DNS:example.com, DNS:www.example.com",
        good="subjectAltName: DNS:mta-sts.example.com",
        ref=_AT,
    ),
    Entry(
        code="MTS513",
        title="The certificate of the policy host is not from a trusted CA",
        why=_WEBPKI,
        fix="Get a certificate from a public CA. For a private world, `--ca-file` names its roots.",
        ref=_AT,
    ),
    Entry(
        code="MTS514",
        title="The certificate of the policy host cannot be traced to a trusted CA",
        why="Most often the server does not send the intermediate certificate. Browsers fetch what is missing; senders do not. " + _WEBPKI,
        fix="Configure the full chain.",
        bad="ssl_certificate cert.pem;",
        good="ssl_certificate fullchain.pem;",
        ref=_AT,
    ),
    Entry(code="MTS515", title="The certificate of the policy host has been revoked", why=_WEBPKI, fix="Replace it.", ref=_AT),
    Entry(
        code="MTS516",
        title="The policy host does not speak TLS 1.2",
        why=_WEBPKI,
        fix="Switch on TLS 1.2 and 1.3.",
        bad="ssl_protocols TLSv1 TLSv1.1;",
        good="ssl_protocols TLSv1.2 TLSv1.3;",
        ref="RFC 8461 §7.2",
    ),
    Entry(
        code="MTS518",
        title="The TLS handshake with the policy host failed",
        why="Often the server has no certificate for the name that it was asked for (SNI). " + _WEBPKI,
        fix="Look whether the server, or the CDN, knows `mta-sts.DOMAIN`.",
        ref="RFC 8461 §7.1",
    ),
    Entry(
        code="MTS520",
        title="The policy host redirects",
        why="Senders must not follow redirects, not even to the same host. " + _FETCH,
        fix="Serve the policy at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` itself; exempt this path from rules for `www`.",
        bad="HTTP/1.1 301 Moved Permanently",
        good="HTTP/1.1 200 OK",
        ref=_AT,
    ),
    Entry(
        code="MTS521",
        title="The policy host does not answer with status 200",
        why="Only status 200 makes a policy valid; 201, 204, 206 and 304 do not. " + _FETCH,
        fix="Look whether the file is where it should be, and readable. 403 from a bucket means: missing, or private.",
        ref=_AT,
    ),
    Entry(
        code="MTS522",
        title="The policy is sent without Content-Type",
        why="Senders should take nothing but text/plain, and several refuse the policy.",
        fix="Let the server send `Content-Type: text/plain` for this file.",
        good="location = /.well-known/mta-sts.txt { types {} default_type text/plain; }",
        ref="RFC 8461 §3.2",
    ),
    Entry(
        code="MTS523",
        title="The policy is not sent as text/plain",
        why="Senders should take nothing but text/plain, and several refuse the policy. HTML often is a page of a CDN or a bot check.",
        fix="Let the server send `Content-Type: text/plain` for this file.",
        bad="Content-Type: binary/octet-stream",
        good="Content-Type: text/plain",
        ref="RFC 8461 §3.2",
    ),
    Entry(
        code="MTS524",
        title="The policy is sent compressed to who did not ask for it",
        why="Senders that do not decompress read nonsense.",
        fix="Store the file without Content-Encoding.",
        ref="RFC 9110 §8.4",
    ),
    Entry(
        code="MTS525",
        title="The policy host sends more than 64 KiB",
        why="Senders stop reading there and refuse what they have. " + _FETCH,
        fix="A policy has a few hundred octets: find out what answers in its place.",
        ref=_AT,
    ),
    Entry(
        code="MTS526",
        title="What answers is not HTTP",
        why=_FETCH,
        fix="Look what listens on port 443 of that address. Header fields without end count as well.",
        ref=_AT,
    ),
    Entry(
        code="MTS527",
        title="The answer of the policy host is not complete",
        why="It sends less than it announces. " + _FETCH,
        fix="Look at the proxy or cache that stands there.",
        ref=_AT,
    ),
    Entry(
        code="MTS528",
        title="Not all senders read this Content-Type",
        why="Upper case and charsets other than UTF-8 are right by the book, but one sender compares the text as it is.",
        fix="Send `text/plain`.",
        bad="Content-Type: Text/Plain; charset=iso-8859-1",
        good="Content-Type: text/plain",
        ref="RFC 8461 §3.2",
    ),
    Entry(
        code="MTS530",
        title="An address of the policy host serves another policy than the planned one",
        why="A cache has the old file, a second server was not brought up to date, or somebody else has put another one. Senders that find "
        "the new id there would file the wrong policy under it, for as long as its max_age. So no record was moved.",
        fix="Purge the cache, or wait; bring all servers behind the name up to date; then run `deploy apply` again.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS532",
        title="A shared cache may still serve the old policy elsewhere",
        why="A CDN has many edges, and what one of them serves says nothing about the others until the old answer has expired everywhere: "
        "after the edge's time to live, else the largest freshness seen, else an hour, counted from when the put was read back.",
        fix="Run `deploy apply` again at the time that the message names. A short `Cache-Control` shortens the wait.",
        good="Cache-Control: max-age=60",
        ref="RFC 8461 §8.2",
    ),
    Entry(
        code="MTS533",
        title="The clocks of this machine and of the policy host disagree by more than five minutes",
        why="What senders may still hold is reckoned by the clock. With a wrong one, a step that must wait would come too early.",
        fix="Set the clock that is wrong (NTP), then run `deploy apply` again. Steps that only add hosts, or make the mode milder, go on.",
    ),
    Entry(
        code="MTS550",
        title="A name does not exist",
        why="The servers of the zone say so themselves. No sender finds the policy host.",
        fix="Create an address record or a CNAME for `mta-sts.DOMAIN`. Who asked in vain may remember it for the zone's negative TTL.",
        ref=_AT,
    ),
    Entry(
        code="MTS551",
        title="A name has no address",
        why="The name is there, but leads nowhere. No sender finds the policy host.",
        fix="Point `mta-sts.DOMAIN` at the server that serves the policy; look at the target of the CNAME.",
        ref=_AT,
    ),
    Entry(
        code="MTS552",
        title="A name server could not answer",
        why="SERVFAIL, REFUSED: often a broken DNSSEC signature, or a zone whose servers are down. Senders see the same.",
        fix="Look at the zone with `dig +trace`, and with and without `+cd`.",
    ),
    Entry(
        code="MTS553",
        title="A name server did not answer",
        why="Nothing is known about the name. That is not the same as a name that is missing.",
        fix="Look at the network of this machine, or name another resolver with `--resolver`.",
    ),
    Entry(
        code="MTS554",
        title="The name servers of a zone could not be found",
        why="Without them only a resolver can be asked, and that may remember the past.",
        fix="Look at the NS records of the zone and at the resolver.",
    ),
    Entry(
        code="MTS555",
        title="The resolver does not know a name yet that the zone has",
        why="It was asked before the name was created and remembers the answer for the negative TTL. Senders behind it find no policy.",
        fix="Wait. Lower the SOA minimum of the zone before the next new name.",
        ref="RFC 2308 §5",
    ),
)
