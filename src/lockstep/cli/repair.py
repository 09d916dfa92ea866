"""`lockstep repair`: options, the plan, the operation, the report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.questions import asks_first, go_ahead
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import Concurrency, TempDir, transfer_limits
from lockstep.cli.wiring import open_deployment, open_repository_store, open_stores
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.keeping import KeepingSettings
from lockstep.config.repository import RepositoryIfNamed
from lockstep.errors import ConfigurationError
from lockstep.operations.audit_lists import check_places
from lockstep.operations.repair import RepairOptions, plan_repair, repair
from lockstep.operations.repair_repository import plan_repository_repair, repair_repository
from lockstep.report import repair as report

ListMissing = Annotated[
    Path | None,
    typer.Option("--list-missing", metavar="FILE", show_default=False, help="Write what cannot be put back to a file, as JSON lines."),
]
InRepository = Annotated[
    bool, typer.Option("--repository", help="The other way: fetch again what the repository has lost or holds damaged, from the bucket.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be put back; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Go ahead without being asked.")]


def run_repair(
    session: Session,
    deployment: DeploymentSettings,
    repository: RepositoryIfNamed,
    keeping: KeepingSettings,  # noqa: ARG001 - the address has them
    *,
    in_repository: InRepository = False,
    list_missing: ListMissing = None,
    concurrency: Concurrency = None,
    temp_dir: TempDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> Result:
    """Put back into the bucket what is missing or of the wrong size and the repository, or another node of a RAID, has."""
    check_places(list_missing)
    options = RepairOptions(list_missing, transfer_limits(concurrency), temp_dir)
    place = open_repository_store(repository.settings) if repository.settings else None
    if place is None and (in_repository or deployment.raid not in {"raid1", "raid5"}):
        raise ConfigurationError("no repository is named", hint="Name a directory or an s3:// URL with --repo.")
    if place is not None and in_repository:
        stores = open_stores(deployment)
        plan_it = partial(plan_repository_repair, place)
        do_it = partial(repair_repository, stores, place)
    else:
        opened = open_deployment(deployment)
        plan_it = partial(plan_repair, opened, place)
        do_it = partial(repair, opened, place)
    if dry_run or asks_first(yes=yes, session=session):
        plan = plan_it(options=options, listener=session.listener)
        if dry_run:
            return Result(report.plan_as_document(plan), report.plan_as_text(plan))
        go_ahead(report.plan_as_text(plan), session=session)
    result = do_it(options=options, listener=session.listener)
    return Result(report.as_document(result), report.as_text(result), ExitStatus.FINDINGS if result.still_missing else ExitStatus.DONE)
