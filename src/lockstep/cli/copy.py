"""`lockstep copy`: options, the operation, the report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import Concurrency, ServerSideCopy, TempDir, transfer_limits
from lockstep.cli.wiring import open_repository_store
from lockstep.config.encryption import SigningSettings
from lockstep.config.keeping import KeepingSettings
from lockstep.config.repository import RepositorySettings, SecondSettings
from lockstep.operations.copy import CopyOptions, copy
from lockstep.report import copy as report

Repo2 = Annotated[
    str,
    typer.Argument(
        metavar="REPO2",
        help="The second repository: a directory, or s3://, gs://, az://. Access of its own: LOCKSTEP_REPO2_ENDPOINT_URL, _ACCESS_KEY_ID, "
        "_SECRET_ACCESS_KEY, _REGION, or \\[repository2] in the file.",
    ),
]
Snapshots = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SNAPSHOT]...", show_default=False, help="Which snapshots; all of them by default."),
]


def run_copy(
    session: Session,
    repository: RepositorySettings,
    second: SecondSettings,
    signing: SigningSettings,
    keeping: KeepingSettings,  # noqa: ARG001 - the address has them
    repo2: Repo2,  # noqa: ARG001 - `second` is made of it
    *,
    snapshots: Snapshots = None,
    concurrency: Concurrency = None,
    temp_dir: TempDir = None,
    server_side_copy: ServerSideCopy = None,
) -> Result:
    """Copy snapshots to a second repository, which becomes a mirror of this one; only what is not there yet travels."""
    options = CopyOptions(tuple(snapshots or ()), transfer_limits(concurrency), temp_dir, server_side_copy)
    source = open_repository_store(repository)
    target = open_repository_store(RepositorySettings(second.address), signing=signing)
    now, zone = datetime.now(UTC), datetime.now().astimezone().tzinfo or UTC
    result = copy(source, target, options=options, now=now, zone=zone, listener=session.listener)
    return Result(report.as_document(result), report.as_text(result), ExitStatus.DONE if result.ok else ExitStatus.FINDINGS)
