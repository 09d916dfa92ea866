"""Record a deployment as it is now, as one new snapshot: the database first, the objects after it, the manifest last."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from lockstep.deployment.deployment import BoundProfile, Deployment, bind_profile, reference_blocks
from lockstep.model.cost import PastRun
from lockstep.model.database import DatabaseFacts
from lockstep.model.results import BackupDatabase, BackupObjects, BackupResult, MissingGroup
from lockstep.model.snapshots import SnapshotId, new_snapshot_id
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop
from lockstep.operations.backup_options import MOMENTS, BackupOptions
from lockstep.operations.copying import STAGE, Copied, Copier
from lockstep.operations.counting import as_requests, peak_rss_bytes, told_degraded
from lockstep.operations.dumping import Dumped, dump_unless_stuck, save_dump
from lockstep.operations.locking import Locking, begin_locking, close_locks, lock_needed
from lockstep.operations.missing import ask_again, group_missing
from lockstep.operations.preconditions import look_at, refuse_careless, refuse_small_disk, refuse_unlockable, refuse_unreadable
from lockstep.operations.recording import check_stores, count_objects, prove, save_missing, save_references
from lockstep.operations.scale_out import ScaledWork, scaled_crew
from lockstep.operations.telling import faults_of, telling
from lockstep.operations.together import Together
from lockstep.operations.work import work_directory
from lockstep.postgres.blockers import naming_blockers
from lockstep.postgres.connection import Database, open_database
from lockstep.postgres.frozen import FrozenView
from lockstep.postgres.holding import HeldTables
from lockstep.postgres.programs import Programs, find_programs
from lockstep.progress import SILENT, Listener, Note, StageEnded, StageStarted
from lockstep.repository.draft import Draft, reclaim
from lockstep.repository.history import History, inventory_files, read_history
from lockstep.repository.journal import Journal, open_journal
from lockstep.repository.locks import WriterLock, writer_lock
from lockstep.repository.manifest import DatabaseRecord, Manifest, ObjectCounts, ProfileRecord
from lockstep.repository.repository import Repository, open_or_create
from lockstep.steps import step
from lockstep.tables import plans, references
from lockstep.tables.engine import Tables
from lockstep.version import __version__

MISSING_SHOWN = 100
"""How many missing objects a result names; the snapshot lists them all."""

MISSING_EXPLAINED = 10_000
"""For how many missing objects the groups are asked of the database."""


def backup(
    deployment: Deployment,
    repository_store: ObjectStore,
    *,
    options: BackupOptions | None = None,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> BackupResult:
    """Record the deployment as one new snapshot in the repository, which is made at first use.

    Missing objects are part of the result, not an error. Raises LockstepError when the work could not be done: then there is no new
    snapshot, and what was copied by then is not copied again by the next run.
    """
    options, stop = options or BackupOptions(), stop or Stop()
    started = time.monotonic()
    stores = (*deployment.stores.values(), repository_store)
    with (
        telling(stores, listener),
        naming_blockers(deployment.database),
        work_directory(options.temporary) as work,
        open_database(deployment.database) as database,
        scaled_crew(options.scale, listener) as crew,
    ):
        refuse_unreadable(database)
        look_at(deployment.stores.values())
        with database.frozen() as view:  # whatever is wrong with the profile shows before anything is written
            bound = bind_profile(deployment, view)
        facts, programs = database.facts(), find_programs(deployment.database, database.server_major)
        refuse_unlockable(repository_store)
        repository, new = open_or_create(repository_store, now=datetime.now(UTC))
        if new:
            listener(Note(f"made a new repository at {repository_store.url}"))
        refuse_careless(repository)
        with writer_lock(repository_store, "backup", listener=listener) as lock, closing(Tables(work)) as tables:
            scaled = None
            if crew is not None and options.scale is not None:
                places = deployment.stores, repository_store
                scaled = ScaledWork(crew, options.scale, *places, limits=options.limits, stop=stop, listener=listener)
            run = _Run(deployment, repository, database, facts, programs, bound, lock, options, tables, listener, stop, scaled)
            return run.make_snapshot(started)


@dataclass(slots=True)
class _Run:
    """One backup, with everything that its steps share."""

    deployment: Deployment
    repository: Repository
    database: Database
    facts: DatabaseFacts
    programs: Programs
    bound: BoundProfile
    lock: WriterLock
    options: BackupOptions
    tables: Tables
    listener: Listener
    stop: Stop
    scaled: ScaledWork | None
    history: History = field(init=False)
    segments: dict[str, Path] = field(init=False)
    locking: Locking | None = field(init=False)
    copier: Copier | None = None
    copied_before: Copied = field(default_factory=Copied)

    def __post_init__(self) -> None:
        """Reclaim what a stopped run left, and begin where it ended."""
        reclaim(self.repository, listener=self.listener)
        self.history = read_history(self.repository, listener=self.listener)
        empty, limits = self.history.is_empty, self.options.limits
        self.locking = begin_locking(self.repository, self.tables, empty=empty, listener=self.listener, stop=self.stop, limits=limits)
        self.segments = inventory_files(self.repository, self.history, self.tables.directory, listener=self.listener)

    def make_snapshot(self, started: float) -> BackupResult:
        """Copy what is much; then take the moment, another one where somebody was about to change a table just then."""
        self._catch_up()
        moments = (self._take_moment(started, last=not left) for left in reversed(range(MOMENTS)))
        return next(result for result in moments if result is not None)

    def _take_moment(self, started: float, *, last: bool) -> BackupResult | None:
        """Freeze, dump and copy; then ask again for what is missing, prove that nothing is unaccounted for, and commit.

        None when the dump cannot begin at this moment: a table is to be changed. What was copied counts, and whoever waits goes on.
        """
        with ExitStack() as undo:
            with Together(self.stop) as work:
                # Tables first, then the moment: what is frozen must be what the dump finds.
                with self.database.still() as still, self.database.frozen() as view:  # one moment for the dump and for the references
                    draft = undo.enter_context(Draft(self.repository, self._name(view.at), self.lock))
                    copier = self._copier(draft.snapshot)
                    step("backup.frozen")
                    dumping = work.start(lambda: self._dump(draft, view, still, last=last), name="dump")
                    named, new = self._plan(view)
                    step("backup.planned")
                    # Objects may be read as soon as the moment is frozen.
                    copying = work.start(lambda: self._copy(copier, new), name="objects")
                    chain_length = save_references(draft, self.history, self.tables, listener=self.listener)
                    step("backup.referenced")
                    dumped = dumping.result()
                    step("backup.dumped")
                copied = copying.result()
            if dumped is None:
                self.copied_before = self.copied_before.plus(copied)
                plans.forget_all_missing(self.tables)
                return None
            step("backup.copied")
            recovered = ask_again(copier, self.deployment, self.bound, self.database)
            step("backup.asked_again")
            prove(self.tables)
            total = self.copied_before.plus(copied).plus(recovered.late).plus(recovered.elsewhere)
            objects = count_objects(self.tables, named, total, recovered=recovered.elsewhere.objects)
            manifest = self._manifest(draft, dumped, objects, created=view.at, chain_length=chain_length, started=started)
            lock_needed(self.locking, draft.snapshot, self.history, run=copier.journal.run)
            self._commit(draft, manifest, copier.journal)  # until here the snapshot does not exist
        return self._result(manifest, objects, started)

    def _catch_up(self) -> None:
        """Copy before the freeze while much is new, as at a first backup or after a long pause; the rounds are bounded."""
        catch_up, newest = self.options.catch_up, self.history.newest
        if newest is not None and datetime.now(UTC) - newest.created < catch_up.after_pause:
            return
        runs, lacking = list[PastRun](), 0
        for rounds_done in range(catch_up.rounds + 1):
            step("backup.catching_up")
            with self.database.frozen() as view:
                copier = self._copier(self._name(view.at))
                _, new = self._plan(view)
            if not catch_up.is_needed(new, lacking=lacking, runs=runs):
                return
            if rounds_done == catch_up.rounds:
                text = f"after {rounds_done} rounds {new.objects} objects are new again: the dump comes now, and they are copied beside it"
                self.listener(Note(text, level="warning", fields={"rounds": rounds_done, "new": new.objects}))
                return
            text = f"much is new ({new.objects} objects): copying before the dump, round {rounds_done + 1} of at most {catch_up.rounds}"
            self.listener(Note(text, fields={"round": rounds_done + 1, "new": new.objects}))
            with Together(self.stop) as work:  # in a thread of its own: a signal ends it in order, and what is done is journalled
                copied = work.start(lambda: self._copy(copier, new), name="objects").result()  # noqa: B023 - done before the next round
            self.copied_before = self.copied_before.plus(copied)
            runs = [PastRun(copied.objects, copied.size_bytes, copied.seconds, dump_seconds=0.0, database_bytes=0)]
            lacking = sum(asdict(plans.count_missing(self.tables)).values())
            plans.forget_all_missing(self.tables)  # what is missing is decided after the freeze

    def _name(self, frozen_at: datetime) -> SnapshotId:
        """The id of a run or of its snapshot: later than all before it, since an inventory's row belongs to snapshots from its id on."""
        newest = self.copier.journal.run if self.copier else self.history.newest_name
        return new_snapshot_id(frozen_at, newest=newest, randomness=secrets.randbits(32))

    def _copier(self, run: SnapshotId) -> Copier:
        """What copies in this run; made when the first frozen moment has given the run its name."""
        if self.copier is None:
            journal = open_journal(self.repository, self.history, self.segments, self.tables, run, listener=self.listener)
            options, stores, way = self.options, self.deployment.stores, (self.options.fail_fast, self.options.server_side_copy)
            self.copier = Copier(stores, self.repository, self.tables, journal, options.limits, self.stop, self.listener, *way)
        return self.copier

    def _plan(self, view: FrozenView) -> tuple[references.ReferenceCounts, plans.NewObjects]:
        blocks = reference_blocks(self.deployment, self.bound, view)
        named = references.load(self.tables, blocks, columns=self.bound.columns, store=self.bound.store)
        check_stores(self.tables, self.deployment.stores)
        new = plans.plan_new(self.tables, compare_etags=self.bound.lists_the_bucket)
        refuse_small_disk(self.repository.store, new.size_bytes)
        return named, new

    def _dump(self, draft: Draft, view: FrozenView, still: HeldTables, *, last: bool) -> Dumped | None:
        options, work = self.options, self.tables.directory

        def save(sibling: FrozenView) -> Dumped:
            saved = partial(save_dump, draft, sibling, self.programs, format=options.format, jobs=options.jobs, work=work)
            return saved(listener=self.listener, stop=self.stop)

        return dump_unless_stuck(view, still, save, last=last, listener=self.listener)

    def _copy(self, copier: Copier, new: plans.NewObjects) -> Copied:
        started = time.monotonic()
        self.listener(StageStarted(STAGE, total=new.objects, unit="objects"))
        wanted = plans.wanted(self.tables) if new.objects else iter(())
        if self.scaled is None or not new.objects:
            copied = copier.copy(wanted)
        else:
            copied = copier.record(self.scaled.copy(wanted, objects=new.objects, fail_fast=self.options.fail_fast))
        self.listener(StageEnded(STAGE))
        return replace(copied, seconds=time.monotonic() - started)

    def _manifest(
        self, draft: Draft, dumped: Dumped, objects: BackupObjects, *, created: datetime, chain_length: int, started: float
    ) -> Manifest:
        return Manifest(
            repository=self.repository.id,
            snapshot=draft.snapshot,
            created=created,
            complete=objects.missing == objects.mismatched == 0,
            tag=self.options.tag,
            parent=self.history.parent,
            chain_length=chain_length,
            previous=self.history.previous,
            database=DatabaseRecord(**asdict(self.facts), rows=dumped.rows),
            dump=dumped.record,
            profile=ProfileRecord(name=self.bound.profile.name, query=self.bound.query),
            stores={name: store.url for name, store in self.deployment.stores.items()},
            objects=ObjectCounts(**{name: getattr(objects, name) for name in ObjectCounts.model_fields}),
            encryption=self.repository.encryption(),
            files=(),
            tools={"lockstep": __version__, "pg_dump": self.programs.version, "python": sys.version.split()[0]},
            seconds=round(time.monotonic() - started, 3),
        )

    def _commit(self, draft: Draft, manifest: Manifest, journal: Journal) -> None:
        if not manifest.complete:
            save_missing(draft, self.history, self.tables, listener=self.listener)
        segments, replaced = journal.close()
        named = tuple(self.repository.describe(path) for path in segments)
        draft.commit(manifest.model_copy(update={"files": tuple(draft.files), "inventory": named}), replaced=replaced)
        close_locks(self.locking, draft.snapshot)

    def _result(self, manifest: Manifest, objects: BackupObjects, started: float) -> BackupResult:
        lacking = list(plans.missing_now(self.tables, most=MISSING_EXPLAINED))
        groups: tuple[MissingGroup, ...] = ()
        if lacking:
            with self.database.frozen() as view:
                groups = group_missing(self.bound, view, lacking)
        return BackupResult(
            snapshot=manifest.snapshot,
            complete=manifest.complete,
            created=manifest.created,
            parent=manifest.parent,
            database=BackupDatabase(
                manifest.database.name,
                manifest.database.server_version,
                manifest.dump.format,
                manifest.dump.size_bytes,
                manifest.dump.seconds,
            ),
            objects=objects,
            requests=as_requests(self.deployment.requests()),
            repository_requests=as_requests(self.repository.store.requests.counts()),
            seconds=time.monotonic() - started,
            peak_rss=peak_rss_bytes(),
            missing_sample=tuple(each.key for each in lacking[:MISSING_SHOWN]),
            missing_groups=groups,
            degraded=told_degraded(self.deployment, self.listener),
            workers=self.scaled.used() if self.scaled else None,
            locked=self.locking.result(manifest.created) if self.locking else None,
            faults=faults_of([*self.deployment.stores.values(), self.repository.store]),
        )
