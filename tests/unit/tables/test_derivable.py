"""A query is run in DuckDB only when it is known to mean the same there; values that COPY escaped come back as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.tables.derivable import Underivable, names_in, only_asked_for_null, tables_named, tokens_of
from lockstep.tables.derivations import duckdb_type, load_table
from lockstep.tables.engine import Tables

ESCAPES = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def escaped(value: str | None) -> str:
    return "\\N" if value is None else "".join(ESCAPES.get(letter, letter) for letter in value)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a / b AS key FROM t",
        "SELECT a FROM t WHERE a ~ 'x'",
        "SELECT a FROM t WHERE a LIKE 'x\\_y'",
        "SELECT E'a' FROM t",
        "SELECT * FROM t",
        "SELECT t.* FROM t",
        "SELECT a::timestamptz FROM t",
        "SELECT to_char(a, 'YYYY') FROM t",
        "SELECT a FROM t ORDER BY a LIMIT 1",
        "SELECT a FROM t WHERE a < b",
        "SELECT DISTINCT ON (a) a FROM t",
        "SELECT a FROM pg_class",
        "SELECT a FROM t; DROP TABLE t",
        "SELECT content FROM read_text('/etc/passwd')",
        "SELECT a FROM '/etc/passwd'",
        'SELECT a FROM "read_text"(1)',
    ],
)
def test_what_may_mean_something_else_is_refused(query: str) -> None:
    with pytest.raises(Underivable):
        tokens_of(query)


def test_tables_and_columns_are_told_from_the_query() -> None:
    query = """SELECT 'FROM x' || "My".id::text, count(*) FROM a.block AS b JOIN "My" ON b."Realm" = 1, c /* JOIN d */ -- JOIN e
               WHERE gone IS NOT NULL AND size > 0"""
    tokens = tokens_of(query)
    known = [("a", "block"), ("other", "block"), ("public", "My"), ("public", "c"), ("public", "d"), ("public", "e"), ("public", "x")]
    assert tables_named(tokens, known) == [("a", "block"), ("public", "My"), ("public", "c")]
    assert {"id", "realm", "gone", "size"} <= names_in(tokens)
    assert only_asked_for_null(tokens, "gone")
    assert not only_asked_for_null(tokens, "size")
    with pytest.raises(Underivable, match="several tables"):
        tables_named(tokens_of("SELECT a FROM block"), known)


def test_only_types_that_mean_the_same_have_one_in_duckdb() -> None:
    enums = {"public.kind"}
    assert duckdb_type("character varying(20)", enums) == "VARCHAR"
    assert duckdb_type("numeric(12,0)", enums) == "DECIMAL(12,0)"
    assert duckdb_type("public.kind", enums) == "VARCHAR"
    assert {duckdb_type(each, enums) for each in ("numeric", "public.citext", "timestamp with time zone", "jsonb", "text[]", "bytea")} == {
        None
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | st.text(st.sampled_from("\\\\\\nNtbrx\t\n\r\b\f\v'\",.é🐘 ")), max_size=12))
def test_escaped_values_come_back_as_they_were(tables: Tables, tmp_path: Path, values: list[str | None]) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("".join(f".\t{escaped(value)}\n" for value in values), encoding="utf-8", newline="")
    tables.run("DROP TABLE IF EXISTS public.t") if tables.row("SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 'public'")[
        0
    ] else None
    load_table(tables, ("public", "t"), path, {"v": "VARCHAR"}, count=len(values), tokens=[])
    assert sorted(row[0] or "" for row in tables.rows("SELECT v FROM public.t")) == sorted(value or "" for value in values)
    assert tables.row("SELECT count(*) FROM public.t WHERE v IS NULL")[0] == values.count(None)
