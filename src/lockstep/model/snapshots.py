"""The names of snapshots: how a new one is chosen and how a person's word finds one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import NewType

from lockstep.errors import SnapshotNotFound

SnapshotId = NewType("SnapshotId", str)

_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_AGO = re.compile(r"([0-9]{1,12})\s*(second|minute|hour|day|week|month|year)s?(?:\s+ago)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TO_THE_SECOND = re.compile(r".{10}[ T][0-9]{2}:?[0-9]{2}:?[0-9]{2}(?![.,0-9])")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400, "year": 365 * 86400}
_LARGEST_SUFFIX = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class SnapshotTime:
    """A snapshot and the moment of its frozen view (aware UTC). `late`: imported after snapshots that are newer than it."""

    snapshot: SnapshotId
    created: datetime
    late: bool = False


@dataclass(frozen=True, slots=True)
class DamagedSnapshot:
    """A snapshot whose manifest cannot be read or trusted: where that lies in the repository, and what is wrong with it."""

    snapshot: SnapshotId
    path: str
    why: str


def is_snapshot_id(text: str) -> bool:
    """True for text of the form `20261122T124000Z-1a2b3c4d`."""
    return _ID.fullmatch(text) is not None


def new_snapshot_id(frozen_at: datetime, *, newest: SnapshotId | None, randomness: int) -> SnapshotId:
    """The id of a snapshot frozen at that moment: it sorts after `newest`, whatever the clocks say.

    `randomness` is a number from 0 to 2**32 - 1. When the moment is not later than the second in `newest` (two snapshots in one
    second, or a clock that was set back), the second of `newest` is kept and only the suffix grows; the true moment stands in the manifest.
    """
    stamp = frozen_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    if newest is None or stamp > newest[:16]:
        return SnapshotId(f"{stamp}-{randomness:08x}")
    last = int(newest[17:], 16)
    if last < _LARGEST_SUFFIX:
        return SnapshotId(f"{newest[:16]}-{last + 1 + randomness % (_LARGEST_SUFFIX - last):08x}")
    following = datetime.strptime(newest[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + timedelta(seconds=1)
    return SnapshotId(f"{following:%Y%m%dT%H%M%SZ}-{randomness:08x}")


def select_snapshot(wanted: str, snapshots: Sequence[SnapshotTime], *, now: datetime, zone: tzinfo) -> SnapshotId:
    """The one snapshot that a person means: an id, a unique prefix of one, `latest`, or a time (the newest at or before it).

    `snapshots` are in any order. A bare date means the whole of that day in `zone`, a time to the second the whole of that second (which is
    how times of snapshots are shown); a time without zone is in `zone`.
    Raises SnapshotNotFound when none or more than one answers.
    """
    text = wanted.strip()
    if not snapshots:
        raise SnapshotNotFound("the repository has no snapshot yet", hint="Make one with 'lockstep backup'.")
    if text == "latest":
        return max(snapshots, key=lambda each: (not each.late, each.snapshot)).snapshot
    matches = [each.snapshot for each in snapshots if text and each.snapshot.startswith(text)]
    moment = _as_moment(text, now=now, zone=zone)
    if len(matches) == 1:
        return matches[0]
    if moment is not None:
        return _newest_at(moment, snapshots, wanted=wanted)
    if len(matches) > 1:
        raise SnapshotNotFound(f"{len(matches)} snapshots begin with '{wanted}'", hint="Give more of the id; 'lockstep list' shows them.")
    raise SnapshotNotFound(
        f"no snapshot '{wanted}'",
        hint="Name one by id, unique prefix, 'latest' or a time such as 2026-11-20 or '2 days ago'; 'lockstep list' shows them.",
    )


def _newest_at(moment: datetime, snapshots: Sequence[SnapshotTime], *, wanted: str) -> SnapshotId:
    earlier = [each for each in snapshots if each.created <= moment]
    if not earlier:
        oldest = min(each.created for each in snapshots)
        raise SnapshotNotFound(
            f"no snapshot is as old as '{wanted}'", hint=f"Name a later time; the oldest snapshot is of {oldest:%Y-%m-%dT%H:%M:%SZ}."
        )
    return max(earlier, key=lambda each: (each.created, each.snapshot)).snapshot


def _as_moment(text: str, *, now: datetime, zone: tzinfo) -> datetime | None:
    if ago := _AGO.fullmatch(text.lower()):
        try:
            return now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        except OverflowError:  # before the year 1
            return None
    if text.lower() == "yesterday":
        text = (now.astimezone(zone) - timedelta(days=1)).date().isoformat()
    if not _DATE.match(text):  # `20261120T12` is the beginning of an id, not a time
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == len("2026-11-20"):
        moment = datetime.combine(moment.date(), time.max)
    elif _TO_THE_SECOND.match(text):
        moment = moment.replace(microsecond=999_999)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
