"""Copying what is new from the deployment's stores into the repository: each object checked, hashed, stored and journalled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lockstep.errors import KeyRefused, MissingObjects, ObjectDamaged, ObjectNotFound
from lockstep.model.inventory import InventoryEntry, MissingObject, Wanted, WhyMissing
from lockstep.objects.doubt import Doubt
from lockstep.objects.raid import read_expected, weight_in_memory
from lockstep.objects.retry import PATIENT, noting, retrying
from lockstep.objects.store import Body, ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits, in_parallel
from lockstep.progress import Listener, StageAdvanced
from lockstep.repository.journal import Journal
from lockstep.repository.pool import WrongBytes, save_object
from lockstep.repository.repository import Repository
from lockstep.tables import plans
from lockstep.tables.engine import Tables

STAGE = "objects"


@dataclass(frozen=True, slots=True)
class Copied:
    """What a pass copied, and how long that took where it was measured."""

    objects: int = 0
    size_bytes: int = 0
    seconds: float = 0.0

    def plus(self, other: Copied) -> Copied:
        """Both together."""
        return Copied(self.objects + other.objects, self.size_bytes + other.size_bytes, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies wanted objects of some stores into a repository; `fail_fast` raises at the first one that is missing."""

    stores: Mapping[str, ObjectStore]
    repository: Repository
    tables: Tables
    journal: Journal
    limits: TransferLimits
    stop: Stop
    listener: Listener
    fail_fast: bool = False
    other_etags: set[str] = field(default_factory=set)
    """Stores whose ETags turned out to be no MD5 of the bytes."""

    def copy(self, wanted: Iterable[Wanted]) -> Copied:
        """Copy objects and journal them; what cannot be had goes into the table `missing_now`.

        Raises StoreUnreachable when a store keeps failing: what is journalled by then, the next run does not copy again.
        """
        budget, pacer = ByteBudget(self.limits.bytes_in_flight), Pacer(self.limits)
        total = Copied()
        plans.add_missing(self.tables, [])
        try:
            for outcomes in in_parallel(wanted, lambda each: self._copy_one(each, budget, pacer), threads=pacer, stop=self.stop):
                entries = [each for each in outcomes if isinstance(each, InventoryEntry)]
                plans.add_missing(self.tables, [each for each in outcomes if isinstance(each, MissingObject)])
                self.journal.add(entries)
                done = Copied(len(entries), sum(entry.size for entry in entries))
                total = total.plus(done)
                self.listener(StageAdvanced(STAGE, done=len(outcomes), size_bytes=done.size_bytes))
        finally:
            self.journal.commit()
        return total

    def _copy_one(self, wanted: Wanted, budget: ByteBudget, pacer: Pacer) -> InventoryEntry | MissingObject:
        expected = self.limits.chunk if wanted.size is None or wanted.size < 0 else wanted.size
        weight = weight_in_memory(self.stores[wanted.store], expected)
        if weight is None:
            weight = expected if expected <= self.limits.whole_up_to else 2 * self.limits.chunk
        with budget.take(weight):
            try:
                return self._fetched(wanted, pacer)
            except ObjectNotFound:
                return self._missing(wanted, "lost")
            except ObjectDamaged:
                return self._missing(wanted, "wrong_checksum")
            except WrongBytes as wrong:
                return self._missing(wanted, wrong.why)

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
        store = self.stores[wanted.store]

        def once() -> InventoryEntry:
            trusted = wanted.store not in self.other_etags
            body = self._opened(store, wanted)
            return save_object(self.repository.store, wanted, body, limits=self.limits, work=self.tables.directory, etag_is_md5=trusted)

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
