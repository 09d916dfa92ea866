"""An ObjectStore in memory: the reference for what a store does, and a fast one for tests."""

from __future__ import annotations

import builtins
import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lockstep.errors import BucketNotFound, KeyRefused, ObjectExists, ObjectNotFound
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects.attributes import NONE
from lockstep.objects.keys import is_in_range
from lockstep.objects.limits import DELETE_BATCH
from lockstep.objects.store import RequestCounter


@dataclass(frozen=True, slots=True)
class MemoryBody:
    """An object that is being read."""

    info: ObjectInfo
    attributes: ObjectAttributes
    data: bytes

    def bytes(self) -> bytes:
        """All the bytes."""
        return self.data

    def chunks(self, size: int) -> Iterator[builtins.bytes]:
        """The bytes in pieces of `size`."""
        for start in range(0, len(self.data), size):
            yield self.data[start : start + size]


class MemoryStore:
    """Objects in a dictionary, with the versions that a versioned bucket would keep when `versioned`."""

    def __init__(self, url: str = "memory://main", *, versioned: bool = False, exists: bool = True) -> None:
        self._url = url
        self._versioned = versioned
        self._exists = exists
        self._lock = threading.Lock()
        self._objects: dict[str, MemoryBody] = {}
        self._older: dict[str, list[MemoryBody]] = {}
        self._requests = RequestCounter()

    @property
    def url(self) -> str:
        """The name given to the constructor."""
        return self._url

    @property
    def requests(self) -> RequestCounter:
        """What a bucket would have been sent."""
        return self._requests

    def read(self, key: str, *, version: str | None = None) -> MemoryBody:
        """The object, or its version: the number of the version, counted from 0."""
        self._requests.add("get")
        return self._find(key, version)

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """What is known of the object."""
        self._requests.add("head")
        found = self._find(key, None)
        return found.info, found.attributes

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
        """Pages of 1,000 of the objects as they are now."""
        with self._lock:
            self._check()
            keys = sorted(key for key in self._objects if key.startswith(prefix) and is_in_range(key, after=after, until=until))
            infos = [self._objects[key].info for key in keys]
        self._requests.add("list", max(1, -(-len(infos) // 1000)))
        for start in range(0, len(infos), 1000):
            yield infos[start : start + 1000]

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:
        """Keep the bytes."""
        self._requests.add("put")
        if not key:
            raise KeyRefused(f"{self._url} cannot hold an object without a key", hint="Give the object a key.")
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        with self._lock:
            self._check()
            found = self._objects.get(key)
            if found is not None:
                if not overwrite:
                    raise ObjectExists(
                        f"an object lies under {key!r} in {self._url} already", hint="Keep it, or ask for it to be overwritten."
                    )
                self._keep_older(found)
            self._objects[key] = MemoryBody(ObjectInfo(key, len(data), etag, datetime.now(UTC)), attributes or NONE, bytes(data))
        return etag

    def write_stream(
        self, key: str, chunks: Iterable[bytes], *, attributes: ObjectAttributes | None = None, overwrite: bool = False
    ) -> str | None:
        """Keep the bytes once all have come."""
        return self.write(key, b"".join(chunks), attributes=attributes, overwrite=overwrite)

    def delete(self, keys: Iterable[str]) -> None:
        """Forget the objects."""
        gone = 0
        with self._lock:
            self._check()
            for key in keys:
                gone += 1
                found = self._objects.pop(key, None)
                if found is not None:
                    self._keep_older(found)
        self._requests.add("delete", -(-gone // DELETE_BATCH))

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:
        """Older versions, newest first."""
        self._requests.add("list")
        with self._lock:
            self._check()
            older = self._older.get(key, [])
            return [(str(number), body.info) for number, body in reversed(list(enumerate(older)))]

    def etag_is_md5(self, key: str) -> bool:  # noqa: ARG002 - the same for every object
        """Always."""
        return True

    def flush(self) -> None:
        """Nothing."""

    def create_bucket(self) -> None:
        """From now on the store is there."""
        self._exists = True

    def check_reachable(self) -> None:
        """Raise BucketNotFound before `create_bucket`, when the constructor was told so."""
        self._check()

    def local_file(self, key: str) -> Path | None:  # noqa: ARG002 - the interface's
        """Never."""
        return None

    def free_bytes(self) -> int | None:
        """Unknown."""
        return None

    def _check(self) -> None:
        if not self._exists:
            raise BucketNotFound(f"{self._url} does not exist", hint="Create it.")

    def _keep_older(self, found: MemoryBody) -> None:
        if self._versioned:
            self._older.setdefault(found.info.key, []).append(found)

    def _find(self, key: str, version: str | None) -> MemoryBody:
        with self._lock:
            self._check()
            if version is None:
                found = self._objects.get(key)
            else:
                older = self._older.get(key, [])
                found = older[int(version)] if version.isdigit() and int(version) < len(older) else None
        if found is None:
            raise ObjectNotFound(f"no object lies under {key!r} in {self._url}", hint="Check the key.")
        return found
