"""Lets the S3 service copy an object by itself where both of its places are of one service, and takes for copied only what is proven.

What is proven: the service tells the SHA-256 of all that it stored, and of the first object of a run that is held against the bytes; else,
where the operator asked for it, what lies there is read, or has the MD5 that the object had when its SHA-256 was taken. Whatever the
service does not copy, or does not prove, travels as ever, and that road gives the verdict.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from lockstep.errors import KeyRefused, ObjectDamaged, ObjectNotFound, PermissionMissing, RepositoryInvalid
from lockstep.model.checks import Received, decide_why_wrong
from lockstep.model.inventory import InventoryEntry, Wanted, attributes_as_text, attributes_from_text
from lockstep.model.objects import ObjectAttributes, ObjectInfo, is_md5
from lockstep.objects.copied import Answer, NotCopied
from lockstep.objects.store import ObjectStore
from lockstep.progress import Listener, Note
from lockstep.repository.pool import place_of, plain_place

if TYPE_CHECKING:
    from lockstep.objects.service_copy import ServiceCopier

T = TypeVar("T")

LEAST_BYTES = 128 << 10
"""Smaller objects travel: a copy takes as many requests, and asking for one more of the processor than their bytes do."""

CHUNK = 1 << 20

Brought: TypeAlias = Literal["copied", "untouched", "spoilt"]
"""What became of a known object: it is there and proven; nothing was changed; what lies there now is ours, and must not stay."""


@dataclass(slots=True)
class ServiceCopies:
    """Copies from one store to another by their service; safe to use from many threads.

    `asked`: also where the service tells no SHA-256. One object is tried first; until it is known what came of it, the others travel.
    """

    source: ObjectStore
    target: ObjectStore
    copier: ServiceCopier
    listener: Listener
    asked: bool = False
    least_bytes: int = LEAST_BYTES
    _works: bool | None = None
    _gives_attributes: bool = False
    _trying: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, wanted: Wanted) -> InventoryEntry | None:
        """Copy a wanted object of the source into the repository that is the target. None: it must travel."""
        own = plain_place(self.target, wanted)
        if own is None or not self._is_worth(wanted.size) or wanted.found_key or wanted.found_version:
            return None
        return self._in_turn(lambda: self._fetched(wanted, own), None)

    def bring(
        self, path: str, to: str, *, size: int, sha256: str, md5: str | None, attributes: ObjectAttributes | None, overwrite: bool
    ) -> Brought:
        """Copy what is recorded with that size and checksums, and lies at `path` of the source, to a key of the target.

        What does not show before that it is the object is left alone, so that nothing wrong arrives.
        """

        def copy() -> Brought:
            seen = self.copier.look(path)
            etag, is_the_object = seen.info.etag, seen.sha256 == sha256 or (md5 is not None and seen.info.etag == md5)
            if etag is None or seen.info.size != size or not is_the_object or (not overwrite and self._is_taken(to)):
                return "untouched"
            told = self.copier.copy(path, to, size=size, etag=etag, attributes=attributes)
            if self._is_proven(told, to, sha256=sha256, md5=md5) and self._has(to, attributes):
                return "copied"
            with suppress(PermissionMissing):
                self.target.delete([to])
            return "spoilt"

        return self._in_turn(copy, "untouched") if self._is_worth(size) else "untouched"

    def restore(self, entry: InventoryEntry, *, overwrite: bool) -> Brought:
        """Copy a plain object of the repository that is the source back into a store, with its attributes; see `bring`."""
        try:
            path, attributes = place_of(entry), attributes_from_text(entry.attributes)
        except (RepositoryInvalid, ValueError, TypeError):
            return "untouched"
        md5 = entry.etag if is_md5(entry.etag) else None
        return self.bring(path, entry.key, size=entry.size, sha256=entry.sha256, md5=md5, attributes=attributes, overwrite=overwrite)

    def _is_worth(self, size: int | None) -> bool:
        return size is not None and size >= self.least_bytes and self._works is not False

    def _in_turn(self, copy: Callable[[], T], otherwise: T) -> T:
        """What `copy` returns; one thread alone tries it until it is known whether the service can be taken at its word."""
        if self._works:
            return self._tried(copy, otherwise)
        if not self._trying.acquire(blocking=False):
            return otherwise
        try:
            return self._tried(copy, otherwise)
        finally:
            self._trying.release()

    def _tried(self, copy: Callable[[], T], otherwise: T) -> T:
        if self._works is False:
            return otherwise
        try:
            return copy()
        except NotCopied as error:
            self._give_up(f"the service does not copy by itself: {error}")
        except (ObjectNotFound, ObjectDamaged, KeyRefused, PermissionMissing):
            pass  # the other road asks for itself, and says what it means
        return otherwise

    def _fetched(self, wanted: Wanted, own: str) -> InventoryEntry | None:
        info, attributes = self.source.head(wanted.key)
        if info.etag is None or info.size != wanted.size:
            return None
        told = self.copier.copy(wanted.key, own, size=info.size, etag=info.etag)
        received = self._received(told, info, own)
        if received is None or decide_why_wrong(received, wanted) is not None:
            with suppress(PermissionMissing):
                self.target.delete([own])  # nothing relies on what lies there, and nobody has proven it
            return None
        way: Literal["hashed", "copied"] = "copied" if told.sha256 is None else "hashed"
        text = attributes_as_text(attributes)
        return InventoryEntry(wanted.store, wanted.key, info.size, received.sha256, info.etag, text, None, by_service=way)

    def _received(self, told: Answer, announced: ObjectInfo, place: str) -> Received | None:
        """What lies in the repository now, by the word of a service that has shown itself good, else by reading it. None: not known."""
        if is_md5(told.etag) and is_md5(announced.etag) and told.etag != announced.etag:
            self._give_up("the service gives what it copies other ETags")
            return None
        if told.sha256 is not None and self._works:
            return Received(announced.size, told.sha256, announced.etag or "", announced.size, announced.etag)
        if told.sha256 is None and not self.asked:
            self._give_up("the service tells no SHA-256 of what it copies")
            return None
        size, sha256, md5 = self._read(place)
        if told.sha256 not in {None, sha256}:
            self._give_up("the service tells a wrong SHA-256 of what it copies", level="warning")
            return None
        self._works = True
        return Received(size, sha256, md5, announced.size, announced.etag)

    def _is_proven(self, told: Answer, to: str, *, sha256: str, md5: str | None) -> bool:
        if told.sha256 is not None:
            self._works = self._works or told.sha256 == sha256 or None
            return told.sha256 == sha256
        if not self.asked:
            self._give_up("the service tells no SHA-256 of what it copies")
        elif md5 is not None and told.etag == md5:
            self._works = True
            return True
        return self._read(to)[1] == sha256

    def _read(self, place: str) -> tuple[int, str, str]:
        """Size, SHA-256 and MD5 of what the service has copied."""
        size, sha256, md5 = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for chunk in self.target.read(place).chunks(CHUNK):
            size += len(chunk)
            sha256.update(chunk)
            md5.update(chunk)
        return size, sha256.hexdigest(), md5.hexdigest()

    def _is_taken(self, key: str) -> bool:
        try:
            self.target.head(key)
        except ObjectNotFound:
            return False
        return True

    def _has(self, key: str, attributes: ObjectAttributes | None) -> bool:
        """True when the service gave a copy the attributes that were named; the first such copy shows it. Some ignore them."""
        if not attributes or self._gives_attributes:
            return True
        self._gives_attributes = attributes.are_in(self.target.head(key)[1])
        if not self._gives_attributes:
            self._works = None
            self._give_up("the service does not give what it copies the attributes that are named")
        return self._gives_attributes

    def _give_up(self, why: str, *, level: Literal["info", "warning"] = "info") -> None:
        """Let everything travel from now on, unless the service has shown before that it can."""
        if self._works is None:
            self._works = False
            self.listener(Note(f"{why}; all objects travel", level=level))


def service_copies(source: ObjectStore, target: ObjectStore, *, wanted: bool | None, listener: Listener) -> ServiceCopies | None:
    """What lets the service copy from one store to another; None when they are not of one S3 service, or it is not wanted.

    `wanted` is what the operator says: None leaves it to whether the service tells a SHA-256.
    """
    if wanted is False or not (source.url.startswith("s3://") and target.url.startswith("s3://")):
        return None
    from lockstep.objects.service_copy import find_copier  # boto3 is for those who have two places in S3

    copier = find_copier(source, target)
    return None if copier is None else ServiceCopies(source, target, copier, listener, asked=bool(wanted))


def all_service_copies(
    stores: Mapping[str, ObjectStore], repository: ObjectStore, *, wanted: bool | None, listener: Listener, back: bool = False
) -> dict[str, ServiceCopies]:
    """For each store that is of one service with the repository, what copies from it, or `back` into it."""
    pairs = {name: (repository, store) if back else (store, repository) for name, store in stores.items()}
    found = {name: service_copies(*pair, wanted=wanted, listener=listener) for name, pair in pairs.items()}
    return {name: copies for name, copies in found.items() if copies is not None}
