"""Writes amounts as a person reads them: bytes, rates, durations, counts and shares."""

from __future__ import annotations

_BINARY = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def as_bytes(size_bytes: float) -> str:
    """A size in binary units with three significant digits: `0 B`, `4.00 KiB`, `45.8 MiB`, `512 GiB`."""
    if round(size_bytes) < 1024:
        return f"{round(size_bytes)} B"
    value = float(size_bytes)
    for unit in _BINARY:
        value /= 1024
        if value < 1000 or unit == _BINARY[-1]:
            return f"{value:.{_decimals(value)}f} {unit}"
    raise AssertionError(size_bytes)


def as_rate(bytes_per_second: float) -> str:
    """A throughput: `9.20 MiB/s`."""
    return f"{as_bytes(bytes_per_second)}/s"


def as_duration(seconds: float) -> str:
    """A span of time with its two largest units: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 05 min`, `3 d 4 h`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def as_count(number: int) -> str:
    """A count with its thousands set apart: `20,000`."""
    return f"{number:,}"


def as_counted(number: int, noun: str) -> str:
    """A count and what is counted, in the plural where it is not one: `1 object`, `20,000 objects`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def as_by_service(number: int) -> str:
    """How many of the objects that were just counted never came by here: `, 12 of them by the service itself`; nothing where none."""
    return f", {number:,} of them by the service itself" if number else ""


def without_service(objects: dict[str, object]) -> dict[str, object]:
    """The counts of a result, without those of the service's own copies where it made none: then nothing is to be said of them."""
    return objects if objects.get("by_service") else {key: each for key, each in objects.items() if not key.endswith("by_service")}


def as_share(part: float, whole: float) -> str:
    """A share in per cent; 100 % only when nothing is left: `60 %`."""
    if whole <= 0 or part >= whole:
        return "100 %"
    return f"{min(int(100 * part / whole), 99)} %"


def as_plain(text: str) -> str:
    """A text of somebody's on one line, without what a terminal would obey."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _decimals(value: float) -> int:
    return 2 if value < 9.995 else 1 if value < 99.95 else 0
