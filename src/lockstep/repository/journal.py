"""The journal of a run: what was copied so far, made durable every few seconds, so that a killed run loses only those."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lockstep.model.inventory import InventoryEntry
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.repository.layout import segment_path
from lockstep.steps import step
from lockstep.tables import inventory
from lockstep.tables.engine import Tables

EVERY_SECONDS = 5.0
"""How much work a kill may cost. Each segment costs one `syncfs` and one small file."""


@dataclass(slots=True)
class Journal:
    """Segments of the inventory that a run commits as it goes. Not thread-safe: one thread adds."""

    store: ObjectStore
    tables: Tables
    run: SnapshotId
    clock: Callable[[], float] = time.monotonic
    _segments: list[str] = field(default_factory=list)
    _committed: int = 0
    _last: float = 0.0

    def add(self, entries: Sequence[InventoryEntry]) -> None:
        """Record objects that are in their place; they count once they are committed, at the latest a few seconds on."""
        self._last = self._last or self.clock()
        inventory.add_entries(self.tables, entries)
        if self.clock() - self._last >= EVERY_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make everything that was added durable: first the objects, then the segment that names them."""
        length = inventory.journal_length(self.tables)
        if length > self._committed:
            self.store.flush()
            step("journal.flushed")
            self._segments.append(self._write(after=self._committed))
            self._committed = length
            step("journal.written")
        self._last = self.clock()

    def close(self) -> tuple[list[str], list[str]]:
        """Commit the rest and gather all segments of this run into one.

        Of what the run copied twice (a key whose bytes changed meanwhile, and not its size) the last one counts. Returns the segments that
        count from now on (none or one), and those that the gathered one replaces; the latter may only be deleted after a manifest names
        the former.
        """
        self.commit()
        superseded = inventory.find_superseded(self.tables)
        if len(self._segments) <= 1 and not superseded:
            return self._segments, []
        gathered = self._write(after=0)
        step("journal.gathered")
        return [gathered], self._segments

    def _write(self, *, after: int) -> str:
        path = segment_path(self.run, len(self._segments))
        made = self.tables.directory / path.replace("/", "-")
        inventory.save_segment(self.tables, made, snapshot=self.run, after=after)
        with made.open("rb") as file:
            self.store.write_stream(path, iter(lambda: file.read(1 << 20), b""))
        made.unlink()
        return path
