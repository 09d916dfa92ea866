"""Brings one object of the repository back into a store: checked before it leaves, proven after it arrived."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lockstep.errors import (
    DiskFailed,
    KeyRefused,
    LockstepError,
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
from lockstep.objects.limits import LANE
from lockstep.objects.memory import MemoryBody
from lockstep.objects.plain_requests import PlainRequests, Question, all_plain_requests
from lockstep.objects.raid import weight_in_memory
from lockstep.objects.retry import PATIENT, noting, retrying
from lockstep.objects.store import Body, ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits
from lockstep.operations.sent import Damaged, Sending, Sent, Uploaded
from lockstep.operations.service_copies import ServiceCopies
from lockstep.progress import Listener, Note
from lockstep.repository.keyed_store import turn_to_older
from lockstep.repository.pool import place_of, read_object
from lockstep.repository.repository import Repository
from lockstep.steps import step


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
    copies: Mapping[str, ServiceCopies] = field(default_factory=dict)
    """For the stores that are of one service with the repository."""
    unproven: set[str] = field(default_factory=set)
    """Stores whose answer to a PUT proves nothing of what arrived."""
    plain: dict[str, PlainRequests] = field(init=False, default_factory=dict)
    """The buckets into which small objects can go through the lane."""

    def __post_init__(self) -> None:
        """Look at the stores once."""
        if self.repository.is_local and not self.ask_each:
            object.__setattr__(self, "plain", all_plain_requests(self.stores))

    def carry(self, attempt: Sending, pacer: Pacer) -> Sent:
        """Bring one object back. `pacer` is told when a store asks for fewer requests.

        Raises what makes going on pointless: StoreUnreachable after many attempts, PermissionMissing.
        """
        entry = attempt.entry
        store = self.stores[entry.store]
        weight = weight_in_memory(store, entry.size)
        if weight is None:
            weight = entry.size if entry.size <= self.limits.whole_up_to else 2 * self.limits.chunk

        on_retry = noting(store.requests, and_then=pacer.note)
        with self.budget.take(weight):
            try:
                return retrying(lambda: self._settle(store, attempt), policy=PATIENT, on_retry=on_retry, stop=self.stop)
            except Damaged as error:
                self.listener(Note(f"the repository's object {entry.key!r} is {error}", level="warning"))
                return MissingObject(entry.store, entry.key, entry.size, "lost")
            except KeyRefused as error:
                self.listener(Note(error.message, level="warning"))
                return MissingObject(entry.store, entry.key, entry.size, "refused")

    def ask(self, attempt: Sending) -> Question | None:
        """How a small object is sent that is to go in the ordinary way; None for one that needs care, which `carry` takes."""
        entry = attempt.entry
        plain = self.plain.get(entry.store)
        if (
            plain is None
            or not plain.can_create
            or attempt.present is not None
            or entry.size > LANE.weight_bytes
            or entry.store in self.unproven
        ):
            return None
        try:
            body, attributes = self._opened(entry)
            data = self._all_of(attempt, body)
            self._check(attempt, len(data), hashlib.sha256(data).hexdigest())
        except (Damaged, StoreUnreachable):
            return None
        question = plain.creation(entry.key, data, sha256=entry.sha256, attributes=attributes)
        if question is not None:
            attempt.sent = True
            attempt.md5 = hashlib.md5(data, usedforsecurity=False).hexdigest() if self.verify else None
        return question

    def settle(self, attempt: Sending, answer: MemoryBody | LockstepError, pacer: Pacer) -> Sent | None:
        """What became of an object that was sent so; None when `carry` must look at it."""
        entry = attempt.entry
        if isinstance(answer, LockstepError):
            attempt.sent = isinstance(answer, StoreUnreachable)  # what was refused did not arrive
            if isinstance(answer, StoreUnreachable):
                noting(self.stores[entry.store].requests, and_then=pacer.note)(answer, 0)
            return None
        if self.verify and answer.info.etag != attempt.md5:
            attempt.accepted = True
            self.unproven.add(entry.store)
            return None
        step("object.uploaded")
        return Uploaded(uploaded=1, uploaded_bytes=entry.size)

    def _settle(self, store: ObjectStore, attempt: Sending) -> Uploaded:
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
            if attempt.accepted:
                store.requests.add_fault("wrong_bytes", f"the object {entry.key!r} did not arrive at '{store.url}' as it was sent")
            elif not self.overwrite and (now is not None or not _only_a_folder_is_there(store, entry.key)):
                return Uploaded(different=1)
            self._put(store, attempt, overwrite=True)
        step("object.uploaded")
        return Uploaded(uploaded=1, uploaded_bytes=entry.size, by_service=int(attempt.by_service))

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

    def _put(self, store: ObjectStore, attempt: Sending, *, overwrite: bool) -> None:
        entry = attempt.entry
        if self._brought(attempt, overwrite=overwrite):
            return
        overwrite = overwrite or attempt.arrived_wrong
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

    def _brought(self, attempt: Sending, *, overwrite: bool) -> bool:
        """True when the service has copied the object by itself, and that is proven."""
        entry, copies = attempt.entry, self.copies.get(attempt.entry.store)
        if copies is None or entry.encrypted:
            return False
        brought = copies.restore(entry, overwrite=overwrite)
        attempt.by_service = brought == "copied"
        attempt.sent = attempt.sent or attempt.by_service
        attempt.arrived_wrong = attempt.arrived_wrong or brought == "spoilt"
        return attempt.by_service

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

    def _checked(self, attempt: Sending, body: Body) -> Iterator[bytes]:
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

    def _check(self, attempt: Sending, size: int, sha256: str) -> None:
        """Let nothing pass that is not the object. From a disk it is damaged; what came over a network is read again before that counts."""
        entry = attempt.entry
        if size == entry.size and sha256 == entry.sha256:
            return
        raise self._wrong(attempt, sha256, "damaged: its bytes are not those that were recorded")

    def _undecryptable(self, attempt: Sending) -> Damaged | StoreUnreachable:
        return self._wrong(attempt, "", "damaged: it cannot be decrypted")

    def _wrong(self, attempt: Sending, digest: str, why: str) -> Damaged | StoreUnreachable:
        entry, settled = attempt.entry, self.repository.is_local or attempt.doubt.is_settled(digest)
        if settled and not turn_to_older(self.repository.store, place_of(entry), size=entry.size_there, sha256=entry.sha256_there):
            return Damaged(why)
        return StoreUnreachable(
            f"the repository's object {attempt.entry.key!r} is {why}",
            hint=f"Check '{self.repository.store.url}', then run the same command again.",
            fault="wrong_bytes",
        )

    def _all_of(self, attempt: Sending, body: Body) -> bytes:
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
