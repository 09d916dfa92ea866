"""What a prune removes: from the verdicts to rows of the inventory and places of objects. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lockstep.model.prune import PrunePlan
from lockstep.model.retention import Verdict
from lockstep.model.snapshots import SnapshotId
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges, named_segments
from lockstep.repository.history import may_be_used, present_segments
from lockstep.repository.manifest import FileEntry, Manifest
from lockstep.repository.repository import Repository
from lockstep.tables import prunes
from lockstep.tables.engine import Tables

STAGE = "references"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PruneSet:
    """The plan, and what carries it out.

    `kept` are the manifests that stay, `present` their ids with the SHA-256 of their files; `segments` are all of the inventory that count
    before, with those that nothing names; `spared` are those of stopped backups within the grace period.
    """

    plan: PrunePlan
    kept: Sequence[Manifest]
    present: Mapping[SnapshotId, str]
    bridges: Bridges
    segments: Mapping[str, FileEntry]
    spared: frozenset[str]
    tables: Tables
    directory: Path


def find_prune_set(
    repository: Repository,
    manifests: Sequence[Manifest],
    verdicts: Sequence[Verdict],
    tables: Tables,
    *,
    spared_since: datetime,
    listener: Listener,
) -> PruneSet:
    """Fill the tables. Raises RepositoryInvalid when something that must be read is not what it was."""
    bridges, directory = repository.bridges(), tables.directory / "repository"
    directory.mkdir()
    staying = {each.snapshot for each in verdicts if each.kept}
    kept = [each for each in manifests if each.snapshot in staying]
    named = named_segments(manifests, bridges)
    segments = dict(named) | _leftovers(repository, named, bridges)
    spared = frozenset(segments.keys() - named.keys())
    if _last_written(repository, spared) < spared_since:
        spared = frozenset()
    prunes.begin(tables, {path: repository.local_copy(entry, directory) for path, entry in segments.items()})
    _read_needed(repository, kept, staying, tables, directory, listener=listener)
    for prefix in layout.POOL:
        for page in repository.store.list(prefix):
            prunes.add_listed(tables, page)
    unseen = prunes.decide(tables, kept=[SnapshotId(each.snapshot) for each in kept], spared=sorted(spared))
    if unseen:
        listener(Note(f"{unseen} objects that are needed are not in the listing; what nothing names is left alone", level="warning"))
    objects, objects_bytes = prunes.doomed(tables)
    plan = PrunePlan(
        tuple(verdicts),
        objects,
        objects_bytes,
        files_bytes=_files_bytes(repository, {each.snapshot for each in verdicts} - staying),
        spared=prunes.count_spared(tables, sorted(spared)),
    )
    prunes.forget_working(tables)
    present = {SnapshotId(each.snapshot): repository.manifest_and_checksum(SnapshotId(each.snapshot))[1] for each in kept}
    return PruneSet(plan, kept, present, bridges, segments, spared, tables, directory)


def _leftovers(repository: Repository, named: Mapping[str, FileEntry], bridges: Bridges) -> dict[str, FileEntry]:
    """Segments that are there and that nothing names: stopped backups wrote them."""
    found = present_segments(repository, named)
    return {path: repository.describe(path) for path in sorted(found - named.keys()) if may_be_used(path, bridges)}


def _last_written(repository: Repository, segments: Collection[str]) -> datetime:
    """When the last of some segments was written; long ago where there is none, or nobody knows.

    A first backup may take days, and be stopped several times: what it has copied is worth as much as its last minute.
    """
    found = (info for page in repository.store.list(layout.INVENTORY) for info in page if info.key in segments)
    return max((info.modified or _started(info.key) for info in found), default=_LONG_AGO)


def _started(path: str) -> datetime:
    """When the run that wrote a segment began."""
    run = layout.run_of_segment(path)
    return datetime.strptime(run[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if run else _LONG_AGO


def _read_needed(
    repository: Repository, kept: Sequence[Manifest], staying: set[SnapshotId], tables: Tables, directory: Path, *, listener: Listener
) -> None:
    """Fill `needed`: each chain of references is read once, for all kept snapshots on it."""
    done: set[SnapshotId] = set()
    listener(StageStarted(STAGE, total=len(kept), unit="steps"))
    for manifest in reversed(kept):  # the newest first: its chain has those before it
        if manifest.snapshot in done:
            continue
        chain = repository.chain_by_snapshot(manifest)
        stays = [snapshot in staying and snapshot not in done for snapshot, _ in chain]
        prunes.add_needed(tables, [(snapshot, repository.local_copy(entry, directory)) for snapshot, entry in chain], stays)
        done |= {snapshot for (snapshot, _), here in zip(chain, stays, strict=True) if here}
        listener(StageAdvanced(STAGE, done=sum(stays)))
    listener(StageEnded(STAGE))


def _files_bytes(repository: Repository, removed: set[SnapshotId]) -> int:
    """How much the files of the removed snapshots occupy."""
    found = (info for page in repository.store.list(layout.SNAPSHOTS) for info in page)
    return sum(info.size for info in found if info.key.split("/")[1] in removed)
