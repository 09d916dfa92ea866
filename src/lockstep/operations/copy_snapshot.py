"""One snapshot after the other, oldest first, into a mirror: objects, inventory, dump, record, and the manifest last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lockstep.errors import Cancelled, ConfigurationError, IdentityNeeded, RepositoryInvalid, RepositoryLocked
from lockstep.model.findings import Fault, Finding
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.checksums import Checker
from lockstep.objects.retry import PATIENT, retrying
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.carrying import Spoilt, carry, is_there
from lockstep.operations.copy_objects import ObjectsCopy
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges, Fold, link_of
from lockstep.repository.locks import WriterLock
from lockstep.repository.manifest import FileEntry, Manifest
from lockstep.repository.mirror import bridged_previous, changed_bridges, commit_bridges, copy_signature
from lockstep.repository.repository import Repository
from lockstep.steps import step
from lockstep.tables import copies, references, restores
from lockstep.tables.engine import Tables

STAGE = "files"


class _Unusable(Exception):
    """A snapshot cannot be copied: something that it cannot be without is not what it was."""

    def __init__(self, path: str, fault: Fault) -> None:
        super().__init__(path)
        self.path, self.fault = path, fault


@dataclass(slots=True)
class SnapshotCopy:
    """Copies snapshots; `present` grows with them, and `copied` has their ids.

    `named` are the segments of the source's inventory that count, `newest` is the last id that the source ever gave, `bridges` the mirror's
    record; `renewed` are snapshots whose manifests are damaged in the mirror.
    """

    source: Repository
    target: Repository
    present: dict[SnapshotId, str]
    renewed: frozenset[SnapshotId]
    named: Mapping[str, FileEntry]
    newest: str
    bridges: Bridges
    objects: ObjectsCopy
    tables: Tables
    lock: WriterLock
    limits: TransferLimits
    stop: Stop
    listener: Listener
    copied: list[str] = field(default_factory=list)
    files_bytes: int = 0
    _touched: dict[str, set[str]] = field(default_factory=dict)
    _findings: list[Finding] = field(default_factory=list)

    def copy_all(self, wanted: Sequence[Manifest]) -> None:
        """Copy what the mirror does not have, oldest first, and bring back what it lost of what it has."""
        whole = copies.count_lost(self.tables) == 0
        for manifest in wanted:
            if manifest.snapshot in self.bridges.removed:
                self.listener(Note(f"{manifest.snapshot} was pruned from the mirror, and is not copied again"))
                continue
            if whole and manifest.snapshot in self.present:
                continue
            try:
                self._copy(manifest)
            except _Unusable as error:
                self._findings.append(Finding(error.fault.kind, error.path, None, (manifest.snapshot,), error.fault.detail))
                self.listener(Note(f"{manifest.snapshot} is not copied: '{error.path}' {error.fault.detail}", level="warning"))

    def findings(self) -> list[Finding]:
        """What is wrong in the source."""
        objects = [
            Finding(each.fault.kind, path, each.entry.key, tuple(sorted(self._touched.get(path, ()))), each.fault.detail, each.entry.store)
            for path, each in self.objects.faults.items()
        ]
        return [*self._findings, *objects]

    def _copy(self, manifest: Manifest) -> None:
        snapshot = SnapshotId(manifest.snapshot)
        own = [entry for entry in manifest.inventory if entry.path in self.named]
        self._plan(manifest, own)
        self.objects.copy()
        step("copy.objects")
        for path in copies.faulty_of_snapshot(self.tables):
            self._touched.setdefault(path, set()).add(snapshot)
        self._tick()
        if snapshot in self.present:
            self._keep_in_step()
            return
        self.listener(StageStarted(STAGE, total=len(manifest.files), unit="steps"))
        for entry in (*manifest.files, *own):
            self._carry(entry)
            step("copy.file")
        self.listener(StageEnded(STAGE))
        self._save_record(manifest, own)
        step("copy.recorded")
        self._commit(snapshot)
        copies.add_mirrored(self.tables, [self._local(entry) for entry in own])

    def _plan(self, manifest: Manifest, own: Sequence[FileEntry]) -> None:
        """Fill the tables with what the snapshot references, and with what its own segments of the inventory name."""
        try:
            chain = self.source.chain(manifest)
        except RepositoryInvalid as error:
            path = f"{layout.snapshot_directory(SnapshotId(manifest.snapshot))}references.parquet"
            raise _Unusable(path, Fault("damaged", f"leads nowhere: {error.message}")) from error
        references.replay(self.tables, [self._local(entry) for entry in chain], into="named")
        missing = self._missing(manifest)
        restores.plan_restorable(self.tables, snapshot=manifest.snapshot, references="named", missing=missing, prefix="")
        copies.plan_snapshot(self.tables, [self._local(entry) for entry in own])
        self._find_lost(manifest, told=missing is not None or manifest.file("missing.parquet") is None)

    def _missing(self, manifest: Manifest) -> Path | None:
        entry = manifest.file("missing.parquet")
        try:
            return self._local(entry) if entry else None
        except IdentityNeeded:  # how many there are the manifest says
            return None

    def _find_lost(self, manifest: Manifest, *, told: bool) -> None:
        """What a snapshot references and no inventory of the source has, beyond what it says itself."""
        expected = 0 if told else manifest.objects.missing + manifest.objects.mismatched
        lost = [each for each in restores.unrestorable(self.tables) if each.why == "lost" and each.since is None]
        for each in lost if len(lost) > expected else ():
            path = layout.own_path(each.store, each.key)
            self._findings.append(Finding("missing", path, each.key, (manifest.snapshot,), "is in no inventory", each.store))

    def _carry(self, entry: FileEntry, path: str | None = None) -> None:
        source, target, path = self.source.store, self.target.store, path or entry.path
        if is_there(target, path, size=entry.size, sha256=entry.sha256, limits=self.limits):
            return
        opened = partial(source.read, entry.path)
        send = partial(carry, opened, target, path, size=entry.size, sha256=entry.sha256, limits=self.limits)
        try:
            retrying(send, policy=PATIENT, on_retry=self._on_retry, stop=self.stop)
        except Spoilt as error:
            raise _Unusable(entry.path, error.fault) from error
        self.files_bytes += entry.size
        self.listener(StageAdvanced(STAGE, done=1, size_bytes=entry.size))
        self._tick()

    def _on_retry(self, error: Exception, delay: float) -> None:
        self.source.store.requests.add("retried")
        self.listener(Note(f"{error}; trying again in {delay:.1f} s", level="debug"))

    def _save_record(self, manifest: Manifest, own: Sequence[FileEntry]) -> None:
        """Bridge what the mirror does not have of what the snapshot builds on, before the snapshot is there."""
        snapshot, old = SnapshotId(manifest.snapshot), self.bridges
        number = old.number + 1
        changes: dict[str, object] = {}
        needed, bridge = bridged_previous(snapshot, manifest, self.present)
        if needed:
            changes["previous"] = {**old.previous, snapshot: bridge}
        fold = self._fold(manifest, number)
        if fold is not None:
            changes["folds"] = {**old.folds, snapshot: fold}
        gathered = self._gather(number)
        if gathered is not None:
            changes["segments"] = (*old.segments, gathered)
        kept = {entry.path for entry in own}
        replaced = tuple(entry.path for entry in manifest.inventory if entry.path not in kept)
        if replaced:
            changes["replaced"] = (*old.replaced, *replaced)
        if changes:
            if manifest.signed_by is not None and not (self.target.keyring.signing_key or self.target.keyring.allow_unsigned):
                raise ConfigurationError(
                    f"the mirror needs a record for {snapshot}, which is signed, and no key is named to sign it",
                    hint="Name it with --sign-with, or add --allow-unsigned.",
                )
            newest = max(old.newest or "", self.newest)
            self._write_record(changed_bridges(old, self.target.id, newest=newest, **changes))

    def _write_record(self, bridges: Bridges) -> None:
        self.lock.check()
        commit_bridges(self.target, bridges, self.lock)
        self.bridges = bridges

    def _fold(self, manifest: Manifest, number: int) -> Fold | None:
        """References that need no snapshot that the mirror does not have; None when the snapshot's own do."""
        if manifest.chain_length == 0 or manifest.parent in self.present:
            return None
        link = link_of(manifest, self.source.bridges())
        path = layout.folded_path(SnapshotId(manifest.snapshot), number)
        if link.references is not None and (link.parent is None or link.parent in self.present):
            self._carry(link.references, path)
            return Fold(references=link.references.model_copy(update={"path": path}), parent=link.parent)
        made = self.tables.directory / "folded.parquet"
        copies.save_references(self.tables, made, table="named")
        return Fold(references=self._save(made, path))

    def _gather(self, number: int) -> FileEntry | None:
        """A segment with what the snapshot needs and no inventory of the mirror has; None when all is there."""
        made = self.tables.directory / "gathered.parquet"
        if not copies.save_unrecorded(self.tables, made):
            return None
        copies.add_mirrored(self.tables, [made])
        return self._save(made, layout.gathered_path(number))

    def _keep_in_step(self) -> None:
        """Of a snapshot that is there: rows that the mirror's inventory lost count again."""
        gathered = self._gather(self.bridges.number + 1)
        if gathered is not None:
            changes = {"segments": (*self.bridges.segments, gathered)}
            self._write_record(changed_bridges(self.bridges, self.target.id, **changes))

    def _save(self, made: Path, path: str) -> FileEntry:
        self.lock.check()  # the name is that of the record to come, which another writer may have written by now
        entry = self.target.save_made(made, path)
        self.files_bytes += entry.size
        return entry

    def _commit(self, snapshot: SnapshotId) -> None:
        """Make the snapshot exist in the mirror: everything durable, then its manifest, byte for byte, then the head."""
        store, path = self.target.store, layout.manifest_path(snapshot)
        data = self.source.store.read(path).bytes()
        copy_signature(self.source, self.target, snapshot)  # first, so that no snapshot is there without
        step("copy.signed")
        if not self.present:
            self.target.begin_head()
        store.flush()
        self.lock.check()
        step("copy.durable")
        store.write(path, data, overwrite=snapshot in self.renewed)
        step("copy.manifest")
        self._take_back_when_lost(snapshot)
        store.flush()
        self.present[snapshot] = self.target.manifest_and_checksum(snapshot)[1]
        newest = max(self.present)
        self.target.write_head(newest, self.present[newest])
        self.copied.append(snapshot)

    def _take_back_when_lost(self, snapshot: SnapshotId) -> None:
        """Whoever was suspended between the last look at the lock and the manifest may have lost its files to another writer."""
        try:
            self.lock.check()
        except RepositoryLocked:
            if snapshot not in self.renewed:  # that one was there before, whoever wrote it
                self.target.store.delete([layout.manifest_path(snapshot)])
            raise

    def _local(self, entry: FileEntry) -> Path:
        try:
            return self.source.local_copy(entry, self.tables.directory / "source")
        except RepositoryInvalid as error:
            fault = Checker(self.source.store).read(entry.path, entry.size, entry.sha256)
            raise _Unusable(entry.path, fault or Fault("unreadable", error.message)) from error

    def _tick(self) -> None:
        if self.stop.is_set():
            raise Cancelled(2)
