"""`lockstep prune`: the policy, the plan, the operation, the report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.questions import asks_first, go_ahead
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import TempDir
from lockstep.cli.wiring import fate_of_deleted, open_repository_store
from lockstep.config.encryption import SigningSettings
from lockstep.config.keeping import KeepingSettings
from lockstep.config.repository import RepositorySettings
from lockstep.errors import ConfigurationError
from lockstep.model.retention import Policy, Span, parse_span
from lockstep.operations.prune import PruneOptions, plan_prune, prune
from lockstep.report import prune as report

_RULES = "Retention policy"


def _newest(what: str) -> typer.models.OptionInfo:
    text = f"Keep the newest snapshot of each of the newest N {what} that have one." if what else "Keep the newest N snapshots."
    info: typer.models.OptionInfo = typer.Option(min=1, metavar="N", show_default=False, rich_help_panel=_RULES, help=text)
    return info


KeepLast = Annotated[int | None, _newest("")]
KeepHourly = Annotated[int | None, _newest("hours")]
KeepDaily = Annotated[int | None, _newest("days")]
KeepWeekly = Annotated[int | None, _newest("weeks (Monday to Sunday)")]
KeepMonthly = Annotated[int | None, _newest("months")]
KeepYearly = Annotated[int | None, _newest("years")]
KeepWithin = Annotated[
    str | None,
    typer.Option(
        "--keep-within",
        metavar="TIME",
        show_default=False,
        rich_help_panel=_RULES,
        help="Keep all that are at most so much older than the newest one: 12h, 30d, 2w, 6m, 1y6m.",
    ),
]
KeepTag = Annotated[
    list[str] | None,
    typer.Option("--keep-tag", metavar="TEXT", show_default=False, rich_help_panel=_RULES, help="Keep all with this tag. Repeatable."),
]
Grace = Annotated[
    str,
    typer.Option(
        "--grace", metavar="TIME", help="How long what a stopped backup had copied waits for the next one, which goes on from it."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go and why; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Go ahead without being asked.")]


def run_prune(
    session: Session,
    repository: RepositorySettings,
    signing: SigningSettings,
    keeping: KeepingSettings,  # noqa: ARG001 - the address has them
    *,
    keep_last: KeepLast = None,
    keep_hourly: KeepHourly = None,
    keep_daily: KeepDaily = None,
    keep_weekly: KeepWeekly = None,
    keep_monthly: KeepMonthly = None,
    keep_yearly: KeepYearly = None,
    keep_within: KeepWithin = None,
    keep_tag: KeepTag = None,
    grace: Grace = "7d",
    temp_dir: TempDir = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> Result:
    """Remove the snapshots that a retention policy does not keep, then the objects that no kept snapshot references."""
    policy = Policy(
        last=keep_last or 0,
        hourly=keep_hourly or 0,
        daily=keep_daily or 0,
        weekly=keep_weekly or 0,
        monthly=keep_monthly or 0,
        yearly=keep_yearly or 0,
        within=_span("--keep-within", keep_within) if keep_within else None,
        tags=tuple(keep_tag or ()),
    )
    if not policy:
        raise ConfigurationError(
            "no policy says which snapshots to keep", hint="Name one, for example --keep-daily 7 --keep-weekly 5 --keep-monthly 12."
        )
    now = datetime.now(UTC)
    options = PruneOptions(policy, now - _span("--grace", grace).before(now, UTC), temporary=temp_dir)
    store = open_repository_store(repository, signing=signing)
    if dry_run or asks_first(yes=yes, session=session):
        plan = plan_prune(store, options=options, now=now, zone=None, listener=session.listener)
        fate = fate_of_deleted(repository.address)
        if dry_run:
            return Result(report.plan_as_document(plan, fate=fate), report.plan_as_text(plan, fate=fate))
        go_ahead(report.plan_as_text(plan, fate=fate), session=session)
        options = replace(options, agreed=plan)
    result = prune(store, options=options, now=now, zone=None, listener=session.listener)
    fate = fate_of_deleted(repository.address)
    return Result(report.as_document(result, fate=fate), report.as_text(result, fate=fate), ExitStatus.DONE)


def _span(option: str, text: str) -> Span:
    try:
        return parse_span(text)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}", hint="Write it as 12h, 30d, 2w, 6m or 1y6m.") from error
