"""The database's side of a restore: made beside the target, filled, proven, and renamed into place in one step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lockstep.deployment.references import REFERENCE_COLUMNS, reference_select
from lockstep.errors import Cancelled, RestoreFailed, TargetRefused
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.results import RestoredDatabase
from lockstep.objects.transfer import Stop
from lockstep.operations.browse import load_references
from lockstep.operations.local_dump import local_dump
from lockstep.postgres import staging
from lockstep.postgres.addresses import database_name, with_database
from lockstep.postgres.archives import read_archive_reader
from lockstep.postgres.connection import open_database
from lockstep.postgres.names import replaced_name
from lockstep.postgres.programs import Programs, find_programs
from lockstep.postgres.requirements import missing_on_target
from lockstep.postgres.restore import analyze, in_place, restore_archive, row_counts
from lockstep.postgres.target import TargetState, plan_target
from lockstep.progress import Listener, Note, StageEnded, StageStarted
from lockstep.repository.manifest import Manifest
from lockstep.repository.repository import Repository
from lockstep.steps import step
from lockstep.tables import references, restores
from lockstep.tables.engine import Tables

STAGE = "database"


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """What the operator can choose for the database of a restore."""

    replace: bool = False
    disconnect: bool = False
    in_place: bool = False
    no_owner: bool = False
    jobs: int | None = None
    maintenance_db: str | None = None


@dataclass(slots=True)
class DatabaseRestore:
    """One restore of a database: `prepare` changes nothing and refuses what cannot end well, `run` does it."""

    repository: Repository
    manifest: Manifest
    address: DatabaseAddress
    tables: Tables
    options: DatabaseOptions
    listener: Listener
    stop: Stop
    now: datetime
    _archive: Path | None = None
    _programs: Programs | None = None
    _target: TargetState | None = None

    @property
    def name(self) -> str:
        """The database that is restored: the address's, else the one that was dumped."""
        return database_name(self.address) or self.manifest.database.name

    def prepare(self) -> tuple[str, ...]:
        """Check the target, the dump and the programs; returns the steps as sentences. Raises the reason why it cannot be done."""
        facts = self.manifest.database.facts()
        target = plan_target(self.address, self.name, maintenance_db=self.options.maintenance_db, facts=facts)
        self._refuse_target(target)
        lacking = missing_on_target(facts, target, keep_owners=not self.options.no_owner, in_place=self.options.in_place)
        if lacking:
            raise TargetRefused("; ".join(each.message for each in lacking), hint=lacking[0].hint)
        self._archive = local_dump(self.repository, self.manifest, self.tables.directory)
        reader = read_archive_reader(self._archive, format=self.manifest.dump.format)
        self._programs = find_programs(self.address, target.server_major, at_least=reader or self.manifest.dump.pg_dump_major)
        self._target = target
        return tuple(self._steps(target))

    def run(self) -> RestoredDatabase:
        """Restore, prove, and make visible. When it fails, the target's database is as it was."""
        started = time.monotonic()
        self.listener(StageStarted(STAGE, total=self.manifest.dump.size_bytes))
        replaced = None
        if self.options.in_place:
            self._in_place()
        else:
            replaced = self._beside()
        self.listener(StageEnded(STAGE))
        return RestoredDatabase(self.name, replaced, time.monotonic() - started)

    def _in_place(self) -> None:
        archive, programs, _ = self._prepared()
        form, owner = self.manifest.dump.format, self.options.no_owner
        in_place(self.address, self.name, programs, archive, format=form, no_owner=owner, tick=self._tick)
        step("restore.filled_in_place")
        self._prove(self.name)
        analyze(self.address, self.name)

    def _beside(self) -> str | None:
        _, _, target = self._prepared()
        with self._claimed(), self._staged() as made:
            step("restore.created")
            self._fill(made)
            step("restore.filled")
            self._prove(made)
            analyze(self.address, made)
            step("restore.proved")
            replaced = replaced_name(self.name, self.now) if target.exists else None
            staging.rename_into_place(
                self.address,
                made,
                self.name,
                replaced=replaced,
                disconnect=self.options.disconnect,
                maintenance_db=self.options.maintenance_db,
            )
        return replaced

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """The right to restore into this name, alone, for the length of the block."""
        snapshot, maintenance_db = self.manifest.snapshot, self.options.maintenance_db
        with staging.claimed(self.address, self.name, snapshot, maintenance_db=maintenance_db) as leftovers:
            for each in leftovers:
                self.listener(Note(f"dropped the database {each}, which a stopped restore had left"))
            yield

    @contextmanager
    def _staged(self) -> Iterator[str]:
        """The database beside the target for the length of the block; dropped when the block fails."""
        maintenance_db = self.options.maintenance_db
        made = staging.create_staging(
            self.address,
            self.name,
            facts=self.manifest.database.facts(),
            snapshot_id=self.manifest.snapshot,
            keep_owner=not self.options.no_owner,
            maintenance_db=maintenance_db,
        )
        try:
            yield made
        except BaseException:
            staging.drop_staging(self.address, made, maintenance_db=maintenance_db)
            raise

    def _fill(self, made: str) -> None:
        archive, programs, _ = self._prepared()
        form, owner = self.manifest.dump.format, self.options.no_owner
        restore_archive(self.address, made, programs, archive, format=form, jobs=self.options.jobs, no_owner=owner, tick=self._tick)

    def _prove(self, dbname: str) -> None:
        """The restored database has the snapshot's rows and references, or RestoreFailed."""
        found, expected = row_counts(self.address, dbname), self.manifest.database.rows
        wrong = sorted(table for table in found.keys() | expected.keys() if found.get(table) != expected.get(table))
        if wrong:
            raise RestoreFailed(
                f"the restored table {wrong[0]} has {found.get(wrong[0], 'no')} rows; the snapshot says {expected.get(wrong[0], 'none')}",
                hint=self._after_a_failed_proof(),
            )
        query = self.manifest.profile.query
        if query is None:
            return
        load_references(self.repository, self.manifest, self.tables, self.tables.directory)
        default = next(iter(self.manifest.stores)) if len(self.manifest.stores) == 1 else "main"
        with open_database(with_database(self.address, dbname)) as database, database.frozen() as view:
            select = reference_select(query, view.columns(query), default_store=default)
            references.load(self.tables, view.copy_csv(select, REFERENCE_COLUMNS))
        if not restores.same_references(self.tables, "named", "references_now"):
            raise RestoreFailed(
                "the restored database references other objects than the snapshot says",
                hint=self._after_a_failed_proof(),
            )

    def _after_a_failed_proof(self) -> str:
        if self.options.in_place:
            return "Run 'lockstep verify' on the snapshot; what was restored is in the database, so empty it before another try."
        return "Run 'lockstep verify' on the snapshot; the target's database was not changed."

    def _refuse_target(self, target: TargetState) -> None:
        shown = f'the database "{target.name}"'
        if self.options.in_place:
            if not target.exists:
                raise TargetRefused(f"{shown} does not exist", hint="Create it, or restore without --in-place.")
            if not target.empty:
                raise TargetRefused(f"{shown} is not empty", hint="Restore in place into an empty database, or with --replace instead.")
        elif target.exists and not target.empty and not self.options.replace:
            raise TargetRefused(
                f"{shown} exists and is not empty",
                hint="Add --replace: it is kept, renamed, beside the restored one. Or name another database.",
            )
        elif target.exists and target.sessions and not self.options.disconnect:
            sessions = "1 session is" if target.sessions == 1 else f"{target.sessions} sessions are"
            raise TargetRefused(f"{sessions} connected to {shown}", hint="Stop the application, or add --disconnect, which ends them.")

    def _steps(self, target: TargetState) -> Iterator[str]:
        if self.options.in_place:
            yield f"fill the empty database {target.name} in one transaction"
            return
        for each in target.leftovers:
            yield f"drop the database {each}, which a stopped restore left"
        yield f"restore the dump into a new database beside {target.name}, and prove its rows and references"
        if target.exists:
            yield f"rename the present database {target.name} to {replaced_name(target.name, self.now)} (it is kept)"
        yield f"rename the new database to {target.name}, in the same step"

    def _prepared(self) -> tuple[Path, Programs, TargetState]:
        if self._archive is None or self._programs is None or self._target is None:
            raise AssertionError("prepare comes first")
        return self._archive, self._programs, self._target

    def _tick(self) -> None:
        if self.stop.is_set():
            raise Cancelled(2)
