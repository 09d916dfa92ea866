"""What a drill proves, step by step, and the decisions that it takes: which server, how large a sample, how long the whole would take."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

SAMPLED_BYTES = 1 << 30
"""How much of the objects is read unless a percentage is asked for: all of them up to here, else a sample of this size (CLI.md)."""


@dataclass(frozen=True, slots=True)
class DrillStep:
    """One thing that was proven, or was not. `detail` is a sentence for a person.

    `extrapolated` is true where a part was measured and the whole reckoned from it.
    """

    name: str
    ok: bool
    detail: str
    seconds: float
    extrapolated: bool = False


@dataclass(frozen=True, slots=True)
class DrillResult:
    """One drill. `rto_seconds` is how long database and objects would take to come back; `server` is where the dump was restored.

    `recorded` is the path of the record in the repository, None where none could be written. Times are aware UTC.
    """

    snapshot: str
    created: datetime
    complete: bool
    database: str
    server: str
    started: datetime
    steps: tuple[DrillStep, ...]
    rto_seconds: float
    seconds: float
    recorded: str | None = None

    @property
    def ok(self) -> bool:
        """True when every step was proven."""
        return all(step.ok for step in self.steps)


@dataclass(frozen=True, slots=True)
class Amounts:
    """Objects and their bytes."""

    objects: int = 0
    size_bytes: int = 0


def choose_server(installed: Collection[int], dumped: int) -> int | None:
    """The major version to restore into: the one that was dumped if installed, else the lowest newer one; None when all are older."""
    return min((major for major in installed if major >= dumped), default=None)


def decide_share(percent: float | None, whole: Amounts) -> float:
    """The share of the objects to read, from 0 to 1: what is asked for, else all up to `SAMPLED_BYTES` and a sample of that size above."""
    if percent is not None:
        return min(max(percent / 100, 0.0), 1.0)
    return 1.0 if whole.size_bytes <= SAMPLED_BYTES else SAMPLED_BYTES / whole.size_bytes


def reckon_seconds(measured: float, part: Amounts, whole: Amounts) -> float:
    """How long the whole takes when a part took so long: by bytes or by objects, whichever says more. 0 when nothing was measured."""
    if part.objects == 0:
        return 0.0
    by_objects = whole.objects / part.objects
    by_bytes = whole.size_bytes / part.size_bytes if part.size_bytes else 1.0
    return measured * max(by_objects, by_bytes, 1.0)
