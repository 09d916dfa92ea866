"""The objects of a repository: each referenced one recorded, each recorded one there, and of the bytes those that it has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from lockstep.errors import KeyRefused
from lockstep.model.findings import Fault
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.retry import noting, retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Pacer, Stop, TransferLimits, in_parallel
from lockstep.operations.pool_reader import PoolReader
from lockstep.operations.verify_files import VerifiedFiles, whole_chain
from lockstep.operations.verify_older import with_older
from lockstep.operations.verify_structure import Structure
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.repository import layout
from lockstep.tables import references, verifications
from lockstep.tables.engine import Tables
from lockstep.tables.verifications import Place

STAGE = "objects"

ASK_EACH_UP_TO = 500
"""Up to this many objects are asked about one by one; above it they are listed, a thousand a request."""

LOCAL_THREADS_PER_CPU = 2
"""On a disk: one hashes while another waits for its read, and for the interpreter."""

LOCAL_BATCH = 16
"""How many files of a disk a worker takes at once: what it costs to take one is seen beside reading 4 KiB, and not beside reading 64."""


@dataclass(frozen=True, slots=True)
class SampleTaken:
    """How far a partial reading came; `position` is None when there was nothing to read."""

    position: tuple[str, str] | None
    round_ended: bool


@dataclass(slots=True)
class ObjectsVerification:
    """One verification of objects. `selected` is None for the whole repository."""

    store: ObjectStore
    structure: Structure
    files: VerifiedFiles
    tables: Tables
    selected: Sequence[SnapshotId] | None
    limits: TransferLimits
    stop: Stop
    listener: Listener
    objects: int = 0
    objects_read: int = 0
    size_bytes: int = 0
    source: str = field(default="inventory")

    def find_lost(self) -> None:
        """Hold every reference against the inventory, and name the places of the objects that count."""
        if self.selected is None:
            for snapshot in self.structure.manifests:
                self._find_lost_of(snapshot)
        else:
            for snapshot in self.selected:
                chain = whole_chain(self.structure, self.files, snapshot)
                if chain is not None:
                    verifications.choose(self.tables, snapshot, chain, missing=self._missing(snapshot))
                    self._forgive_hidden(snapshot)
                    self.source = "chosen"
        self.objects = verifications.plan_places(self.tables, source=self.source) if self._has_source() else 0

    def look(self) -> None:
        """Hold the presence and the size of each object against the inventory, without reading one."""
        self.listener(StageStarted(STAGE, total=self.objects, unit="objects"))
        if self.objects <= ASK_EACH_UP_TO or not self._list():
            self._each(verifications.places(self.tables), PoolReader(self.store).look)
        self.listener(StageEnded(STAGE))

    def read_all(self) -> None:
        """Hold the bytes of each object against the inventory."""
        self._read("places", self.objects)

    def read_sample(self, percent: float, *, after: tuple[str, str]) -> SampleTaken:
        """Look at every object, and read the next `percent` of them behind a position, going round."""
        self.look()
        most = math.ceil(self.objects * percent / 100)
        position, ended = verifications.take_sample(self.tables, after=after, most=most)
        self._read("sample", most)
        return SampleTaken(position, ended)

    def find_touched(self) -> None:
        """Find out which snapshots need what has a fault."""
        if not verifications.begin_touched(self.tables):
            return
        if self.selected is not None:
            for snapshot in self.selected:
                chain = whole_chain(self.structure, self.files, snapshot)
                if chain is not None:
                    references.replay(self.tables, chain, into="named")
                    self._touch(snapshot, "named")
            return
        at: str | None = None
        for snapshot in self.structure.manifests:
            link = self.structure.link(snapshot)
            own = self.files.references(link)
            if link is None or own is None or link.parent not in (None, at):
                at = None
                continue
            verifications.follow_suspects(self.tables, own, full=link.full)
            self._touch(snapshot, "suspect_references")
            at = snapshot

    def _has_source(self) -> bool:
        return self.selected is None or self.source == "chosen"

    def _find_lost_of(self, snapshot: SnapshotId) -> None:
        link = self.structure.link(snapshot)
        own = self.files.references(link)
        if link is None or own is None:
            return
        if self._hides(snapshot) or self._hides(link.parent):
            chain = whole_chain(self.structure, self.files, snapshot)
            if chain is not None:
                verifications.find_all_lost(self.tables, snapshot, chain)
                self._forgive_hidden(snapshot)
            return
        before = self._missing(link.parent) if link.parent in self.structure.manifests else None
        missing = self._missing(snapshot)
        verifications.find_lost(self.tables, snapshot, own=own, full=link.full, missing=missing, missing_before=before)

    def _forgive_hidden(self, snapshot: SnapshotId) -> None:
        """Where the list of what is missing cannot be read, as many objects may be in no inventory as the manifest says."""
        if self._hides(snapshot):
            manifest = self.structure.manifests[snapshot]
            verifications.forgive_lost(self.tables, snapshot, at_most=manifest.objects.missing + manifest.objects.mismatched)

    def _hides(self, snapshot: SnapshotId | None) -> bool:
        return self.files.hides(self.structure.manifests.get(snapshot or SnapshotId("")), "missing.parquet")

    def _missing(self, snapshot: SnapshotId) -> Path | None:
        return self.files.own(self.structure.manifests[snapshot], "missing.parquet")

    def _touch(self, snapshot: SnapshotId, table: str) -> None:
        verifications.find_touched(self.tables, snapshot, table, missing=self._missing(snapshot))

    def _list(self) -> bool:
        """List the pool. False when something in it cannot be listed: then each object is asked about."""
        verifications.begin_listing(self.tables)
        try:
            for prefix in layout.POOL:
                for page in self.store.list(prefix):
                    verifications.add_listed(self.tables, page)
                    self.listener(StageAdvanced(STAGE, done=len(page)))
        except KeyRefused as error:
            self.listener(Note(f"{error.message}; asking about each object"))
            return False
        if verifications.compare_listed(self.tables):  # a listing is no proof: each of them is asked about
            self._each(verifications.places(self.tables, "unlike"), PoolReader(self.store).look)
        return True

    def _read(self, table: str, total: int) -> None:
        self.listener(StageStarted(STAGE, total=total, unit="objects"))
        self.objects_read, self.size_bytes = self._each(verifications.places(self.tables, table), PoolReader(self.store).read)
        self.listener(StageEnded(STAGE))

    def _each(self, places: Iterator[Place], check: verifications.Check) -> tuple[int, int]:
        """Apply a check to places in threads; what it finds goes into the table `faults`. Returns how many were right, and their bytes."""
        local = self.store.local_file("x") is not None
        limits = self.limits if self.limits.threads or not local else TransferLimits(threads=LOCAL_THREADS_PER_CPU * (os.cpu_count() or 1))
        pacer = Pacer(limits)
        batches = iter(lambda: list(islice(places, LOCAL_BATCH if local else 1)), [])
        looked, right_bytes = 0, 0

        def work(batch: list[Place]) -> tuple[int, int, list[tuple[str, Fault]]]:
            faults, size_bytes = [], 0
            for place in batch:
                fault = self._patiently(check, place, pacer)
                if fault is None:
                    size_bytes += place[1]
                else:
                    faults.append((place[0], fault))
            return len(batch), size_bytes, faults

        for results in in_parallel(batches, work, threads=pacer, stop=self.stop):
            verifications.add_faults(self.tables, [fault for _, _, faults in results for fault in faults])
            done, size_bytes = sum(result[0] for result in results), sum(result[1] for result in results)
            looked, right_bytes = looked + done, right_bytes + size_bytes
            self.listener(StageAdvanced(STAGE, done=done, size_bytes=size_bytes))
        return looked, right_bytes

    def _patiently(self, check: verifications.Check, place: Place, pacer: Pacer) -> Fault | None:
        on_retry = noting(self.store.requests, and_then=pacer.note)
        fault = retrying(lambda: check(*place), on_retry=on_retry, stop=self.stop)
        return fault and with_older(self.store, fault, place[0], size=place[1], sha256=place[2])
