"""Take in what the manual procedure made: a dump and the directory of `aws s3 sync` become one snapshot, proven as any other."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lockstep.deployment.deployment import BoundProfile, Deployment, bind_profile, reference_blocks
from lockstep.errors import Cancelled, LockstepError
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.results import BackupDatabase, BackupObjects, BackupResult, ImportResult, MissingGroup
from lockstep.model.snapshots import SnapshotId, new_snapshot_id
from lockstep.objects.local import LocalStore
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.backup import MISSING_EXPLAINED, MISSING_SHOWN
from lockstep.operations.copying import STAGE, Copied, Copier
from lockstep.operations.counting import as_requests, peak_rss_bytes
from lockstep.operations.import_dump import Restored, file_sums, restored_dump, save_given
from lockstep.operations.locking import begin_locking, close_locks, lock_needed
from lockstep.operations.missing import ask_again, group_missing
from lockstep.operations.preconditions import refuse_careless, refuse_unlockable
from lockstep.operations.recording import save_missing, save_references
from lockstep.operations.together import Together
from lockstep.operations.work import work_directory
from lockstep.postgres.given_dump import GivenDump, read_given_dump
from lockstep.progress import SILENT, Listener, Note, StageEnded, StageStarted
from lockstep.repository.draft import Draft, reclaim
from lockstep.repository.history import History, inventory_files, read_history
from lockstep.repository.journal import Journal, open_journal
from lockstep.repository.locks import WriterLock, writer_lock
from lockstep.repository.manifest import DatabaseRecord, DumpRecord, ImportRecord, Manifest, ObjectCounts, ProfileRecord
from lockstep.repository.repository import Repository, open_or_create
from lockstep.tables import imports, plans, references, samples
from lockstep.tables.engine import Tables
from lockstep.version import __version__


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the operator can choose.

    `created` is when the dump was made (None: as it says itself, else the time of its file); `scratch` a server to restore it into (None:
    one of our own).
    """

    app: str | None = None
    tag: str | None = None
    created: datetime | None = None
    scratch: DatabaseAddress | None = None
    client_programs: str | None = None
    limits: TransferLimits = field(default_factory=TransferLimits)
    temporary: Path | None = None


def import_(
    repository_store: ObjectStore,
    dump: Path,
    objects: Mapping[str, Path],
    *,
    options: ImportOptions | None = None,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> ImportResult:
    """Make a snapshot of a dump and of the directories of its stores' objects, in a repository that is made at first use.

    Both are only read. Objects that the dump's metadata references and the directories lack are part of the result. Raises LockstepError
    when the work could not be done: then there is no new snapshot, and what was copied by then is not copied again.
    """
    options, stop, started = options or ImportOptions(), stop or threading.Event(), time.monotonic()

    def tick() -> None:
        if stop.is_set():
            raise Cancelled(2)

    stores = {name: LocalStore(path) for name, path in objects.items()}
    with work_directory(options.temporary) as work:
        for store in stores.values():
            store.check_reachable()
        given = read_given_dump(dump, client_programs=options.client_programs, work=work)
        sums, created = file_sums(given), _created(given, dump, options.created)
        scratch_name = new_snapshot_id(created, newest=None, randomness=secrets.randbits(32))
        place = restored_dump(given, options.scratch, scratch_name, client_programs=options.client_programs, listener=listener, tick=tick)
        with place as restored:  # whatever is wrong with the dump shows before anything is written
            deployment = Deployment(restored.database.address, stores, options.app)
            with restored.database.frozen() as view:
                bound = bind_profile(deployment, view)
            refuse_unlockable(repository_store)
            repository, new = open_or_create(repository_store, now=datetime.now(UTC))
            if new:
                listener(Note(f"made a new repository at {repository_store.url}"))
            refuse_careless(repository)
            with writer_lock(repository_store, "import", listener=listener) as lock:
                tables = Tables(work)
                try:
                    run = _Run(deployment, repository, restored, given, bound, lock, options, tables, listener, stop)
                    return run.make_snapshot(dump, created, sums, started)
                finally:
                    tables.close()


def _created(given: GivenDump, dump: Path, said: datetime | None) -> datetime:
    """When the dump was made; never later than now, since a dump of another zone says the clock of that zone."""
    written = dump / "toc.dat" if dump.is_dir() else dump
    found = said or given.created or datetime.fromtimestamp(written.stat().st_mtime, UTC)
    return min(found.astimezone(UTC), datetime.now(UTC))


@dataclass(slots=True)
class _Run:
    """One import, with everything that its steps share."""

    deployment: Deployment
    repository: Repository
    restored: Restored
    given: GivenDump
    bound: BoundProfile
    lock: WriterLock
    options: ImportOptions
    tables: Tables
    listener: Listener
    stop: Stop
    history: History = field(init=False)

    def make_snapshot(self, dump: Path, created: datetime, sums: dict[str, str], started: float) -> ImportResult:
        """Copy what is new, save the dump, prove that nothing is unaccounted for, and commit."""
        reclaim(self.repository, listener=self.listener)
        self.history = read_history(self.repository, listener=self.listener)
        limits, empty = self.options.limits, self.history.is_empty
        locking = begin_locking(self.repository, self.tables, empty=empty, listener=self.listener, stop=self.stop, limits=limits)
        segments = inventory_files(self.repository, self.history, self.tables.directory, listener=self.listener)
        name = new_snapshot_id(created, newest=self.history.newest_name, randomness=secrets.randbits(32))
        copier = self._copier(name, segments)
        database = self.restored.database
        with Draft(self.repository, name, self.lock) as draft:
            with database.frozen() as view:
                blocks = reference_blocks(self.deployment, self.bound, view)
                named = references.load(self.tables, blocks, columns=self.bound.columns, store=self.bound.store)
                rows = view.row_counts()
            self._check_stores()
            new = plans.plan_new(self.tables, compare_etags=False)  # files have no ETags: the size tells, as with every reference
            before = time.monotonic()
            with Together(
                self.stop
            ) as work:  # in a thread of its own: a signal ends it after the object in hand, and what is done is journalled
                copied = work.start(lambda: self._copy(copier, new), name="objects").result()
            chain_length = save_references(draft, self.history, self.tables, listener=self.listener)
            size_bytes = save_given(draft, self.given, sums, tick=self._tick)
            recovered = ask_again(copier, self.deployment, self.bound, database)
            self._prove()
            objects = self._counts(named, copied.plus(recovered.late).plus(recovered.elsewhere), time.monotonic() - before)
            late = any(each.created > created for each in self.repository.manifests())
            manifest = Manifest(
                repository=self.repository.id,
                snapshot=name,
                created=created,
                complete=objects.missing == objects.mismatched == 0,
                tag=self.options.tag,
                parent=self.history.parent,
                chain_length=chain_length,
                previous=self.history.previous,
                database=DatabaseRecord(**asdict(self.restored.facts), rows=rows),
                dump=DumpRecord(format=self.given.format, size_bytes=size_bytes, pg_dump_major=self.given.pg_dump_major, seconds=0.0),
                profile=ProfileRecord(name=self.bound.profile.name, query=self.bound.query),
                stores={name: store.url for name, store in self.deployment.stores.items()},
                objects=ObjectCounts(**{name: getattr(objects, name) for name in ObjectCounts.model_fields}),
                encryption=self.repository.encryption(),
                files=(),
                tools={"lockstep": __version__, "python": sys.version.split()[0]},
                seconds=round(time.monotonic() - started, 3),
                imported=ImportRecord(dump=dump.name, late=late),
            )
            lock_needed(locking, name, self.history, run=copier.journal.run)
            self._commit(draft, manifest, copier.journal)  # until here the snapshot does not exist
            close_locks(locking, name)
        return ImportResult(self._result(manifest, objects, started), self._unreferenced(), late)

    def _check_stores(self) -> None:
        unknown = sorted(set(samples.stores_named(self.tables)) - self.deployment.stores.keys())
        if unknown:
            raise LockstepError(
                f"the references name the store '{unknown[0]}', of which no directory is named",
                hint=f"Add --objects {unknown[0]}=DIR; the names of the others follow from the references too.",
            )

    def _copier(self, run: SnapshotId, segments: dict[str, Path]) -> Copier:
        journal = open_journal(self.repository, self.history, segments, self.tables, run, listener=self.listener)
        return Copier(self.deployment.stores, self.repository, self.tables, journal, self.options.limits, self.stop, self.listener)

    def _copy(self, copier: Copier, new: plans.NewObjects) -> Copied:
        self.listener(StageStarted(STAGE, total=new.objects, unit="objects"))
        copied = copier.copy(plans.wanted(self.tables)) if new.objects else copier.copy(())
        self.listener(StageEnded(STAGE))
        self._tick()
        return copied

    def _tick(self) -> None:
        if self.stop.is_set():
            raise Cancelled(2)

    def _prove(self) -> None:
        left = plans.unaccounted(self.tables)
        if left:
            raise LockstepError(
                f"{left} referenced objects were neither copied nor found missing", hint="Report this: it is a fault of lockstep."
            )

    def _counts(self, named: references.ReferenceCounts, total: Copied, seconds: float) -> BackupObjects:
        lacking, new = plans.count_missing(self.tables), plans.count_new(self.tables)
        reused = named.objects - new - lacking.missing - lacking.mismatched
        return BackupObjects(named.objects, named.size_bytes, new, total.size_bytes, reused, lacking.missing, lacking.mismatched, seconds)

    def _commit(self, draft: Draft, manifest: Manifest, journal: Journal) -> None:
        if not manifest.complete:
            save_missing(draft, self.history, self.tables, listener=self.listener)
        segments, replaced = journal.close()
        named = tuple(self.repository.describe(path) for path in segments)
        draft.commit(manifest.model_copy(update={"files": tuple(draft.files), "inventory": named}), replaced=replaced)

    def _unreferenced(self) -> int:
        """How many files of the directories nothing references; those whose names cannot be keys are left out."""
        imports.create_listed(self.tables)
        for name, store in self.deployment.stores.items():
            for page in store.list():
                imports.add_listed(self.tables, name, page)
        return imports.count_unreferenced(self.tables)

    def _result(self, manifest: Manifest, objects: BackupObjects, started: float) -> BackupResult:
        lacking = list(plans.missing_now(self.tables, most=MISSING_EXPLAINED))
        groups: tuple[MissingGroup, ...] = ()
        if lacking:
            with self.restored.database.frozen() as view:
                groups = group_missing(self.bound, view, lacking)
        dump, database = manifest.dump, manifest.database
        return BackupResult(
            snapshot=manifest.snapshot,
            complete=manifest.complete,
            created=manifest.created,
            parent=manifest.parent,
            database=BackupDatabase(database.name, database.server_version, dump.format, dump.size_bytes, dump.seconds),
            objects=objects,
            requests=as_requests(self.deployment.requests()),
            repository_requests=as_requests(self.repository.store.requests.counts()),
            seconds=time.monotonic() - started,
            peak_rss=peak_rss_bytes(),
            missing_sample=tuple(each.key for each in lacking[:MISSING_SHOWN]),
            missing_groups=groups,
        )
