"""One bucket of S3, or of a server that speaks its protocol: small objects, read whole, listed by page, put conditionally.

ETags are without their quotation marks. Everything raises `AwsError`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mtasts_deploy.aws.client import client
from mtasts_deploy.aws.trouble import AwsError, Trouble, trouble_of

ABSENT: Final = "*"
"""In place of an ETag: only if there is no such object."""
_ATTEMPTS: Final = 3
_AGAIN: Final = (Trouble.UNREACHABLE, Trouble.BUSY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An object as a listing shows it; `size` in bytes."""

    key: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object that was read; `mark` is what our put has written beside it, empty for those of others."""

    data: bytes
    etag: str
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """How an object is served."""

    content_type: str
    cache_control: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket by its name, in a region (None: as boto3's configuration says), at AWS or at `endpoint_url`."""

    name: str
    region: str | None = None
    endpoint_url: str | None = None
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)

    def location(self, key: str) -> str:
        """Where an object is, for people."""
        return f"{self.endpoint_url.rstrip('/')}/{self.name}/{key}" if self.endpoint_url else f"s3://{self.name}/{key}"

    def get(self, key: str, *, limit: int | None = None) -> Object | None:
        """The object, None if there is none. More than `limit` bytes are given only if it is longer than that."""
        try:
            answer = self._reader.get_object(Bucket=self.name, Key=key)
            with contextlib.closing(answer["Body"]) as body:
                data = body.read() if limit is None else body.read(limit + 1)
        except Exception as error:
            failure = trouble_of(error)
            if failure.trouble is Trouble.MISSING:
                return None
            raise failure from error
        return Object(data=data, etag=_bare(answer.get("ETag", "")), mark=answer.get("Metadata", {}).get("write", ""))

    def pages(self, prefix: str) -> Iterator[tuple[Item, ...]]:
        """The objects whose keys begin with `prefix`, up to 1000 a request."""
        wanted: dict[str, Any] = {"Bucket": self.name, "Prefix": prefix}
        while True:
            try:
                answer = self._reader.list_objects_v2(**wanted)
            except Exception as error:
                raise trouble_of(error) from error
            yield tuple(
                Item(key=one["Key"], etag=_bare(one.get("ETag", "")), size=one.get("Size", 0)) for one in answer.get("Contents", ())
            )
            if not answer.get("IsTruncated") or not answer.get("NextContinuationToken"):
                return
            wanted["ContinuationToken"] = answer["NextContinuationToken"]

    def put(self, key: str, data: bytes, headers: Headers, *, expected: str | None = None, mark: str = "") -> str:
        """Put the object whole; the new ETag, empty from servers that do not tell.

        With `expected`, ask the server to do so only if the object has that ETag (`ABSENT`: is not there): `CONFLICT` if it has not,
        `UNSUPPORTED` from servers that know no conditions; others ignore them. `mark` is written beside the object. A conflict with
        `done` may be one with our own first attempt, whose answer was lost.
        """
        arguments = {**self._named(key, expected), **_content(data, headers)} | ({"Metadata": {"write": mark}} if mark else {})
        return _bare(self._write("put_object", arguments).get("ETag", ""))

    def delete(self, key: str, *, expected: str | None = None) -> None:
        """Delete the object; with `expected` as in `put`."""
        self._write("delete_object", self._named(key, expected))

    def _named(self, key: str, expected: str | None) -> dict[str, Any]:
        condition = {} if expected is None else {"IfNoneMatch": "*"} if expected == ABSENT else {"IfMatch": f'"{expected}"'}
        return {"Bucket": self.name, "Key": key, **condition}

    def _write(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Not left to boto3, which does not tell whether an attempt before the last one may have had its effect."""
        done = False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer: Mapping[str, Any] = getattr(self._writer, operation)(**arguments)
                return answer
            except Exception as error:
                failure = trouble_of(error)
                done = done or failure.done
                if failure.trouble not in _AGAIN or attempt == _ATTEMPTS:
                    raise AwsError(failure.trouble, failure.said, done=done) from error
            self.sleep(random.uniform(0.5, 1) * attempt / 2)
        raise AssertionError

    @property
    def _reader(self) -> Any:
        return self._client(_ATTEMPTS)

    @property
    def _writer(self) -> Any:
        return self._client(1)

    def _client(self, attempts: int) -> Any:
        try:
            return client("s3", region=self.region, endpoint_url=self.endpoint_url, attempts=attempts)
        except Exception as error:  # a profile that does not exist, a configuration that cannot be read
            raise trouble_of(error) from error


def _content(data: bytes, headers: Headers) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode("ascii")
    cache = {} if headers.cache_control is None else {"CacheControl": headers.cache_control}
    return {"Body": data, "ContentType": headers.content_type, "ChecksumSHA256": digest, **cache}


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')
