"""Policy files in a bucket of S3, or of a server that speaks its protocol: one object a domain, with CloudFront in front or without."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from mtasts_deploy.aws.bucket import ABSENT, Bucket, Headers, Item, Object
from mtasts_deploy.aws.trouble import ADVICE, AwsError, Trouble
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import HostError
from mtasts_deploy.facts import HostedPolicy, KnownPolicies, Unknown
from mtasts_deploy.hosting.edges import Edges
from mtasts_deploy.hosting.keys import KeyTemplate
from mtasts_deploy.rfc.names import Domain

_LIMIT: Final = 65536  # RFC 8461 §3.3: senders may stop reading there
_FEW: Final = 5  # up to so many files are read one by one, as a listing may take as many requests
_AT_ONCE: Final = 16
_HASTE: Final = 12.0  # seconds that a look before a write may take; the lock promises a minute for both
_REFUSED: Final = (Trouble.CONFLICT, Trouble.MISSING)  # the answers to a condition that does not hold

_CODES: Final = {
    Trouble.NO_BUCKET: "MTS776",
    Trouble.FORBIDDEN: "MTS777",
    Trouble.WRONG_REGION: "MTS778",
    Trouble.CLOCK: "MTS779",
    Trouble.REJECTED: "MTS780",
    Trouble.NO_CREDENTIALS: "MTS781",
    Trouble.UNREACHABLE: "MTS782",
    Trouble.BUSY: "MTS783",
}


class S3Host:
    """A `Host` in a bucket. The version of a file is the ETag of its object.

    Objects are `text/plain` without a content encoding (ENG-3, RFC 8461 §3.3), with `cache_control` if given. Bytes are put with the
    condition that the object is still the one that was observed. Servers that do not know conditions, or ignore them, are met by looking
    just before the put; there, and only there, a write of others within that moment is overwritten. `edges` is the distribution in front.
    """

    def __init__(
        self,
        name: str,
        bucket: Bucket,
        keys: KeyTemplate,
        *,
        cache_control: str | None = None,
        edge_ttl: int | None = None,
        edges: Edges | None = None,
    ) -> None:
        self.name = name
        self.edge_ttl = edge_ttl
        self._bucket = bucket
        self._keys = keys
        self._headers = Headers(content_type="text/plain", cache_control=cache_control)
        self._edges = edges
        self._conditions = True
        self._pages = _FEW

    def location(self, domain: Domain) -> str:
        """The URL of that domain's object, as the S3 tools have it."""
        return self._bucket.location(self._keys.of(domain))

    def read(
        self, domains: Collection[Domain], known: Mapping[Domain, KnownPolicies] | None = None
    ) -> Mapping[Domain, HostedPolicy | Unknown | None]:
        """The files as they are now; None where there is none, Unknown where one cannot be read or is over 65536 bytes.

        Many are listed, 1000 a request; then only those are read that the listing does not show to be among the `known` bytes.
        """
        found: dict[Domain, HostedPolicy | Unknown | None] = {}
        rest = list(domains)
        if len(rest) > max(_FEW, self._pages):
            listed = self._listed()
            if isinstance(listed, AwsError):
                return {domain: Unknown(reason=self._diagnostic("list", domain, listed)) for domain in rest}
            for domain in domains:
                item, remembered = listed.get(self._keys.of(domain)), (known or {}).get(domain)
                if item is None and not remembered:
                    found[domain] = None
                elif item is not None and (unchanged := recognised(item, remembered)):
                    found[domain] = unchanged
            rest = [domain for domain in domains if domain not in found]
        return {**found, **self._read_all(rest)}

    def put(self, domain: Domain, body: bytes, expected: str | None) -> str:
        """Put the object if it still has the version `expected` (None: nothing is there); its new version.

        Raises `HostError`, with `written=False` where the put certainly did not happen.
        """
        there = self._look(domain, "write")
        if there is not None and there.data == body:  # of a domain that shares it, or put by a run that was killed
            return there.etag
        self._compare(domain, there, expected)
        key, condition = self._keys.of(domain), ABSENT if expected is None else expected
        try:
            version = self._conditionally(lambda allowed: self._bucket.put(key, body, self._headers, expected=allowed), condition)
        except AwsError as error:
            return self._after(domain, body, error)
        there = None if version else self._look(domain, "read", written=True)
        return there.etag if there is not None else version

    def remove(self, domain: Domain, expected: str) -> None:
        """Remove the object if it still has the version `expected`. Raises `HostError`."""
        self._compare(domain, self._look(domain, "remove"), expected)
        key = self._keys.of(domain)
        try:
            self._conditionally(lambda allowed: self._bucket.delete(key, expected=allowed), expected)
        except AwsError as error:
            if error.trouble in _REFUSED and not error.done:
                raise self._changed(domain, "has changed") from error
            raise self._failed("remove", domain, error, written=error.done) from error

    def purge(self, domains: Collection[Domain], waiting: Callable[[], None]) -> bool:
        """One invalidation for all these files, waited for; False without a distribution. Raises `HostError`."""
        if self._edges is None:
            return False
        self._edges.forget([self._keys.of(domain) for domain in domains], waiting)
        return True

    def _conditionally(self, write: Callable[[str | None], str | None], condition: str) -> str:
        """With the condition, or without it where the server has said that it knows none."""
        if self._conditions:
            try:
                return write(condition) or ""
            except AwsError as error:
                if error.trouble is not Trouble.UNSUPPORTED:
                    raise
                self._conditions = False
        return write(None) or ""

    def _after(self, domain: Domain, body: bytes, error: AwsError) -> str:
        """A put that was refused, or whose answer was lost: what is there now tells whether it is a conflict with our own first attempt."""
        there: Object | None = None
        if error.trouble in _REFUSED or error.done:
            with contextlib.suppress(HostError):
                there = self._look(domain, "read")
        if there is not None and there.data == body:
            return there.etag
        if error.trouble in _REFUSED and not error.done:
            raise self._changed(domain, "has changed") from error
        raise self._failed("write", domain, error, written=error.done) from error

    def _look(self, domain: Domain, doing: str, *, written: bool = False) -> Object | None:
        """The object, soon enough for the lock to cover a write after it."""
        began = time.monotonic()
        try:
            there = self._bucket.get(self._keys.of(domain), limit=_LIMIT)
        except AwsError as error:
            raise self._failed(doing, domain, error, written=written) from error
        if time.monotonic() - began > _HASTE:
            slow = AwsError(Trouble.BUSY, "it answers too slowly to look before writing", done=written)
            raise self._failed(doing, domain, slow, written=written)
        return there

    def _listed(self) -> dict[str, Item] | AwsError:
        """The objects below the prefix of all keys, by key."""
        found: dict[str, Item] = {}
        pages = 0
        try:
            for page in self._bucket.pages(self._keys.prefix):
                pages += 1
                found.update((item.key, item) for item in page)
        except AwsError as error:
            return error
        self._pages = pages
        return found

    def _read_all(self, domains: Collection[Domain]) -> dict[Domain, HostedPolicy | Unknown | None]:
        if len(domains) < 2:
            return {domain: self._read(domain) for domain in domains}
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(domains))) as pool:
            return dict(zip(domains, pool.map(self._read, domains), strict=True))

    def _read(self, domain: Domain) -> HostedPolicy | Unknown | None:
        try:
            there = self._bucket.get(self._keys.of(domain), limit=_LIMIT)
        except AwsError as error:
            return Unknown(reason=self._diagnostic("read", domain, error))
        if there is None:
            return None
        if len(there.data) > _LIMIT:
            return Unknown(reason=self._too_long(domain))
        return HostedPolicy(body=there.data, version=there.etag, mark=there.etag)

    def _compare(self, domain: Domain, there: Object | None, expected: str | None) -> None:
        found = None if there is None else there.etag
        if found != expected:
            raise self._changed(domain, "is gone" if found is None else "is there already" if expected is None else "has changed")

    def _changed(self, domain: Domain, what: str) -> HostError:
        return HostError(
            Diagnostic(
                code="MTS775",
                message=f"{self.location(domain)} {what} since it was read; nothing was written.",
                domain=str(domain),
                hint="Somebody else works on this host. Run the same command again: it reads anew and plans on what is there.",
            ),
            written=False,
        )

    def _failed(self, doing: str, domain: Domain, error: AwsError, *, written: bool) -> HostError:
        return HostError(self._diagnostic(doing, domain, error), written=written)

    def _diagnostic(self, doing: str, domain: Domain, error: AwsError) -> Diagnostic:
        code, hint = _CODES.get(error.trouble, "MTS774"), ADVICE.get(error.trouble, ADVICE[Trouble.OTHER])
        return Diagnostic(code=code, message=f"Cannot {doing} {self.location(domain)}: {error.said}.", domain=str(domain), hint=hint)

    def _too_long(self, domain: Domain) -> Diagnostic:
        return Diagnostic(
            code="MTS784",
            message=f"{self.location(domain)} is longer than {_LIMIT} bytes.",
            domain=str(domain),
            hint="This is no policy that senders would read to its end. Look at the object; if it is not needed, remove it.",
            ref="RFC 8461 §3.3",
        )


def recognised(item: Item, known: KnownPolicies | None) -> HostedPolicy | None:
    """The bytes of a listed object, if its ETag is one that the ledger knows (under any encryption), or the MD5 of known bytes."""
    if known is None or not item.etag:
        return None
    marked = known.marks.get(item.etag)
    if marked is not None and len(marked) == item.size:
        return HostedPolicy(body=marked, version=item.etag, mark=item.etag)
    for body in known.bodies:
        if len(body) == item.size and hashlib.md5(body, usedforsecurity=False).hexdigest() == item.etag:
            return HostedPolicy(body=body, version=item.etag, mark=item.etag)
    return None
