"""Small commands on the skeleton of the command line, for the tests of the skeleton itself."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from lockstep import errors
from lockstep.cli.command_tree import CommandPlace
from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.screen import Result
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.repository import RepositorySettings
from lockstep.progress import Note, StageAdvanced, StageEnded, StageStarted


@dataclass(frozen=True, slots=True)
class Said:
    """What a command line said and how it ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output, which must be exactly one JSON object."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


Say = Callable[..., Said]


def tiny(
    session: Session,
    deployment: DeploymentSettings,
    repository: RepositorySettings,
    *,
    snapshot: Annotated[str, typer.Argument(help="The snapshot.")] = "latest",
    jobs: Annotated[int | None, typer.Option(help="How many at once.", min=1)] = None,
    format_: Annotated[str, typer.Option("--format", help="The format.")] = "custom",
    list_missing: Annotated[Path | None, typer.Option(help="A file.")] = None,
) -> Result:
    """Show what was given."""
    session.listener(Note("noted", fields={"snapshot": snapshot}))
    database = deployment.database
    document = {
        "snapshot": snapshot,
        "jobs": jobs,
        "format": format_,
        "list_missing": list_missing,
        "database": None if database is None else database.conninfo.replace("hunter22", "PASSWORD"),
        "stores": deployment.stores,
        "repository": repository.address,
        "output": session.output,
    }
    return Result(document, f"snapshot {snapshot}, jobs {jobs}, format {format_}")


def reader(repository: RepositorySettings) -> Result:
    """Need a repository only."""
    return Result({"repository": repository.address}, (f"line {number}" for number in range(3)))


def failing(
    session: Session,
    *,
    how: Annotated[str, typer.Argument(help="The class of the error.")],
    text: Annotated[str, typer.Option(help="What it says.")] = "the thing did not work",
) -> Result:
    """Fail in one of many ways."""
    listener = session.listener
    listener(StageStarted("objects", total=10, unit="objects"))
    listener(StageAdvanced("objects", done=1, size_bytes=1024))
    match how:
        case "findings":
            listener(StageEnded("objects"))
            return Result({"ok": False}, "2 objects are missing", status=ExitStatus.FINDINGS)
        case "ValueError":
            raise ValueError(text)
        case "BrokenPipeError":
            raise BrokenPipeError(32, text)
        case "Cancelled":
            raise errors.Cancelled(15)
        case "stdout":
            return Result({"items": (number for number in range(100_000))}, (str(number) for number in range(100_000)))
        case "SIGTERM" | "SIGINT":
            os.kill(os.getpid(), signal.Signals[how])
            time.sleep(10)
    raise getattr(errors, how)(text, hint="Do something else.")


TINY = CommandPlace("tiny", "support.tiny_command:tiny", "Show what was given.")
READER = CommandPlace("reader", "support.tiny_command:reader", "Need a repository only.")
FAILING = CommandPlace("failing", "support.tiny_command:failing", "Fail in one of many ways.")
COMMANDS = (TINY, READER, FAILING)
