"""A snapshot in the making: its files, checksummed on the way, and the one act that makes it exist."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from lockstep.encryption.streams import encrypted
from lockstep.errors import LockstepError, PermissionMissing
from lockstep.model.snapshots import SnapshotId, is_snapshot_id
from lockstep.progress import Listener, Note
from lockstep.repository import layout
from lockstep.repository.hashed import Hashed
from lockstep.repository.local_copies import CHUNK
from lockstep.repository.locks import WriterLock
from lockstep.repository.manifest import FileEntry, Manifest, PlainRecord
from lockstep.repository.private import make_private_directory
from lockstep.repository.readers import forget_dead_gate, forget_dead_readers
from lockstep.repository.repository import Repository
from lockstep.repository.trust import save_signature
from lockstep.steps import step

_READABLE = frozenset({"references.parquet"})
"""Files that are never encrypted: without them the next backup could not tell what is new, and it holds no identity."""

_GUESSABLE = frozenset({"missing.parquet"})
"""Files whose contents somebody could guess who reads the others: no checksum of their plain bytes is kept."""


@dataclass(slots=True)
class Draft:
    """Files of a snapshot that does not exist yet. Until `commit` nobody sees it; a `with` that ends without one removes it.

    They are encrypted where the repository's keys name recipients.
    """

    repository: Repository
    snapshot: SnapshotId
    lock: WriterLock
    files: list[FileEntry] = field(default_factory=list)
    committed: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if not self.committed:
            self.abandon()

    def save_stream(self, name: str, chunks: Iterable[bytes]) -> FileEntry:
        """Store bytes of any length as a file of the snapshot; nothing is kept when `chunks` raises."""
        path, stored = f"{layout.snapshot_directory(self.snapshot)}{name}", Hashed()
        recipients = () if name in _READABLE else self.repository.keyring.recipients
        if not recipients:
            self.repository.store.write_stream(path, stored.passing(chunks))
            entry = FileEntry(path=path, size=stored.size, sha256=stored.sha256)
        else:
            path, plain = path + layout.ENCRYPTED, Hashed()
            self.repository.store.write_stream(path, stored.passing(encrypted(plain.passing(chunks), recipients)))
            told = PlainRecord(size=plain.size, sha256=None if name in _GUESSABLE else plain.sha256)
            entry = FileEntry(path=path, size=stored.size, sha256=stored.sha256, plain=told)
        self.files.append(entry)
        return entry

    def save_file(self, name: str, made: Path) -> FileEntry:
        """Store a file of the work directory as a file of the snapshot; the original goes."""
        with made.open("rb") as file:
            entry = self.save_stream(name, iter(lambda: file.read(CHUNK), b""))
        made.unlink()
        return entry

    def save_directory(self, name: str, fill: Callable[[Path], None], *, work: Path) -> list[FileEntry]:
        """Store as a directory of the snapshot what `fill` puts into a directory that it makes itself.

        In a repository on a local disk it is filled in place; elsewhere, and where files are encrypted, below `work` and then stored.
        """
        prefix = f"{layout.snapshot_directory(self.snapshot)}{name}/"
        here = None if self.repository.keyring.recipients else self.repository.store.local_file(f"{prefix}toc.dat")
        made = here.parent if here else work / name
        make_private_directory(made.parent)
        fill(made)
        found = [(path.relative_to(made).as_posix(), path) for path in sorted(made.rglob("*")) if path.is_file()]
        if here is None:
            return [self.save_file(f"{name}/{relative}", path) for relative, path in found]
        made.chmod(0o700)
        for _, path in found:
            path.chmod(0o600)
        entries = [self.repository.describe(prefix + relative) for relative, _ in found]
        self.files += entries
        return entries

    def commit(self, manifest: Manifest, *, replaced: Sequence[str] = ()) -> None:
        """Make the snapshot exist: everything durable, then the manifest, then `head.json`; then delete the replaced segments.

        Raises RepositoryLocked when another writer took over meanwhile; then the snapshot does not exist.
        """
        store = self.repository.store
        key = self.repository.keyring.signing_key
        data = manifest.model_copy(update={"signed_by": key.public if key else None}).as_bytes()
        save_signature(store, layout.manifest_path(self.snapshot), data)  # first, so that no snapshot is there without
        step("commit.signed")
        if manifest.previous is None:
            self.lock.check()
            self.repository.begin_head()
        store.flush()  # what the manifest names must outlast it
        self.lock.check()
        step("commit.durable")
        store.write(layout.manifest_path(self.snapshot), data)
        step("commit.manifest")
        self.lock.check()  # whoever was suspended since the last look may have lost its files to another writer: then it takes this back
        self.committed = True
        store.flush()
        self.repository.write_head(self.snapshot, hashlib.sha256(data).hexdigest())
        step("commit.head")
        with suppress(PermissionMissing):  # who may only add leaves them to the next prune
            store.delete(replaced)
        store.flush()
        step("commit.done")

    def abandon(self) -> None:
        """Remove the files of a snapshot that will not exist. What cannot be removed now, the next writer reclaims.

        The manifest goes first: it may be there although nobody was told so (the answer was lost, a signal came), and without its files
        it would be a damaged snapshot.
        """
        with suppress(LockstepError):
            self.repository.store.delete([layout.manifest_path(self.snapshot)])
            step("draft.hidden")
            remove_below(self.repository, layout.snapshot_directory(self.snapshot))


def reclaim(repository: Repository, *, listener: Listener) -> int:
    """Remove the files of snapshots that never came to exist, and those that never got their names. Only for the writer.

    A snapshot that `head.json` or a later manifest names did exist: when its manifest is gone, what is left of it stays, unless the record
    says that it was to be removed. Returns how many snapshots were removed.
    """
    work = repository.store.local_file(f"{layout.WORK}/any")
    if work is not None:
        shutil.rmtree(work.parent, ignore_errors=True)
    forget_dead_readers(repository.store)
    forget_dead_gate(repository.store)
    removed = set(repository.bridges().removed)
    committed, seen = set(repository.snapshot_ids()), set()
    for page in repository.store.list(layout.SNAPSHOTS):
        seen |= {name for name in (info.key.split("/")[1] for info in page) if is_snapshot_id(name)}
    # A listing that leaves a manifest out must not cost a snapshot: each is asked for before anything of it goes.
    half_made = {name for name in seen - committed if name in removed or not repository.has_manifest(SnapshotId(name))}
    bereft = half_made & {repository.head(), *_predecessors(repository)} - removed if half_made - removed else set()
    for name in sorted(bereft):
        listener(Note(f"the snapshot {name} has lost its manifest; its other files are left alone", level="warning"))
    for name in sorted(half_made - bereft):
        try:
            repository.store.delete([layout.manifest_path(SnapshotId(name))])  # of a pruned one: it must not outlast its dump
            remove_below(repository, f"{layout.SNAPSHOTS}{name}/")
        except PermissionMissing:
            listener(Note(f"what a stopped run left of {name} stays, since nothing may be deleted there", fields={"snapshot": name}))
        else:
            listener(Note(f"removed what a stopped run left of {name}", fields={"snapshot": name}))
    step("reclaim.done")
    return len(half_made - bereft)


def remove_below(repository: Repository, prefix: str) -> None:
    """Delete every file of the repository whose path starts with `prefix`."""
    for page in list(repository.store.list(prefix)):
        repository.store.delete([info.key for info in page])


def _predecessors(repository: Repository) -> set[str]:
    return {each.previous.snapshot for each in repository.manifests() if each.previous is not None}
