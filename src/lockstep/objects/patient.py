"""A store whose simple requests are sent again when they fail: what a repository in an object store lives in."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from lockstep.errors import ObjectExists, StoreUnreachable
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects.retry import PATIENT, RetryPolicy, retrying
from lockstep.objects.store import Body, ObjectStore, RequestCounter

T = TypeVar("T")


class PatientStore:
    """Another store, with the patience of `policy` for each request. A body that breaks off is the caller's to begin again."""

    def __init__(self, store: ObjectStore, *, policy: RetryPolicy = PATIENT) -> None:
        self._store, self._policy = store, policy

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
        return self._patiently(partial(self._store.read, key, version=version))

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """Ask about an object."""
        return self._patiently(partial(self._store.head, key))

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[builtins.list[ObjectInfo]]:
        """As the store, which is patient itself."""
        return self._store.list(prefix, after=after, until=until)

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:
        """As the store. An object that exists because the answer to an earlier try was lost is no ObjectExists."""
        tries = 0

        def once() -> str | None:
            nonlocal tries
            tries += 1
            return self._store.write(key, data, attributes=attributes, overwrite=overwrite)

        try:
            return self._patiently(once)
        except ObjectExists:
            if tries > 1 and self.read(key).bytes() == data:
                return self.head(key)[0].etag
            raise

    def write_stream(
        self, key: str, chunks: Iterable[bytes], *, attributes: ObjectAttributes | None = None, overwrite: bool = False
    ) -> str | None:
        """As the store, which sends each part again by itself: a stream cannot be begun anew."""
        return self._store.write_stream(key, chunks, attributes=attributes, overwrite=overwrite)

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
        """As the store, at once: a first look is no time for patience."""
        self._store.check_reachable()

    def local_file(self, key: str) -> Path | None:
        """As the store."""
        return self._store.local_file(key)

    def free_bytes(self) -> int | None:
        """As the store."""
        return self._store.free_bytes()

    def _patiently(self, call: Callable[[], T]) -> T:
        return retrying(call, policy=self._policy, on_retry=self._count)

    def _count(self, error: StoreUnreachable, delay: float) -> None:  # noqa: ARG002 - what `retrying` tells
        self.requests.add("retried")
