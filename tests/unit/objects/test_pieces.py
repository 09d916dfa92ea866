from __future__ import annotations

import pytest

from lockstep.objects.pieces import take_first


@pytest.mark.parametrize(
    ("pieces", "begin", "is_all"),
    [
        ([], [], True),
        ([b"ab", b"cd"], [b"ab", b"cd"], True),
        ([b"ab", b"cde", b"f"], [b"ab", b"cde"], False),
        ([b"abcde", b"f"], [b"abcde"], False),
    ],
)
def test_so_much_is_taken_that_it_shows_whether_it_is_too_much(pieces: list[bytes], begin: list[bytes], is_all: bool) -> None:
    rest = iter(pieces)
    assert take_first(rest, most=4) == (begin, is_all)
    assert list(rest) == pieces[len(begin) :]
