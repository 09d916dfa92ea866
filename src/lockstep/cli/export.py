"""`lockstep export`: options, the operation, the report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.options import ClientPrograms
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import Concurrency, SnapshotName, TempDir, transfer_limits
from lockstep.cli.wiring import open_repository_store
from lockstep.config.repository import RepositorySettings
from lockstep.operations.browse import find_snapshot
from lockstep.operations.export import ExportOptions, export
from lockstep.report import export as report

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The directory to fill: empty, or not there yet.")]
Plain = Annotated[bool, typer.Option("--plain", help="Write the dump as SQL text, backup.sql, whatever its form in the repository.")]


def run_export(
    session: Session,
    repository: RepositorySettings,
    snapshot: SnapshotName,
    directory: Directory,
    *,
    plain: Plain = False,
    client_programs: ClientPrograms = None,
    concurrency: Concurrency = None,
    temp_dir: TempDir = None,
) -> Result:
    """Write a snapshot into a directory as the plain tools know it: a dump, and the objects under their keys."""
    options = ExportOptions(plain, str(client_programs) if client_programs else None, transfer_limits(concurrency), temp_dir)
    place = open_repository_store(repository)
    manifest = find_snapshot(
        place, snapshot, now=datetime.now(UTC), zone=datetime.now().astimezone().tzinfo or UTC, listener=session.listener
    )
    result = export(place, manifest, directory, options=options, listener=session.listener)
    return Result(report.as_document(result), report.as_text(result), ExitStatus.DONE if result.complete else ExitStatus.FINDINGS)
