"""What earlier runs left: the newest snapshot, and the segments of the inventory with their checksums."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import RepositoryInvalid
from lockstep.model.snapshots import SnapshotId
from lockstep.progress import Listener, Note
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges, named_segments
from lockstep.repository.manifest import FileEntry, Manifest, Previous
from lockstep.repository.repository import Repository

CUT_EVERY = 32
"""After how many snapshots a chain of references begins anew with a full list: it bounds what must be read to replay one, and what one
damaged file can cost, at 1/32 of a full list's size for each snapshot."""


@dataclass(frozen=True, slots=True)
class History:
    """The repository before a run. `leftovers` are segments that a stopped run committed and no manifest names."""

    newest: Manifest | None
    previous: Previous | None
    segments: tuple[FileEntry, ...]
    leftovers: tuple[FileEntry, ...]
    newest_removed: SnapshotId | None = None

    @property
    def is_empty(self) -> bool:
        """True when there is no snapshot and nothing of a stopped run."""
        return self.newest is None and not self.segments and not self.leftovers

    @property
    def parent(self) -> SnapshotId | None:
        """The snapshot that the next one follows."""
        return SnapshotId(self.newest.snapshot) if self.newest else None

    @property
    def newest_name(self) -> SnapshotId | None:
        """The last id of all that a snapshot or a stopped run has: whatever follows must sort behind it."""
        runs = [layout.run_of_segment(entry.path) for entry in (*self.segments, *self.leftovers)]
        return max((name for name in (self.parent, self.newest_removed, *runs) if name is not None), default=None)


def read_history(repository: Repository, *, listener: Listener) -> History:
    """Read all manifests and find what no manifest names. Raises RepositoryInvalid when a manifest cannot be trusted."""
    manifests, previous, bridges = [], None, repository.bridges()
    for snapshot in _all_snapshots(repository, removed=bridges.removed):
        manifest, checksum = repository.manifest_and_checksum(snapshot)
        manifests.append(manifest)
        previous = Previous(snapshot=snapshot, sha256=checksum)
    named = named_segments(manifests, bridges)
    present = present_segments(repository, named)
    for path in sorted(named.keys() - present):
        listener(Note(f"'{path}' is gone; the objects that it recorded are copied again", level="warning"))
    _check_head(repository, previous, bridges, listener=listener)
    leftovers = tuple(repository.describe(path) for path in sorted(present - named.keys()) if may_be_used(path, bridges))
    if leftovers:
        listener(Note("resuming: objects that a stopped run had copied are used", fields={"segments": len(leftovers)}))
    segments = tuple(named[path] for path in sorted(named.keys() & present))
    newest_removed = SnapshotId(bridges.newest) if bridges.newest else None
    return History(manifests[-1] if manifests else None, previous, segments, leftovers, newest_removed)


def all_segments(repository: Repository) -> list[FileEntry]:
    """The segments of the inventory that manifests name and that are there, for readers: what a running backup adds does not count.

    When a manifest or the record of what was removed cannot be read, all other segments that are there count too, since some of them are
    what it named; not where keys ask for signatures, since nobody vouches for them.
    """
    manifests, bridges = [], repository.bridges()
    unreadable = bridges.damaged
    for snapshot in repository.snapshot_ids():
        try:
            manifests.append(repository.manifest(snapshot))
        except RepositoryInvalid:
            unreadable = True
    named = named_segments(manifests, bridges)
    present = present_segments(repository, named)
    found = [entry for path, entry in sorted(named.items()) if path in present]
    if not unreadable or repository.keyring.verify_keys:
        return found
    return [*found, *(repository.describe(path) for path in sorted(present - named.keys()) if may_be_used(path, bridges))]


def readable_segments(repository: Repository, work: Path) -> list[Path]:
    """Local copies of all segments, for readers; a damaged one is left out, and what it recorded counts as lost."""
    found = []
    for entry in all_segments(repository):
        with suppress(RepositoryInvalid):
            found.append(repository.local_copy(entry, work))
    return found


def inventory_files(repository: Repository, history: History, work: Path, *, listener: Listener) -> dict[str, Path]:
    """Local copies of all segments by path; a damaged one is left out with a warning, and its objects are copied again."""
    found = {}
    for entry in (*history.segments, *history.leftovers):
        try:
            found[entry.path] = repository.local_copy(entry, work)
        except RepositoryInvalid as error:
            listener(Note(f"{error.message}; the objects that it recorded are copied again", level="warning"))
    return found


def may_be_used(path: str, bridges: Bridges) -> bool:
    """True for a segment that nothing names and whose rows are right all the same.

    False for what a record replaced, and for what a stopped prune gathered: its rows are in the segments that count, or go.
    """
    gathered_counts = bridges.damaged and layout.is_segment(path)
    return path not in bridges.replaced and (layout.run_of_segment(path) is not None or gathered_counts)


def _all_snapshots(repository: Repository, *, removed: Collection[str]) -> list[SnapshotId]:
    """The ids of all snapshots, oldest first: also of those that an object store's listing left out and a later manifest names."""
    found = set(repository.snapshot_ids())
    if repository.is_local:
        return sorted(found)
    unread = sorted(found)
    while unread:
        named = {repository.manifest(each).previous for each in unread}
        earlier = {SnapshotId(each.snapshot) for each in named if each is not None and each.snapshot not in removed} - found
        unread = [each for each in sorted(earlier) if repository.has_manifest(each)]
        found.update(unread)
    return sorted(found)


def present_segments(repository: Repository, named: Iterable[str]) -> set[str]:
    """The segments that are there: those that are listed, and of the others that are `named` those that are found all the same."""
    listed = {info.key for page in repository.store.list(layout.INVENTORY) for info in page if layout.is_segment(info.key)}
    if repository.is_local:
        return listed
    return listed | {path for path in set(named) - listed if repository.holds(path)}


def _check_head(repository: Repository, previous: Previous | None, bridges: Bridges, *, listener: Listener) -> None:
    """An older head is what a kill between manifest and head leaves, and the next commit mends it; a head without its manifest is not."""
    named = repository.head()
    if named is not None and (previous is None or named > previous.snapshot) and named not in bridges.removed:
        listener(Note(f"the newest snapshot {named} is gone from the repository; 'lockstep verify' tells more", level="warning"))
