from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.errors import RepositoryInvalid
from lockstep.model.inventory import InventoryEntry
from lockstep.tables import inventory
from lockstep.tables.engine import Tables

FIRST, SECOND, THIRD = "20260101T000000Z-00000000", "20260102T000000Z-00000000", "20260103T000000Z-00000000"


def entry(key: str, size: int = 1, *, store: str = "main", sha256: str = "aa", location: str | None = None) -> InventoryEntry:
    return InventoryEntry(store, key, size, sha256, "etag", None, location)


def segment(tables: Tables, path: Path, snapshot: str, *entries: InventoryEntry) -> Path:
    inventory.create(tables, [])
    tables.run("DELETE FROM journal")
    inventory.add_entries(tables, entries)
    inventory.save_segment(tables, path, snapshot=snapshot)
    tables.run("DELETE FROM journal")
    return path


def at(tables: Tables, snapshot: str, **named: int | None) -> dict[str, tuple[int, str]]:
    """Size and checksum of what each of the references was at a snapshot."""
    tables.run("CREATE OR REPLACE TABLE named (store VARCHAR, key VARCHAR, size BIGINT)")
    for key, size in named.items():
        tables.run("INSERT INTO named VALUES ('main', $1, $2)", [key, size])
    inventory.versions_at(tables, snapshot, wanted="named", into="held")
    found = list(inventory.entries(tables, "held"))
    assert len(found) == len({each.key for each in found})
    return {each.key: (each.size, each.sha256) for each in found}


def test_entries_come_back_as_they_went(tables: Tables, tmp_path: Path) -> None:
    went = [
        InventoryEntry("main", "é\n\",'\r", 2**62, "ab" * 32, None, '{"content_type":"a"}', "odd/ab/" + "ab" * 32),
        InventoryEntry("main", "", 0, "cd" * 32, "", None, None),
        InventoryEntry("node-1", "a/b", 1, "ef" * 32, "e", None, None),
    ]
    path = segment(tables, tmp_path / "it's a segment.parquet", FIRST, *went)
    inventory.create(tables, [path])
    assert sorted(inventory.entries(tables, "inventory"), key=lambda each: (each.store, each.key)) == sorted(
        went, key=lambda each: (each.store, each.key)
    )
    assert list(tables.rows("SELECT DISTINCT snapshot FROM inventory")) == [(FIRST,)]


def test_a_new_repository_has_an_empty_inventory(tables: Tables) -> None:
    inventory.create(tables, [])
    assert list(inventory.entries(tables, "inventory")) == []


def test_what_a_run_adds_counts_at_once_and_under_its_own_name(tables: Tables, tmp_path: Path) -> None:
    path = segment(tables, tmp_path / "0.parquet", FIRST, entry("a"))
    inventory.create(tables, [path], run=SECOND)
    inventory.add_entries(tables, [entry("b")])
    assert sorted(tables.rows("SELECT key, snapshot FROM inventory")) == [("a", FIRST), ("b", SECOND)]


def test_adding_nothing_adds_nothing(tables: Tables) -> None:
    inventory.create(tables, [])
    inventory.add_entries(tables, [])
    assert inventory.journal_length(tables) == 0


def test_a_segment_holds_the_rows_behind_those_of_the_one_before_sorted(tables: Tables, tmp_path: Path) -> None:
    inventory.create(tables, [])
    inventory.add_entries(tables, [entry("z"), entry("y")])
    inventory.save_segment(tables, tmp_path / "0.parquet", snapshot=FIRST)
    length = inventory.journal_length(tables)
    inventory.add_entries(tables, [entry("x"), entry("b", store="a"), entry("w")])
    inventory.save_segment(tables, tmp_path / "1.parquet", snapshot=FIRST, after=length)
    read = [list(tables.rows("SELECT store, key FROM read_parquet($1)", [str(tmp_path / f"{number}.parquet")])) for number in range(2)]
    assert read == [[("main", "y"), ("main", "z")], [("a", "b"), ("main", "w"), ("main", "x")]]


def test_the_newest_version_that_is_not_later_than_the_snapshot_is_meant(tables: Tables, tmp_path: Path) -> None:
    segments = [
        segment(tables, tmp_path / f"{number}.parquet", snapshot, entry("a", sha256=sha256))
        for number, (snapshot, sha256) in enumerate([(FIRST, "11"), (THIRD, "33"), (SECOND, "22")])
    ]
    inventory.create(tables, segments)
    assert at(tables, SECOND, a=1) == {"a": (1, "22")}
    assert at(tables, THIRD, a=1) == {"a": (1, "33")}
    assert at(tables, "20260101T120000Z-00000000", a=1) == {"a": (1, "11")}


def test_what_was_copied_later_is_not_of_the_snapshot(tables: Tables, tmp_path: Path) -> None:
    inventory.create(tables, [segment(tables, tmp_path / "0.parquet", SECOND, entry("a"))])
    assert at(tables, FIRST, a=1) == {}


def test_the_version_of_the_references_size_is_meant(tables: Tables, tmp_path: Path) -> None:
    old = segment(tables, tmp_path / "0.parquet", FIRST, entry("a", 5, sha256="11"), entry("b", 1))
    new = segment(tables, tmp_path / "1.parquet", SECOND, entry("a", 6, sha256="22"))
    inventory.create(tables, [old, new])
    assert at(tables, SECOND, a=5, b=2) == {"a": (5, "11")}
    assert at(tables, SECOND, a=6, b=1) == {"a": (6, "22"), "b": (1, "aa")}
    assert at(tables, SECOND, a=None) == {"a": (6, "22")}
    assert at(tables, SECOND, a=7) == {}


def test_an_object_of_another_store_is_another_object(tables: Tables, tmp_path: Path) -> None:
    inventory.create(tables, [segment(tables, tmp_path / "0.parquet", FIRST, entry("a", store="node-1"))])
    assert at(tables, FIRST, a=1) == {}


def test_a_damaged_segment_is_the_repositorys_fault(tables: Tables, tmp_path: Path) -> None:
    (tmp_path / "0.parquet").write_bytes(b"not a table at all")
    with pytest.raises(RepositoryInvalid, match="a table cannot be read"):
        inventory.create(tables, [tmp_path / "0.parquet"])
