"""`lockstep audit`: options, the operation, the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import Concurrency, TempDir, transfer_limits
from lockstep.cli.wiring import open_deployment, open_repository_store
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.repository import RepositoryIfNamed
from lockstep.operations.audit import AuditOptions, audit
from lockstep.operations.audit_lists import check_places, write_whole
from lockstep.report import audit as report
from lockstep.report.audit_page import as_page

Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", show_default=False, help="Write the findings as one page that needs nothing else."),
]
ListMissing = Annotated[
    Path | None,
    typer.Option(
        "--list-missing", metavar="FILE", show_default=False, help="Write every missing or mismatched object to a file, as JSON lines."
    ),
]
ListOrphans = Annotated[
    Path | None,
    typer.Option("--list-orphans", metavar="FILE", show_default=False, help="Write every orphan to a file, as JSON lines."),
]
ListNodes = Annotated[
    Path | None,
    typer.Option(
        "--list-nodes",
        metavar="FILE",
        show_default=False,
        help="Write what single nodes of a RAID lack or have of another size to a file, as JSON lines.",
    ),
]


def run_audit(
    session: Session,
    deployment: DeploymentSettings,
    repository: RepositoryIfNamed,
    *,
    report_: Report = None,
    list_missing: ListMissing = None,
    list_orphans: ListOrphans = None,
    list_nodes: ListNodes = None,
    concurrency: Concurrency = None,
    temp_dir: TempDir = None,
) -> Result:
    """Compare the live database with the live bucket: what is missing, of another size, or an orphan.

    No repository is needed; one that is named tells since which snapshot an object is missing, and what could be put back.
    """
    check_places(report_)
    options = AuditOptions(list_missing, list_orphans, list_nodes, transfer_limits(concurrency), temp_dir)
    kept = open_repository_store(repository.settings) if repository.settings else None
    result = audit(open_deployment(deployment), repository=kept, options=options, listener=session.listener)
    if report_ is not None:
        write_whole(report_, as_page(result))
    return Result(report.as_document(result), report.as_text(result), ExitStatus.DONE if result.sound else ExitStatus.FINDINGS)
