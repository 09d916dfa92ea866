"""The journal of a run: what was copied so far, made durable every few seconds, so that a killed run loses only those."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.errors import RepositoryInvalid
from lockstep.model.inventory import InventoryEntry
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.progress import Listener, Note
from lockstep.repository.history import History
from lockstep.repository.layout import segment_path
from lockstep.repository.repository import Repository
from lockstep.steps import step
from lockstep.tables import inventory
from lockstep.tables.engine import Tables
from lockstep.tables.swollen import refuse_swollen

EVERY_SECONDS = 5.0
"""How much work a kill may cost. Each segment costs one `syncfs` and one small file."""


def open_journal(
    repository: Repository, history: History, files: Mapping[str, Path], tables: Tables, run: SnapshotId, *, listener: Listener
) -> Journal:
    """Make the view `inventory` over all segments that count, and begin the journal of a run.

    `files` are the local copies of the segments. What a stopped run left counts, unless another segment has its rows (it was killed
    before it could delete what it had gathered) or it cannot be read.
    """
    left = {entry.path for entry in history.leftovers}
    useless = left - files.keys()
    for path in sorted(left & files.keys()):
        try:
            refuse_swollen(tables, [files[path]])
        except RepositoryInvalid as error:
            listener(Note(f"'{path}' is of no use: {error.message}; the objects that it recorded are copied again", level="warning"))
            useless.add(path)
    if left - useless:
        useless |= left & inventory.gathered_names(tables, [file for path, file in files.items() if path not in useless])
    counting = {path: file for path, file in files.items() if path not in useless}
    inventory.create(tables, list(counting.values()), run=run)
    leftovers = {path: file for path, file in counting.items() if path in left}
    return Journal(repository.store, tables, run, leftovers=leftovers, stale=tuple(sorted(useless)))


@dataclass(slots=True)
class Journal:
    """Segments of the inventory that a run commits as it goes. Not thread-safe: one thread adds."""

    store: ObjectStore
    tables: Tables
    run: SnapshotId
    clock: Callable[[], float] = time.monotonic
    leftovers: Mapping[str, Path] = field(default_factory=dict)
    """What stopped runs had committed, by path: this run gathers it with its own."""
    stale: tuple[str, ...] = ()
    """Segments of stopped runs that are of no use any more."""
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
        if len(self._segments) <= 1 and not superseded and not self.leftovers:
            return self._segments, list(self.stale)
        gathers = [*self._segments, *self.leftovers]
        gathered = self._write(after=0, gathers=gathers)
        step("journal.gathered")
        return [gathered], [*gathers, *self.stale]

    def _write(self, *, after: int, gathers: Sequence[str] = ()) -> str:
        path = segment_path(self.run, len(self._segments))
        made = self.tables.directory / path.replace("/", "-")
        leftovers = list(self.leftovers.values()) if gathers else []
        inventory.save_segment(self.tables, made, snapshot=self.run, after=after, leftovers=leftovers, gathers=gathers)
        with made.open("rb") as file:
            self.store.write_stream(path, iter(lambda: file.read(1 << 20), b""))
        made.unlink()
        return path
