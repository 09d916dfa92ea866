"""Prove, with the repository alone, that it is what was written into it. No database and no bucket is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from lockstep.errors import ObjectNotFound, RepositoryInvalid
from lockstep.model.findings import Checked, Depth, Finding
from lockstep.model.results import Requests, WorkersUsed
from lockstep.model.snapshots import SnapshotId, SnapshotTime, select_snapshot
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.counting import as_requests
from lockstep.operations.scale_out import ScaledWork, ScaleOut, scaled_crew
from lockstep.operations.telling import faults_of, telling
from lockstep.operations.verify_files import VerifiedFiles, files_of, refuse_swollen_tables, verify_files
from lockstep.operations.verify_objects import ObjectsVerification, SampleTaken
from lockstep.operations.verify_record import ALL, START, Record, judge_drills, read_record, save_record
from lockstep.operations.verify_references import Derivations, derive_references
from lockstep.operations.verify_structure import Structure, read_structure
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT, Listener, Note
from lockstep.repository import layout
from lockstep.repository.bridges import named_segments
from lockstep.repository.history import may_be_used
from lockstep.repository.readers import reading
from lockstep.repository.repository import Repository
from lockstep.tables import verifications
from lockstep.tables.engine import Tables

FILES_AT_ONCE = 4
"""Dumps and tables that are read at the same time: enough for every disk, and few enough that they are read as long pieces."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What the operator can choose. Without `snapshots` it is the whole repository; `percent` and `scale` are about the depth `data`."""

    snapshots: tuple[str, ...] = ()
    depth: Depth = "sizes"
    percent: float = 100.0
    limits: TransferLimits = field(default_factory=TransferLimits)
    temporary: Path | None = None
    scale: ScaleOut | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at and found. `findings` can be asked as often as one likes, while the block of `verify` lasts.

    `not_derived` says of snapshots why their references could not be derived from their dumps. `requests` are those to the repository,
    and `faults` what they had to overcome, by kind; `workers` who took part, where objects were given to workers.
    """

    checked: Checked
    count: int
    files: tuple[Finding, ...]
    tables: Tables | None
    not_derived: dict[str, str] = field(default_factory=dict)
    requests: Requests = field(default_factory=Requests)
    faults: dict[str, int] = field(default_factory=dict)
    workers: WorkersUsed | None = None

    @property
    def ok(self) -> bool:
        """True when nothing was found."""
        return self.count == 0

    def findings(self) -> Iterator[Finding]:
        """Stream what was found: first files, then objects, each sorted by path."""
        yield from self.files
        if self.tables is not None:
            yield from verifications.findings(self.tables)


@contextmanager
def verify(
    store: ObjectStore,
    *,
    options: VerifyOptions | None = None,
    now: datetime,
    zone: tzinfo,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> Iterator[Verification]:
    """Verify a repository, or some of its snapshots, and record in it what was proved.

    Raises RepositoryNotFound, SnapshotNotFound, WorkersFailed; RepositoryInvalid when it is of a newer format. Whatever else is wrong is
    a finding.
    """
    options, stop = options or VerifyOptions(), stop or Stop()
    scale = options.scale if options.depth == "data" else None
    with (
        scaled_crew(scale, listener) as crew,
        telling([store], listener),
        reading(store, "verify", listener=listener),
        work_directory(options.temporary) as work,
    ):
        structure = read_structure(store, stop=stop)
        chosen = _chosen(structure, options, now=now, zone=zone)
        record, spoilt = read_record(store, structure.repository)
        spoilt += judge_drills(store) if chosen is None else []
        scaled = None
        if crew is not None and scale is not None:
            scaled = ScaledWork(crew, scale, {}, store, limits=options.limits, stop=stop, listener=listener)
        run = _Run(store, structure, chosen, options, work, listener, stop, scaled)
        tables = Tables(work / "tables") if options.depth != "quick" else None
        try:
            found = run.verify(tables, record)
            if chosen is None and spoilt:
                found = replace(found, count=found.count + len(spoilt), files=(*found.files, *spoilt))
            run.record(record, found, now=max(now, datetime.now(UTC)))
            workers = scaled.used() if scaled else None
            yield replace(found, requests=as_requests(store.requests.counts()), faults=faults_of([store]), workers=workers)
        finally:
            if tables is not None:
                tables.close()


@dataclass(slots=True)
class _Run:
    """One verification. `chosen` is None for the whole repository."""

    store: ObjectStore
    structure: Structure
    chosen: tuple[SnapshotId, ...] | None
    options: VerifyOptions
    work: Path
    listener: Listener
    stop: Stop
    scaled: ScaledWork | None = None
    sample: SampleTaken | None = None

    def verify(self, tables: Tables | None, record: Record) -> Verification:
        """The files first, since they say what objects there must be."""
        readable = [each for each in self.structure.manifests if self.chosen is None or each in self.chosen]
        entries = files_of(self.structure, readable)
        files = verify_files(
            self.store, self.structure, entries, work=self.work, threads=FILES_AT_ONCE, stop=self.stop, listener=self.listener
        )
        if tables is not None:
            refuse_swollen_tables(self.structure, files, tables)
        objects = self._verify_objects(tables, files, readable, record) if tables is not None else None
        derived = self._derive(files, readable) if tables is not None else Derivations()
        files.findings += derived.findings
        findings = sorted(
            (each for each in (*self.structure.findings, *files.findings) if self._concerns(each)), key=lambda each: each.path
        )
        checked = Checked(
            snapshots=len(self.structure.snapshots) if self.chosen is None else len(self.chosen),
            objects=objects.objects if objects else 0,
            objects_read=objects.objects_read if objects else 0,
            bytes=self.structure.size_bytes + files.size_bytes + (objects.size_bytes if objects else 0),
            references_derived=derived.equal,
            signatures=self.structure.signatures,
        )
        count = len(findings) + (verifications.count_findings(tables) if tables is not None else 0)
        return Verification(checked, count, tuple(findings), tables, derived.impossible)

    def record(self, record: Record, found: Verification, *, now: datetime) -> None:
        """Remember which snapshots are sound, and how far a partial reading came."""
        touched = {snapshot for finding in self.structure.findings for snapshot in finding.snapshots}
        touched |= {snapshot for finding in found.files for snapshot in finding.snapshots}
        if found.tables is not None:
            touched |= verifications.touched_snapshots(found.tables)
        scope = ALL if self.chosen is None else ",".join(self.chosen)
        partial = self.options.depth == "data" and self.options.percent < 100
        depth: Depth = "sizes" if partial else self.options.depth
        record.add_sound(sorted(set(self.chosen or self.structure.snapshots) - touched), depth, at=now)
        if self.options.depth == "data":
            after, ended = (self.sample.position, self.sample.round_ended) if partial and self.sample else (START, True)
            record.add_reading(scope, after, ended=ended, at=now)
        record.forget_but(self.structure.snapshots)
        if self.structure.repository:
            save_record(self.store, record, now=now, listener=self.listener)

    def _verify_objects(self, tables: Tables, files: VerifiedFiles, readable: list[SnapshotId], record: Record) -> ObjectsVerification:
        segments = {str(path): name for name, path in files.tables.items() if layout.is_segment(name)}
        unnamed = self._unnamed_segments() if self.structure.lost_manifests or self.structure.bridges.damaged else []
        for refused in verifications.open_inventory(tables, [*map(Path, segments), *unnamed]):
            if name := segments.get(str(refused)):
                files.findings.append(Finding("tampered", name, None, self.structure.snapshots, "is no inventory"))
        objects = ObjectsVerification(
            self.store,
            self.structure,
            files,
            tables,
            readable if self.chosen is not None else None,
            self.options.limits,
            self.stop,
            self.listener,
            self.scaled,
        )
        objects.find_lost()
        self._fold_lost(tables, files)
        if self.options.depth == "sizes":
            objects.look()
        elif self.options.percent >= 100:
            objects.read_all()
        else:
            scope = ALL if self.chosen is None else ",".join(self.chosen)
            self.sample = objects.read_sample(self.options.percent, after=record.position(scope))
        objects.find_touched()
        return objects

    def _derive(self, files: VerifiedFiles, readable: list[SnapshotId]) -> Derivations:
        """Derive the references of the snapshots that were named, or of the newest."""
        wanted = readable if self.chosen is not None else readable[-1:]
        return derive_references(self.store, self.structure, files, wanted, work=self.work, stop=self.stop, listener=self.listener)

    def _fold_lost(self, tables: Tables, files: VerifiedFiles) -> None:
        """What only a lost inventory recorded is one finding, that of the inventory, not one for each object."""
        lost = verifications.count_lost(tables)
        spoilt = [number for number, finding in enumerate(files.findings) if layout.is_segment(finding.path)]
        if not lost or not spoilt:
            return
        for number in spoilt:
            finding = files.findings[number]
            files.findings[number] = replace(finding, detail=f"{finding.detail}; {lost} referenced objects are in no other inventory")
        verifications.forget_lost(tables)

    def _unnamed_segments(self) -> list[Path]:
        """Segments that no manifest names, for when one is lost: it may have named them. Nothing vouches for their bytes."""
        named = named_segments(self.structure.manifests.values(), self.structure.bridges)
        repository, found = Repository(self.store, self.structure.repository), []
        for page in self.store.list(layout.INVENTORY):
            for info in page:
                if may_be_used(info.key, self.structure.bridges) and info.key not in named:
                    try:
                        found.append(repository.local_copy(repository.describe(info.key), self.work))
                    except (ObjectNotFound, RepositoryInvalid) as error:
                        self.listener(Note(f"'{info.key}' is left out: {error.message}"))
        return found

    def _concerns(self, finding: Finding) -> bool:
        return self.chosen is None or not set(self.chosen).isdisjoint(finding.snapshots)


def _chosen(structure: Structure, options: VerifyOptions, *, now: datetime, zone: tzinfo) -> tuple[SnapshotId, ...] | None:
    if not options.snapshots:
        return None
    times = [
        SnapshotTime(each, structure.manifests[each].created if each in structure.manifests else _stamp(each))
        for each in structure.snapshots
    ]
    return tuple(sorted({select_snapshot(wanted, times, now=now, zone=zone) for wanted in options.snapshots}))


def _stamp(snapshot: SnapshotId) -> datetime:
    """The moment in an id, for a snapshot whose manifest cannot be read."""
    try:
        return datetime.strptime(snapshot[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
