"""Brings one object of the repository back into a store: checked before it leaves, proven after it arrived."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from lockstep.errors import (
    DiskFailed,
    KeyRefused,
    ObjectDamaged,
    ObjectExists,
    ObjectNotFound,
    PermissionMissing,
    RepositoryInvalid,
    StoreUnreachable,
)
from lockstep.model.inventory import InventoryEntry, MissingObject, attributes_from_text
from lockstep.model.objects import ObjectAttributes, ObjectInfo, is_md5
from lockstep.objects.doubt import Doubt
from lockstep.objects.raid import weight_in_memory
from lockstep.objects.retry import PATIENT, noting, retrying
from lockstep.objects.store import Body, ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits
from lockstep.progress import Listener, Note
from lockstep.repository.keyed_store import turn_to_older
from lockstep.repository.pool import place_of, read_object
from lockstep.repository.repository import Repository
from lockstep.steps import step


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of objects; `different` ones are under their key with other bytes and were left alone."""

    uploaded: int = 0
    uploaded_bytes: int = 0
    already_there: int = 0
    different: int = 0

    def plus(self, other: Uploaded) -> Uploaded:
        """Both together."""
        return Uploaded(
            self.uploaded + other.uploaded,
            self.uploaded_bytes + other.uploaded_bytes,
            self.already_there + other.already_there,
            self.different + other.different,
        )


Sent: TypeAlias = Uploaded | MissingObject
"""What became of an object."""


class Damaged(Exception):
    """An object of the repository is not what the inventory says; nothing of it may arrive anywhere."""


@dataclass(slots=True)
class _Attempt:
    """One object on its way, over all its retries."""

    entry: InventoryEntry
    present: ObjectInfo | None
    arrived_wrong: bool = False
    sent: bool = False
    doubt: Doubt = field(default_factory=Doubt)


@dataclass(frozen=True, slots=True)
class Sender:
    """Brings objects back; safe to use from many threads.

    `overwrite` replaces what differs; `verify` proves each upload by its ETag, or reads it back; with `ask_each` what lies there is asked.
    """

    stores: Mapping[str, ObjectStore]
    repository: Repository
    limits: TransferLimits
    budget: ByteBudget
    stop: Stop
    listener: Listener
    overwrite: bool = False
    verify: bool = True
    ask_each: bool = False

    def send(self, entry: InventoryEntry, present: ObjectInfo | None, pacer: Pacer) -> Sent:
        """Bring one object back, where `present` is what is known to lie there. `pacer` is told when a store asks for fewer requests.

        Raises what makes going on pointless: StoreUnreachable after many attempts, PermissionMissing.
        """
        store = self.stores[entry.store]
        weight = weight_in_memory(store, entry.size)
        if weight is None:
            weight = entry.size if entry.size <= self.limits.whole_up_to else 2 * self.limits.chunk

        on_retry = noting(store.requests, and_then=pacer.note)
        with self.budget.take(weight):
            try:
                attempt = _Attempt(entry, present)
                return retrying(lambda: self._settle(store, attempt), policy=PATIENT, on_retry=on_retry, stop=self.stop)
            except Damaged as error:
                self.listener(Note(f"the repository's object {entry.key!r} is {error}", level="warning"))
                return MissingObject(entry.store, entry.key, entry.size, "lost")
            except KeyRefused as error:
                self.listener(Note(error.message, level="warning"))
                return MissingObject(entry.store, entry.key, entry.size, "refused")

    def _settle(self, store: ObjectStore, attempt: _Attempt) -> Uploaded:
        entry, present, sent_before = attempt.entry, attempt.present, attempt.sent
        if present is None and self.ask_each:
            present = _asked(store, entry.key)
        if present is not None and not attempt.arrived_wrong:
            if self._is_right(store, entry, present):
                return Uploaded(uploaded=1, uploaded_bytes=entry.size) if sent_before else Uploaded(already_there=1)
            if not self.overwrite:
                present = _asked(store, entry.key)
                if present is not None:
                    return Uploaded(different=1)
        try:
            self._put(store, attempt, overwrite=present is not None or attempt.arrived_wrong)
        except ObjectExists:  # stored by somebody meanwhile, or by a request of ours whose answer was lost
            now = _asked(store, entry.key)
            if now is not None and self._is_right(store, entry, now):
                return Uploaded(uploaded=1, uploaded_bytes=entry.size) if sent_before else Uploaded(already_there=1)
            if not self.overwrite and (now is not None or not _only_a_folder_is_there(store, entry.key)):
                return Uploaded(different=1)
            self._put(store, attempt, overwrite=True)
        step("object.uploaded")
        return Uploaded(uploaded=1, uploaded_bytes=entry.size)

    def _is_right(self, store: ObjectStore, entry: InventoryEntry, present: ObjectInfo) -> bool:
        """The same bytes? By size and MD5 where both are known, else by reading."""
        if present.size != entry.size:
            return False
        if is_md5(entry.etag) and present.etag == entry.etag:
            return True
        try:
            return self._read_back(store, entry)
        except (ObjectNotFound, ObjectDamaged):  # listed, and not there: a listing is no proof
            return False

    def _put(self, store: ObjectStore, attempt: _Attempt, *, overwrite: bool) -> None:
        entry = attempt.entry
        body, attributes = self._opened(entry)
        if entry.size <= self.limits.whole_up_to:
            data = self._all_of(attempt, body)
            self._check(attempt, len(data), hashlib.sha256(data).hexdigest())
            attempt.sent = True
            etag = store.write(entry.key, data, attributes=attributes, overwrite=overwrite)
            proven = is_md5(etag) and etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
        else:
            store.write_stream(entry.key, self._checked(attempt, body), attributes=attributes, overwrite=overwrite)
            proven = False
        if self.verify and not proven and not self._arrived(store, entry):
            attempt.arrived_wrong = True  # what lies there now is ours, and must not stay
            raise StoreUnreachable(
                f"the object '{entry.key}' did not arrive at '{store.url}' as it was sent",
                hint="Check the store, then run the same command again.",
                fault="wrong_bytes",
            )

    def _arrived(self, store: ObjectStore, entry: InventoryEntry) -> bool:
        try:
            return self._read_back(store, entry)
        except ObjectNotFound as error:  # it was stored a moment ago
            raise StoreUnreachable(error.message, hint="Check the store.", fault="not_found") from error

    def _opened(self, entry: InventoryEntry) -> tuple[Body, ObjectAttributes]:
        try:
            return read_object(self.repository.store, entry), attributes_from_text(entry.attributes)
        except ObjectNotFound as error:
            raise Damaged("gone") from error
        except (RepositoryInvalid, DiskFailed, PermissionMissing, KeyRefused) as error:
            raise Damaged(f"not readable: {error.message}") from error
        except (ValueError, TypeError) as error:
            raise Damaged("recorded with attributes that lockstep never wrote") from error

    def _checked(self, attempt: _Attempt, body: Body) -> Iterator[bytes]:
        hashing, size = hashlib.sha256(), 0
        try:
            for chunk in body.chunks(self.limits.chunk):
                hashing.update(chunk)
                size += len(chunk)
                yield chunk
        except DiskFailed as error:
            raise Damaged(f"not readable: {error.message}") from error
        except RepositoryInvalid as error:
            raise self._undecryptable(attempt) from error
        self._check(attempt, size, hashing.hexdigest())  # raising here keeps the object from appearing
        attempt.sent = True

    def _check(self, attempt: _Attempt, size: int, sha256: str) -> None:
        """Let nothing pass that is not the object. From a disk it is damaged; what came over a network is read again before that counts."""
        entry = attempt.entry
        if size == entry.size and sha256 == entry.sha256:
            return
        raise self._wrong(attempt, sha256, "damaged: its bytes are not those that were recorded")

    def _undecryptable(self, attempt: _Attempt) -> Damaged | StoreUnreachable:
        return self._wrong(attempt, "", "damaged: it cannot be decrypted")

    def _wrong(self, attempt: _Attempt, digest: str, why: str) -> Damaged | StoreUnreachable:
        entry, settled = attempt.entry, self.repository.is_local or attempt.doubt.is_settled(digest)
        if settled and not turn_to_older(self.repository.store, place_of(entry), size=entry.size_there, sha256=entry.sha256_there):
            return Damaged(why)
        return StoreUnreachable(
            f"the repository's object {attempt.entry.key!r} is {why}",
            hint=f"Check '{self.repository.store.url}', then run the same command again.",
            fault="wrong_bytes",
        )

    def _all_of(self, attempt: _Attempt, body: Body) -> bytes:
        try:
            return body.bytes()
        except DiskFailed as error:
            raise Damaged(f"not readable: {error.message}") from error
        except RepositoryInvalid as error:
            raise self._undecryptable(attempt) from error

    def _read_back(self, store: ObjectStore, entry: InventoryEntry) -> bool:
        """True when the store has the object's bytes; wrong ones are read again before that counts."""
        doubt = Doubt()
        while True:
            hashing = hashlib.sha256()
            for chunk in store.read(entry.key).chunks(self.limits.chunk):
                hashing.update(chunk)
            if hashing.hexdigest() == entry.sha256:
                return True
            if doubt.is_settled(hashing.hexdigest()):
                return False
            store.requests.add_fault("wrong_bytes", f"the bytes of the object {entry.key!r} are not those that were recorded")


def _only_a_folder_is_there(store: ObjectStore, key: str) -> bool:
    """True where a store takes the folder of `a/b` for an object `a` when it is told to overwrite nothing, as SeaweedFS does."""
    return any(page for page in store.list(f"{key}/"))


def _asked(store: ObjectStore, key: str) -> ObjectInfo | None:
    try:
        return store.head(key)[0]
    except ObjectNotFound:
        return None
    except ObjectDamaged:  # something is there, and it is not an object
        return ObjectInfo(key, -1)
