"""Asks a repository what it knows of an audit's findings. An audit needs none, so nothing about it can make the audit fail."""

from __future__ import annotations

from lockstep.errors import LockstepError
from lockstep.model.audit import KeptSide
from lockstep.objects.store import ObjectStore
from lockstep.progress import Listener, Note
from lockstep.repository.history import readable_segments
from lockstep.repository.repository import open_repository
from lockstep.tables import inventory, kept_findings
from lockstep.tables.engine import Tables


def ask_repository(tables: Tables, place: ObjectStore, *, listener: Listener) -> KeptSide | None:
    """Note with the findings since which snapshot they are missing, or which one has them; None when the repository cannot tell."""
    try:
        repository = open_repository(place)
        snapshots, damaged = repository.survey()
        inventory.create(tables, readable_segments(repository, tables.directory))
        copied = kept_findings.note_copied(tables, repository.snapshot_ids())
        newest = snapshots[-1] if snapshots else None
        missing = newest.file("missing.parquet") if newest else None
        if missing is not None:
            kept_findings.note_since(tables, repository.local_copy(missing, tables.directory))
    except LockstepError as error:
        listener(Note(f"since which snapshot objects are missing cannot be told: {error.message}", level="warning"))
        return None
    for each in damaged:
        listener(Note(each.why, level="warning"))
    since, unknown = kept_findings.count_since(tables)
    return KeptSide(place.url, newest.snapshot if newest else None, copied, since, unknown)
