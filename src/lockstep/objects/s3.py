"""A bucket of S3 or of anything that speaks S3, as an ObjectStore: obstore for single objects, boto3 for the rest.

Writing once. With `If-None-Match: *` S3 refuses to replace an object, and this needs one request. Some services (`rclone serve s3`)
ignore the header without a word, so success proves nothing. Therefore, except on AWS itself, each object is asked for by HEAD before
it is written, until the service has shown that it honours the header: after the first object that lockstep created here, the same bytes
are sent under the same key once more. Refused: the header is honoured, and from then on one request does. Accepted: nothing was changed
by it, and HEAD comes first for good.
Source: Amazon S3 user guide, "How to prevent object overwrites with conditional writes".
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.errors import KeyRefused, LockstepError, ObjectExists, ObjectNotFound, PermissionMissing
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import attributes as spelling
from lockstep.objects import failures
from lockstep.objects.addresses import S3Settings
from lockstep.objects.bucket_head import answers_head
from lockstep.objects.credentials import Credentials
from lockstep.objects.fast_client import connect
from lockstep.objects.fast_road import FastRoad
from lockstep.objects.kept import KeepRule, as_the_bucket_does
from lockstep.objects.keys import needs_second_road
from lockstep.objects.limits import DELETE_BATCH, SHORT_BYTES, STREAM
from lockstep.objects.pieces import take_first
from lockstep.objects.plain_requests import PlainRequests
from lockstep.objects.retry import noting, retrying
from lockstep.objects.store import Body, RequestCounter

if TYPE_CHECKING:
    from lockstep.objects.second_road import SecondRoad


class S3ObjectStore:
    """One bucket, or the part of it under a prefix."""

    def __init__(self, settings: S3Settings, credentials: Credentials, keep: KeepRule = as_the_bucket_does) -> None:
        self._settings = settings
        self.keep = keep
        self._credentials = credentials
        self._requests = RequestCounter()
        self._fast = FastRoad(
            lambda seconds: connect(settings, credentials, silent_seconds=seconds),
            prefix=settings.url.prefix,
            place=settings.place,
            renew=self._renew,
        )
        self.plain_requests = PlainRequests(
            settings,
            credentials.for_obstore(),
            silence=self._fast.silence,
            requests=self._requests,
            creates=lambda: bool(self._conditional) and keep is as_the_bucket_does,
        )
        self._prefix_is_odd = needs_second_road(settings.url.prefix + "x")
        self._second_road: SecondRoad | None = None
        self._lock = threading.Lock()
        self._conditional: bool | None = True if settings.is_amazon else None
        self._bucket_is_there = False
        self._bulk_delete = True
        self._keeps_versions: bool | None = None

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return str(self._settings.url)

    @property
    def requests(self) -> RequestCounter:
        """What was sent so far."""
        return self._requests

    @property
    def honours_conditions(self) -> bool | None:
        """What writing once goes by, see the module; None while the service has not shown it yet."""
        return self._conditional

    @property
    def deletes_in_bulk(self) -> bool:
        """False once the service has shown that it has no DeleteObjects."""
        return self._bulk_delete

    def read(self, key: str, *, version: str | None = None) -> Body:
        """One GET; the bytes come with the body's methods."""
        road = self._road(key)
        self._requests.add("get")
        return road.read(key, version)

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """One HEAD. An answer of 404 has no text, so the first of them is followed by a look whether the bucket is there at all."""
        road = self._road(key)
        self._requests.add("head")
        try:
            return road.head(key)
        except ObjectNotFound:
            self._make_sure_of_bucket()
            raise

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
        """Pages of the service, up to 1,000 objects each. See `SecondRoad.pages` for their order."""
        return self.any_road().pages(prefix, after, until)

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:
        """One PUT, and HEAD before it on services that do not honour conditions (see the module)."""
        if overwrite:
            return self._put(key, data, attributes, create=False)
        if self._conditional:
            return self._put(key, data, attributes, create=True)
        self._refuse_existing(key)
        if self._conditional is False:
            return self._put(key, data, attributes, create=False)
        try:
            etag = self._put(key, data, attributes, create=True)
        except LockstepError as error:
            if not failures.is_unsupported(error):
                raise
            self._conditional = False
            return self._put(key, data, attributes, create=False)
        if len(data) <= SHORT_BYTES:
            self._learn_conditional(key, data, attributes)
        return etag

    def write_stream(
        self, key: str, chunks: Iterable[bytes], *, attributes: ObjectAttributes | None = None, overwrite: bool = False
    ) -> str | None:
        """A PUT for what fits into one part, else a multipart upload."""
        pieces = iter(chunks)
        begin, is_all = take_first(pieces, most=STREAM.part_bytes)
        if is_all:
            return self.write(key, b"".join(begin), attributes=attributes, overwrite=overwrite)
        self._road(key)
        if not overwrite:
            self._refuse_existing(key)
        from lockstep.objects.multipart import upload_stream

        create = not overwrite and self._conditional is True
        stream = _all(begin, pieces)
        kept, road = self.keep(key), self.any_road()
        etag = upload_stream(road, key, chunks=stream, attributes=attributes, create=create, requests=self._requests, kept=kept)
        if (until := kept.locked_until) is not None:  # said again: not every service remembers what was said before the first part
            self._requests.add("put")
            retrying(lambda: road.lock(key, kept.lock_mode, until), on_retry=noting(self._requests))
        return etag

    def delete(self, keys: Iterable[str]) -> None:
        """DeleteObjects for up to 1,000 keys at a time; single requests for odd keys, and where the service has no bulk deletion."""
        batch: builtins.list[str] = []
        for key in keys:
            road = self._road(key)
            if road is not self._fast:
                self._requests.add("delete")
                road.delete([key])
                continue
            batch.append(key)
            if len(batch) == DELETE_BATCH:
                self._delete_batch(batch)
                batch = []
        if batch:
            self._delete_batch(batch)

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:
        """ListObjectVersions; empty, and nothing is listed, where the bucket keeps no versions."""
        try:
            if self._keeps_versions is None:
                self._keeps_versions = self.any_road().keeps_versions()
            return self.any_road().list_versions(key) if self._keeps_versions else []
        except LockstepError as error:
            if failures.is_unsupported(error):
                return []
            raise

    def etag_is_md5(self, key: str) -> bool:
        """HeadObject says how the object is encrypted."""
        return self.any_road().etag_is_md5(key)

    def flush(self) -> None:
        """Nothing: what the service has answered for is durable."""

    def create_bucket(self) -> None:
        """CreateBucket."""
        self._requests.add("put")
        self.any_road().create_bucket()

    def check_reachable(self) -> None:
        """Ask for the bucket: the answer tells a missing bucket, a missing right and a missing server apart."""
        if not answers_head(self._fast.client, self._settings, requests=self._requests):
            self.any_road().check_reachable()

    def shares_service_with(self, other: S3ObjectStore) -> bool:
        """True when one request may name objects of both: the same endpoint, and the same keys to it."""
        return self._settings.endpoint_url == other._settings.endpoint_url and self._credentials == other._credentials

    def local_file(self, key: str) -> Path | None:  # noqa: ARG002 - the interface's
        """Never: objects are elsewhere."""
        return None

    def free_bytes(self) -> int | None:
        """Unknown."""
        return None

    def _road(self, key: str) -> FastRoad | SecondRoad:
        if self._prefix_is_odd or needs_second_road(key):
            if not key:
                raise KeyRefused(f"{self.url} cannot hold an object without a key", hint="Give the object a key.")
            return self.any_road()
        return self._fast

    def any_road(self) -> SecondRoad:
        """The road that reaches every key, also for requests that name two stores."""
        road = self._second_road
        if road is None:
            with self._lock:
                if self._second_road is None:
                    from lockstep.objects.second_client import connect as second_connect
                    from lockstep.objects.second_road import SecondRoad as Road

                    def connect_second(seconds: int) -> Any:
                        return second_connect(self._settings, self._credentials, silent_seconds=seconds)

                    self._second_road = Road(connect_second, settings=self._settings, requests=self._requests, renew=self._renew)
                road = self._second_road
        return road

    def _renew(self) -> bool:
        """True when the keys that were refused are replaced by now."""
        if not self._credentials.renew():
            return False
        self._fast.forget_keys()
        self.plain_requests.forget_keys(self._credentials.for_obstore())
        if self._second_road is not None:
            self._second_road.forget_keys()
        return True

    def _put(self, key: str, data: bytes, attributes: ObjectAttributes | None, *, create: bool) -> str | None:
        kept = self.keep(key)  # anew with each try: a lock is counted from now
        locked = kept.locked_until is not None  # which obstore cannot ask for
        road = self.any_road() if locked or (attributes and spelling.needs_second_road(attributes)) else self._road(key)
        self._requests.add("put")
        return road.write(key, data, attributes=attributes, create=create, kept=kept)

    def _make_sure_of_bucket(self) -> None:
        if not self._bucket_is_there:
            with suppress(PermissionMissing):  # a key may be allowed to read and not to list
                self.any_road().check_reachable()
            self._bucket_is_there = True

    def _refuse_existing(self, key: str) -> None:
        road = self._road(key)
        self._requests.add("head")
        try:
            road.head(key)
        except ObjectNotFound:
            return
        raise failures.object_exists(self._settings.place, key)

    def _learn_conditional(self, key: str, data: bytes, attributes: ObjectAttributes | None) -> None:
        """Send the object that was just created once more; see the module."""
        with self._lock:
            if self._conditional is not None:
                return
            try:
                self._put(key, data, attributes, create=True)
            except ObjectExists:
                self._conditional = True
            except LockstepError:
                return  # nothing learned; the object itself is there
            else:
                self._conditional = False

    def _delete_batch(self, keys: builtins.list[str]) -> None:
        if self._bulk_delete:
            self._requests.add("delete")
            try:
                self._fast.delete(keys)
            except LockstepError as error:
                if not failures.is_unsupported(error):
                    raise
                self._bulk_delete = False
            else:
                return
        self._requests.add("delete", len(keys))
        self.any_road().delete(keys)


def _all(begin: builtins.list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    yield b"".join(begin)
    begin.clear()
    yield from rest
