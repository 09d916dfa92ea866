"""The locks of a mirror, after a copy: what its newest snapshot needs stays locked as in the repository that is backed up into."""

from __future__ import annotations

from lockstep.model.snapshots import SnapshotId
from lockstep.operations.locking import Locking
from lockstep.repository.history import all_segments, readable_segments
from lockstep.tables import inventory, references


def lock_mirror(locking: Locking | None, newest: SnapshotId | None, *, changed: bool) -> None:
    """Lock what the newest snapshot of a mirror needs and this copy did not bring; nothing where nothing is locked.

    A mirror that did not change, and whose newest snapshot was seen to, is left alone: its locks count from that snapshot.
    """
    if locking is None or newest is None or not (changed or locking.state.snapshot != newest):
        return
    repository, tables = locking.repository, locking.tables
    directory = tables.directory / "locks"
    directory.mkdir()
    inventory.create(tables, readable_segments(repository, directory))
    chain = [repository.local_copy(entry, directory) for entry in repository.chain(repository.manifest(newest))]
    references.view_replay(tables, chain, into="mirrored_references")
    segments = [entry.path for entry in all_segments(repository)]
    locking.extend(newest, references="mirrored_references", parent=newest, segments=segments)
    locking.close(newest)
