from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from lockstep.model.inventory import InventoryEntry, MissingObject, Wanted
from lockstep.tables import inventory, plans, references
from lockstep.tables.engine import Tables

FIRST, SECOND = "20260101T000000Z-00000000", "20260102T000000Z-00000000"


def name(tables: Tables, *rows: str) -> None:
    """Load references: `key,size,etag,sha256`, where what is behind the key may be left out."""

    def blocks() -> Generator[bytes, None, int]:
        for row in rows:
            yield f"main,{row}{',' * (3 - row.count(','))}\n".encode()
        return len(rows)

    references.load(tables, blocks())


def keep(tables: Tables, *entries: InventoryEntry) -> None:
    inventory.create(tables, [])
    inventory.add_entries(tables, entries)


def keep_versions(tables: Tables, directory: Path, *versions: Sequence[InventoryEntry]) -> None:
    """A segment for each snapshot, oldest first."""
    segments = []
    for number, entries in enumerate(versions):
        keep(tables, *entries)
        segments.append(directory / f"{number}.parquet")
        inventory.save_segment(tables, segments[-1], snapshot=f"2026010{number + 1}T000000Z-00000000")
        tables.run("DELETE FROM journal")
    inventory.create(tables, segments)


def kept(key: str, size: int = 1, etag: str | None = None, *, location: str | None = None) -> InventoryEntry:
    return InventoryEntry("main", key, size, "aa" * 32, etag, None, location)


def planned(tables: Tables, *, compare_etags: bool = False) -> dict[str, bool]:
    """What is new, and whether it lies aside."""
    plans.plan_new(tables, compare_etags=compare_etags)
    found = list(plans.wanted(tables))
    assert len(found) == len({each.key for each in found})
    return {each.key: each.odd for each in found}


def test_in_an_empty_repository_everything_is_new(tables: Tables) -> None:
    keep(tables)
    name(tables, "b,2,e,s", "a,1", "c")
    assert plans.plan_new(tables, compare_etags=False) == plans.NewObjects(objects=3, size_bytes=3)
    assert list(plans.wanted(tables)) == [Wanted("main", "a", 1), Wanted("main", "b", 2, "e", "s"), Wanted("main", "c", None)]


def test_what_the_repository_has_with_the_same_size_is_not_new(tables: Tables) -> None:
    keep(tables, kept("a", 1), kept("b", 2))
    name(tables, "a,1", "b,3", "c,1")
    assert planned(tables).keys() == {"b", "c"}


def test_what_the_repository_has_of_another_store_is_new(tables: Tables) -> None:
    keep(tables, InventoryEntry("node-1", "a", 1, "aa", None, None, None))
    name(tables, "a,1")
    assert planned(tables) == {"a": False}


def test_a_reference_without_a_size_is_content_with_any(tables: Tables) -> None:
    keep(tables, kept("a", 17))
    name(tables, "a")
    assert planned(tables) == {}


def test_an_older_version_of_the_same_size_will_do(tables: Tables, tmp_path: Path) -> None:
    keep_versions(tables, tmp_path, [kept("a", 1)], [kept("a", 2)])
    name(tables, "a,1")
    assert planned(tables) == {}


def test_references_that_disagree_about_a_size_are_never_satisfied(tables: Tables) -> None:
    keep(tables, kept("a", 1), kept("a", 2))
    name(tables, "a,1", "a,2")
    assert plans.plan_new(tables, compare_etags=False) == plans.NewObjects(objects=1, size_bytes=0)


def test_an_etag_counts_where_a_reference_names_one_and_always_where_the_references_are_a_listing(tables: Tables) -> None:
    keep(tables, kept("a", 1, "old"), kept("b", 1, "same"), kept("c", 1, None), kept("d", 1, "some"))
    name(tables, "a,1,new", "b,1,same", "c,1", "d,1")
    assert planned(tables, compare_etags=False).keys() == {"a"}
    assert planned(tables, compare_etags=True).keys() == {"a", "d"}


def test_an_object_that_comes_back_to_older_bytes_is_new_again(tables: Tables, tmp_path: Path) -> None:
    keep_versions(tables, tmp_path, [kept("a", 1, "e1"), kept("b", 1, "e1")], [kept("a", 1, "e2")])
    name(tables, "a,1,e1", "b,1,e1")
    assert planned(tables, compare_etags=True).keys() == {"a"}
    name(tables, "a,1,e2", "b,1,e1")
    assert planned(tables, compare_etags=True) == {}


def test_a_version_without_an_etag_is_not_mistaken_for_an_older_one_with_one(tables: Tables, tmp_path: Path) -> None:
    keep_versions(tables, tmp_path, [kept("a", 1, "e1")], [kept("a", 1, None)])
    name(tables, "a,1,e1")
    assert planned(tables, compare_etags=True).keys() == {"a"}
    name(tables, "a,1")
    assert planned(tables, compare_etags=True) == {}


@pytest.mark.parametrize("keys", [("a", "a/b"), ("a/b", "a"), ("a", "a/b/c"), ("a/b/c", "a"), ("x/a", "x/a/b"), ("a", "a/b", "a/b/c")])
def test_of_new_keys_the_one_that_would_have_to_be_a_directory_as_well_goes_aside(tables: Tables, keys: tuple[str, ...]) -> None:
    keep(tables)
    name(tables, *(f"{key},1" for key in keys))
    assert planned(tables) == {key: any(other.startswith(f"{key}/") for other in keys) for key in keys}


@pytest.mark.parametrize("new", ["a/b", "a/b/c", "a//b"])
def test_a_kept_file_sends_what_is_below_it_aside(tables: Tables, new: str) -> None:
    keep(tables, kept("a"))
    name(tables, f"{new},1", "ab,1", "b/a,1")
    assert planned(tables) == {new: True, "ab": False, "b/a": False}


@pytest.mark.parametrize("there", ["a/b", "a/b/c"])
def test_a_kept_directory_sends_its_name_aside(tables: Tables, there: str) -> None:
    keep(tables, kept(there))
    name(tables, "a,1", "a/x,1", "b,1")
    assert planned(tables) == {"a": True, "a/x": False, "b": False}


def test_a_directory_in_the_middle_of_a_kept_path_sends_its_name_aside(tables: Tables) -> None:
    keep(tables, kept("a/b/c"))
    name(tables, "a/b,1")
    assert planned(tables) == {"a/b": True}


def test_what_lies_aside_itself_is_in_nobodys_way(tables: Tables) -> None:
    keep(tables, kept("a", location="odd/aa/" + "aa" * 32))
    name(tables, "a/b,1")
    assert planned(tables) == {"a/b": False}


def test_another_stores_keys_are_in_nobodys_way(tables: Tables) -> None:
    keep(tables, InventoryEntry("node-1", "a", 1, "aa", None, None, None))
    name(tables, "a/b,1")
    assert planned(tables) == {"a/b": False}


def test_a_second_version_of_a_key_goes_aside(tables: Tables) -> None:
    keep(tables, kept("a", 1), kept("b", 1))
    name(tables, "a,2", "b,1")
    assert planned(tables) == {"a": True}


def test_a_second_version_goes_aside_even_if_the_first_lies_aside_because_of_a_directory(tables: Tables) -> None:
    keep(tables, kept("a", 1, location="odd/aa/" + "aa" * 32), kept("a/b"))
    name(tables, "a,2", "a/b,1")
    assert planned(tables) == {"a": True}


def test_what_is_missing_is_listed_with_the_reason_in_the_order_of_the_keys(tables: Tables, tmp_path: Path) -> None:
    missing = [MissingObject("main", "b", None, "lost"), MissingObject("main", "a\n", 1, "wrong_size")]
    plans.add_missing(tables, missing)
    plans.add_missing(tables, [])
    plans.save_missing(tables, tmp_path / "it's missing.parquet", snapshot=FIRST, before=None)
    assert list(plans.load_missing(tables, tmp_path / "it's missing.parquet")) == [
        MissingObject("main", "a\n", 1, "wrong_size", FIRST),
        MissingObject("main", "b", None, "lost", FIRST),
    ]
    assert len(list(plans.load_missing(tables, tmp_path / "it's missing.parquet", most=1))) == 1


def test_what_was_missing_before_keeps_the_snapshot_that_missed_it_first(tables: Tables, tmp_path: Path) -> None:
    plans.add_missing(tables, [MissingObject("main", "a", 1, "lost"), MissingObject("main", "c", 1, "lost")])
    plans.save_missing(tables, tmp_path / "1.parquet", snapshot=FIRST, before=None)
    plans.forget_all_missing(tables)
    plans.add_missing(
        tables, [MissingObject("main", "a", 1, "wrong_size"), MissingObject("main", "b", 1, "lost"), MissingObject("x", "c", 1, "lost")]
    )
    plans.save_missing(tables, tmp_path / "2.parquet", snapshot=SECOND, before=tmp_path / "1.parquet")
    assert list(plans.load_missing(tables, tmp_path / "2.parquet")) == [
        MissingObject("main", "a", 1, "wrong_size", FIRST),
        MissingObject("main", "b", 1, "lost", SECOND),
        MissingObject("x", "c", 1, "lost", SECOND),
    ]


def test_what_is_not_there_and_what_is_different_are_counted_apart(tables: Tables) -> None:
    reasons = ("lost", "lost", "purged", "wrong_size", "wrong_checksum")
    plans.add_missing(tables, [MissingObject("main", str(number), 1, why) for number, why in enumerate(reasons)])  # type: ignore[arg-type]
    assert plans.count_missing(tables) == plans.MissingCounts(missing=3, mismatched=2)


def test_every_new_object_is_copied_or_missing_or_it_shows(tables: Tables) -> None:
    keep(tables, kept("old"))
    name(tables, "old,1", "a,1", "b,1", "c,1")
    plans.plan_new(tables, compare_etags=False)
    plans.add_missing(tables, [MissingObject("main", "b", 1, "lost"), MissingObject("other", "c", 1, "lost")])
    assert plans.unaccounted(tables) == 2
    inventory.add_entries(tables, [kept("a")])
    assert plans.unaccounted(tables) == 1
    inventory.add_entries(tables, [kept("c")])
    assert plans.unaccounted(tables) == 0


def test_only_referenced_objects_count_as_new(tables: Tables) -> None:
    inventory.create(tables, [])
    name(tables, "a,1", "b,1")
    inventory.add_entries(tables, [kept("a"), kept("purged meanwhile")])
    assert plans.count_new(tables) == 1


def test_what_was_missing_is_asked_for_again_as_it_was_wanted(tables: Tables) -> None:
    keep(tables, kept("a/b"))
    name(tables, "a,1,e,s", "c,1", "d,1")
    plans.plan_new(tables, compare_etags=False)
    plans.add_missing(tables, [MissingObject("main", "a", 1, "lost"), MissingObject("main", "d", 1, "wrong_size")])
    assert list(plans.take_missing(tables)) == [Wanted("main", "a", 1, "e", "s", odd=True), Wanted("main", "d", 1)]
    assert plans.count_missing(tables) == plans.MissingCounts(0, 0)


def test_what_is_asked_for_elsewhere_is_not_missing_until_it_is_found_so_again(tables: Tables) -> None:
    keep(tables)
    name(tables, "a,1", "b,1")
    plans.plan_new(tables, compare_etags=False)
    plans.add_missing(tables, [MissingObject("main", "a", 1, "lost"), MissingObject("main", "b", 1, "lost")])
    assert list(plans.forget_missing(tables, "main", ["b", "unknown"])) == [Wanted("main", "b", 1)]
    assert [each.key for each in plans.missing_now(tables, most=10)] == ["a"]


def test_a_reason_can_be_changed_for_some(tables: Tables) -> None:
    plans.add_missing(tables, [MissingObject("main", key, 1, "lost") for key in ("a", "b")] + [MissingObject("other", "a", 1, "lost")])
    plans.set_why(tables, "purged", "main", ["a"])
    assert [(each.store, each.key, each.why) for each in plans.missing_now(tables, most=10)] == [
        ("main", "a", "purged"),
        ("main", "b", "lost"),
        ("other", "a", "lost"),
    ]


def test_what_is_plainly_not_there_comes_in_batches_of_one_store(tables: Tables) -> None:
    lost = [MissingObject(store, str(number), 1, "lost") for store in ("one", "two") for number in range(3)]
    plans.add_missing(tables, [*lost, MissingObject("one", "x", 1, "wrong_size"), MissingObject("one", "y", 1, "purged")])
    assert list(plans.lost_batches(tables, size=2, most=100)) == [("one", ["0", "1"]), ("one", ["2"]), ("two", ["0", "1"]), ("two", ["2"])]
    assert list(plans.lost_batches(tables, size=2, most=4)) == [("one", ["0", "1"]), ("one", ["2"]), ("two", ["0"])]
