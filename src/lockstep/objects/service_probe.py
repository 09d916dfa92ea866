"""Tries out what a service of S3 really does with requests that differ from one service to the next, below one prefix.

What the engine finds out by itself is asked of the engine: `engine` is a store as every run opens it, and listings and multipart uploads go
through the same code, with small pages and small parts.
Source: Amazon S3 API reference, PutObject, GetObject, ListObjectsV2, DeleteObjects, CompleteMultipartUpload, GetObjectLockConfiguration.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.errors import LockstepError, ObjectExists
from lockstep.model.addresses import StoreAddress
from lockstep.model.probes import ListedPages, Reply
from lockstep.objects import failures
from lockstep.objects.addresses import S3Settings, parse_url, read_s3_settings
from lockstep.objects.credentials import Credentials, find_credentials
from lockstep.objects.limits import MIB, StreamLimits
from lockstep.objects.listing import parse_page
from lockstep.objects.multipart import upload_stream
from lockstep.objects.s3 import S3ObjectStore
from lockstep.objects.second_client import PAGE, connect
from lockstep.objects.second_road import SecondRoad
from lockstep.objects.store import RequestCounter

PART = StreamLimits(part_bytes=5 * MIB)
"""The smallest part that S3 takes before the last one. Source: Amazon S3 user guide, "Amazon S3 multipart upload limits"."""

_CONFLICT, _PRECONDITION_FAILED = 409, 412
_NOT_ALLOWED, _NOT_IMPLEMENTED = 405, 501


def open_service_probe(address: StoreAddress) -> ServiceProbe | None:
    """What tries out the service behind an address; None for every other kind of store. Nothing is sent. Raises as `open_store`."""
    url = parse_url(address.url)
    if isinstance(url, Path) or url.scheme != "s3":
        return None
    return ServiceProbe(read_s3_settings(url, address), find_credentials(address))


class ServiceProbe:
    """Questions to one bucket. Keys are relative to the prefix of the address. Errors: as of every ObjectStore."""

    def __init__(self, settings: S3Settings, credentials: Credentials) -> None:
        self.engine = S3ObjectStore(settings, credentials)
        self._settings, self._credentials = settings, credentials
        self._road = self._new_road(RequestCounter())

    def put(self, key: str, data: bytes, **conditions: str) -> Reply:
        """Send one PUT with conditions (`IfNoneMatch`, `IfMatch`) and tell what the service made of them."""
        return self._reply(partial(self._put, key, data, conditions), refusals={_CONFLICT, _PRECONDITION_FAILED})

    def put_summed(self, key: str, data: bytes, *, right: bool) -> Reply:
        """Send one PUT with a SHA-256 that is that of the bytes, or of others."""
        digest = base64.b64encode(hashlib.sha256(data if right else data + b"!").digest()).decode()
        return self._reply(partial(self._put, key, data, {"ChecksumSHA256": digest}), refusals=range(400, 500))

    def checksum(self, key: str) -> bool:
        """True when the service gives the SHA-256 of an object back that was sent with it."""
        with self._road.errors(key):
            found = self._road.client.head_object(Bucket=self._road.bucket, Key=self._road.prefix + key, ChecksumMode="ENABLED")
        return bool(found.get("ChecksumSHA256"))

    def read_range(self, key: str, first: int, last: int) -> bytes:
        """The bytes from `first` to `last`, as the service gives them."""
        with self._road.errors(key):
            asked = f"bytes={first}-{last}"
            found = self._road.client.get_object(Bucket=self._road.bucket, Key=self._road.prefix + key, Range=asked)
            return bytes(found["Body"].read())

    def pages(self, prefix: str, *, size: int, most: int | None = None) -> ListedPages:
        """The keys under a prefix, or the first `most` of them, as the engine lists them when it asks for pages of `size`."""
        requests = RequestCounter()
        road = self._new_road(requests, page_size=size)
        keys: list[str] = []
        for page in road.pages(prefix, None, None):
            keys += [info.key for info in page]
            if most is not None and len(keys) >= most:
                break
        return ListedPages(tuple(keys[:most]), requests.counts().list, by_directory=road.lists_by_directory)

    def keys_behind(self, prefix: str, start: str) -> list[str]:
        """The keys of one page that begins behind the key `start`, unfiltered."""
        return list(self._one_page(prefix, StartAfter=self._road.prefix + start))

    def upload_parts(self, key: str, data: bytes) -> str | None:
        """Store bytes as a multipart upload with the smallest parts, and return the ETag."""
        return self._upload(key, data, create=False)

    def complete_on_existing(self, key: str) -> Reply:
        """End a multipart upload, on the condition that nothing lies there, under a key where something does."""
        try:
            self._upload(key, b"another one", create=True)
        except ObjectExists:
            return "refused"
        except LockstepError as error:
            if failures.is_unsupported(error):
                return "unsupported"
            raise
        return "accepted"

    def default_lock(self) -> str | None:
        """How long what is written is locked without being asked for ("30 DAYS"); None where it is not, or nobody may ask."""
        try:
            answer = self._road.client.get_object_lock_configuration(Bucket=self._road.bucket)
        except (BotoCoreError, ClientError):
            return None
        rule = answer.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
        unit = next((name for name in ("Days", "Years") if rule.get(name)), None)
        return f"{rule[unit]} {unit.lower()}" if unit else None

    def purge(self, prefix: str, made: Iterable[str]) -> int:
        """Drop unfinished uploads, older versions and delete markers under a prefix; returns how many could not be deleted.

        `made` are the keys that were written: where a listing of all cannot be read (some spell control characters as they are), each of
        them is asked for.
        """
        self._drop_uploads(prefix)
        if not self._road.keeps_versions():
            return 0
        try:
            return sum(not self._drop_version(*each) for each in self._versions(prefix))
        except (BotoCoreError, ClientError):
            return sum(self._purge_one(key) for key in made)

    def _new_road(self, requests: RequestCounter, *, page_size: int | None = None) -> SecondRoad:
        def connected(seconds: int) -> Any:
            client = connect(self._settings, self._credentials, silent_seconds=seconds)
            if page_size is not None:
                client.meta.events.register("before-parameter-build.s3.ListObjectsV2", _asking_for(page_size))
            return client

        return SecondRoad(connected, settings=self._settings, requests=requests, renew=self._credentials.renew)

    def _put(self, key: str, data: bytes, more: dict[str, str]) -> None:
        self._road.client.put_object(Bucket=self._road.bucket, Key=self._road.prefix + key, Body=data, **more)

    def _reply(self, ask: Callable[[], None], *, refusals: set[int] | range) -> Reply:
        try:
            ask()
        except ClientError as error:
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if status in {_NOT_ALLOWED, _NOT_IMPLEMENTED}:
                return "unsupported"
            if status in refusals:
                return "refused"
            raise self._road.error(error, "") from error
        except (BotoCoreError, OSError) as error:
            raise self._road.error(error, "") from error
        return "accepted"

    def _one_page(self, prefix: str, **where: str) -> Iterator[str]:
        with self._road.errors(None):
            answer = self._road.client.list_objects_v2(
                Bucket=self._road.bucket, Prefix=self._road.prefix + prefix, EncodingType="url", **where
            )
        for info in parse_page(answer[PAGE]).objects:
            yield info.key.removeprefix(self._road.prefix)

    def _upload(self, key: str, data: bytes, *, create: bool) -> str | None:
        requests = RequestCounter()
        return upload_stream(self._road, key, chunks=[data], attributes=None, create=create, requests=requests, limits=PART)

    def _drop_uploads(self, prefix: str) -> None:
        with suppress(BotoCoreError, ClientError):
            found = self._road.client.list_multipart_uploads(Bucket=self._road.bucket, Prefix=self._road.prefix + prefix)
            for each in found.get("Uploads", []):
                self._road.client.abort_multipart_upload(Bucket=self._road.bucket, Key=each["Key"], UploadId=each["UploadId"])

    def _purge_one(self, key: str) -> int:
        try:
            return sum(not self._drop_version(*each) for each in self._versions(key))
        except (BotoCoreError, ClientError):
            return 1

    def _versions(self, prefix: str) -> list[tuple[str, str]]:
        found = self._road.client.list_object_versions(Bucket=self._road.bucket, Prefix=self._road.prefix + prefix)
        return [(each["Key"], each["VersionId"]) for each in (*found.get("Versions", []), *found.get("DeleteMarkers", []))]

    def _drop_version(self, key: str, version: str) -> bool:
        with suppress(BotoCoreError, ClientError):
            self._road.client.delete_object(Bucket=self._road.bucket, Key=key, VersionId=version)
            return True
        return False


def _asking_for(size: int) -> Callable[..., None]:
    def limit(params: dict[str, Any], **_: object) -> None:
        params["MaxKeys"] = size

    return limit
