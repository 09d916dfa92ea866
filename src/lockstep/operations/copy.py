"""Copy a repository, or some of its snapshots, to another place: the same identity, the same manifests, only what is not there travels."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from lockstep.errors import Cancelled
from lockstep.model.copy import CopyResult
from lockstep.model.findings import Finding
from lockstep.model.snapshots import SnapshotId, SnapshotTime, select_snapshot
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.copy_objects import ObjectsCopy
from lockstep.operations.copy_snapshot import SnapshotCopy
from lockstep.operations.locking import begin_locking
from lockstep.operations.mirror_locks import lock_mirror
from lockstep.operations.preconditions import refuse_unlockable, refuse_unlocked
from lockstep.operations.service_copies import service_copies
from lockstep.operations.together import Together
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT, Listener, Note
from lockstep.repository.bridges import named_segments
from lockstep.repository.copies import save_copies
from lockstep.repository.draft import reclaim
from lockstep.repository.history import readable_segments
from lockstep.repository.layout import manifest_path
from lockstep.repository.locks import WriterLock, writer_lock
from lockstep.repository.manifest import Manifest
from lockstep.repository.mirror import bridged_previous, changed_bridges, commit_bridges, copy_signature, open_mirror, refuse_diverged
from lockstep.repository.readers import reading
from lockstep.repository.repository import Repository, open_repository
from lockstep.repository.seal import is_sealed
from lockstep.steps import step
from lockstep.tables import copies, inventory
from lockstep.tables.engine import Tables


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """What the operator can choose. Without `snapshots` it is all of them.

    `server_side_copy`: whether the S3 service may copy by itself (None: where it tells a SHA-256).
    """

    snapshots: tuple[str, ...] = ()
    limits: TransferLimits = field(default_factory=TransferLimits)
    temporary: Path | None = None
    server_side_copy: bool | None = None


def copy(
    source_store: ObjectStore,
    target_store: ObjectStore,
    *,
    options: CopyOptions | None = None,
    now: datetime,
    zone: tzinfo,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> CopyResult:
    """Make the place of `target_store` a mirror of a repository, or go on with one.

    What is damaged in the source is a finding and is not copied. Raises RepositoryNotFound, SnapshotNotFound; TargetRefused when another
    repository is there; LockstepError when the work could not be done: then each snapshot is in the mirror whole or not at all.
    """
    options, stop, started = options or CopyOptions(), stop or Stop(), time.monotonic()
    source = open_repository(source_store)
    with work_directory(options.temporary) as work, reading(source_store, "copy", listener=listener):
        manifests, damaged = source.survey()
        wanted = _wanted(manifests, options, now=now, zone=zone)
        findings = [Finding("damaged", each.path, None, (each.snapshot,), each.why) for each in damaged]
        broken = {each.snapshot for each in damaged}
        target, new = _opened_mirror(source, target_store, listener)
        with writer_lock(target_store, "copy", listener=listener) as lock:
            tables = Tables(work)
            try:
                locking = begin_locking(target, tables, empty=new, listener=listener, stop=stop, limits=options.limits)
                copies = service_copies(source_store, target_store, wanted=options.server_side_copy, listener=listener)
                objects = ObjectsCopy(source_store, target_store, tables, options.limits, stop, listener, copies)
                run = _Run(source, target, manifests, objects, tables, listener, stop)
                run.begin()
                step("copy.begun")
                snapshots = run.snapshots(lock, options.limits)
                with Together(stop) as together:  # in a thread of its own: a signal ends it after the object in hand
                    together.start(
                        lambda: snapshots.copy_all([each for each in wanted if each.snapshot not in broken]), name="copy"
                    ).result()
                step("copy.snapshots")
                run.finish(lock, now=datetime.now(UTC))
                lock_mirror(locking, max(run.present, default=None), changed=bool(snapshots.copied))
            finally:
                tables.close()
    there = [each.snapshot for each in wanted if each.snapshot in run.there]
    gone = [each.snapshot for each in wanted if each.snapshot not in run.there and each.snapshot not in snapshots.copied]
    findings += [*run.findings, *snapshots.findings()]
    return CopyResult(
        repository=source.id,
        source=source_store.url,
        target=target_store.url,
        new=new,
        copied=tuple(snapshots.copied),
        already_there=tuple(there),
        left_out=tuple(gone),
        files_bytes=snapshots.files_bytes,
        objects=objects.total,
        findings=tuple(sorted(findings, key=lambda each: each.path)),
        seconds=time.monotonic() - started,
        locked=locking.result(now) if locking else None,
    )


def _opened_mirror(source: Repository, store: ObjectStore, listener: Listener) -> tuple[Repository, bool]:
    refuse_unlockable(store)
    target, new = open_mirror(source, store)
    refuse_unlocked(target)
    if new:
        listener(Note(f"made a new mirror at {store.url}"))
    return target, new


def _wanted(manifests: Sequence[Manifest], options: CopyOptions, *, now: datetime, zone: tzinfo) -> list[Manifest]:
    if not options.snapshots:
        return list(manifests)
    times = [SnapshotTime(SnapshotId(each.snapshot), each.created, each.late) for each in manifests]
    chosen = {select_snapshot(wanted, times, now=now, zone=zone) for wanted in options.snapshots}
    return [each for each in manifests if each.snapshot in chosen]


@dataclass(slots=True)
class _Run:
    """What comes before and after the snapshots. `present` has those of the mirror, with the SHA-256 of their manifests."""

    source: Repository
    target: Repository
    manifests: Sequence[Manifest]
    objects: ObjectsCopy
    tables: Tables
    listener: Listener
    stop: Stop
    present: dict[SnapshotId, str] = field(default_factory=dict)
    there: frozenset[SnapshotId] = frozenset()
    renewed: set[SnapshotId] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def begin(self) -> None:
        """Read what both have. Raises TargetRefused when the mirror has a history of its own."""
        ids = self.target.snapshot_ids()
        refuse_diverged(self.manifests, self.source.bridges(), ids, url=self.target.store.url)
        for snapshot in ids:
            self._compare(snapshot)
        for name, repository in (("source", self.source), ("mirror", self.target)):
            (self.tables.directory / name).mkdir()
            segments = readable_segments(repository, self.tables.directory / name)
            if name == "source":
                inventory.create(self.tables, segments)
            else:
                copies.begin(self.tables, segments)
        self.objects.list_target()
        self.there = frozenset(self.present)

    def _compare(self, snapshot: SnapshotId) -> None:
        """A manifest that is damaged in the mirror is copied again; two that are whole and differ, nobody can judge here."""
        data = self.target.store.read(manifest_path(snapshot)).bytes()
        known = any(each.snapshot == snapshot for each in self.manifests)
        same = known and self.source.store.read(manifest_path(snapshot)).bytes() == data
        if same:
            copy_signature(self.source, self.target, snapshot)  # brings back one that the mirror lost
        if not same and not is_sealed(data):
            self.listener(Note(f"the manifest of {snapshot} is damaged in the mirror", level="warning"))
            self.renewed.add(snapshot)
            return
        if known and not same:
            why = "is not the same in the repository and in the mirror"
            self.findings.append(Finding("tampered", manifest_path(snapshot), None, (snapshot,), why))
        self.present[snapshot] = hashlib.sha256(data).hexdigest()

    def snapshots(self, lock: WriterLock, limits: TransferLimits) -> SnapshotCopy:
        """What copies the snapshots."""
        bridges = self.source.bridges()
        return SnapshotCopy(
            source=self.source,
            target=self.target,
            present=self.present,
            renewed=frozenset(self.renewed),
            named=named_segments(self.manifests, bridges),
            newest=max(bridges.newest or "", *self.source.snapshot_ids(), ""),
            bridges=self.target.bridges(),
            objects=self.objects,
            tables=self.tables,
            lock=lock,
            limits=limits,
            stop=self.stop,
            listener=self.listener,
        )

    def finish(self, lock: WriterLock, *, now: datetime) -> None:
        """Let the record say what is true of all snapshots that are there now, and write down in both places that there are two."""
        if self.stop.is_set():
            raise Cancelled(2)
        self._correct_bridges(lock)
        if self.present:
            newest = max(self.present)
            self.target.write_head(newest, self.present[newest])
        step("copy.head")
        reclaim(self.target, listener=self.listener)
        save_copies(self.source.store, self.target.store.url, self.present, now=now, listener=self.listener)
        step("copy.told")
        save_copies(self.target.store, self.source.store.url, [each.snapshot for each in self.manifests], now=now, listener=self.listener)

    def _correct_bridges(self, lock: WriterLock) -> None:
        """A snapshot that came between two others is the predecessor of the later one again."""
        bridges, previous = self.target.bridges(), {}
        for snapshot in self.present:
            needed, bridge = bridged_previous(snapshot, self.target.manifest(snapshot), self.present)
            if needed:
                previous[snapshot] = bridge
        if previous != bridges.previous:
            commit_bridges(self.target, changed_bridges(bridges, self.target.id, previous=previous), lock)
