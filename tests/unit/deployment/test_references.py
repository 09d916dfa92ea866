from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from lockstep.deployment.references import REFERENCE_COLUMNS, listed_references, reference_select
from lockstep.errors import ProfileInvalid
from lockstep.objects.memory import MemoryStore
from lockstep.tables import references
from lockstep.tables.engine import Tables

KEY_AND_SIZE = [("key", "text"), ("size", "bigint")]


def rows(query: str, columns: Sequence[tuple[str, str]] = KEY_AND_SIZE, *, default_store: str = "main") -> list[tuple[object, ...]]:
    """What the select gives; DuckDB runs it, whose SQL agrees with PostgreSQL's in all that is used."""
    with duckdb.connect() as connection:
        found = connection.execute(reference_select(query, columns, default_store=default_store))
        assert tuple(column[0] for column in found.description or ()) == REFERENCE_COLUMNS
        return found.fetchall()


def test_key_and_size_are_enough() -> None:
    assert rows("SELECT 'a' AS key, 1 AS size") == [("main", "a", 1, None, None)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'a' AS key, 1 AS size;",
        "SELECT 'a' AS key, 1 AS size ;\n ",
        "\n  SELECT 'a' AS key, 1 AS size -- the end",
        "-- the beginning\nSELECT 'a' AS key, 1 AS size",
        "SELECT 'a' AS key, /* ; */ 1 AS size",
        "WITH w AS (SELECT 'a' AS key) SELECT key, 1 AS size FROM w ORDER BY key LIMIT 1",
        "SELECT 'a' AS key, 1 AS size UNION SELECT 'a', 1",
        "VALUES_AS_TABLE",
    ],
)
def test_a_query_may_be_written_as_a_person_writes_it(query: str) -> None:
    query = query.replace("VALUES_AS_TABLE", "SELECT * FROM (VALUES ('a', 1)) AS v(key, size)")
    assert rows(query) == [("main", "a", 1, None, None)]


def test_the_order_of_the_columns_is_the_queries_own() -> None:
    query = "SELECT 1 AS size, 'ABCD' AS sha256, '\"e\"' AS etag, 'a' AS key, 'node1' AS store"
    columns = [("size", "integer"), ("sha256", "text"), ("etag", "text"), ("key", "text"), ("store", "text")]
    assert rows(query, columns) == [("node1", "a", 1, "e", "abcd")]


def test_a_row_without_a_key_names_no_object() -> None:
    assert rows("SELECT NULL::text AS key, 1 AS size UNION ALL SELECT 'a', NULL") == [("main", "a", None, None, None)]


def test_a_row_without_a_store_is_of_the_default_one() -> None:
    columns = [*KEY_AND_SIZE, ("store", "text")]
    query = "SELECT 'a' AS key, 1 AS size, NULL::text AS store UNION ALL SELECT 'b', 2, 'node1'"
    assert sorted(map(str, rows(query, columns, default_store="disk-1"))) == sorted(
        map(str, [("disk-1", "a", 1, None, None), ("node1", "b", 2, None, None)])
    )


def test_the_name_of_a_store_is_text_and_not_sql() -> None:
    assert rows("SELECT 'a' AS key, 1 AS size", default_store="it's") == [("it's", "a", 1, None, None)]


def test_bytes_as_a_checksum_are_written_in_hexadecimal() -> None:
    select = reference_select("SELECT 1", [*KEY_AND_SIZE, ("sha256", "bytea")], default_store="main")
    assert "encode(q.sha256, 'hex') AS sha256" in select


@pytest.mark.parametrize("type_name", ["text", "character varying", "character", "uuid", "name", "citext"])
def test_a_key_may_be_of_any_type_that_is_text(type_name: str) -> None:
    assert reference_select("SELECT 1", [("key", type_name), ("size", "bigint")], default_store="main")


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ([("size", "bigint")], "column key is missing"),
        ([("key", "text")], "column size is missing"),
        ([], "column key is missing; column size is missing"),
        ([("key", "bigint"), ("size", "bigint")], "column key is of type bigint"),
        ([("key", "text"), ("size", "text")], "column size is of type text"),
        ([("key", "text"), ("size", "double precision")], "column size is of type double precision"),
        ([("key", "json"), ("size", "bigint")], "column key is of type json"),
        ([*KEY_AND_SIZE, ("path", "text")], "column path is unknown"),
        ([*KEY_AND_SIZE, ("Store", "text")], "column Store is unknown"),
        ([*KEY_AND_SIZE, ("key", "text")], "column key is given twice"),
        ([*KEY_AND_SIZE, ("etag", "bytea")], "column etag is of type bytea"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused_with_the_query_and_the_fix(columns: list[tuple[str, str]], fault: str) -> None:
    with pytest.raises(ProfileInvalid) as caught:
        reference_select("SELECT path\n  FROM photo", columns, default_store="main")
    assert fault in caught.value.message
    assert "the query is: SELECT path FROM photo" in caught.value.message
    assert caught.value.hint == "Make it give the columns key (text) and size (a whole number), and if need be store, etag and sha256."


def test_what_is_listed_is_loaded_as_it_lies_in_the_stores(tmp_path: Path) -> None:
    keys = ["a,b", 'q"q', "n\nl", "é", " lead", "a/b", "#", "'", "NULL", "\\N", "c\rr", "\r", "\r\n", "x\x00y"]
    stores = {"main": MemoryStore(), "node1": MemoryStore()}
    for number, key in enumerate(keys):
        stores["main"].write(key, b"x" * number)
    stores["node1"].write("a/b", b"other")
    tables = Tables(tmp_path)
    assert references.load(tables, listed_references(stores)).objects == len(keys) + 1
    found = {(store, key): size for store, key, size in tables.rows("SELECT store, key, size FROM references_now")}
    assert found == {**{("main", key): number for number, key in enumerate(keys)}, ("node1", "a/b"): 5}
    assert tables.row("SELECT count(DISTINCT etag) FROM references_now WHERE etag IS NOT NULL")[0] == len(keys) + 1
    tables.close()


def test_a_listing_of_many_pages_is_loaded_whole(tmp_path: Path) -> None:
    store, tables = MemoryStore(), Tables(tmp_path)
    for number in range(2500):
        store.write(f"{number:05}", b"")
    assert references.load(tables, listed_references({"main": store})).objects == 2500
    tables.close()


def test_deployments_without_objects_have_no_references(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    assert references.load(tables, listed_references({})).objects == 0
    tables.close()
