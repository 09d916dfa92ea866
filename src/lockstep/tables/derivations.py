"""References derived anew, in DuckDB, from rows that were read out of a dump."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from lockstep.errors import LockstepError
from lockstep.tables import references
from lockstep.tables.derivable import Token, Underivable, only_asked_for_null
from lockstep.tables.engine import Tables

_PLAIN_TYPES = {"smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT", "boolean": "BOOLEAN", "uuid": "UUID", "text": "VARCHAR"}

_SPECIAL = {"b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}

_READ = """
    read_csv($1, auto_detect=false, header=false, delim='\t', quote='', escape='', comment='', nullstr='\\N', new_line='\\n',
             strict_mode=true, max_line_size=16777216, columns={columns})
"""


def duckdb_type(declared: str, enums: set[str]) -> str | None:
    """The type of DuckDB in which a column means the same; None when there is none, and then its values are kept as text."""
    if declared in _PLAIN_TYPES:
        return _PLAIN_TYPES[declared]
    if re.fullmatch(r"character varying(\(\d+\))?", declared) or declared in enums:
        return "VARCHAR"
    precise = re.fullmatch(r"numeric\((\d+),(\d+)\)", declared)
    return f"DECIMAL({precise[1]},{precise[2]})" if precise and int(precise[1]) <= 38 else None


def load_table(
    tables: Tables, name: tuple[str, str], path: Path, columns: Mapping[str, str | None], *, count: int, tokens: Sequence[Token]
) -> None:
    """Make a table of a file in COPY's text format (a dot is the first value of each row). Raises Underivable."""
    for column, kind in columns.items():
        if kind is None and not only_asked_for_null(tokens, column):
            raise Underivable(f"the column '{column}' of '{name[1]}' is of a type that is not known to mean the same in DuckDB")
    if name[0].lower() == "main":
        raise Underivable("a schema is named 'main', as DuckDB's own")
    raw = "{" + ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(columns) + 1)) + "}"
    values = [f"{_value(f'c{number}', kind or 'VARCHAR')} AS {_quoted(column)}" for number, (column, kind) in enumerate(columns.items(), 1)]
    target = f"{_quoted(name[0])}.{_quoted(name[1])}"
    chosen = ", ".join(values or ["c0 AS lockstep_row"])
    try:
        tables.run(f"CREATE SCHEMA IF NOT EXISTS {_quoted(name[0])}")
        tables.run(f"CREATE TABLE {target} AS SELECT {chosen} FROM {_READ.replace('{columns}', raw)}", [str(path)])  # noqa: S608
        arrived = tables.row(f"SELECT count(*) FROM {target}")[0]  # noqa: S608
    except (duckdb.Error, LockstepError) as error:
        raise Underivable(f"the rows of '{name[1]}' cannot be read: {_first_line(error)}") from error
    if arrived != count:
        raise Underivable(f"of {count} rows of '{name[1]}' {arrived} arrived")


def derive(tables: Tables, query: str, schemas: Sequence[str], *, default_store: str) -> None:
    """Fill `references_now` with what a query gives on the loaded tables. Raises Underivable.

    It is a stranger's query, and reaches no file.
    """
    bare = query.strip().rstrip(";").rstrip()
    try:
        tables.run("SET enable_external_access=false")
        tables.run("SET lock_configuration=true")
        path = ",".join(_quoted(each) for each in schemas).replace("'", "''")
        tables.run(f"SET search_path='{path}'")
        tables.run(f"CREATE TABLE memory.main.answer AS SELECT * FROM (\n{bare}\n) AS q")  # noqa: S608 - the profile's own
        tables.run("SET search_path='main'")
        names = [row[0].lower() for row in tables.rows("DESCRIBE answer")]
        literal = "'" + default_store.replace("'", "''") + "'"
        store = f"coalesce(q.store::VARCHAR, {literal})" if "store" in names else literal
        columns = f"{store} AS store, q.key::VARCHAR AS key, q.size::BIGINT AS size, NULL::VARCHAR AS etag, NULL::VARCHAR AS sha256"
        tables.run(f"CREATE TABLE references_now AS SELECT {columns} FROM answer AS q WHERE q.key IS NOT NULL")  # noqa: S608
        tables.run("DROP TABLE answer")
        references.merge_doubles(tables)
    except (duckdb.Error, LockstepError) as error:
        raise Underivable(_first_line(error)) from error


def _value(column: str, kind: str) -> str:
    """A value without its escapes: backslashes stand in pairs, and between the pairs each begins an escape."""
    text = "part"
    for letter, code in _SPECIAL.items():
        text = f"replace({text}, '\\{letter}', chr({code}))"
    pieces = f"array_to_string(list_transform(string_split({column}, '\\\\'), lambda part: {text}), '\\')"
    value = f"CASE WHEN contains({column}, '\\') THEN {pieces} ELSE {column} END"
    return value if kind == "VARCHAR" else f"CAST({value} AS {kind})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
