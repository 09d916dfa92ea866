"""`lockstep profile test`: options, the operation, the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import TempDir
from lockstep.cli.wiring import open_deployment
from lockstep.config.deployment import DeploymentSettings
from lockstep.operations.profile_trial import TrialOptions, try_profile
from lockstep.report import profile as report

Action = Annotated[Literal["test"], typer.Argument(metavar="test", help="Run its queries and look for a sample of what they name.")]
ProfileName = Annotated[str, typer.Argument(metavar="FILE|NAME", help="A profile file, or the name of a profile that comes with lockstep.")]
Sample = Annotated[int, typer.Option("--sample", min=1, max=100_000, metavar="N", help="How many references are looked for in the bucket.")]


def run_profile(
    session: Session,
    deployment: DeploymentSettings,
    action: Action,  # noqa: ARG001 - the word is the command; there is one so far
    profile: ProfileName,
    *,
    sample: Sample = 200,
    temp_dir: TempDir = None,
) -> Result:
    """Try a profile on a live deployment: what it references, and how much of a sample is in the bucket. Read-only."""
    opened = replace(open_deployment(deployment), app=str(Path(profile).expanduser()) if profile.endswith(".toml") else profile)
    trial = try_profile(opened, options=TrialOptions(sample, temp_dir), listener=session.listener)
    return Result(report.as_document(trial), report.as_text(trial), ExitStatus.DONE if trial.sound else ExitStatus.FINDINGS)
