"""Brings one object from a store of the deployment into the repository: read, checked, hashed, stored, or found missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from lockstep.errors import KeyRefused, LockstepError, MissingObjects, ObjectDamaged, ObjectNotFound, StoreUnreachable
from lockstep.model.inventory import InventoryEntry, MissingObject, Wanted, WhyMissing
from lockstep.objects.doubt import Doubt
from lockstep.objects.limits import LANE
from lockstep.objects.memory import MemoryBody
from lockstep.objects.plain_requests import PlainRequests, Question, all_plain_requests
from lockstep.objects.raid import read_expected, weight_in_memory
from lockstep.objects.retry import PATIENT, noting, retrying
from lockstep.objects.store import Body, ObjectStore, is_local
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits
from lockstep.operations.service_copies import ServiceCopies
from lockstep.repository.pool import WrongBytes, save_object
from lockstep.steps import step

Outcome: TypeAlias = InventoryEntry | MissingObject
"""What became of a wanted object."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches wanted objects of some stores into a repository's place; safe to use from many threads.

    `work` is where large objects are spooled that lie aside; `fail_fast` raises at the first one that is missing.
    """

    stores: Mapping[str, ObjectStore]
    repository: ObjectStore
    limits: TransferLimits
    budget: ByteBudget
    work: Path
    stop: Stop
    fail_fast: bool = False
    other_etags: set[str] = field(default_factory=set)
    """Stores whose ETags turned out to be no MD5 of the bytes."""
    copies: Mapping[str, ServiceCopies] = field(default_factory=dict)
    """For the stores that are of one service with the repository."""
    doubted: set[tuple[str, str]] = field(default_factory=set)
    """What came through the lane with other bytes than its ETag says, by store and key, until it has come again."""
    plain: dict[str, PlainRequests] = field(init=False, default_factory=dict)
    """The buckets whose small objects can be had through the lane."""

    def __post_init__(self) -> None:
        """Look at the stores once."""
        if not is_local(self.repository):
            return  # what each object waits for is the answer to its PUT, and workers wait for many at once
        object.__setattr__(self, "plain", all_plain_requests(self.stores))

    def carry(self, wanted: Wanted, pacer: Pacer) -> Outcome:
        """Copy one object, or say why it cannot be had. `pacer` is told when a store asks for fewer requests.

        Raises what makes going on pointless: StoreUnreachable after many attempts, PermissionMissing, DiskFailed.
        """
        expected = self.limits.chunk if wanted.size is None or wanted.size < 0 else wanted.size
        weight = weight_in_memory(self.stores[wanted.store], expected)
        if weight is None:
            weight = expected if expected <= self.limits.whole_up_to else 2 * self.limits.chunk
        with self.budget.take(weight):
            try:
                entry = self._fetched(wanted, pacer)
                self._tell_of_doubt(wanted)
                step("object.copied")
                return entry
            except ObjectNotFound:
                return self._missing(wanted, "lost")
            except ObjectDamaged:
                return self._missing(wanted, "wrong_checksum")
            except WrongBytes as wrong:
                return self._missing(wanted, wrong.why)

    def ask(self, wanted: Wanted) -> Question | None:
        """How a small object is asked for that is to be had in the ordinary way; None for one that needs care."""
        plain = self.plain.get(wanted.store)
        if (
            plain is None
            or wanted.size is None
            or not 0 <= wanted.size <= LANE.weight_bytes
            or wanted.odd
            or wanted.found_version is not None
        ):
            return None
        return plain.question(wanted.found_key or wanted.key)

    def settle(self, wanted: Wanted, answer: MemoryBody | LockstepError, pacer: Pacer) -> Outcome | None:
        """What became of an object that was asked for so; None when `carry` must look at it, which asks again."""
        if isinstance(answer, ObjectNotFound):
            return self._missing(wanted, "lost")
        if isinstance(answer, LockstepError):
            if isinstance(answer, StoreUnreachable):
                noting(self.stores[wanted.store].requests, and_then=pacer.note)(answer, 0)
            return None
        trusted = wanted.store not in self.other_etags
        try:
            entry = save_object(self.repository, wanted, answer, limits=self.limits, work=self.work, etag_is_md5=trusted)
        except WrongBytes as wrong:
            if wrong.why == "wrong_size":
                return self._missing(wanted, wrong.why)
            self.doubted.add((wanted.store, wanted.key))
            return None
        except KeyRefused:
            return None
        step("object.copied")
        return entry

    def _fetched(self, wanted: Wanted, pacer: Pacer) -> InventoryEntry:
        doubt = Doubt()
        while True:
            try:
                return self._with_retries(wanted, pacer)
            except KeyRefused:  # something is in the way of its own key in the repository
                if wanted.odd:
                    raise
                wanted = replace(wanted, odd=True)
            except WrongBytes as wrong:
                if self._learns_other_etags(wanted, wrong):
                    continue
                if wrong.why == "wrong_size" or doubt.is_settled(wrong.sha256):
                    raise
                self._tell_of_wrong_bytes(wanted)

    def _tell_of_doubt(self, wanted: Wanted) -> None:
        """What was wrong in the lane and is right now was a fault, unless the ETags of the store turned out to be no MD5."""
        if (wanted.store, wanted.key) in self.doubted:
            self.doubted.discard((wanted.store, wanted.key))
            if wanted.store not in self.other_etags:
                self._tell_of_wrong_bytes(wanted)

    def _tell_of_wrong_bytes(self, wanted: Wanted) -> None:
        self.stores[wanted.store].requests.add_fault(
            "wrong_bytes", f"the bytes of the object {wanted.key!r} are not what the store announced"
        )

    def _learns_other_etags(self, wanted: Wanted, wrong: WrongBytes) -> bool:
        """True once a store: when it turns out that its ETags are no MD5; from then on length and TLS must do."""
        if wrong.why != "wrong_checksum" or wanted.store in self.other_etags:
            return False
        if retrying(lambda: self.stores[wanted.store].etag_is_md5(wanted.key), stop=self.stop):
            return False
        self.other_etags.add(wanted.store)
        return True

    def _with_retries(self, wanted: Wanted, pacer: Pacer) -> InventoryEntry:
        store, copies = self.stores[wanted.store], self.copies.get(wanted.store)

        def once() -> InventoryEntry:
            if copies is not None and (entry := copies.fetch(wanted)) is not None:
                return entry
            trusted = wanted.store not in self.other_etags
            body = self._opened(store, wanted)
            return save_object(self.repository, wanted, body, limits=self.limits, work=self.work, etag_is_md5=trusted)

        on_retry = noting(store.requests, and_then=pacer.note)
        return retrying(once, policy=PATIENT, on_retry=on_retry, stop=self.stop)

    def _opened(self, store: ObjectStore, wanted: Wanted) -> Body:
        try:
            size = None if wanted.size is None or wanted.size < 0 else wanted.size
            return read_expected(store, wanted.found_key or wanted.key, size=size, version=wanted.found_version)
        except KeyRefused as error:  # a store that cannot hold such a key does not hold it
            raise ObjectNotFound(error.message, hint=error.hint) from error

    def _missing(self, wanted: Wanted, why: WhyMissing) -> MissingObject:
        if self.fail_fast:
            raise MissingObjects(
                f"the object '{wanted.key}' of the store '{wanted.store}' is {'missing' if why == 'lost' else why.replace('_', ' ')}",
                hint="Leave out --fail-fast to back up everything else, or run 'lockstep audit' to see all that is missing.",
            )
        return MissingObject(wanted.store, wanted.key, wanted.size, why)
