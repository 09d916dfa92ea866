"""What a backup will cost, as far as former runs tell: pure arithmetic on what their manifests recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_SECONDS = 1.0
"""A run that copied for less says nothing of a rate: in so short a time what is measured is the beginning and the end."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """What one snapshot's manifest recorded. `copy_seconds` is None where it was not; `database_bytes` is the size on the server."""

    objects: int
    size_bytes: int
    copy_seconds: float | None
    dump_seconds: float
    database_bytes: int


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast objects were copied so far, over all `runs` that copied for long enough to tell."""

    objects_per_second: float
    bytes_per_second: float
    runs: int


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a backup will take, about; None where former runs do not tell. The dump and the copying overlap."""

    copy_seconds: float | None
    dump_seconds: float | None

    @property
    def seconds(self) -> float | None:
        """The longer of the two."""
        if self.copy_seconds is None or self.dump_seconds is None:
            return None
        return max(self.copy_seconds, self.dump_seconds)


def find_rate(runs: Sequence[PastRun]) -> Rate | None:
    """The rate of former runs together; None when none of them copied for long enough."""
    told = [(run, run.copy_seconds) for run in runs if run.copy_seconds is not None and run.copy_seconds >= LEAST_SECONDS and run.objects]
    if not told:
        return None
    seconds = sum(copy_seconds for _, copy_seconds in told)
    objects, size_bytes = sum(run.objects for run, _ in told), sum(run.size_bytes for run, _ in told)
    return Rate(objects / seconds, size_bytes / seconds, len(told))


def estimate_duration(objects: int, size_bytes: int, *, database_bytes: int, runs: Sequence[PastRun]) -> Duration:
    """How long so many new objects and a dump will take, when everything goes as in `runs`, which are oldest first.

    Larger objects than before take as long as their bytes, smaller ones as long as their number: neither can be faster than that.
    """
    rate, copy_seconds = find_rate(runs), None
    if objects == 0:
        copy_seconds = 0.0
    elif rate is not None:
        by_bytes = size_bytes / rate.bytes_per_second if rate.bytes_per_second else 0.0
        copy_seconds = max(objects / rate.objects_per_second, by_bytes)
    dumped = next((run for run in reversed(runs) if run.database_bytes), None)
    dump_seconds = None if dumped is None else dumped.dump_seconds * database_bytes / dumped.database_bytes
    return Duration(copy_seconds, dump_seconds)
