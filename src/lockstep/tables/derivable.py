"""Whether a query of PostgreSQL means the same in DuckDB: what is not known to is refused, so that nobody is accused by a dialect.

Pure. What differs, for example: `/` of integers, `~`, a backslash in LIKE, order and case by a collation, casts of dates to text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/) | (?P<string>'(?:[^']|'')*') | (?P<quoted>"(?:[^"]|"")+")
    | (?P<number>\d+) | (?P<word>[^\W\d][\w$]*) | (?P<sign>::|<>|!=|<=|>=|\|\||[-=<>+*(),.]) | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_FUNCTIONS = frozenset({
    "coalesce", "nullif", "concat", "concat_ws", "substr", "substring", "left", "right", "replace", "split_part", "strpos", "length",
    "char_length", "reverse", "md5", "starts_with", "count", "sum",
})  # fmt: skip
_BEFORE_PARENTHESIS = frozenset({
    "in", "and", "or", "not", "exists", "as", "on", "using", "where", "from", "join", "select", "union", "all", "except", "intersect",
    "when", "then", "else", "case", "having", "by", "distinct", "materialized",
})  # fmt: skip
_REFUSED = frozenset({
    "limit", "offset", "fetch", "similar", "ilike", "lateral", "recursive", "tablesample", "collate", "interval", "array", "row", "over",
    "natural", "cast", "any", "some", "values", "table", "at", "information_schema", "escape", "between", "current_date",
    "current_timestamp", "current_user", "session_user", "localtimestamp", "current_schema", "overlaps", "grouping", "window", "for",
})  # fmt: skip
_CAST_TO = frozenset({"text", "varchar", "uuid", "bigint", "integer", "int", "int8", "int4", "smallint"})
_ORDERING = frozenset({"<", ">", "<=", ">="})


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query. `text` of a word is in lower case, of a quoted name as it is meant."""

    kind: str
    text: str


class Underivable(Exception):
    """The query's answer cannot be had without PostgreSQL; the text is a clause that says why."""


def tokens_of(query: str) -> list[Token]:
    """The tokens of a query without white space and comments. Raises Underivable when it may mean something else in DuckDB."""
    found: list[Token] = []
    for match in _TOKEN.finditer(query.strip().rstrip(";")):
        kind, text = match.lastgroup or "", match[0]
        if kind == "other" or (kind == "string" and "\\" in text) or (kind == "sign" and text == "-"):
            raise Underivable(f"{text!r} is not known to mean the same in DuckDB")
        if kind in {"string", "quoted"} and match.start() and re.match(r"[\w&]", query.strip()[match.start() - 1]):
            raise Underivable(f"{text!r} with a prefix is not known to mean the same in DuckDB")
        if kind == "word":
            text = text.lower()
        elif kind == "quoted":
            text = text[1:-1].replace('""', '"')
        if kind != "space":
            found.append(Token(kind, text))
    end = Token("end", "")
    for before, token, after in zip([end, *found], found, [*found[1:], end], strict=False):
        _judge(before, token, after)
    return found


def names_in(tokens: Sequence[Token]) -> set[str]:
    """Every identifier, in lower case: DuckDB does not tell cases apart."""
    return {token.text.lower() for token in tokens if token.kind in {"word", "quoted"}}


def tables_named(tokens: Sequence[Token], known: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the known tables (schema, name) that stand behind FROM, JOIN or a comma. Raises Underivable when a name fits several."""
    found: dict[tuple[str, str], None] = {}
    for position, token in enumerate(tokens):
        before = tokens[position - 1] if position else Token("end", "")
        if token.kind not in {"word", "quoted"}:
            continue
        if before.text == "." and position >= 2:
            fitting = [each for each in known if each == (tokens[position - 2].text, token.text)]
        elif before.text in {"from", "join", "only", ",", "("}:
            fitting = [each for each in known if each[1] == token.text]
        else:
            continue
        if len(fitting) > 1:
            raise Underivable(f"there are several tables '{token.text}'")
        found |= dict.fromkeys(fitting)
    return list(found)


def only_asked_for_null(tokens: Sequence[Token], column: str) -> bool:
    """True when a column appears in `column IS …` alone."""
    return all(
        after.text == "is"
        for token, after in zip(tokens, [*tokens[1:], Token("end", "")], strict=True)
        if token.kind in {"word", "quoted"} and token.text.lower() == column.lower()
    )


def _judge(before: Token, token: Token, after: Token) -> None:
    word = token.kind == "word"
    called = word and after.text == "(" and after.kind == "sign" and token.text not in _FUNCTIONS | _BEFORE_PARENTHESIS
    whole_row = token.text == "*" and token.kind == "sign" and (before.text in {"select", ",", ".", "distinct"})
    ordered = token.kind == "sign" and token.text in _ORDERING and "number" not in {before.kind, after.kind}
    cast = before.text == "::" and token.text not in _CAST_TO
    catalog = word and (token.text in _REFUSED or token.text.startswith(("pg_", "duckdb_")))
    distinct = token.text == "on" and before.text == "distinct"
    quoted_call = token.kind == "quoted" and after.text == "("
    sized = before.text == "::" and after.text == "("
    if (
        called
        or whole_row
        or ordered
        or cast
        or catalog
        or distinct
        or quoted_call
        or sized
        or (token.kind == "string" and before.text == "from")
    ):
        raise Underivable(f"'{token.text}' is not known to mean the same in DuckDB")
