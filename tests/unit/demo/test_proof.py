from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep.demo.proof import Contents, Save, Window, count_left_out, find_differences

BEFORE = Contents({"block": ("(1)", "(2)"), "realm": ("(a)",)}, {"k1", "k2"}, {"k1": "s1", "k2": "s2"})
WINDOW = Window(asked=10.0, dumping=11.0)
EARLY = Save(begun=8.0, confirmed=9.0, rows={"block": ("(3)",), "vlob_atom": ("(v3)",)}, objects={"k3": "s3"})
BETWEEN = Save(begun=10.4, confirmed=10.6, rows={"block": ("(4)",), "vlob_atom": ("(v4)",)}, objects={"k4": "s4"})
LATE = Save(begun=11.5, confirmed=11.6, rows={"block": ("(5)",), "vlob_atom": ("(v5)",)}, objects={"k5": "s5"})
SAVES = (EARLY, BETWEEN, LATE)

RESTORED = Contents(
    {"block": ("(1)", "(2)", "(3)"), "realm": ("(a)",), "vlob_atom": ("(v3)",)}, {"k1", "k2", "k3"}, {"k1": "s1", "k2": "s2", "k3": "s3"}
)


def differences(restored: Contents) -> tuple[str, ...]:
    return find_differences(BEFORE, SAVES, WINDOW, restored)


def with_rows(**tables: tuple[str, ...]) -> Contents:
    return replace(RESTORED, rows={**RESTORED.rows, **tables})


def with_objects(**objects: str) -> Contents:
    return replace(RESTORED, objects={**RESTORED.objects, **objects})


def test_what_was_committed_before_the_backup_is_enough() -> None:
    assert differences(RESTORED) == ()
    assert count_left_out(SAVES, RESTORED) == 2


def test_a_transaction_on_its_way_at_the_freeze_may_have_made_it() -> None:
    rows = {"block": ("(1)", "(2)", "(3)", "(4)"), "realm": ("(a)",), "vlob_atom": ("(v3)", "(v4)")}
    restored = Contents(rows, {"k1", "k2", "k3", "k4"}, {"k1": "s1", "k2": "s2", "k3": "s3", "k4": "s4"})
    assert differences(restored) == ()
    assert count_left_out(SAVES, restored) == 1


@pytest.mark.parametrize(
    ("restored", "found"),
    [
        (with_rows(block=("(1)", "(2)")), "table block: 1 row that had been committed before the backup is missing"),
        (with_rows(realm=()), "table realm: 1 row that had been committed before the backup is missing"),
        (with_rows(block=("(1)", "(2)", "(3)", "(9)")), "table block: 1 row is there that nobody wrote so"),
        (with_rows(other=("(x)", "(y)")), "table other: 2 rows are there that nobody wrote so"),
        (with_rows(vlob_atom=("(v3)", "(v5)")), "table vlob_atom: 1 row is there from after the backup's moment"),
        (with_rows(realm=("(a)", "(a)")), "table realm: 1 row is there more than once"),
        (with_rows(vlob_atom=("(v3)", "(v4)")), "of 1 transaction only a part is there"),
        (replace(RESTORED, objects={"k1": "s1", "k3": "s3"}), "1 object that rows name, and that the bucket does not have"),
        (with_objects(k2="other"), "1 object with other bytes than were written"),
        (with_objects(k5="s5"), "1 object in the bucket that no row names"),
    ],
)
def test_each_difference_is_told(restored: Contents, found: str) -> None:
    assert differences(restored) == (found,)


def test_a_changed_row_is_both_missing_and_written_by_nobody() -> None:
    assert differences(with_rows(block=("(1)", "(2')", "(3)"))) == (
        "table block: 1 row that had been committed before the backup is missing",
        "table block: 1 row is there that nobody wrote so",
    )


def test_rows_whose_object_was_never_written_are_told() -> None:
    restored = replace(RESTORED, named={"k1", "k2", "k3", "k9"}, objects={**RESTORED.objects, "k9": "s9"})
    assert differences(restored) == ("1 object with other bytes than were written",)
