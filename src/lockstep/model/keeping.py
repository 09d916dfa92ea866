"""How a repository's bucket keeps what is written into it: in which storage class, and locked until when; and whose lock is made longer.

A lock reaches further than it was asked for, by a slack, and is made longer when less is left than was asked for. So one request an object
in each slack does, instead of one in each backup. The objects that are needed are cut into shares, and the shares take turns, so that
each backup has about the same to do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from lockstep.model.snapshots import SnapshotId

LockMode = Literal["governance", "compliance"]
"""`governance`: who has a right of its own may end a lock early. `compliance`: nobody may."""

SLACK_OF_A_LOCK = 2
"""A lock reaches further than asked for by so manieth a part of it: a half costs two requests an object in each period, and at most half
as much storage again for what is not needed any more."""

SHARES = tuple(f"{number:02x}" for number in range(256))
"""Into what all that is locked is cut: by the first two digits of a checksum. With daily backups and 30 days about 17 have their turn."""

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What an operator asks of a repository's bucket. `lock_for` None: nothing is locked; with `unlocked` that was said, not forgotten.

    `storage_class` is that of objects.
    """

    lock_for: timedelta | None = None
    lock_mode: LockMode = "governance"
    unlocked: bool = False
    storage_class: str | None = None

    @property
    def slack(self) -> timedelta:
        """How much further a lock reaches than it was asked for."""
        return (self.lock_for or timedelta()) / SLACK_OF_A_LOCK

    def locked_until(self, now: datetime) -> datetime:
        """Until when something is locked that is locked now."""
        return now + (self.lock_for or timedelta()) + self.slack


NO_KEEPING = Keeping()
"""As the bucket does by itself."""


@dataclass(frozen=True, slots=True)
class LockState:
    """What is known of the locks in a repository.

    Of each share all that `snapshot` needs is locked at least until the moment in `until`, and all that was written since; shares of which
    nothing is known are not in it. `snapshot` is None before there is one.
    """

    until: Mapping[str, datetime]
    snapshot: SnapshotId | None = None

    def at_most(self, moment: datetime) -> LockState:
        """What is left of it when something is written that is locked until a moment."""
        return replace(self, until={share: min(until, moment) for share, until in self.until.items()})

    def extended(self, shares: Collection[str], until: datetime) -> LockState:
        """The same after all of some shares was locked until a moment."""
        return replace(self, until={**self.until, **dict.fromkeys(shares, until)})


def new_state(until: datetime) -> LockState:
    """For a repository in which nothing is yet, and all that comes will be locked at least until a moment."""
    return LockState(dict.fromkeys(SHARES, until))


def decide_due(state: LockState, *, keeping: Keeping, now: datetime) -> tuple[str, ...]:
    """The shares whose locks are made longer now, the most urgent first.

    All of which less is left than `lock_for`; and as many more as are needed lest a later backup has more to do than its part, which is
    so when many were locked at the same time, as after a first backup.
    """
    if keeping.lock_for is None:
        return ()
    ordered = sorted(SHARES, key=lambda share: (state.until.get(share, NEVER), share))
    most = 0.0
    for place, share in enumerate(ordered, start=1):
        until = state.until.get(share, NEVER)
        slack_left = max(timedelta(), until - now - keeping.lock_for) if until != NEVER else timedelta()
        most = max(most, place - len(SHARES) * (slack_left / keeping.slack))
    return tuple(ordered[: int(most + _ROUNDING)])


_ROUNDING = 1e-9
"""What a share is not worth waiting for."""
