"""Reading a repository: its snapshots, what one references and what it lacks. No lock is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path

from lockstep.model.inventory import MissingObject
from lockstep.model.results import SnapshotObject
from lockstep.model.snapshots import DamagedSnapshot, SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.operations.verify_record import read_record, when_sound
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT, Listener, Note
from lockstep.repository.copies import known_copies
from lockstep.repository.drills import last_proven
from lockstep.repository.history import readable_segments
from lockstep.repository.manifest import Manifest
from lockstep.repository.repository import Repository, open_repository
from lockstep.tables import inventory, plans, references
from lockstep.tables.engine import Tables


def list_snapshots(store: ObjectStore) -> list[Manifest]:
    """All snapshots whose manifests can be read, oldest first (may be empty). Raises RepositoryNotFound, RepositoryInvalid."""
    return survey_snapshots(store)[0]


def survey_snapshots(store: ObjectStore) -> tuple[list[Manifest], list[DamagedSnapshot]]:
    """The same, and the snapshots whose manifests are damaged. Raises RepositoryNotFound, RepositoryInvalid."""
    return open_repository(store).survey()


def find_snapshot(
    store: ObjectStore, wanted: str, *, now: datetime, zone: tzinfo, to_look_at: bool = False, listener: Listener = SILENT
) -> Manifest:
    """The snapshot that a person means. Raises RepositoryNotFound, SnapshotNotFound, RepositoryInvalid.

    Where keys ask for signatures it must have one of its own, unless it is only `to_look_at`: else SignatureInvalid. Whoever means the
    latest is told when the repository had a later one, whose manifest is gone.
    """
    repository = open_repository(store)
    manifest = repository.select(wanted, now=now, zone=zone)
    if not to_look_at:
        repository.require_signature(SnapshotId(manifest.snapshot))
    head = repository.head() if wanted == "latest" else None
    if head is not None and head > manifest.snapshot and head not in repository.bridges().removed:
        listener(Note(f"the newest snapshot {head} has lost its manifest: {manifest.snapshot} is the latest that is left", level="warning"))
    return manifest


def when_proven(store: ObjectStore, *, snapshot: str | None = None) -> dict[str, datetime]:
    """When each snapshot (or the one named) was last proven by a green drill; those that never were are not in it."""
    return last_proven(store, snapshot=snapshot)


def where_else(store: ObjectStore) -> dict[str, list[str]]:
    """The places where each snapshot is known to be too; those known to be nowhere else are not in it."""
    return known_copies(store)


def when_verified(store: ObjectStore) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """When each snapshot was last verified without a finding: its files and the sizes of its objects, and every byte of these too.

    Snapshots that never were are not in it. A partial reading counts for the sizes alone. Raises RepositoryNotFound, RepositoryInvalid.
    """
    record, _ = read_record(store, open_repository(store).id)
    return when_sound(record, "sizes"), when_sound(record, "data")


@contextmanager
def missing_of(store: ObjectStore, manifest: Manifest, *, temporary: Path | None = None) -> Iterator[Iterator[MissingObject]]:
    """The objects that a snapshot references and does not have, sorted by store and key; to be read inside the block."""
    with work_directory(temporary) as work:
        entry = manifest.file("missing.parquet")
        if entry is None:
            yield iter(())
            return
        tables = Tables(work)
        try:
            yield plans.load_missing(tables, open_repository(store).local_copy(entry, work))
        finally:
            tables.close()


@contextmanager
def objects_of(store: ObjectStore, manifest: Manifest, *, temporary: Path | None = None) -> Iterator[Iterator[SnapshotObject]]:
    """The objects that a snapshot references, sorted by store and key; to be read inside the block."""
    repository = open_repository(store)
    with work_directory(temporary) as work:
        tables = Tables(work)
        try:
            load_references(repository, manifest, tables, work)
            inventory.versions_at(tables, manifest.snapshot, wanted="named", into="held")
            rows = tables.rows(
                """
                SELECT n.store, n.key, coalesce(n.size, h.size), h.sha256
                FROM named AS n LEFT JOIN held AS h USING (store, key) ORDER BY n.store, n.key
                """
            )
            yield (SnapshotObject(*row) for row in rows)
        finally:
            tables.close()


def load_references(repository: Repository, manifest: Manifest, tables: Tables, work: Path) -> None:
    """Fill the table `named` with the references of a snapshot, and make the view `inventory`.

    Raises RepositoryInvalid when a file that they need is gone or not what its manifest says.
    """
    chain = [repository.local_copy(entry, work) for entry in repository.chain(manifest)]
    references.replay(tables, chain, into="named")
    inventory.create(tables, readable_segments(repository, work))
