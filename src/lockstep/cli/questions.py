"""Asks the person before something is changed that cannot be taken back."""

from __future__ import annotations

import sys

from lockstep.cli.composition import Session
from lockstep.errors import Cancelled, ConfigurationError


def confirm(question: str, *, yes: bool, session: Session) -> bool:
    """True when `yes` was given or the person says so. Raises ConfigurationError where nobody can be asked.

    Nothing may be in progress meanwhile: live bars would cover the question.
    """
    if yes:
        return True
    if session.output.json or not sys.stdin.isatty():
        raise ConfigurationError("nobody is there to confirm this", hint="Add --yes to go ahead without being asked.")
    # Not input(): it writes its prompt to standard output, which belongs to the result.
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def asks_first(*, yes: bool, session: Session) -> bool:
    """True when a person at a terminal is to see the plan and be asked; a script that named what it wants is not."""
    return not yes and not session.output.json and sys.stdin.isatty()


def go_ahead(plan: str, *, session: Session) -> None:
    """Show a plan and ask. Raises Cancelled when the person does not want it."""
    session.screen.show_note(plan)
    if not confirm("Go ahead?", yes=False, session=session):
        raise Cancelled(2)
