"""Decides what a difference between two clocks means. `seconds` is how far the other clock is ahead of this machine's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lockstep.model.checkup import Answer, failed, fine, warning


@dataclass(frozen=True, slots=True)
class SkewLimits:
    """Seconds, and the reason of each."""

    noticed: float = 5
    """Snapshots are named and chosen by time; below this nobody could tell two of them apart anyway."""
    refused: float = 900
    """S3 refuses signatures that are older or younger (RequestTimeTooSkewed). Source: Amazon S3 API reference, "Error responses"."""


SKEW = SkewLimits()


def measured_skew(shown: datetime, *, asked: datetime, answered: datetime, resolution: timedelta = timedelta(0)) -> float:
    """How many seconds a clock that showed `shown` is ahead of the one that showed `asked` before and `answered` after.

    `resolution` is the step in which the clock is shown, cut off below: a whole second in an HTTP date. What the way and the
    resolution alone can explain counts as no difference. All times are aware.
    """
    least = (shown - answered).total_seconds()
    most = (shown + resolution - asked).total_seconds()
    return least if least > 0 else most if most < 0 else 0.0


def decide_skew(seconds: float, *, signs_requests: bool) -> Answer:
    """`signs_requests` is true for a service that refuses requests by their time."""
    direction = "ahead of" if seconds > 0 else "behind"
    detail = f"{abs(seconds):.0f} s {direction} this machine's clock"
    hint = "Set both clocks by NTP: snapshots are named and chosen by time."
    if signs_requests and abs(seconds) > SKEW.refused:
        return failed(f"{detail}: S3 refuses requests at more than {SKEW.refused:.0f} s", hint="Set this machine's clock by NTP.")
    if abs(seconds) > SKEW.noticed:
        return warning(detail, hint=hint)
    return fine("as this machine's" if abs(seconds) < 1 else detail)
