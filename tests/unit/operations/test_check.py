from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.deployment.deployment import BoundProfile
from lockstep.deployment.profile import Profile
from lockstep.errors import Cancelled, DatabaseUnreachable
from lockstep.model.checkup import Answer, failed, fine
from lockstep.objects.memory import MemoryStore
from lockstep.operations.check_book import Book
from lockstep.operations.check_database import shortened
from lockstep.operations.check_repository import Kept
from lockstep.operations.check_room import Needs, for_repository, for_work
from lockstep.operations.check_stores import Reached, Reference, Sample, objects
from lockstep.progress import SILENT

BOUND = BoundProfile(Profile(name="photos"), None, None)
NEEDS = Needs(first=True, dump_bytes=100, objects_bytes=1000, references=10)


class Disk(MemoryStore):
    """A store that says how much room it has."""

    def __init__(self, free: int | None) -> None:
        super().__init__()
        self.free = free

    def free_bytes(self) -> int | None:
        return self.free


def unreachable() -> tuple[int, Answer]:
    raise DatabaseUnreachable("nothing listens there", hint="Start the server.")


def test_an_error_is_the_answer_of_its_check_and_the_next_check_is_made() -> None:
    book = Book(SILENT)
    book.ask("one", lambda: unreachable()[1])
    book.ask("two", lambda: fine("well"))
    assert [check.answer for check in book.close().checks] == [failed("nothing listens there", hint="Start the server."), fine("well")]


def test_what_hangs_on_a_failed_check_is_not_tried_and_names_the_one_to_blame() -> None:
    book = Book(SILENT)
    first = book.learn("first", unreachable)
    second = book.learn("second", lambda: (first.value, fine("well")))
    book.ask("third", lambda: fine(str(second.value)))
    checkup = book.close()
    assert [check.answer.verdict for check in checkup.checks] == ["failed", "untried", "untried"]
    assert [check.answer.hint for check in checkup.checks[1:]] == ["See to 'first' first."] * 2
    assert not checkup.ok


def test_a_check_may_find_fault_and_still_hand_on_what_it_opened() -> None:
    book = Book(SILENT)
    opened = book.learn("first", lambda: (7, failed("odd", hint="Look.")))
    assert opened.value == 7


def test_ctrl_c_is_no_answer() -> None:
    def stopped() -> Answer:
        raise Cancelled(2)

    with pytest.raises(Cancelled):
        Book(SILENT).ask("one", stopped)


def test_an_answer_names_a_few_and_counts_the_rest() -> None:
    assert shortened(["a", "b"]) == "a, b"
    assert shortened(list("abcdefgh")) == "a, b, c, d, e and 3 more"


@pytest.mark.parametrize(
    ("free", "needs", "verdict"),
    [
        (1100, NEEDS, "ok"),
        (1050, NEEDS, "warning"),  # the dump is smaller than the database
        (999, NEEDS, "failed"),  # the objects are not
        (99, replace(NEEDS, objects_bytes=None), "warning"),
        (100, Needs(first=False, dump_bytes=100, objects_bytes=None, references=10), "ok"),
        (99, Needs(first=False, dump_bytes=100, objects_bytes=None, references=10), "failed"),
        (None, NEEDS, "ok"),
    ],
)
def test_room_is_held_against_what_is_known_of_the_next_backup(free: int | None, needs: Needs, verdict: str) -> None:
    assert for_repository(needs, Kept(Disk(free), None, exists=True)).verdict == verdict


def test_a_temporary_directory_that_is_too_small_or_absent_fails(tmp_path: Path) -> None:
    kept = Kept(Disk(5), None, exists=True)
    assert for_work(NEEDS, kept, tmp_path).verdict == "ok"
    assert for_work(replace(NEEDS, references=1 << 60), kept, tmp_path).verdict == "failed"
    assert list(tmp_path.iterdir()) == []
    book = Book(SILENT)
    book.ask("temporary directory", lambda: for_work(NEEDS, kept, tmp_path / "absent"))
    assert book.close().checks[0].answer.detail == f"nothing can be made in {tmp_path / 'absent'}: No such file or directory"


def test_a_dump_in_an_object_store_needs_room_in_the_temporary_directory_to_be_restored(tmp_path: Path) -> None:
    needs = replace(NEEDS, references=0)
    assert for_work(needs, Kept(Disk(None), None, exists=True), tmp_path).sizes["needed"] == 100
    assert "needed" not in for_work(needs, Kept(Disk(5), None, exists=True), tmp_path).sizes


@pytest.mark.parametrize(
    ("references", "verdict"),
    [
        ([("a", 1), ("b", 2)], "ok"),
        ([("a", None), ("b", None)], "ok"),
        ([("a", 1), ("c", 3)], "warning"),
        ([("a", 1), ("b", 99)], "warning"),
        ([("c", 1), ("d", 2)], "failed"),
        ([], "ok"),
    ],
)
def test_a_sample_of_the_references_tells_a_gap_from_the_wrong_bucket(references: list[tuple[str, int | None]], verdict: str) -> None:
    store = MemoryStore()
    store.write("a", b"1")
    store.write("b", b"22")
    sample = Sample(BOUND, (*(Reference("main", key, size) for key, size in references), Reference("other", "elsewhere", 1)))
    assert objects("main", Reached(store, None, None), sample).verdict == verdict
