"""The steps of a drill as they are taken: timed, told to the listener, and failed by the errors that are verdicts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lockstep.errors import ClientToolFailed, ObjectNotFound, ProfileInvalid, RepositoryInvalid, RestoreFailed, TargetRefused
from lockstep.model.drill import DrillStep
from lockstep.progress import Listener, Note

VERDICTS = (ClientToolFailed, ObjectNotFound, ProfileInvalid, RepositoryInvalid, RestoreFailed, TargetRefused)
"""Errors that say something of the snapshot. Any other says that the drill itself could not be done, and ends it."""


@dataclass(slots=True)
class Finding:
    """What a step is to say: `ok` until something is wrong."""

    details: list[str] = field(default_factory=list)
    ok: bool = True
    extrapolated: bool = False

    def say(self, detail: str) -> None:
        """Add a clause."""
        self.details.append(detail)

    def fail(self, detail: str) -> None:
        """Add a clause, and the step is not ok."""
        self.ok = False
        self.details.append(detail)


@dataclass(slots=True)
class DrillBook:
    """Collects steps in their order."""

    listener: Listener
    clock: Callable[[], float] = time.monotonic
    steps: list[DrillStep] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Finding]:
        """Take a step. An error of `VERDICTS` fails it and goes no further; the caller looks at `ok`."""
        finding, started = Finding(), self.clock()
        try:
            yield finding
        except VERDICTS as error:
            finding.fail(error.message)
        self.steps.append(DrillStep(name, finding.ok, "; ".join(finding.details), self.clock() - started, finding.extrapolated))
        self.listener(
            Note(f"{name}: {'ok' if finding.ok else 'NOT ok'}: {self.steps[-1].detail}", level="info" if finding.ok else "warning")
        )

    def skip(self, name: str, *, because: str) -> None:
        """Note a step that could not be taken: what it would have proven is not proven."""
        self.steps.append(DrillStep(name, False, f"not tried, because {because}", 0.0))

    def seconds(self, name: str) -> float:
        """What a step took; 0 when it was not taken."""
        return next((each.seconds for each in self.steps if each.name == name), 0.0)


def counted(number: int, noun: str) -> str:
    """A count and what is counted, in the plural where it is not one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
