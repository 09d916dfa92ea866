from __future__ import annotations

import io
import os

import pytest

from lockstep.objects.limits import STREAM, StreamLimits
from lockstep.objects.multipart import cut_parts

TIB = 1 << 40
S3_PARTS = 10_000
S3_PART_BYTES = 5 * (1 << 30)
S3_OBJECT_BYTES = 5 * TIB


def test_the_parts_that_s3_allows_hold_the_largest_object_that_it_allows() -> None:
    sizes = [STREAM.part_size(number) for number in range(1, S3_PARTS + 1)]
    assert sum(sizes) >= S3_OBJECT_BYTES
    total = 0
    for size in sizes:
        total += size
        assert size <= S3_PART_BYTES
        if total >= S3_OBJECT_BYTES:
            break


def test_parts_in_flight_fit_into_memory() -> None:
    for number in (1, 1000, 1001, 2001):
        assert STREAM.part_size(number) * STREAM.parts_in_flight(number) <= STREAM.memory_bytes
    assert STREAM.parts_in_flight(9000) == 1


@pytest.mark.parametrize("piece", [1, 7, 10, 1000])
def test_a_stream_is_cut_into_parts_of_growing_length(piece: int) -> None:
    limits = StreamLimits(part_bytes=10, parts_per_size=3, memory_bytes=20)
    data = os.urandom(137)
    parts: list[bytes] = []
    for part in cut_parts((data[start : start + piece] for start in range(0, len(data), piece)), limits):
        assert isinstance(part, io.BytesIO) == (limits.part_size(len(parts) + 1) <= 20)
        with part:
            part.seek(0)
            parts.append(part.read())
    assert b"".join(parts) == data
    assert [len(part) for part in parts] == [10, 10, 10, 20, 20, 20, 40, 7]


def test_an_empty_stream_is_one_empty_part() -> None:
    assert [part.read() for part in cut_parts([], STREAM)] == [b""]
