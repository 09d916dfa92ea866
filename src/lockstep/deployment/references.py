"""The references of a deployment as CSV: from the profile's query, or from a listing where there is none."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from lockstep.errors import ProfileInvalid
from lockstep.model.objects import ObjectInfo
from lockstep.objects.store import ObjectStore

REFERENCE_COLUMNS = ("store", "key", "size", "etag", "sha256")
"""What a reference consists of, in the order in which it is copied out and listed."""

_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric"})
_TEXTS = frozenset({"text", "character varying", "character", "uuid", "name", "citext"})
_ALLOWED = {"key": _TEXTS, "size": _NUMBERS, "store": _TEXTS, "etag": _TEXTS, "sha256": _TEXTS | {"bytea"}}
_NEEDED = ("key", "size")


def reference_select(query: str, columns: Sequence[tuple[str, str]], *, default_store: str) -> str:
    """The query that is copied out: one row a reference with store, key, size, etag, sha256 in this order.

    `columns` are the names and PostgreSQL types that `query` gives. Rows whose key is NULL name no object. Raises ProfileInvalid, with the
    query, when a column is missing, unknown or of a type that cannot be meant.
    """
    faults = _faults(columns)
    if faults:
        raise ProfileInvalid(
            f"the reference query does not give what it must: {'; '.join(faults)}; the query is: {_one_line(query)}",
            hint="Make it give the columns key (text) and size (a whole number), and if need be store, etag and sha256.",
        )
    types = dict(columns)
    store = f"coalesce(q.store::text, {_literal(default_store)})" if "store" in types else _literal(default_store)
    etag = "trim(both '\"' from q.etag::text)" if "etag" in types else "NULL"
    sha256 = "NULL"
    if "sha256" in types:
        sha256 = "encode(q.sha256, 'hex')" if types["sha256"] == "bytea" else "lower(q.sha256::text)"
    chosen = f"{store} AS store, q.key::text AS key, q.size::bigint AS size, {etag} AS etag, {sha256} AS sha256"
    return f"SELECT {chosen} FROM (\n{without_semicolon(query)}\n) AS q WHERE q.key IS NOT NULL"  # noqa: S608 - the profile's own query


def without_semicolon(query: str) -> str:
    """A query as it can stand inside another one."""
    return query.strip().rstrip(";").rstrip()


def listed_references(stores: Mapping[str, ObjectStore]) -> Generator[bytes, None, int]:
    """Every object of the stores as CSV blocks, a block a page of the listing; the generator returns how many there were."""
    count = 0
    for name, store in stores.items():
        for page in store.list():
            count += len(page)
            yield _as_csv(name, page)
    return count


def _faults(columns: Sequence[tuple[str, str]]) -> list[str]:
    names = [name for name, _ in columns]
    found = [f"column {name} is missing" for name in _NEEDED if name not in names]
    for name, type_name in columns:
        if names.count(name) > 1:
            found.append(f"column {name} is given twice")
        elif name not in _ALLOWED:
            found.append(f"column {name} is unknown")
        elif type_name not in _ALLOWED[name]:
            found.append(f"column {name} is of type {type_name}")
    return list(dict.fromkeys(found))


def _as_csv(name: str, page: Sequence[ObjectInfo]) -> bytes:
    return "".join(f"{_quoted(name)},{_quoted(each.key)},{each.size},{_quoted(each.etag)},\n" for each in page).encode()


def _quoted(text: str | None) -> str:
    """Every text in quotes, since the csv module leaves a lone carriage return without; NULL is an empty field."""
    return "" if text is None else '"' + text.replace('"', '""') + '"'


def _one_line(query: str) -> str:
    return " ".join(query.split())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
