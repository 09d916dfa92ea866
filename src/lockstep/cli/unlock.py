"""`lockstep unlock`: options, the operation, the report."""

from __future__ import annotations

from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.screen import Result
from lockstep.cli.wiring import open_repository_store
from lockstep.config.repository import RepositorySettings
from lockstep.model.locks import UnlockResult
from lockstep.operations.unlock import show_locks, unlock
from lockstep.report import unlock as report

Force = Annotated[
    bool, typer.Option("--force", help="Take away also the lock of a holder that lives. It ends before it makes anything count.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show whose locks there are; change nothing.")]


def run_unlock(session: Session, repository: RepositorySettings, *, force: Force = False, dry_run: DryRun = False) -> Result:
    """Show whose locks there are in a repository, and remove those of holders that are dead."""
    store = open_repository_store(repository)
    if dry_run:
        result = UnlockResult(show_locks(store, listener=session.listener), removed=False)
    else:
        result = unlock(store, force=force, listener=session.listener)
    return Result(report.as_document(result), report.as_text(result))
