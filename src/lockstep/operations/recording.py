"""The tables of a snapshot: its references, as changes against its parent, and what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from lockstep.errors import LockstepError, RepositoryInvalid
from lockstep.model.results import BackupObjects
from lockstep.objects.store import ObjectStore
from lockstep.operations.copying import Copied
from lockstep.progress import Listener, Note
from lockstep.repository.draft import Draft
from lockstep.repository.history import CUT_EVERY, History
from lockstep.repository.manifest import Manifest
from lockstep.tables import plans, references, since
from lockstep.tables.engine import Tables


def save_references(draft: Draft, history: History, tables: Tables, *, listener: Listener) -> int:
    """Store `references_now` as changes against the parent, or in full; returns the length of the chain before them.

    A parent whose references cannot be read any more is no reason to fail: then the list is full again.
    """
    made, length = tables.directory / "references.parquet", 0
    if history.newest is not None:
        try:
            chain = draft.repository.chain(history.newest)
            length = len(chain) % CUT_EVERY
            if length > 0:
                files = [draft.repository.local_copy(entry, tables.directory) for entry in chain]
                references.view_replay(tables, files, into="references_before")
                references.save_changes(tables, made, since="references_before")
        except RepositoryInvalid as error:
            listener(Note(f"{error.message}; the references are stored in full again", level="warning"))
            length = 0
    if length == 0:
        references.save_full(tables, made)
    draft.save_file("references.parquet", made)
    return length


def check_stores(tables: Tables, stores: Mapping[str, ObjectStore]) -> None:
    """Raise LockstepError when the references name a store that the deployment does not have."""
    unknown = [row[0] for row in tables.rows("SELECT DISTINCT store FROM references_now") if row[0] not in stores]
    if unknown:
        raise LockstepError(
            f"the references name the store '{unknown[0]}', which the deployment does not have", hint=f"Add --bucket {unknown[0]}=URL."
        )


def prove(tables: Tables) -> None:
    """Raise LockstepError unless everything that was wanted was copied or found missing: the last look before a manifest is written."""
    left = plans.unaccounted(tables)
    if left:
        raise LockstepError(
            f"{left} referenced objects were neither copied nor found missing", hint="Report this: it is a fault of lockstep."
        )


def count_objects(tables: Tables, named: references.ReferenceCounts, copied: Copied, *, recovered: int) -> BackupObjects:
    """The objects' side of a snapshot, when everything that could be copied has been."""
    lacking, new = plans.count_missing(tables), plans.count_new(tables)
    return BackupObjects(
        referenced=named.objects,
        referenced_bytes=named.size_bytes,
        new=new,
        copied_bytes=copied.size_bytes,
        reused=named.objects - new - lacking.missing - lacking.mismatched,
        missing=lacking.missing,
        mismatched=lacking.mismatched,
        seconds=copied.seconds,
        recovered=recovered,
        by_service=copied.by_service,
        hashed_by_service=copied.hashed_by_service,
    )


def save_missing(draft: Draft, history: History, tables: Tables, *, listener: Listener) -> None:
    """Store the list of what is missing, each with the first snapshot that missed it."""
    made = tables.directory / "missing.parquet"
    earlier: Path | Literal["sought"] | None = None
    before = history.newest.file("missing.parquet") if history.newest else None
    try:
        if before is not None and before.encrypted:
            earlier = _sought(draft, history.newest, tables)
        elif before is not None:
            earlier = draft.repository.local_copy(before, tables.directory)
    except RepositoryInvalid as error:
        listener(Note(f"{error.message}; what was missing before is not known", level="warning"))
    plans.save_missing(tables, made, snapshot=draft.snapshot, before=earlier)
    draft.save_file("missing.parquet", made)


def _sought(draft: Draft, parent: Manifest | None, tables: Tables) -> Literal["sought"]:
    """Find out without the parent's list, which only an identity reads, since when objects are missing; as far back as snapshots lack any.

    It reads the parent's chain of references, and an older one only for what was missing in all of it.
    """
    since.begin_since(tables, snapshot=draft.snapshot)
    repository, left = draft.repository, 1
    while left and parent is not None and not parent.complete:
        chain = repository.chain_by_snapshot(parent)
        left = since.look_back(tables, [(snapshot, repository.local_copy(entry, tables.directory)) for snapshot, entry in chain])
        older = max((each for each in repository.snapshot_ids() if each < chain[0][0]), default=None)
        parent = repository.manifest(older) if left and older else None
    return "sought"
