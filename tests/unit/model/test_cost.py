from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep.model.cost import Duration, PastRun, Rate, estimate_duration, find_rate

RUN = PastRun(objects=1000, size_bytes=4_000_000, copy_seconds=10.0, dump_seconds=4.0, database_bytes=1 << 20)


def test_without_a_former_run_no_rate_is_known() -> None:
    assert find_rate([]) is None


def test_the_rate_is_that_of_all_former_runs_together() -> None:
    assert find_rate([RUN, replace(RUN, copy_seconds=30.0)]) == Rate(objects_per_second=50.0, bytes_per_second=200_000.0, runs=2)


@pytest.mark.parametrize("run", [replace(RUN, copy_seconds=None), replace(RUN, copy_seconds=0.9), replace(RUN, objects=0)])
def test_a_run_that_hardly_copied_says_nothing_of_a_rate(run: PastRun) -> None:
    assert find_rate([run]) is None
    assert find_rate([run, RUN]) == find_rate([RUN])


def test_as_many_objects_of_the_same_size_take_as_long_as_before() -> None:
    assert estimate_duration(1000, 4_000_000, database_bytes=1 << 20, runs=[RUN]) == Duration(copy_seconds=10.0, dump_seconds=4.0)


def test_small_objects_take_the_time_of_their_number_and_large_ones_that_of_their_bytes() -> None:
    assert estimate_duration(2000, 10, database_bytes=0, runs=[RUN]).copy_seconds == pytest.approx(20)
    assert estimate_duration(1, 40_000_000, database_bytes=0, runs=[RUN]).copy_seconds == pytest.approx(100)


def test_the_dump_takes_as_long_as_the_database_grew() -> None:
    assert estimate_duration(0, 0, database_bytes=3 << 20, runs=[RUN]).dump_seconds == pytest.approx(12)


def test_dump_and_copying_overlap() -> None:
    assert Duration(3.0, 5.0).seconds == 5.0
    assert Duration(30.0, 5.0).seconds == 30.0


def test_what_no_former_run_tells_is_unknown() -> None:
    assert estimate_duration(1, 1, database_bytes=1, runs=[]) == Duration(None, None)
    assert estimate_duration(1, 1, database_bytes=1, runs=[]).seconds is None
    nothing_new = estimate_duration(0, 0, database_bytes=1 << 20, runs=[replace(RUN, copy_seconds=None)])
    assert nothing_new == Duration(copy_seconds=0.0, dump_seconds=4.0)
    assert nothing_new.seconds == 4.0


def test_objects_without_bytes_have_no_rate_of_bytes() -> None:
    assert estimate_duration(500, 0, database_bytes=1, runs=[replace(RUN, size_bytes=0)]).copy_seconds == pytest.approx(5)
