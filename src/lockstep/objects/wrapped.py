"""A store around another one, which does all the work: what a store that changes little about another is made of."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from pathlib import Path

from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects.store import Body, ObjectStore, RequestCounter


class WrappedStore:
    """The other store, under another class."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

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
        """As the store."""
        return self._store.read(key, version=version)

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """As the store."""
        return self._store.head(key)

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[builtins.list[ObjectInfo]]:
        """As the store."""
        return self._store.list(prefix, after=after, until=until)

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:
        """As the store."""
        return self._store.write(key, data, attributes=attributes, overwrite=overwrite)

    def write_stream(
        self, key: str, chunks: Iterable[bytes], *, attributes: ObjectAttributes | None = None, overwrite: bool = False
    ) -> str | None:
        """As the store."""
        return self._store.write_stream(key, chunks, attributes=attributes, overwrite=overwrite)

    def delete(self, keys: Iterable[str]) -> None:
        """As the store."""
        self._store.delete(keys)

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:
        """As the store."""
        return self._store.list_versions(key)

    def etag_is_md5(self, key: str) -> bool:
        """As the store."""
        return self._store.etag_is_md5(key)

    def flush(self) -> None:
        """As the store."""
        self._store.flush()

    def create_bucket(self) -> None:
        """As the store."""
        self._store.create_bucket()

    def check_reachable(self) -> None:
        """As the store."""
        self._store.check_reachable()

    def local_file(self, key: str) -> Path | None:
        """As the store."""
        return self._store.local_file(key)

    def free_bytes(self) -> int | None:
        """As the store."""
        return self._store.free_bytes()
