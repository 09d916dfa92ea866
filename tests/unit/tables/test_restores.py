from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockstep.model.inventory import InventoryEntry, MissingObject
from lockstep.model.objects import ObjectInfo
from lockstep.tables import inventory, plans, restores
from lockstep.tables.engine import Tables

SNAPSHOT = "20260101T000000Z-00000000"


def kept(key: str, size: int = 1) -> InventoryEntry:
    return InventoryEntry("main", key, size, "aa" * 32, None, None, None)


@pytest.fixture
def named(tables: Tables, tmp_path: Path) -> Path:
    """A snapshot that references a to d, has a and b, knows that it misses c, and has lost d; the path of its list of missing objects."""
    inventory.create(tables, [], run=SNAPSHOT)
    inventory.add_entries(tables, [kept("a", 1), kept("b/b", 2), kept("orphan", 4)])
    tables.run(
        "CREATE TABLE named AS SELECT 'main' AS store, unnest(['a', 'b/b', 'c', 'd']) AS key, unnest([1, 2, 3, NULL])::BIGINT AS size"
    )
    plans.add_missing(tables, [MissingObject("main", "c", 3, "lost"), MissingObject("main", "not referenced", 3, "lost")])
    plans.save_missing(tables, tmp_path / "missing.parquet", snapshot=SNAPSHOT, before=None)
    return tmp_path / "missing.parquet"


def test_what_the_snapshot_has_can_be_restored_and_the_rest_is_listed(tables: Tables, named: Path) -> None:
    found = restores.plan_restorable(tables, snapshot=SNAPSHOT, references="named", missing=named, prefix="")
    assert found == restores.Restorable(objects=2, size_bytes=3)
    assert [entry.key for entry, _ in restores.restorable(tables)] == ["a", "b/b"]
    assert list(restores.unrestorable(tables)) == [
        MissingObject("main", "c", 3, "lost", SNAPSHOT),
        MissingObject("main", "d", None, "lost", None),
    ]
    assert restores.count_unrestorable(tables) == 2
    assert [each.key for each in restores.unrestorable(tables, most=1)] == ["c"]


def test_an_object_whose_size_is_not_the_references_is_lost(tables: Tables, named: Path) -> None:
    tables.run("UPDATE named SET size = 9 WHERE key = 'a'")
    restores.plan_restorable(tables, snapshot=SNAPSHOT, references="named", missing=named, prefix="")
    assert [each.key for each in restores.unrestorable(tables)] == ["a", "c", "d"]


def test_a_known_gap_that_a_later_backup_filled_stays_a_gap_of_this_snapshot(tables: Tables, named: Path) -> None:
    inventory.add_entries(tables, [kept("c", 3)])
    restores.plan_restorable(tables, snapshot=SNAPSHOT, references="named", missing=named, prefix="")
    assert "c" not in [entry.key for entry, _ in restores.restorable(tables)]


@pytest.mark.parametrize(("prefix", "keys", "lost"), [("b", ["b/b"], []), ("b/", ["b/b"], []), ("%", [], []), ("c", [], ["c"])])
def test_only_keys_that_start_with_the_prefix_count(tables: Tables, named: Path, prefix: str, keys: list[str], lost: list[str]) -> None:
    restores.plan_restorable(tables, snapshot=SNAPSHOT, references="named", missing=named, prefix=prefix)
    assert [entry.key for entry, _ in restores.restorable(tables)] == keys
    assert [each.key for each in restores.unrestorable(tables)] == lost


def test_what_a_listing_showed_stands_beside_what_is_to_be_restored(tables: Tables, named: Path) -> None:
    restores.plan_restorable(tables, snapshot=SNAPSHOT, references="named", missing=named, prefix="")
    restores.add_present(tables, "main", [ObjectInfo("b/b", 7, "e"), ObjectInfo("orphan", 4)])
    restores.add_present(tables, "other", [ObjectInfo("a", 1)])
    restores.add_present(tables, "main", [])
    assert [(entry.key, present) for entry, present in restores.restorable(tables)] == [("a", None), ("b/b", ObjectInfo("b/b", 7, "e"))]


def test_what_turns_out_to_be_lost_is_added(tables: Tables) -> None:
    inventory.create(tables, [])
    tables.run("CREATE TABLE named (store VARCHAR, key VARCHAR, size BIGINT)")
    assert restores.plan_restorable(tables, snapshot=SNAPSHOT, references="named", missing=None, prefix="") == restores.Restorable(0, 0)
    restores.add_unrestorable(tables, [MissingObject("main", "b", 2, "lost"), MissingObject("main", "a", None, "lost")])
    assert [each.key for each in restores.unrestorable(tables)] == ["a", "b"]


def test_a_list_of_keys_is_one_document_a_line_whatever_is_in_a_key(tmp_path: Path) -> None:
    restores.write_lines(
        tmp_path / "list", iter([MissingObject("main", 'a\n"é\u2028', None, "lost"), MissingObject("main", "b", 1, "purged", SNAPSHOT)])
    )
    lines = (tmp_path / "list").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [
        {"store": "main", "key": 'a\n"é\u2028', "size": None, "why": "lost", "since": None},
        {"store": "main", "key": "b", "size": 1, "why": "purged", "since": SNAPSHOT},
    ]
    assert lines[-1] == ""
