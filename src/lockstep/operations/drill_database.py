"""The database's side of a drill: the dump restored into a scratch database, and held against the snapshot."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.deployment.references import REFERENCE_COLUMNS, reference_select
from lockstep.errors import Cancelled, DatabaseFailed, RestoreFailed
from lockstep.objects.transfer import Stop
from lockstep.operations.drill_book import DrillBook, Finding, counted
from lockstep.operations.drill_server import DrillServer
from lockstep.operations.local_dump import local_dump
from lockstep.postgres.addresses import with_database
from lockstep.postgres.archives import read_archive_reader
from lockstep.postgres.connection import open_database
from lockstep.postgres.programs import Programs, find_programs
from lockstep.postgres.restore import analyze, restore_archive, row_counts
from lockstep.postgres.scratch import Fit, create_roles, fit_server, scratch_database
from lockstep.progress import Listener, StageEnded, StageStarted
from lockstep.repository.manifest import Manifest
from lockstep.repository.repository import Repository
from lockstep.steps import step
from lockstep.tables import drills, references
from lockstep.tables.engine import Tables

STAGE = "database"
TABLES_NAMED = 3


@dataclass(slots=True)
class DatabaseDrill:
    """Takes the steps dump, restore, rows and references."""

    repository: Repository
    manifest: Manifest
    tables: Tables
    book: DrillBook
    listener: Listener
    stop: Stop
    jobs: int | None = None
    server_version: str = field(default="", init=False)

    def run(self, server: DrillServer, *, references_known: bool) -> None:
        """Take the steps; nothing is left on the server. `references_known`: the table `named` holds the snapshot's references."""
        fit = fit_server(server.address, server.name, self.manifest.database.facts())
        self.server_version = fit.server_version
        archive = self._check_dump()
        if archive is None:
            for name in ("restore", "rows", "references"):
                self.book.skip(name, because="the dump is not what the snapshot says")
            return
        reader = read_archive_reader(archive, format=self.manifest.dump.format)
        programs = find_programs(server.address, fit.server_major, at_least=reader or self.manifest.dump.pg_dump_major)
        with ExitStack() as stack:  # on the way out the scratch database is dropped, whatever happened
            made = self._restore(stack, server, fit, programs, archive)
            if made is None:
                for name in ("rows", "references"):
                    self.book.skip(name, because="the dump was not restored")
                return
            self._count_rows(server, made)
            if references_known:
                self._compare_references(server, made)
            else:
                self.book.skip("references", because="the snapshot's own references cannot be read")

    def _check_dump(self) -> Path | None:
        archive = None
        with self.book.step("dump") as finding:
            archive = local_dump(self.repository, self.manifest, self.tables.directory)
            read_archive_reader(archive, format=self.manifest.dump.format)
            dump = self.manifest.dump
            finding.say(f"{dump.format} format, {counted(dump.size_bytes, 'byte')}, made by pg_dump {dump.pg_dump_major}; checksums right")
        return archive if self.book.steps[-1].ok else None

    def _restore(self, stack: ExitStack, server: DrillServer, fit: Fit, programs: Programs, archive: Path) -> str | None:
        """The name of the database that is filled, or None when the step failed."""
        form, made = self.manifest.dump.format, None
        owners = server.ours or (fit.superuser and not fit.roles)
        self.listener(StageStarted(STAGE, total=self.manifest.dump.size_bytes))
        with self.book.step("restore") as finding:
            for note in fit.notes:
                finding.say(note)
            if fit.lacks:
                raise RestoreFailed("; ".join(each.message for each in fit.lacks), hint=fit.lacks[0].hint)
            if server.ours:
                create_roles(server.address, fit.roles)
            scratch = scratch_database(server.address, server.name, fit=fit, snapshot_id=self.manifest.snapshot, keep_owner=owners)
            made = stack.enter_context(scratch)
            step("drill.created")
            no_owner = not owners and form != "plain"  # what plain SQL says of owners cannot be left out
            restore_archive(server.address, made, programs, archive, format=form, jobs=self.jobs, no_owner=no_owner, tick=self._tick)
            step("drill.filled")
            analyze(server.address, made)
            finding.say(f"without an error, into PostgreSQL {fit.server_version}, with the client programs of {programs.version}")
            if no_owner:
                finding.say("ownership and privileges were left out, since the server lacks roles or the user is no superuser")
        self.listener(StageEnded(STAGE))
        return made if self.book.steps[-1].ok else None

    def _count_rows(self, server: DrillServer, made: str) -> None:
        with self.book.step("rows") as finding:
            found, expected = row_counts(server.address, made), self.manifest.database.rows
            wrong = sorted(table for table in found.keys() | expected.keys() if found.get(table) != expected.get(table))
            for table in wrong[:TABLES_NAMED]:
                finding.fail(f"the table {table} has {found.get(table, 'no')} rows; the snapshot says {expected.get(table, 'none')}")
            if len(wrong) > TABLES_NAMED:
                finding.fail(f"and {counted(len(wrong) - TABLES_NAMED, 'more table')}")
            if not wrong:
                rows, tables = counted(sum(found.values()), "row"), counted(len(found), "table")
                finding.say(f"{rows} in {tables}, each as many as the snapshot says")

    def _compare_references(self, server: DrillServer, made: str) -> None:
        query = self.manifest.profile.query
        with self.book.step("references") as finding:
            if query is None:
                finding.say(f"the profile '{self.manifest.profile.name}' has no reference query: what is referenced is what was listed")
                return
            default = next(iter(self.manifest.stores)) if len(self.manifest.stores) == 1 else "main"
            with open_database(with_database(server.address, made)) as database, database.frozen() as view:
                try:
                    select = reference_select(query, view.columns(query), default_store=default)
                    references.load(self.tables, view.copy_csv(select, REFERENCE_COLUMNS))
                except DatabaseFailed as error:
                    finding.fail(f"the reference query fails on the restored database: {error.message}")
                    return
            _judge(finding, drills.compare_references(self.tables, "named", "references_now"))

    def _tick(self) -> None:
        if self.stop.is_set():
            raise Cancelled(2)


def _judge(finding: Finding, found: drills.Differences) -> None:
    if found.only_left == found.only_right == 0:
        finding.say(f"the restored database references exactly the snapshot's {counted(found.left, 'object')}")
        return
    if found.left != found.right:
        finding.fail(f"the restored database references {counted(found.right, 'object')}; the snapshot has {found.left:,}")
    finding.fail(
        f"{found.only_left:,} of the snapshot's references are not in the restored database, and {found.only_right:,} of the restored "
        f"database's are not in the snapshot: {', '.join(repr(key) for key in found.sample)}"
    )
