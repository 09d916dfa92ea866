"""The objects' side of a copy to a mirror: what is not there travels, each object held against its SHA-256 on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial

from lockstep.errors import StoreBusy, StoreUnreachable
from lockstep.model.copy import CopiedObjects
from lockstep.model.findings import Fault
from lockstep.model.inventory import InventoryEntry
from lockstep.model.objects import is_md5
from lockstep.objects.retry import PATIENT, retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits, in_parallel
from lockstep.operations.carrying import Spoilt, carry, is_there
from lockstep.operations.preconditions import refuse_small_disk
from lockstep.operations.service_copies import ServiceCopies
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.repository.keyed_store import locks_of
from lockstep.repository.layout import POOL
from lockstep.repository.pool import read_stored
from lockstep.steps import step
from lockstep.tables import copies, locks
from lockstep.tables.copies import Lacking
from lockstep.tables.engine import Tables

STAGE = "objects"


@dataclass(frozen=True, slots=True)
class Sent:
    """An object that is in the mirror at `path`; `size_bytes` is 0 when it was there already."""

    entry: InventoryEntry
    path: str
    size_bytes: int
    there: bool = False
    by_service: bool = False


@dataclass(frozen=True, slots=True)
class Faulty:
    """An object whose bytes in the source are not what its inventory says."""

    entry: InventoryEntry
    path: str
    fault: Fault


@dataclass(slots=True)
class ObjectsCopy:
    """Copies the objects of one snapshot after the other. `faults` has what turned out to be wrong in the source, by its place there."""

    source: ObjectStore
    target: ObjectStore
    tables: Tables
    limits: TransferLimits
    stop: Stop
    listener: Listener
    copies: ServiceCopies | None = None
    total: CopiedObjects = field(default_factory=CopiedObjects)
    faults: dict[str, Faulty] = field(default_factory=dict)

    def list_target(self) -> None:
        """Find out what lies in the mirror: what was lost there is copied again, and what a stopped run left is not."""
        for prefix in POOL:
            for page in self.target.list(prefix):
                copies.add_listed(self.tables, page)

    def copy(self) -> None:
        """Copy what the planned snapshot lacks."""
        started = time.monotonic()
        count, size_bytes = copies.lacking(self.tables)
        if not count:
            return
        refuse_small_disk(self.target, size_bytes)
        self.listener(StageStarted(STAGE, total=count, unit="objects"))
        budget, pacer = ByteBudget(self.limits.bytes_in_flight), Pacer(self.limits)
        one = partial(self._one, budget=budget, pacer=pacer)
        for outcomes in in_parallel(copies.lacks(self.tables), one, threads=pacer, stop=self.stop):
            self._take(outcomes)
        self.listener(StageEnded(STAGE))
        self.total = self.total.plus(CopiedObjects(seconds=time.monotonic() - started))

    def _take(self, outcomes: list[Sent | Faulty]) -> None:
        sent = [each for each in outcomes if isinstance(each, Sent)]
        faulty = [each for each in outcomes if isinstance(each, Faulty)]
        copies.add_sent(self.tables, [(each.path, each.entry.size_there) for each in sent if not each.there])
        if locks_of(self.target) is not None:
            locks.add_carried(self.tables, [each.path for each in sent if not each.there])
        copies.add_faulty(self.tables, [each.path for each in faulty])
        self.faults |= {each.path: each for each in faulty}
        there, size_bytes = sum(each.there for each in sent), sum(each.size_bytes for each in sent)
        by_service = sum(each.by_service for each in sent)
        self.total = self.total.plus(CopiedObjects(len(sent) - there, size_bytes, there, by_service=by_service))
        self.listener(StageAdvanced(STAGE, done=len(outcomes), size_bytes=size_bytes))

    def _one(self, lacking: Lacking, *, budget: ByteBudget, pacer: Pacer) -> Sent | Faulty:
        entry = lacking.entry

        def on_retry(error: StoreUnreachable, delay: float) -> None:
            self.source.requests.add("retried")
            if isinstance(error, StoreBusy):
                pacer.slow_down()
            self.listener(Note(f"{error.message}; trying again in {delay:.1f} s", level="debug"))

        with budget.take(entry.size_there if entry.size_there <= self.limits.whole_up_to else 2 * self.limits.chunk):
            try:
                return retrying(lambda: self._send(lacking), policy=PATIENT, on_retry=on_retry, stop=self.stop)
            except Spoilt as error:
                return Faulty(entry, lacking.source_path, error.fault)

    def _send(self, lacking: Lacking) -> Sent:
        entry, path = lacking.entry, lacking.path
        if lacking.lies_there and (
            self._has_md5_of(lacking) or is_there(self.target, path, size=entry.size_there, sha256=entry.sha256_there, limits=self.limits)
        ):
            return Sent(entry, path, 0, there=True)
        if self._is_brought(lacking):
            step("copy.object")
            return Sent(entry, path, entry.size_there, by_service=True)
        carry(
            partial(read_stored, self.source, entry),
            self.target,
            path,
            size=entry.size_there,
            sha256=entry.sha256_there,
            limits=self.limits,
        )
        step("copy.object")
        return Sent(entry, path, entry.size_there)

    def _is_brought(self, lacking: Lacking) -> bool:
        """True when the service has copied the bytes by itself, and they are proven."""
        entry = lacking.entry
        if self.copies is None:
            return False
        md5 = entry.etag if is_md5(entry.etag) and not entry.encrypted else None
        size, sha256 = entry.size_there, entry.sha256_there
        brought = self.copies.bring(lacking.source_path, lacking.path, size=size, sha256=sha256, md5=md5, attributes=None, overwrite=True)
        return brought == "copied"

    def _has_md5_of(self, lacking: Lacking) -> bool:
        """True when what lies in the mirror has the MD5 that the object had when its SHA-256 was taken."""
        return lacking.etag is not None and lacking.etag == lacking.entry.etag and is_md5(lacking.etag)
