"""The record that a prune writes: how the kept snapshots go on without the removed ones, with the files that it names."""

from __future__ import annotations

from datetime import datetime

from lockstep.model.prune import SegmentState, choose_gathered
from lockstep.model.snapshots import SnapshotId
from lockstep.operations.prune_set import PruneSet
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges, Fold, link_of, number_for_files
from lockstep.repository.history import present_segments
from lockstep.repository.manifest import FileEntry, Manifest, Previous
from lockstep.repository.mirror import bridged_previous, changed_bridges
from lockstep.repository.repository import Repository
from lockstep.steps import step
from lockstep.tables import prunes, references
from lockstep.tables.copies import save_references

REMEMBERED = 10_000
"""How many removed snapshots the record lists, the newest: a copy does not bring these back, and more would only make it longer."""


def next_record(repository: Repository, found: PruneSet, *, now: datetime) -> Bridges | None:
    """The record, after the files that it names were written; None when it would say what the one before says."""
    old = found.bridges
    number = number_for_files(old.number + 1)
    removed = set(found.plan.removed)
    segments, replaced = _gathered(repository, found, number)
    if not removed and segments == old.segments and replaced == old.replaced:
        return None
    runs = [run for run in map(layout.run_of_segment, found.segments) if run is not None]
    return changed_bridges(
        old,
        repository.id,
        written=now,
        removed=tuple(sorted({*old.removed, *removed})[-REMEMBERED:]),
        previous=_previous(found),
        folds=_folds(repository, found, number, removed),
        segments=segments,
        replaced=replaced,
        newest=max((old.newest or "", *(each.snapshot for each in found.plan.verdicts), *runs)) or None,
    )


def _previous(found: PruneSet) -> dict[str, Previous | None]:
    bridges = {manifest.snapshot: bridged_previous(SnapshotId(manifest.snapshot), manifest, found.present) for manifest in found.kept}
    return {snapshot: previous for snapshot, (needed, previous) in bridges.items() if needed}


def _folds(repository: Repository, found: PruneSet, number: int, removed: set[str]) -> dict[str, Fold]:
    folds: dict[str, Fold] = {}
    for manifest in found.kept:
        link = link_of(manifest, found.bridges)
        if link.parent is not None and link.parent in removed:
            folds[manifest.snapshot] = _fold(repository, found, manifest, number)
        elif manifest.snapshot in found.bridges.folds:
            folds[manifest.snapshot] = found.bridges.folds[manifest.snapshot]
    return folds


def _fold(repository: Repository, found: PruneSet, manifest: Manifest, number: int) -> Fold:
    """References against the nearest ancestor that stays; a full list where none does."""
    chain = repository.chain_by_snapshot(manifest)
    files = [repository.local_copy(entry, found.directory) for _, entry in chain]
    base = max((place for place, (snapshot, _) in enumerate(chain[:-1]) if snapshot in found.present), default=None)
    made = found.tables.directory / "folded.parquet"
    if base is None:
        references.view_replay(found.tables, files, into="folded")
        save_references(found.tables, made, table="folded")
    else:
        prunes.save_folded(found.tables, made, files[base + 1 :])
    entry = repository.save_made(made, layout.folded_path(SnapshotId(manifest.snapshot), number))
    step("prune.folded")
    return Fold(references=entry, parent=chain[base][0] if base is not None else None)


def _gathered(repository: Repository, found: PruneSet, number: int) -> tuple[tuple[FileEntry, ...], tuple[str, ...]]:
    """The segments that the record names, and those that count no more."""
    old = found.bridges
    named = {entry.path for manifest in found.kept for entry in manifest.inventory}
    listed = {entry.path for entry in old.segments}
    dropped = prunes.count_dropped(found.tables)
    states = [
        SegmentState(path, entry.size, dropped.get(path, 0), named=path in named, listed=path in listed)
        for path, entry in found.segments.items()
        if path not in found.spared
    ]
    chosen = set(choose_gathered(states))
    there = named | present_segments(repository, old.replaced)  # what a listing left out would count again
    replaced = {path for path in old.replaced if path in there}
    if not chosen:
        return old.segments, tuple(sorted(replaced))
    segments = tuple(entry for entry in old.segments if entry.path not in chosen)
    made = found.tables.directory / "gathered.parquet"
    if prunes.save_gathered(found.tables, made, sorted(chosen)):
        segments = (*segments, repository.save_made(made, layout.gathered_path(number)))
    step("prune.gathered")
    return segments, tuple(sorted(replaced | chosen - listed))
