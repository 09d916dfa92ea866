"""An open repository: which snapshots it has, and its files as verified local copies."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from lockstep.errors import BucketNotFound, ObjectExists, ObjectNotFound, RepositoryInvalid, RepositoryNotFound
from lockstep.model.snapshots import SnapshotId, SnapshotTime, is_snapshot_id, select_snapshot
from lockstep.objects.store import ObjectStore
from lockstep.repository import layout
from lockstep.repository.manifest import FileEntry, Manifest, manifest_from_bytes
from lockstep.repository.seal import sealed

CHUNK = 1 << 20

_WELCOME = frozenset({"locks", "lost+found"})
"""What may lie at the place of a new repository: who is working already, and what a file system makes in its root."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of this format at a place. Reading it needs no lock."""

    store: ObjectStore
    id: str

    def snapshot_ids(self) -> list[SnapshotId]:
        """The ids of all snapshots, oldest first. What has no manifest is no snapshot."""
        found = (layout.snapshot_of_manifest(info.key) for page in self.store.list(layout.SNAPSHOTS) for info in page)
        return sorted(snapshot for snapshot in found if snapshot is not None)

    def manifest(self, snapshot: SnapshotId) -> Manifest:
        """A snapshot's manifest. Raises RepositoryInvalid when it is damaged, of a newer format or of another repository."""
        return self.manifest_and_checksum(snapshot)[0]

    def manifest_and_checksum(self, snapshot: SnapshotId) -> tuple[Manifest, str]:
        """A snapshot's manifest and the SHA-256 of its file."""
        path = layout.manifest_path(snapshot)
        try:
            data = self.store.read(path).bytes()
        except ObjectNotFound as error:
            raise RepositoryInvalid(f"'{path}' is gone", hint="Run 'lockstep verify' to see what else is damaged.") from error
        manifest = manifest_from_bytes(data, path=path)
        if manifest.repository != self.id:
            raise RepositoryInvalid(f"'{path}' is of another repository", hint="Run 'lockstep verify' to see what else was changed.")
        return manifest, hashlib.sha256(data).hexdigest()

    def manifests(self) -> list[Manifest]:
        """All manifests, oldest first."""
        return [self.manifest(snapshot) for snapshot in self.snapshot_ids()]

    def head(self) -> str | None:
        """The newest snapshot according to `head.json`; None when there is no such file, or nothing that can be read in it."""
        try:
            named = json.loads(self.store.read(layout.HEAD).bytes())["snapshot"]
        except (ObjectNotFound, ValueError, KeyError, TypeError, RecursionError):
            return None
        return named if isinstance(named, str) and is_snapshot_id(named) else None

    def select(self, wanted: str, *, now: datetime, zone: tzinfo) -> Manifest:
        """The manifest of the snapshot that a person means. Raises SnapshotNotFound, or RepositoryInvalid when just that one is damaged."""
        times = [SnapshotTime(snapshot, self._created(snapshot)) for snapshot in self.snapshot_ids()]
        return self.manifest(select_snapshot(wanted, times, now=now, zone=zone))

    def _created(self, snapshot: SnapshotId) -> datetime:
        try:
            return self.manifest(snapshot).created
        except (RepositoryInvalid, ObjectNotFound):  # its name still tells the second
            return datetime.strptime(snapshot[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    def chain(self, manifest: Manifest) -> list[Manifest]:
        """The snapshots whose references must be replayed to get those of this one, oldest (a full list) first."""
        links = [manifest]
        while links[-1].chain_length > 0:
            parent = links[-1].parent
            if parent is None or len(links) > manifest.chain_length:
                raise RepositoryInvalid(f"the chain of references of {manifest.snapshot} has no beginning", hint="Run 'lockstep verify'.")
            links.append(self.manifest(SnapshotId(parent)))
        return links[::-1]

    def local_copy(self, entry: FileEntry, directory: Path) -> Path:
        """A file of the repository in a work directory, under a plain name and checked against its size and SHA-256.

        On a local disk it is a symbolic link, elsewhere a download. Raises RepositoryInvalid when the file is gone or not what the
        manifest says; then nothing is left in the directory.
        """
        target = directory / entry.path.replace("/", "-")
        here = self.store.local_file(entry.path)
        if here is not None:
            blocks: Iterator[bytes] = _blocks(here, entry.path)
            target.unlink(missing_ok=True)
        else:
            blocks = _downloaded(self.store, entry.path, target)
        hashing, size = hashlib.sha256(), 0
        for block in blocks:
            hashing.update(block)
            size += len(block)
        if size != entry.size or hashing.hexdigest() != entry.sha256:
            target.unlink(missing_ok=True)
            raise RepositoryInvalid(
                f"'{entry.path}' is not what its manifest says", hint="Run 'lockstep verify' to see what else is damaged."
            )
        if here is not None:
            target.symlink_to(here)
        return target

    def describe(self, path: str) -> FileEntry:
        """A file of the repository as it is now, for files that no manifest names yet (segments of a killed run)."""
        hashing, size = hashlib.sha256(), 0
        for block in self.store.read(path).chunks(CHUNK):
            hashing.update(block)
            size += len(block)
        return FileEntry(path=path, size=size, sha256=hashing.hexdigest())


def open_repository(store: ObjectStore) -> Repository:
    """Open the repository at a place. Raises RepositoryNotFound, or RepositoryInvalid when it is of a newer format or damaged."""
    try:
        data = store.read(layout.MARKER).bytes()
    except (ObjectNotFound, BucketNotFound) as error:
        if isinstance(error, ObjectNotFound) and looks_used(store):
            raise RepositoryInvalid(
                f"'{store.url}' holds snapshots or objects, but its {layout.MARKER} is gone",
                hint=f"Bring {layout.MARKER} back from a copy of the repository.",
            ) from error
        raise RepositoryNotFound(
            f"there is no repository at '{store.url}'", hint="Name another place with --repo, or make one with 'lockstep backup'."
        ) from error
    try:
        marker = json.loads(data)
        found, identity = marker["format"], str(uuid.UUID(marker["id"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RepositoryInvalid(f"'{store.url}' has a damaged {layout.MARKER}", hint=f"Bring {layout.MARKER} back from a copy.") from error
    if found != layout.FORMAT:
        raise RepositoryInvalid(
            f"the repository '{store.url}' has format {found}, and this lockstep reads format {layout.FORMAT}",
            hint="Use a newer lockstep for this repository.",
        )
    return Repository(store, identity)


def open_or_create(store: ObjectStore, *, now: datetime) -> tuple[Repository, bool]:
    """Open the repository at a place, or make a new one there; the second value says whether it is new.

    A directory is made when it is not there; a bucket is not. Raises RepositoryInvalid where other things lie already.
    """
    try:
        return open_repository(store), False
    except RepositoryNotFound:
        _refuse_strangers(store)
        if store.local_file(layout.MARKER) is not None:
            store.create_bucket()
        marker = {"format": layout.FORMAT, "id": str(uuid.uuid4()), "created": now.astimezone(UTC).isoformat(timespec="seconds")}
        try:
            store.write(layout.MARKER, sealed(marker))
        except ObjectExists:  # made by somebody else meanwhile
            return open_repository(store), False
        store.flush()
        return open_repository(store), True


def _refuse_strangers(store: ObjectStore) -> None:
    try:
        first = next(iter(store.list()), [])
    except BucketNotFound:
        return
    tops = (info.key.partition("/")[0] for info in first)
    stranger = next((top for top in tops if not top.startswith(".") and top not in _WELCOME), None)
    if stranger is not None:
        raise RepositoryInvalid(
            f"'{store.url}' is no repository, and not empty: it holds '{stranger}'",
            hint="Name an empty place, or one that does not exist yet.",
        )


def looks_used(store: ObjectStore) -> bool:
    """True when something lies at a place that only a repository has."""
    try:
        return any(page for prefix in (layout.SNAPSHOTS, layout.OBJECTS, layout.INVENTORY) for page in store.list(prefix))
    except BucketNotFound:
        return False


def _blocks(path: Path, shown: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(CHUNK):
                yield block
    except OSError as error:
        raise RepositoryInvalid(
            f"'{shown}' cannot be read: {error.strerror}", hint="Run 'lockstep verify' to see what else is damaged."
        ) from error


def _downloaded(store: ObjectStore, path: str, target: Path) -> Iterator[bytes]:
    try:
        body = store.read(path)
    except ObjectNotFound as error:
        raise RepositoryInvalid(f"'{path}' is gone", hint="Run 'lockstep verify' to see what else is damaged.") from error
    with target.open("wb") as file:
        for block in body.chunks(CHUNK):
            file.write(block)
            yield block
