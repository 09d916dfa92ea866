"""`lockstep demo`: the whole story on this machine, and the commands to do the same elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.screen import Result, is_terminal
from lockstep.demo.story import tell
from lockstep.report import demo as report

Keep = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        metavar="DIR",
        show_default=False,
        help="Keep the repository and both servers' data in DIR, which must be empty or absent. Default: nothing is left behind.",
    ),
]


def run_demo(session: Session, *, keep: Keep = None) -> Result:
    """Show the whole story on this machine, with a real PostgreSQL and S3 store."""
    result = tell(keep, listener=session.listener)
    colour = session.output.colour and is_terminal(sys.stdout)
    width = shutil.get_terminal_size((100, 24)).columns
    text = report.as_text(result, program=program_name(), width=width, colour=colour)
    return Result(report.as_document(result), text, ExitStatus.DONE if result.ok else ExitStatus.FINDINGS)


def program_name() -> str:
    """How lockstep can be called from where the person is: by its name, by its path, or as a module."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{Path(sys.executable).name} -m lockstep"
    found = shutil.which("lockstep")
    if found is not None and Path(found).resolve() == called.resolve():
        return "lockstep"
    relative = os.path.relpath(called)
    return str(called) if relative.startswith("..") else relative
