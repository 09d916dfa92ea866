"""`lockstep restore`: options, the plan, the operation, the report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.questions import asks_first, go_ahead
from lockstep.cli.scaling import scale_out
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import Concurrency, Dask, ServerSideCopy, SnapshotName, TempDir, Workers, transfer_limits
from lockstep.cli.wiring import open_repository_store, open_stores
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.repository import RepositorySettings
from lockstep.errors import ConfigurationError
from lockstep.operations.browse import find_snapshot
from lockstep.operations.restore import RestoreOptions, RestoreTarget, plan_restore, restore
from lockstep.operations.restore_database import DatabaseOptions
from lockstep.operations.restore_objects import ObjectsOptions
from lockstep.report import restore as report

Only = Annotated[Literal["database", "objects"] | None, typer.Option("--only", show_default=False, help="Restore one side alone.")]
Replace = Annotated[
    bool,
    typer.Option(
        "--replace", help="Keep a target database that is not empty as NAME_before_<time>, and put the restored one in its place."
    ),
]
Disconnect = Annotated[bool, typer.Option("--disconnect", help="End the sessions on the target database when renaming.")]
InPlace = Annotated[
    bool, typer.Option("--in-place", help="Fill an existing empty database in one transaction; for roles without CREATEDB.")
]
NoOwner = Annotated[bool, typer.Option("--no-owner", help="Leave out owners and privileges; for servers without the dump's roles.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", min=1, metavar="N", show_default=False, help="Restore N tables at a time. Default: one a core, at most 4."),
]
Prefix = Annotated[
    str,
    typer.Option("--prefix", metavar="P", show_default=False, help="Restore only objects whose key starts with P; implies --only objects."),
]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Prove each upload by its ETag, or read it back.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace objects of the bucket that differ; without it they are findings.")]
CreateBucket = Annotated[bool, typer.Option("--create-bucket", help="Create the bucket when it does not exist.")]
MaintenanceDb = Annotated[
    str | None,
    typer.Option(
        "--maintenance-db",
        metavar="NAME",
        show_default=False,
        help="The database to create and rename from. Default: postgres, else template1.",
    ),
]
ListMissing = Annotated[
    Path | None,
    typer.Option("--list-missing", metavar="FILE", show_default=False, help="Write what cannot come back to a file, as JSON lines."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Go ahead without being asked.")]


def run_restore(
    session: Session,
    deployment: DeploymentSettings,
    repository: RepositorySettings,
    snapshot: SnapshotName,
    *,
    only: Only = None,
    replace: Replace = False,
    disconnect: Disconnect = False,
    in_place: InPlace = False,
    no_owner: NoOwner = False,
    jobs: Jobs = None,
    prefix: Prefix = "",
    verify: Verify = True,
    overwrite: Overwrite = False,
    create_bucket: CreateBucket = False,
    maintenance_db: MaintenanceDb = None,
    list_missing: ListMissing = None,
    concurrency: Concurrency = None,
    temp_dir: TempDir = None,
    workers: Workers = None,
    dask: Dask = None,
    server_side_copy: ServerSideCopy = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> Result:
    """Bring a snapshot back: objects first, the database last."""
    if prefix and only == "database":
        raise ConfigurationError("--prefix is about objects, and --only database leaves them out", hint="Leave out one of the two.")
    if in_place and replace:
        raise ConfigurationError("--in-place and --replace exclude each other", hint="Leave out one of the two.")
    options = RestoreOptions(
        only=only,
        objects=ObjectsOptions(prefix, overwrite, verify, create_bucket, list_missing, transfer_limits(concurrency), server_side_copy),
        database=DatabaseOptions(replace, disconnect, in_place, no_owner, jobs, maintenance_db),
        temporary=temp_dir,
        scale=scale_out(
            deployment, repository, workers=workers, dask=dask, temporary=temp_dir, strict=True, server_side_copy=server_side_copy
        ),
    )
    place = open_repository_store(repository)
    manifest = find_snapshot(
        place, snapshot, now=datetime.now(UTC), zone=datetime.now().astimezone().tzinfo or UTC, listener=session.listener
    )
    target = RestoreTarget(
        deployment.needed_database() if options.with_database else deployment.database,
        open_stores(deployment, strict=True) if options.with_objects and manifest.stores else {},
    )
    if dry_run or asks_first(yes=yes, session=session):
        plan = plan_restore(place, manifest, target, options=options, listener=session.listener)
        if dry_run:
            return Result(report.plan_as_document(plan), report.plan_as_text(plan))
        go_ahead(report.plan_as_text(plan), session=session)
    result = restore(place, manifest, target, options=options, listener=session.listener)
    return Result(report.as_document(result), report.as_text(result), ExitStatus.DONE if result.consistent else ExitStatus.FINDINGS)
