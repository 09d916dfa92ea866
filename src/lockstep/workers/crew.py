"""What every crew of workers can do, wherever its workers run."""

from __future__ import annotations

from typing import Protocol, TypeVar

Task_contra = TypeVar("Task_contra", contravariant=True)
Report = TypeVar("Report")

MOST_ATTEMPTS = 3
"""How many workers may die over one task before the work is given up: a task that kills whoever does it would kill them all."""


class Crew(Protocol[Task_contra, Report]):
    """Workers: tasks go in, a report comes out for each, in any order. Used by one thread.

    A task whose worker dies is given to another one. Raises WorkersFailed when that happens too often, or nobody is left.
    """

    @property
    def width(self) -> int:
        """How many tasks can be in hand at once, now."""

    @property
    def lost(self) -> int:
        """How many workers have died so far."""

    def give(self, task: Task_contra) -> None:
        """Hand out a task."""

    def take(self, seconds: float) -> list[Report]:
        """The reports that have come; waits for the first one, at the longest for so long. May be empty."""

    def wind_down(self) -> None:
        """Ask those who are at work to report what they have, soon."""

    def close(self) -> None:
        """End what the crew has started. Nobody is at work for it afterwards."""
