"""The tables of a snapshot: its references, as changes against its parent, and what it lacks."""

from __future__ import annotations

from lockstep.errors import RepositoryInvalid
from lockstep.progress import Listener, Note
from lockstep.repository.draft import Draft
from lockstep.repository.history import History, references_file
from lockstep.tables import plans, references
from lockstep.tables.engine import Tables


def save_references(draft: Draft, history: History, tables: Tables, *, listener: Listener) -> int:
    """Store `references_now` as changes against the parent, or in full; returns the length of the chain before them.

    A parent whose references cannot be read any more is no reason to fail: then the list is full again.
    """
    made, length = tables.directory / "references.parquet", history.next_chain_length
    if length > 0 and history.newest is not None:
        try:
            links = draft.repository.chain(history.newest)
            files = [draft.repository.local_copy(references_file(link), tables.directory) for link in links]
            references.replay(tables, files, into="references_before")
            references.save_changes(tables, made, since="references_before")
        except RepositoryInvalid as error:
            listener(Note(f"{error.message}; the references are stored in full again", level="warning"))
            length = 0
    if length == 0:
        references.save_full(tables, made)
    draft.save_file("references.parquet", made)
    return length


def save_missing(draft: Draft, history: History, tables: Tables, *, listener: Listener) -> None:
    """Store the list of what is missing, each with the first snapshot that missed it."""
    made, earlier = tables.directory / "missing.parquet", None
    before = history.newest.file("missing.parquet") if history.newest else None
    if before is not None:
        try:
            earlier = draft.repository.local_copy(before, tables.directory)
        except RepositoryInvalid as error:
            listener(Note(f"{error.message}; what was missing before is not known", level="warning"))
    plans.save_missing(tables, made, snapshot=draft.snapshot, before=earlier)
    draft.save_file("missing.parquet", made)
