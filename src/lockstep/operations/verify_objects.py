"""The objects of a repository: each referenced one recorded, each recorded one there, and of the bytes those that it has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.errors import Cancelled, KeyRefused
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Pacer, Stop, TransferLimits
from lockstep.operations.pool_reader import PoolReader
from lockstep.operations.reading_places import PlacesLooked, local_limits, look_at_places
from lockstep.operations.scale_out import ScaledWork
from lockstep.operations.verify_files import VerifiedFiles, whole_chain
from lockstep.operations.verify_structure import Structure
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.repository import layout
from lockstep.tables import references, verifications
from lockstep.tables.engine import Tables
from lockstep.tables.verifications import Place

STAGE = "objects"

ASK_EACH_UP_TO = 500
"""Up to this many objects are asked about one by one; above it they are listed, a thousand a request."""

UNSEEN = ("missing", "unreadable")
"""Faults that may be those of the machine that looks."""


@dataclass(frozen=True, slots=True)
class SampleTaken:
    """How far a partial reading came; `position` is None when there was nothing to read."""

    position: tuple[str, str] | None
    round_ended: bool


@dataclass(slots=True)
class ObjectsVerification:
    """One verification of objects. `selected` is None for the whole repository; `scaled` has workers read in place of this process."""

    store: ObjectStore
    structure: Structure
    files: VerifiedFiles
    tables: Tables
    selected: Sequence[SnapshotId] | None
    limits: TransferLimits
    stop: Stop
    listener: Listener
    scaled: ScaledWork | None = None
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
        places, check = verifications.places(self.tables, table), PoolReader(self.store).read
        if self.scaled is None or not total:
            self.objects_read, self.size_bytes = self._each(places, check)
        else:
            self.objects_read, self.size_bytes = self._record(self.scaled.read(places, objects=total), again=check)
        if self.stop.is_set():  # what was read until then is not the whole, and proves nothing
            raise Cancelled(15)
        self.listener(StageEnded(STAGE))

    def _each(self, places: Iterator[Place], check: verifications.Check) -> tuple[int, int]:
        """Apply a check to places in threads, and record what it finds."""
        pacer = Pacer(local_limits(self.limits, self.store))
        return self._record(look_at_places(self.store, places, check, pacer=pacer, stop=self.stop))

    def _record(self, looking: Iterator[list[PlacesLooked]], *, again: verifications.Check | None = None) -> tuple[int, int]:
        """Put what is found into the table `faults`. Returns how many places there were, and the bytes of those that were right.

        What a worker could not see is looked at once more here, by `again`, before that counts: only the worker may be at fault.
        """
        looked, right_bytes = 0, 0
        for results in looking:
            faults = [each for result in results for each in result.faults]
            unseen = [place for place, fault in faults if again is not None and fault.kind in UNSEEN]
            verifications.add_faults(
                self.tables, [(place[0], fault) for place, fault in faults if again is None or fault.kind not in UNSEEN]
            )
            done, size_bytes = sum(result.looked for result in results) - len(unseen), sum(result.size_bytes for result in results)
            self.listener(StageAdvanced(STAGE, done=done, size_bytes=size_bytes))
            looked, right_bytes = looked + done, right_bytes + size_bytes
            if again is not None and unseen:
                done, size_bytes = self._each(iter(unseen), again)
                looked, right_bytes = looked + done, right_bytes + size_bytes
        return looked, right_bytes
