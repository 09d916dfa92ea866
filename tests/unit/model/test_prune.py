from __future__ import annotations

from lockstep.model.prune import SegmentState, choose_gathered


def state(path: str, size: int, dropped: int = 0, *, named: bool = True, listed: bool = False) -> SegmentState:
    return SegmentState(path, size, dropped, named, listed)


def test_nothing_is_written_anew_where_nothing_is_lost() -> None:
    assert choose_gathered([state("a", 10), state("b", 5, named=False, listed=True)]) == ()


def test_what_loses_rows_and_what_nothing_names_any_more_is_gathered() -> None:
    assert choose_gathered([state("a", 10, 1), state("b", 5, named=False), state("c", 7)]) == ("a", "b")


def test_what_was_gathered_before_is_taken_along_while_it_is_small() -> None:
    before = [state(f"g{size}", size, named=False, listed=True) for size in (3, 12, 1000)]
    assert choose_gathered([state("a", 10, 1), *before]) == ("a", "g12", "g3")
