"""Adds up the progress of each stage and says in words how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.progress import StageAdvanced, StageStarted
from lockstep.report.units import as_bytes, as_count, as_counted, as_duration, as_rate, as_share

# Before this much time has passed a rate or the time left would be a guess.
SETTLING_SECONDS = 1.0


@dataclass(slots=True)
class Stage:
    """One stage of the work. `done` and `total` are in `unit`; times are those of a monotonic clock."""

    name: str
    unit: str
    total: int | None
    started: float
    done: int = 0
    size_bytes: int = 0

    @classmethod
    def of(cls, event: StageStarted, *, now: float) -> Stage:
        """The stage that an event begins."""
        return cls(event.stage, event.unit, event.total, now)

    def advance(self, event: StageAdvanced) -> None:
        """Count what an event reports."""
        self.done += event.done
        self.size_bytes += event.size_bytes
        if event.total is not None:
            self.total = event.total

    @property
    def known_total(self) -> int | None:
        """The total while it can be believed: an estimate that was passed is none."""
        return self.total if self.total is not None and self.done <= self.total else None

    @property
    def moved_bytes(self) -> int:
        """Bytes that have moved so far."""
        return max(self.done, self.size_bytes) if self.unit == "bytes" else self.size_bytes

    def seconds_left(self, *, now: float) -> float | None:
        """How long the rest takes at the pace so far; None while that cannot be said."""
        elapsed = now - self.started
        if self.known_total is None or not self.done or elapsed < SETTLING_SECONDS:
            return None
        return (self.known_total - self.done) * elapsed / self.done

    def amount(self) -> str:
        """How much is done: `12,000 of 20,000 objects (60 %), 45.8 MiB`."""
        total = self.known_total
        if self.unit == "bytes":
            return (
                as_bytes(self.moved_bytes)
                if total is None
                else f"{as_bytes(self.done)} of {as_bytes(total)} ({as_share(self.done, total)})"
            )
        noun = self.unit.removesuffix("s")
        amount = (
            as_counted(self.done, noun)
            if total is None
            else f"{as_count(self.done)} of {as_counted(total, noun)} ({as_share(self.done, total)})"
        )
        return f"{amount}, {as_bytes(self.moved_bytes)}" if self.moved_bytes else amount

    def pace(self, *, now: float) -> str:
        """How fast it goes: `9.20 MiB/s`, or objects per second where no bytes are counted; empty while that cannot be said."""
        elapsed = now - self.started
        if elapsed < SETTLING_SECONDS:
            return ""
        if self.moved_bytes:
            return as_rate(self.moved_bytes / elapsed)
        return f"{as_count(round(self.done / elapsed))}/s" if self.unit == "objects" and self.done else ""

    def line(self, *, now: float) -> str:
        """One line on a stage under way."""
        left = self.seconds_left(now=now)
        pieces = [self.amount(), self.pace(now=now), "" if left is None else f"{as_duration(left)} left"]
        return f"{self.name}: {', '.join(piece for piece in pieces if piece)}"

    def end_line(self, *, now: float) -> str:
        """One line on a stage that is over."""
        done = self.amount() if self.done or self.size_bytes else "done"
        pieces = [done, f"in {as_duration(now - self.started)}", self.pace(now=now)]
        return f"{self.name}: {', '.join(piece for piece in pieces if piece)}"
