"""What every object store can do for lockstep, whatever service stands behind it."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from lockstep.errors import FaultKind
from lockstep.model.objects import ObjectAttributes, ObjectInfo


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """How many requests of each kind were sent; `retried` counts those that were sent again."""

    list: int = 0
    get: int = 0
    head: int = 0
    put: int = 0
    delete: int = 0
    retried: int = 0


FaultHeard: TypeAlias = Callable[[FaultKind, str], None]
"""Told of each fault: its kind, and a sentence about it. Called from many threads."""


class RequestCounter:
    """Counts requests and faults from many threads, and tells of each fault whoever asked to hear of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._faults: dict[FaultKind, int] = {}
        self._heard: list[FaultHeard] = []

    def add(self, kind: str, count: int = 1) -> None:
        """Count `count` requests of a kind (a field of `RequestCounts`)."""
        with self._lock:
            self._counts[kind] = self._counts.get(kind, 0) + count

    def add_fault(self, fault: FaultKind, message: str) -> None:
        """Count a request that is sent again, and why."""
        with self._lock:
            self._counts["retried"] = self._counts.get("retried", 0) + 1
            self._faults[fault] = self._faults.get(fault, 0) + 1
            heard = list(self._heard)
        for tell in heard:
            tell(fault, message)

    def counts(self) -> RequestCounts:
        """The requests so far."""
        with self._lock:
            return RequestCounts(**self._counts)

    def faults(self) -> dict[FaultKind, int]:
        """The faults so far, by kind; each is a request that was sent again."""
        with self._lock:
            return dict(self._faults)

    @contextmanager
    def heard_by(self, tell: FaultHeard) -> Iterator[None]:
        """Tell of each fault for the length of the block."""
        with self._lock:
            self._heard.append(tell)
        try:
            yield
        finally:
            with self._lock:
                self._heard.remove(tell)


class Body(Protocol):
    """An object that is being read. Its bytes can be taken once."""

    @property
    def info(self) -> ObjectInfo:
        """Size and ETag as the store announced them before the first byte."""

    @property
    def attributes(self) -> ObjectAttributes:
        """Content type, user metadata and the like."""

    def bytes(self) -> builtins.bytes:
        """All the bytes at once. Raises StoreUnreachable when the connection breaks off."""

    def chunks(self, size: int) -> Iterator[builtins.bytes]:
        """The bytes in pieces of at least `size` bytes (the last may be shorter), never all in memory."""


class ObjectStore(Protocol):
    """One place that holds objects under keys. Safe to use from many threads.

    Keys are text as the store has it: any Unicode, never normalised, relative to the prefix of the address.
    Errors, of every method: StoreUnreachable (network, 5xx, timeouts; worth a retry), StoreBusy (503 SlowDown, 429; worth a retry,
    more slowly), PermissionMissing (403), BucketNotFound, KeyRefused (the store cannot hold such a key), DiskFailed (local).
    Transient errors are not retried here but by the callers (`retry.py`), which count them; of a listing each page is, since nobody else
    could go on where it failed.
    """

    @property
    def url(self) -> str:
        """The place, as shown to a person; never holds a secret."""

    @property
    def requests(self) -> RequestCounter:
        """What was sent so far; a local directory counts nothing."""

    def read(self, key: str, *, version: str | None = None) -> Body:
        """Begin to read an object, or an older version of it. Raises ObjectNotFound."""

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """Ask about an object without reading it. Raises ObjectNotFound."""

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
        """Pages of the objects whose key starts with `prefix`, in the order of the keys' UTF-8 bytes.

        Only keys greater than `after` and not greater than `until`, where given. An empty store gives no page.
        """

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:
        """Store an object atomically and return its ETag, if the store gives one. Raises ObjectExists unless `overwrite`.

        On a service without conditional writes "exists" is asked by HEAD first.
        """

    def write_stream(
        self, key: str, chunks: Iterable[bytes], *, attributes: ObjectAttributes | None = None, overwrite: bool = False
    ) -> str | None:
        """As `write`, for bytes of any length in bounded memory. When `chunks` raises, nothing appears under the key."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, in bulk where the service can. A key that is not there is no error."""

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:
        """Older versions of one object that still have bytes, newest first, as (version id, info). Empty without versioning."""

    def etag_is_md5(self, key: str) -> bool:
        """False when an object's ETag is known to be no MD5 of its bytes although it looks like one (SSE-KMS, SSE-C)."""

    def flush(self) -> None:
        """Make everything written so far durable (`syncfs` on a local disk; nothing to do in an object store)."""

    def create_bucket(self) -> None:
        """Create the bucket (or the directory). No error when it is there already."""

    def check_reachable(self) -> None:
        """Raise the error that says why the place cannot be used: BucketNotFound, PermissionMissing, StoreUnreachable."""

    def local_file(self, key: str) -> Path | None:
        """The path of the file that is the object, when the store is a local directory; else None."""

    def free_bytes(self) -> int | None:
        """Room left, when the store is a local disk; else None."""


def is_local(store: ObjectStore) -> bool:
    """True for a directory on a local disk, where nothing is sent."""
    return store.local_file("any") is not None
