"""`lockstep drill`: options, the operation, the report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.options import ClientPrograms
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import Concurrency, TempDir, transfer_limits
from lockstep.cli.wiring import open_repository_store
from lockstep.config.conninfo import is_conninfo, passwords_in, public_names_in
from lockstep.config.repository import RepositorySettings
from lockstep.errors import ConfigurationError
from lockstep.model.addresses import DatabaseAddress
from lockstep.operations.audit_lists import check_places, write_whole
from lockstep.operations.browse import find_snapshot
from lockstep.operations.drill import DrillOptions, drill
from lockstep.report import drill as report
from lockstep.report.drill_page import as_page

Snapshot = Annotated[
    str, typer.Argument(metavar="[SNAPSHOT]", help="An id, a unique prefix of one, 'latest', or a time: 2026-11-20, '2 days ago'.")
]
# The name keeps it apart from the deployment's own database: its variable and its key in the file are `scratch_database`.
ScratchDatabase = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="URI", show_default=False,
        help="A scratch server of yours, on which a database is made and dropped. Default: a server that lockstep starts itself. In the "
        "environment LOCKSTEP_SCRATCH_DATABASE, in the file scratch_database: the deployment's own database is never meant.",
    ),
]  # fmt: skip
ReadData = Annotated[
    float | None,
    typer.Option(
        "--read-data", min=0, max=100, metavar="[=PERCENT]", show_default=False,
        help="How many of the objects are read and held against their checksums. Default: all up to 1 GiB, else a sample of 1 GiB.",
    ),
]  # fmt: skip
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", show_default=False, help="Write the result as one page that needs nothing else."),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=64,
        metavar="N",
        show_default=False,
        help="Sessions that restore the dump at the same time. Default: one a core, at most 4.",
    ),
]


def run_drill(
    session: Session,
    repository: RepositorySettings,
    snapshot: Snapshot = "latest",
    *,
    scratch_database: ScratchDatabase = None,
    read_data: ReadData = None,
    report_: Report = None,
    jobs: Jobs = None,
    client_programs: ClientPrograms = None,
    concurrency: Concurrency = None,
    temp_dir: TempDir = None,
) -> Result:
    """Restore a snapshot into a throw-away PostgreSQL and prove the result."""
    check_places(report_)
    options = DrillOptions(
        database=scratch_address(scratch_database, session),
        client_programs=str(client_programs) if client_programs else None,
        percent=read_data,
        jobs=jobs,
        limits=transfer_limits(concurrency),
        temporary=temp_dir,
    )
    place = open_repository_store(repository)
    manifest = find_snapshot(
        place, snapshot, now=datetime.now(UTC), zone=datetime.now().astimezone().tzinfo or UTC, listener=session.listener
    )
    result = drill(place, manifest, options=options, listener=session.listener)
    if report_ is not None:
        write_whole(report_, as_page(result))
    return Result(report.as_document(result), report.as_text(result), ExitStatus.DONE if result.ok else ExitStatus.FINDINGS)


def scratch_address(conninfo: str | None, session: Session) -> DatabaseAddress | None:
    """The scratch server that was named, its passwords learned by the redactor. Raises ConfigurationError for what is no address."""
    if conninfo is None:
        return None
    session.screen.redactor.learn(passwords_in(conninfo), public=public_names_in(conninfo))
    if not is_conninfo(conninfo):
        raise ConfigurationError("the scratch database is no libpq connection string", hint="Write it as postgresql://user@host/dbname.")
    return DatabaseAddress(conninfo)
