"""A store whose simple requests are sent again when they fail: what a repository in an object store lives in."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from lockstep.errors import ObjectExists, StoreUnreachable
from lockstep.model.objects import ObjectAttributes, ObjectInfo, is_md5
from lockstep.objects.known import known
from lockstep.objects.limits import STREAM
from lockstep.objects.patient_body import PatientBody
from lockstep.objects.retry import NO_RETRY, PATIENT, Attempts, RetryPolicy, noting, retrying
from lockstep.objects.store import Body, ObjectStore, RequestCounter

T = TypeVar("T")


class PatientStore:
    """Another store, with the patience of `policy` for each request, and for what arrives: see `PatientBody`.

    What is written is held against the ETag that the store answers with, where that is an MD5: bytes that changed on the way are sent
    again.
    """

    def __init__(self, store: ObjectStore, *, policy: RetryPolicy = PATIENT) -> None:
        self._store, self._policy = store, policy
        self._noting = noting(store.requests)
        self._etags_are_md5 = True

    @property
    def inner(self) -> ObjectStore:
        """The other store."""
        return self._store

    @property
    def url(self) -> str:
        """The place."""
        return self._store.url

    @property
    def requests(self) -> RequestCounter:
        """What was sent."""
        return self._store.requests

    def read(self, key: str, *, version: str | None = None) -> Body:
        """Begin to read."""

        def open_() -> Body:
            return self._patiently(partial(self._store.read, key, version=version))

        # what was there a moment ago is not gone because of one answer
        again = partial(known, self, key, open_)
        return PatientBody(open_(), again, attempts=Attempts(policy=self._policy, on_retry=self._noting), requests=self.requests)

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """Ask about an object."""
        return self._patiently(partial(self._store.head, key))

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[builtins.list[ObjectInfo]]:
        """As the store, which is patient itself."""
        return self._store.list(prefix, after=after, until=until)

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:
        """As the store. An object that exists because the answer to an earlier try was lost is no ObjectExists."""
        tries, is_ours = 0, False

        def once() -> str | None:
            nonlocal tries, is_ours
            tries += 1
            etag = self._store.write(key, data, attributes=attributes, overwrite=overwrite or is_ours)
            if self._arrived_wrong(key, data, etag):
                is_ours = True  # what lies there now must not stay
                raise StoreUnreachable(
                    f"the object {key!r} did not arrive at {self.url} as it was sent", hint="Check the store.", fault="wrong_bytes"
                )
            return etag

        try:
            return self._patiently(once)
        except ObjectExists:
            if tries > 1 and self.read(key).bytes() == data:
                return self.head(key)[0].etag
            raise

    def write_stream(
        self, key: str, chunks: Iterable[bytes], *, attributes: ObjectAttributes | None = None, overwrite: bool = False
    ) -> str | None:
        """As the store: what fits into one request is sent again as `write` does, of a longer stream each part, which the store does."""
        pieces = iter(chunks)
        begin, size = [], 0
        for piece in pieces:
            begin.append(piece)
            size += len(piece)
            if size > STREAM.part_bytes:
                return self._store.write_stream(key, chain(begin, pieces), attributes=attributes, overwrite=overwrite)
        return self.write(key, b"".join(begin), attributes=attributes, overwrite=overwrite)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects."""
        self._patiently(partial(self._store.delete, [*keys]))

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:
        """Older versions."""
        return self._patiently(partial(self._store.list_versions, key))

    def etag_is_md5(self, key: str) -> bool:
        """As the store."""
        return self._patiently(partial(self._store.etag_is_md5, key))

    def flush(self) -> None:
        """As the store."""
        self._store.flush()

    def create_bucket(self) -> None:
        """As the store."""
        self._patiently(self._store.create_bucket)

    def check_reachable(self) -> None:
        """As the store; whoever mistyped an address is told so at once."""
        retrying(self._store.check_reachable, policy=replace(self._policy, refused=NO_RETRY.unreachable), on_retry=self._noting)

    def local_file(self, key: str) -> Path | None:
        """As the store."""
        return self._store.local_file(key)

    def free_bytes(self) -> int | None:
        """As the store."""
        return self._store.free_bytes()

    def _patiently(self, call: Callable[[], T]) -> T:
        return retrying(call, policy=self._policy, on_retry=self._noting)

    def _arrived_wrong(self, key: str, data: bytes, etag: str | None) -> bool:
        if not self._etags_are_md5 or not is_md5(etag) or hashlib.md5(data, usedforsecurity=False).hexdigest() == etag:
            return False
        self._etags_are_md5 = self.etag_is_md5(key)  # of an object that is encrypted with a key of KMS it is none
        return self._etags_are_md5
