"""Which snapshots a policy keeps, and why each of them stays or goes.

A rule of the calendar (`keep-daily 7`) has slots: it keeps the newest snapshot of each of the newest 7 days that have one, in the
operator's time zone. `keep-within` counts back from the newest snapshot, not from now: a repository that got no backup for a year loses
nothing. A snapshot stays when any rule keeps it.

Incomplete snapshots never take a slot that a complete one could fill. Each rule is filled by the complete ones first, and incomplete
ones get what slots are left. Those that are newer than every complete snapshot have slots of their own: they are the newest that there
is, and where an object is lost for good, no snapshot is ever complete again. The newest complete snapshot always stays.

Source for the meaning of the rules: restic, "Removing snapshots according to a policy". It keeps the oldest snapshot too while a rule has
slots left; here it goes when a newer one of its day stays.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from lockstep.model.snapshots import SnapshotId

_SPAN = re.compile(r"(?=.)(?:(\d{1,4})y)?(?:(\d{1,5})m)?(?:(\d{1,5})w)?(?:(\d{1,6})d)?(?:(\d{1,7})h)?")


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in calendar months, days and hours."""

    months: int = 0
    days: int = 0
    hours: int = 0

    def before(self, moment: datetime, zone: tzinfo | None) -> datetime:
        """The moment (UTC) that lies so long before another one: months and days by the calendar in `zone`, hours by the clock."""
        local = moment.astimezone(zone).replace(tzinfo=None)
        year, month = divmod(local.year * 12 + local.month - 1 - self.months, 12)
        try:
            day = min(local.day, calendar.monthrange(year, month + 1)[1])
            there = local.replace(year=year, month=month + 1, day=day) - timedelta(self.days)
            return there.replace(tzinfo=zone).astimezone(UTC) - timedelta(hours=self.hours)
        except (ValueError, OverflowError, IndexError):  # before the year 1
            return datetime.min.replace(tzinfo=UTC)


def parse_span(text: str) -> Span:
    """A length of time as people write it: `30d`, `12h`, `2w`, `6m`, `1y6m`. Raises ValueError when it is none."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"'{text}' is no length of time")
    years, months, weeks, days, hours = (int(part or 0) for part in found.groups())
    return Span(years * 12 + months, weeks * 7 + days, hours)


@dataclass(frozen=True, slots=True)
class Policy:
    """How many snapshots of each kind stay. `tags` keeps what has one of these tags."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: Span | None = None
    tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """True when there is a rule that could keep something."""
        return self != Policy()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A snapshot as far as a policy is concerned; `created` is aware."""

    snapshot: SnapshotId
    created: datetime
    complete: bool
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a snapshot. `reasons`, of which there is at least one, say why it is kept, or of each rule why it doesn't keep it."""

    snapshot: SnapshotId
    created: datetime
    complete: bool
    tag: str | None
    kept: bool
    reasons: tuple[str, ...]


def decide_retention(candidates: Iterable[Candidate], policy: Policy, *, zone: tzinfo | None) -> list[Verdict]:
    """A verdict for each snapshot, oldest first by the date of its dump. Where there are any, one is kept.

    `zone` is that of the calendar's days; None: that of this machine.
    """
    newest_first = sorted(candidates, key=lambda each: (each.created, each.snapshot), reverse=True)
    reasons = _Reasons()
    for rule, period_of in _PERIODS.items():
        slots: int = getattr(policy, rule)
        if slots:
            periods = {each.snapshot: period_of(each, each.created.astimezone(zone)) for each in newest_first}
            _apply(_Rule(rule, slots, periods), newest_first, reasons)
    if policy.within is not None and newest_first:
        _apply_within(newest_first, policy.within.before(max(each.created for each in newest_first), zone), reasons=reasons)
    for each in newest_first if policy.tags else ():
        if each.tag in policy.tags:
            reasons.keep(each, f"tag '{each.tag}'")
        else:
            reasons.leave(each, f"tag: it is not {' or '.join(repr(tag) for tag in policy.tags)}")
    good = [each for each in newest_first if each.complete]
    if good and not reasons.kept(good[0]):
        reasons.keep(good[0], "the last complete snapshot")
    elif newest_first and not good and not any(reasons.kept(each) for each in newest_first):
        reasons.keep(newest_first[0], "the newest snapshot, and none is complete")
    return [reasons.verdict(each) for each in reversed(newest_first)]


class _Reasons:
    """What speaks for each snapshot, and why which rule does not."""

    def __init__(self) -> None:
        self._for: dict[SnapshotId, list[str]] = {}
        self._against: dict[SnapshotId, list[str]] = {}

    def keep(self, each: Candidate, why: str) -> None:
        self._for.setdefault(each.snapshot, []).append(why)

    def leave(self, each: Candidate, why: str) -> None:
        self._against.setdefault(each.snapshot, []).append(why)

    def kept(self, each: Candidate) -> bool:
        return each.snapshot in self._for

    def verdict(self, each: Candidate) -> Verdict:
        found = self._for.get(each.snapshot) or self._against.get(each.snapshot) or ["no rule keeps it"]
        return Verdict(each.snapshot, each.created, each.complete, each.tag, self.kept(each), tuple(found))


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule of the calendar, its slots, and the period of each snapshot."""

    name: str
    slots: int
    periods: Mapping[SnapshotId, str]


def _apply(rule: _Rule, newest_first: Sequence[Candidate], reasons: _Reasons) -> None:
    """Fill the slots of one rule, and say of everything else why it got none."""
    good = [each for each in newest_first if each.complete]
    last_good = newest_first.index(good[0]) if good else len(newest_first)
    since, earlier = newest_first[:last_good], newest_first[last_good:]
    taken: dict[str, SnapshotId] = {}
    _fill(rule, good, taken, "", reasons)
    _fill(rule, since, {}, " after the last complete one" if good else "", reasons)
    _fill(rule, [each for each in earlier if not each.complete], taken, ", incomplete, where no complete one needs the place", reasons)


def _fill(rule: _Rule, newest_first: Sequence[Candidate], taken: dict[str, SnapshotId], where: str, reasons: _Reasons) -> None:
    """Give the slots that are free to the newest of each period that has none yet."""
    for each in newest_first:
        period = rule.periods[each.snapshot]
        if period in taken:
            reasons.leave(each, f"{rule.name}: of {period} {taken[period]} is kept")
        elif len(taken) >= rule.slots:
            reasons.leave(each, f"{rule.name}: it is not among the {rule.slots} that are kept")
        else:
            taken[period] = each.snapshot
            reasons.keep(each, f"{rule.name}{where}" if rule.name == "last" else f"{rule.name} {period}{where}")


def _apply_within(newest_first: Sequence[Candidate], since: datetime, *, reasons: _Reasons) -> None:
    for each in newest_first:
        if each.created >= since:
            reasons.keep(each, f"within the time before the newest, since {since:%Y-%m-%dT%H:%M:%SZ}")
        else:
            reasons.leave(each, f"within: it is older than {since:%Y-%m-%dT%H:%M:%SZ}")


_PERIODS: Mapping[str, Callable[[Candidate, datetime], str]] = {
    "last": lambda each, _: each.snapshot,
    "hourly": lambda _, local: f"{local:%Y-%m-%d %H:00%z}",  # when clocks are set back, an hour comes twice
    "daily": lambda _, local: f"{local:%Y-%m-%d}",
    "weekly": lambda _, local: f"{local:%G-W%V}",
    "monthly": lambda _, local: f"{local:%Y-%m}",
    "yearly": lambda _, local: f"{local:%Y}",
}
"""The period that a snapshot falls into, by rule, as it is shown; weeks are those of ISO 8601, which begin on Monday."""
