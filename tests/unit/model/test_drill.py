from __future__ import annotations

import pytest

from lockstep.model.drill import SAMPLED_BYTES, Amounts, choose_server, decide_share, reckon_seconds


@pytest.mark.parametrize(
    ("installed", "dumped", "chosen"),
    [([15, 17, 18], 17, 17), ([18, 15], 16, 18), ([17, 18], 14, 17), ([15, 17], 18, None), ([], 15, None)],
)
def test_the_servers_own_version_is_taken_else_the_lowest_newer_one(installed: list[int], dumped: int, chosen: int | None) -> None:
    assert choose_server(installed, dumped) == chosen


@pytest.mark.parametrize(
    ("percent", "size_bytes", "share"),
    [
        (None, 0, 1.0),
        (None, SAMPLED_BYTES, 1.0),
        (None, 4 * SAMPLED_BYTES, 0.25),
        (100, 4 * SAMPLED_BYTES, 1.0),
        (5, 10, 0.05),
        (0, 10, 0.0),
    ],
)
def test_everything_is_read_up_to_a_gibibyte_unless_a_percentage_is_asked_for(percent: float | None, size_bytes: int, share: float) -> None:
    assert decide_share(percent, Amounts(10, size_bytes)) == pytest.approx(share)


@pytest.mark.parametrize(
    ("part", "whole", "seconds"),
    [
        (Amounts(10, 100), Amounts(10, 100), 3.0),
        (Amounts(10, 100), Amounts(20, 1_000), 30.0),
        (Amounts(10, 100), Amounts(1_000, 100), 300.0),
        (Amounts(5, 0), Amounts(10, 0), 6.0),
        (Amounts(), Amounts(10, 10), 0.0),
    ],
)
def test_the_whole_is_reckoned_by_what_says_more(part: Amounts, whole: Amounts, seconds: float) -> None:
    assert reckon_seconds(3.0, part, whole) == pytest.approx(seconds)
