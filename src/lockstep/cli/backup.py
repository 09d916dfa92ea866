"""`lockstep backup`: options, the operation, the report."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.scaling import scale_out
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import Concurrency, Dask, ServerSideCopy, TempDir, Workers, transfer_limits
from lockstep.cli.wiring import open_deployment, open_repository_store
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.encryption import EncryptionSettings, SigningSettings
from lockstep.config.keeping import KeepingSettings
from lockstep.config.repository import RepositorySettings
from lockstep.errors import ConfigurationError
from lockstep.operations.backup import backup
from lockstep.operations.backup_options import BackupOptions
from lockstep.operations.plan_backup import plan_backup
from lockstep.report import backup as report
from lockstep.repository.keyed_store import keyring_of

Format = Annotated[
    Literal["custom", "directory", "plain"] | None,
    typer.Option("--format", show_default=False, help="The form of the dump. Default: custom; directory with --jobs."),
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", min=1, metavar="N", show_default=False, help="Dump N tables at a time; implies --format directory.")
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast/--keep-going", help="On the first missing object end without a snapshot, or back up all the rest.")
]
Tag = Annotated[str | None, typer.Option("--tag", metavar="TEXT", show_default=False, help="A word to know the snapshot by.")]
LockTimeout = Annotated[
    int | None,
    typer.Option(
        "--lock-timeout", min=1, metavar="SECONDS", show_default=False,
        help="How long to wait for a table that somebody else has locked. Default: 60.",
    ),
]  # fmt: skip
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")]


def run_backup(
    session: Session,
    deployment: DeploymentSettings,
    repository: RepositorySettings,
    encryption: EncryptionSettings,
    signing: SigningSettings,
    keeping: KeepingSettings,  # noqa: ARG001 - the address has them
    *,
    format_: Format = None,
    jobs: Jobs = None,
    concurrency: Concurrency = None,
    fail_fast: FailFast = False,
    tag: Tag = None,
    temp_dir: TempDir = None,
    workers: Workers = None,
    dask: Dask = None,
    server_side_copy: ServerSideCopy = None,
    lock_timeout: LockTimeout = None,
    dry_run: DryRun = False,
) -> Result:
    """Record the deployment as it is now, as one new snapshot in the repository."""
    if jobs is not None and jobs > 1 and format_ not in {None, "directory"}:
        raise ConfigurationError(f"--jobs {jobs} needs the format directory, not {format_}", hint="Leave out --format, or --jobs.")
    opened, place = open_deployment(deployment), open_repository_store(repository, encryption, signing)
    options = BackupOptions(
        format=format_ or ("directory" if jobs is not None and jobs > 1 else "custom"),
        jobs=jobs or 1,
        fail_fast=fail_fast,
        tag=tag,
        limits=transfer_limits(concurrency),
        temporary=temp_dir,
        scale=scale_out(
            deployment,
            repository,
            keyring_of(place),
            workers=workers,
            dask=dask,
            temporary=temp_dir,
            server_side_copy=server_side_copy,
        ),
        server_side_copy=server_side_copy,
    )
    if lock_timeout is not None:
        opened = replace(opened, database=replace(opened.database, lock_timeout_seconds=lock_timeout))
    if dry_run:
        plan = plan_backup(opened, place, options=options)
        return Result(report.plan_as_document(plan), report.plan_as_text(plan))
    result = backup(opened, place, options=options, listener=session.listener)
    return Result(report.as_document(result), report.as_text(result), ExitStatus.DONE if result.complete else ExitStatus.FINDINGS)
