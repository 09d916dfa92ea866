"""How many objects are in flight at once: more while that helps, fewer when the store asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class PaceLimits:
    """The bounds of the search, and what counts as a gain."""

    first: int = 16
    """Where it begins. On two cores with the store beside them 16 were fastest (5.1 s for 20,000 GETs; 8: 7.4 s; 32: 6.7 s)."""
    least: int = 2
    most: int = 64
    """More threads than this cost more in the interpreter than even a far away store gives back."""
    growth: float = 1.5
    gain: float = 1.08
    """A rate must grow by this factor to justify a step; less is the noise of a shared machine."""
    rest: int = 10
    """How many looks (of about a second) pass after a step that did not help, before the next one is tried."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The state of the search: `width` objects in flight now, `before` the width that is returned to if the step does not help."""

    width: int
    rate: float = 0.0
    before: int | None = None
    resting: int = 0


def decide_pace(pace: Pace, *, rate: float, busy: bool, limits: PaceLimits) -> Pace:
    """The next pace after a look: `rate` is how much was done per second, `busy` whether the store asked for fewer requests."""
    if busy:
        return Pace(min(pace.width, max(limits.least, pace.width // 2)), resting=limits.rest)
    if pace.resting:
        return replace(pace, rate=max(rate, pace.rate * 0.9), resting=pace.resting - 1)
    if pace.before is not None and rate < pace.rate * limits.gain:
        return Pace(pace.before, rate=pace.rate, resting=limits.rest)
    wider = min(limits.most, max(pace.width + 1, round(pace.width * limits.growth)))
    if wider == pace.width:
        return Pace(pace.width, rate=rate)
    return Pace(wider, rate=rate, before=pace.width)
