"""An open repository: which snapshots it has, and its files as verified local copies."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from lockstep.encryption.keyring import Keyring
from lockstep.errors import (
    BucketNotFound,
    ObjectExists,
    ObjectNotFound,
    RepositoryInvalid,
    RepositoryNotFound,
)
from lockstep.model.objects import is_md5
from lockstep.model.snapshots import DamagedSnapshot, SnapshotId, SnapshotTime, is_snapshot_id, select_snapshot
from lockstep.objects.doubt import Doubt
from lockstep.objects.known import known, read_known
from lockstep.objects.store import ObjectStore
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges, bridges_path, link_of, read_bridges
from lockstep.repository.keyed_store import keyring_of
from lockstep.repository.local_copies import CHUNK, local_copy
from lockstep.repository.manifest import EncryptionRecord, FileEntry, Manifest
from lockstep.repository.manifests import read_manifest
from lockstep.repository.seal import is_sealed, sealed
from lockstep.repository.trust import check_bridges, check_manifest, untrusted, why_untrusted
from lockstep.steps import step

_WELCOME = frozenset({"locks", "lost+found"})
"""What may lie at the place of a new repository: who is working already, and what a file system makes in its root."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of this format at a place. Reading it needs no lock."""

    store: ObjectStore
    id: str

    @property
    def keyring(self) -> Keyring:
        """The keys that came with its place."""
        return keyring_of(self.store)

    def encryption(self) -> EncryptionRecord | None:
        """How what is written now is encrypted; None when it is plain."""
        keyring = self.keyring
        return EncryptionRecord(recipients=keyring.recipients, objects=keyring.encrypt_objects) if keyring.recipients else None

    def snapshot_ids(self) -> list[SnapshotId]:
        """The ids of all snapshots, oldest first. What has no manifest is no snapshot, nor is what the record says was removed.

        The listing of an object store may leave something out; the newest snapshot, which `head.json` names, is asked for then.
        """
        found = {layout.snapshot_of_manifest(info.key) for page in self.store.list(layout.SNAPSHOTS) for info in page}
        removed = self.bridges().removed
        listed = {snapshot for snapshot in found if snapshot is not None and snapshot not in removed}
        head = None if self.is_local else self.head()
        if head is not None and head not in listed and head not in removed and self.has_manifest(SnapshotId(head)):
            listed.add(SnapshotId(head))
        return sorted(listed)

    def bridges(self) -> Bridges:
        """What the snapshots need to know of those that are no more. A damaged record counts as none.

        Raises SignatureInvalid when keys ask for a signature and none vouches for it.
        """
        while True:
            found = read_bridges(self.store)
            if not self.keyring.verify_keys or not found.number or found.damaged:
                return found
            with suppress(ObjectNotFound):  # a newer one has replaced it
                check_bridges(self.store, found)
                return found

    @property
    def is_local(self) -> bool:
        """True on a local disk, whose listings leave nothing out."""
        return self.store.local_file(layout.MARKER) is not None

    def has_manifest(self, snapshot: SnapshotId) -> bool:
        """True when the snapshot exists, whatever a listing says."""
        return self.holds(layout.manifest_path(snapshot))

    def holds(self, path: str) -> bool:
        """True when the file is there, whatever a listing says."""
        try:
            known(self.store, path, lambda: self.store.head(path))
        except ObjectNotFound:
            return False
        return True

    def manifest(self, snapshot: SnapshotId) -> Manifest:
        """A snapshot's manifest. Raises RepositoryInvalid when it is damaged, of a newer format or of another repository.

        Where keys ask for signatures it raises SignatureInvalid when none of them vouches for it.
        """
        return self.manifest_and_checksum(snapshot)[0]

    def manifest_and_checksum(self, snapshot: SnapshotId) -> tuple[Manifest, str]:
        """A snapshot's manifest and the SHA-256 of its file."""
        manifest, data = self._read_manifest(snapshot)
        return manifest, hashlib.sha256(data).hexdigest()

    def _read_manifest(self, snapshot: SnapshotId) -> tuple[Manifest, bytes]:
        manifest, data = read_manifest(self.store, snapshot, repository=self.id)
        if self.keyring.verify_keys:
            check_manifest(self.store, manifest, data, ids=self.snapshot_ids(), bridges=self.bridges())
        return manifest, data

    def manifests(self) -> list[Manifest]:
        """All manifests, oldest first."""
        return [self.manifest(snapshot) for snapshot in self.snapshot_ids()]

    def require_signature(self, snapshot: SnapshotId) -> None:
        """Raise SignatureInvalid when keys ask for a signature and the snapshot has none of its own that counts."""
        why = why_untrusted(self.store, layout.manifest_path(snapshot), self._read_manifest(snapshot)[1])
        if why is not None:
            raise untrusted(layout.manifest_path(snapshot), why)

    def survey(self) -> tuple[list[Manifest], list[DamagedSnapshot]]:
        """The manifests that can be read, and what is wrong with others, both oldest first.

        One that reads well and is not what its own checksum says is in both.
        """
        readable, damaged = [], []
        for snapshot in self.snapshot_ids():
            path = layout.manifest_path(snapshot)
            try:
                manifest, data = self._read_manifest(snapshot)
            except RepositoryInvalid as error:
                damaged.append(DamagedSnapshot(snapshot, path, error.message))
                continue
            readable.append(manifest)
            if not is_sealed(data):
                damaged.append(DamagedSnapshot(snapshot, path, f"'{path}' is not what its own checksum says"))
        return readable, damaged

    def head(self) -> str | None:
        """The newest snapshot according to `head.json`; None when there is no such file, or nothing that can be read in it."""
        try:
            named = json.loads(self.store.read(layout.HEAD).bytes())["snapshot"]
        except (ObjectNotFound, ValueError, KeyError, TypeError, RecursionError):
            return None
        return named if isinstance(named, str) and is_snapshot_id(named) else None

    def select(self, wanted: str, *, now: datetime, zone: tzinfo) -> Manifest:
        """The manifest of the snapshot that a person means. Raises SnapshotNotFound, or RepositoryInvalid when just that one is damaged."""
        times = [self._time(snapshot) for snapshot in self.snapshot_ids()]
        return self.manifest(select_snapshot(wanted, times, now=now, zone=zone))

    def _time(self, snapshot: SnapshotId) -> SnapshotTime:
        try:
            manifest = self.manifest(snapshot)
        except RepositoryInvalid:  # its name still tells the second
            return SnapshotTime(snapshot, datetime.strptime(snapshot[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
        return SnapshotTime(snapshot, manifest.created, manifest.late)

    def write_head(self, snapshot: SnapshotId, sha256: str) -> None:
        """Name the newest snapshot, and the record of what was removed, so that it is missed when one of them goes."""
        number = self.bridges().number
        record = {"bridges": bridges_path(number)} if number else {}
        self.store.write(layout.HEAD, sealed({"snapshot": snapshot, "sha256": sha256, **record}), overwrite=True)

    def begin_head(self) -> None:
        """Write a head that names nothing yet, so that there is one from before the first manifest, and none is a finding ever after."""
        with suppress(ObjectExists):
            self.store.write(layout.HEAD, sealed({"snapshot": None, "sha256": None}))

    def chain(self, manifest: Manifest) -> list[FileEntry]:
        """The files that must be replayed to get the references of a snapshot, oldest (a full list) first. Raises RepositoryInvalid."""
        return [entry for _, entry in self.chain_by_snapshot(manifest)]

    def chain_by_snapshot(self, manifest: Manifest) -> list[tuple[SnapshotId, FileEntry]]:
        """The same, each file with the snapshot whose references it leads to."""
        bridges, files = self.bridges(), []
        while True:
            link = link_of(manifest, bridges)
            if link.references is None:
                raise RepositoryInvalid(f"the manifest of {link.snapshot} names no references", hint="Run 'lockstep verify'.")
            files.append((link.snapshot, link.references))
            if link.parent is None:
                return files[::-1]
            manifest = self.manifest(link.parent)

    def local_copy(self, entry: FileEntry, directory: Path) -> Path:
        """A file of the repository in a work directory, under a plain name, checked against its size and SHA-256, and decrypted.

        Where nothing is to be decrypted on a local disk it is a symbolic link, else a new file. Raises RepositoryInvalid when the file is
        gone or not what the manifest says, IdentityNeeded; then nothing is left in the directory.
        """
        return local_copy(self.store, entry, directory)

    def save_made(self, made: Path, path: str) -> FileEntry:
        """Store a file of the work directory at a path, over what a killed run may have left there; the original goes."""
        with made.open("rb") as file:
            self.store.write_stream(path, iter(lambda: file.read(CHUNK), b""), overwrite=True)
        made.unlink()
        return self.describe(path)

    def describe(self, path: str) -> FileEntry:
        """A file of the repository as it is now, for files that no manifest names yet (segments of a killed run)."""
        doubt = Doubt()
        while True:
            body = self.store.read(path)
            sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
            for block in body.chunks(CHUNK):
                sha256.update(block)
                md5.update(block)
                size += len(block)
            digest, etag = sha256.hexdigest(), body.info.etag
            # What is recorded here is what the file is held against for ever, so the way must not have changed it.
            if self.is_local or (is_md5(etag) and md5.hexdigest() == etag) or doubt.is_settled(digest):
                return FileEntry(path=path, size=size, sha256=digest)


def open_repository(store: ObjectStore) -> Repository:
    """Open the repository at a place. Raises RepositoryNotFound, or RepositoryInvalid when it is of a newer format or damaged."""
    try:
        data = read_known(store, layout.MARKER).bytes()
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
        refuse_strangers(store)
        if store.local_file(layout.MARKER) is not None:
            store.create_bucket()
        marker = {"format": layout.FORMAT, "id": str(uuid.uuid4()), "created": now.astimezone(UTC).isoformat(timespec="seconds")}
        try:
            store.write(layout.MARKER, sealed(marker))
        except ObjectExists:  # made by somebody else meanwhile
            return open_repository(store), False
        step("repository.marked")
        store.flush()
        return open_repository(store), True


def looks_used(store: ObjectStore) -> bool:
    """True when something lies at a place that only a repository has."""
    try:
        return any(page for prefix in (layout.SNAPSHOTS, *layout.POOL, layout.INVENTORY) for page in store.list(prefix))
    except BucketNotFound:
        return False


def refuse_strangers(store: ObjectStore) -> None:
    """Raise RepositoryInvalid when other things lie at a place, so that no repository is made among them."""
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
