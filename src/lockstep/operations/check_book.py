"""Keeps the checks: each is made whatever became of the others, and one that needs another's result says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from lockstep.errors import Cancelled, LockstepError
from lockstep.model.checkup import Answer, Check, Checkup, failed, untried
from lockstep.progress import Listener, StageAdvanced, StageEnded, StageStarted

Thing = TypeVar("Thing")

STAGE = "checks"


class NotTried(Exception):
    """A check needs what an earlier one did not get; `needed` is that one's name."""

    def __init__(self, needed: str) -> None:
        super().__init__(needed)
        self.needed = needed


class Found(Generic[Thing]):
    """What a check opened or learned, for the checks after it."""

    def __init__(self, name: str) -> None:
        self._needed = name
        self._things: list[Thing] = []

    @property
    def value(self) -> Thing:
        """The thing. Raises NotTried when the check did not get it."""
        if not self._things:
            raise NotTried(self._needed)
        return self._things[0]

    @property
    def known(self) -> Thing | None:
        """The thing, or None, for checks that can do without."""
        return self._things[0] if self._things else None

    def keep(self, thing: Thing) -> None:
        """Let the checks after this one have it."""
        self._things.append(thing)

    def blame(self, needed: str) -> None:
        """Say which check is to blame in the end."""
        self._needed = needed


class Book:
    """The checks made so far."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._checks: list[Check] = []
        listener(StageStarted(STAGE, unit="steps"))

    def ask(self, name: str, look: Callable[[], Answer]) -> None:
        """Make a check. An error is its answer."""
        try:
            answer = look()
        except NotTried as error:
            answer = untried(error.needed)
        except Cancelled:
            raise
        except LockstepError as error:
            answer = failed(error.message, hint=error.hint)
        self._checks.append(Check(name, answer))
        self._listener(StageAdvanced(STAGE, done=1))

    def learn(self, name: str, look: Callable[[], tuple[Thing, Answer]]) -> Found[Thing]:
        """Make a check that gives something to those after it."""
        found: Found[Thing] = Found(name)

        def kept() -> Answer:
            try:
                thing, answer = look()
            except NotTried as error:
                found.blame(error.needed)
                raise
            found.keep(thing)
            return answer

        self.ask(name, kept)
        return found

    def close(self) -> Checkup:
        """All checks."""
        self._listener(StageEnded(STAGE))
        return Checkup(tuple(self._checks))
