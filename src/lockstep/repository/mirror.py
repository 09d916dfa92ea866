"""Two repositories with one identity: the mirror's place is opened or made, and what its record must say for the snapshots that it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lockstep.errors import ObjectExists, RepositoryLocked, RepositoryNotFound, TargetRefused
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges, bridges_path, record_paths, save_bridges
from lockstep.repository.layout import manifest_path, signature_path
from lockstep.repository.locks import WriterLock
from lockstep.repository.manifest import Manifest, Previous
from lockstep.repository.repository import Repository, open_repository, refuse_strangers
from lockstep.repository.trust import read_signature, save_signature
from lockstep.steps import step


def open_mirror(source: Repository, store: ObjectStore) -> tuple[Repository, bool]:
    """The mirror at a place, made where nothing is; the second value says whether it is new.

    Raises TargetRefused when it is the source itself or another repository, RepositoryInvalid where other things lie.
    """
    _refuse_itself(source, store)
    new = False
    try:
        target = open_repository(store)
    except RepositoryNotFound:
        refuse_strangers(store)
        if store.local_file(layout.MARKER) is not None:
            store.create_bucket()
        try:
            store.write(layout.MARKER, source.store.read(layout.MARKER).bytes())  # the same identity, byte for byte
            new = True
            step("copy.marked")
        except ObjectExists:  # made by somebody else meanwhile
            pass
        store.flush()
        target = open_repository(store)
    if target.id != source.id:
        raise TargetRefused(
            f"'{store.url}' holds another repository", hint="Name an empty place, or one that was filled by copying this repository."
        )
    return target, new


def refuse_diverged(source: Sequence[Manifest], source_bridges: Bridges, target_ids: Collection[str], *, url: str) -> None:
    """Raise TargetRefused when the mirror has snapshots of its own: then it is a mirror no longer, and two histories cannot be one."""
    known = {each.snapshot for each in source} | set(source_bridges.removed)
    known |= {each.previous.snapshot for each in source if each.previous is not None}
    newest_removed = source_bridges.newest or ""
    strangers = sorted(each for each in target_ids if each not in known and each > newest_removed)
    if strangers:
        raise TargetRefused(
            f"'{url}' has the snapshot {strangers[0]}, which is not of this repository: somebody backs up into the mirror",
            hint="Name another place; from then on, back up into one of the two only.",
        )


def bridged_previous(snapshot: SnapshotId, manifest: Manifest, present: Mapping[SnapshotId, str]) -> tuple[bool, Previous | None]:
    """Whether a snapshot needs a bridge among those that are `present` (with the SHA-256 of their manifests), and the bridge."""
    before = max((each for each in present if each < snapshot), default=None)
    said = manifest.previous.snapshot if manifest.previous else None
    if before == said:
        return False, None
    return True, Previous(snapshot=before, sha256=present[before]) if before else None


def changed_bridges(bridges: Bridges, repository: str, **changes: object) -> Bridges:
    """The record that follows another one."""
    base = {"repository": repository, "number": bridges.number + 1, "written": datetime.now(UTC), "damaged": False}
    return bridges.model_copy(update={**base, **changes})


def copy_signature(source: Repository, target: Repository, snapshot: SnapshotId) -> None:
    """Give a snapshot in the mirror the signature that it has in the source, whatever lies there; nothing when it has none."""
    path = manifest_path(snapshot)
    signature = read_signature(source.store, path)
    if signature and signature != read_signature(target.store, path):
        target.store.write(signature_path(path), f"{signature}\n".encode(), overwrite=True)


def commit_bridges(target: Repository, bridges: Bridges, lock: WriterLock) -> None:
    """Make a record count, and delete those before it.

    Raises RepositoryLocked when another writer took over meanwhile; then the record before it counts again.
    """
    save_signature(target.store, bridges_path(bridges.number), bridges.as_bytes())  # first, so that no record is there without
    step("bridges.signed")
    save_bridges(target.store, bridges)
    step("bridges.written")
    try:
        lock.check()
    except RepositoryLocked:
        target.store.delete([bridges_path(bridges.number), signature_path(bridges_path(bridges.number))])
        raise
    older = [path for path in record_paths(target.store) if path != bridges_path(bridges.number)]
    target.store.delete([*older, *map(signature_path, older)])


def _refuse_itself(source: Repository, store: ObjectStore) -> None:
    here, there = source.store.local_file(layout.MARKER), store.local_file(layout.MARKER)
    if here is not None and there is not None:
        one, other = here.parent.resolve(), there.parent.resolve()
        if one == other or one in other.parents or other in one.parents:
            raise TargetRefused(f"'{Path(other)}' and the repository lie in each other", hint="Name another place.")
