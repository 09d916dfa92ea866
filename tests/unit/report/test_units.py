from __future__ import annotations

import pytest

from lockstep.report.units import as_bytes, as_count, as_counted, as_duration, as_rate, as_share, without_service


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (4096, "4.00 KiB"),
        (48_000_000, "45.8 MiB"),
        (1000 * 1024, "0.98 MiB"),
        (512 << 30, "512 GiB"),
        (2 << 40, "2.00 TiB"),
        (5 << 70, "5120 EiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert as_bytes(size) == text


def test_rates() -> None:
    assert as_rate(9_646_899.2) == "9.20 MiB/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (0.4, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert as_duration(seconds) == text


@pytest.mark.parametrize(("part", "whole", "text"), [(0, 10, "0 %"), (999, 1000, "99 %"), (1000, 1000, "100 %"), (0, 0, "100 %")])
def test_a_share_is_whole_only_when_nothing_is_left(part: int, whole: int, text: str) -> None:
    assert as_share(part, whole) == text


def test_counts() -> None:
    assert as_count(20_000) == "20,000"
    assert as_counted(1, "object") == "1 object"
    assert as_counted(20_000, "object") == "20,000 objects"
    assert as_counted(0, "object") == "0 objects"


def test_of_the_services_own_copies_nothing_is_said_where_there_are_none() -> None:
    counts: dict[str, object] = {"new": 3, "by_service": 0, "hashed_by_service": 0}
    assert without_service(counts) == {"new": 3}
    counts["by_service"] = 2
    assert without_service(counts) == counts
