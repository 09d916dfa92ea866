r"""Reads tables and rows out of a dump, without a server.

Source: PostgreSQL manual, COPY, "Text Format" (a line a row, columns apart by tabs, `\.` at the end; tabs and newlines inside a value are
escaped), and pg_restore, `--schema-only`, `--data-only`, `--table`.
"""

# ruff: noqa: A002 - `format` is what the command line and the manifest call it
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import IO, TypeAlias

from lockstep.errors import ClientToolFailed, DiskFailed
from lockstep.model.database import DumpFormat
from lockstep.postgres.archives import read_archive_reader, reason
from lockstep.postgres.processes import Child, plain_environment
from lockstep.postgres.programs import Programs, choose_programs, installed_programs

TableName: TypeAlias = tuple[str, str]
"""Schema and table."""

LONGEST_ROW = 16 << 20
"""A row of more bytes is not read: memory stays bounded."""

_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_NAME = rf"({_IDENTIFIER})\.({_IDENTIFIER})"
_COPY = re.compile(rf"COPY {_NAME} \((.*)\) FROM stdin;\n")
_TABLE = re.compile(rf"CREATE (?:UNLOGGED )?TABLE {_NAME} \(\n")
_ENUM = re.compile(rf"CREATE TYPE ({_IDENTIFIER}\.{_IDENTIFIER}) AS ENUM \(\n")
_PARENTS = re.compile(rf"INHERITS \((.*)\)|ALTER TABLE ONLY ({_IDENTIFIER}\.{_IDENTIFIER}) ATTACH PARTITION")
_COLUMN = re.compile(rf" {{4}}({_IDENTIFIER}) (.*?)(?: DEFAULT | NOT NULL| NULL| GENERATED | COLLATE | CONSTRAINT |,?\n).*", re.DOTALL)
_END = b"\\.\n"
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump on a local disk; `programs` is None for plain SQL, which is read as it is."""

    archive: Path
    format: DumpFormat
    programs: Programs | None


@dataclass(slots=True)
class DumpSchema:
    """The tables with the types of their columns, as SQL writes them; enumerations; and tables whose rows lie in other tables too."""

    tables: dict[TableName, dict[str, str]] = field(default_factory=dict)
    enums: set[str] = field(default_factory=set)
    parents: set[TableName] = field(default_factory=set)
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class TableRows:
    """The rows of a table in a file: lines in COPY's text format, a dot first and then the values of `columns`."""

    path: Path
    columns: tuple[str, ...]
    count: int


def open_dump(archive: Path, *, format: DumpFormat) -> Dump:
    """A dump with the programs of this machine that can read it. Raises ClientToolFailed when there are none."""
    needed = read_archive_reader(archive, format=format)
    if needed is None:
        return Dump(archive, format, None)
    programs = choose_programs(installed_programs(), needed)
    if programs is None:
        raise ClientToolFailed(
            f"no client programs of PostgreSQL {needed} or newer are here", hint=f"Install postgresql-client-{needed} or newer."
        )
    return Dump(archive, format, programs)


def read_schema(dump: Dump, *, tick: Callable[[], None]) -> DumpSchema:
    """The tables of a dump. Raises ClientToolFailed when pg_restore fails."""
    found, columns = DumpSchema(), None
    with _text(dump, ["--schema-only"]) as text:
        for raw in _lines(text, tick):
            line = raw.decode(errors="replace")
            if columns is not None and (column := _COLUMN.fullmatch(line)):
                columns.setdefault(unquoted(column[1]), column[2])
            elif table := _TABLE.fullmatch(line):
                columns = found.tables.setdefault((unquoted(table[1]), unquoted(table[2])), {})
            elif line.startswith("COPY ") and _COPY.fullmatch(line):
                _skip(text, tick)
            else:
                columns = None
                _note_line(found, line)
                _note_parents(found, line)
    return found


def read_rows(
    dump: Dump, wanted: Mapping[TableName, Sequence[str]], *, directory: Path, tick: Callable[[], None]
) -> dict[TableName, TableRows]:
    """Write the rows of some tables into files, of each table the wanted columns that the dump has.

    A table that the dump has no rows of, nor a place for them, is left out. Raises ClientToolFailed, DiskFailed.
    """
    found: dict[TableName, TableRows] = {}
    with _text(dump, ["--data-only", *(f"--table={name}" for name in dict.fromkeys(name for _, name in wanted))]) as text:
        for raw in _lines(text, tick):
            header = _COPY.fullmatch(raw.decode(errors="replace")) if raw.startswith(b"COPY ") else None
            if header is None:
                continue
            name = (unquoted(header[1]), unquoted(header[2]))
            if name not in wanted:
                _skip(text, tick)
                continue
            if name in found:
                raise ClientToolFailed(f"the dump has rows of {'.'.join(name)} twice", hint="Run 'lockstep drill'.")
            columns = tuple(unquoted(each) for each in re.findall(_IDENTIFIER, header[3]))
            path = directory / f"rows-{len(found)}.tsv"
            kept = tuple(each for each in columns if each in wanted[name])
            try:
                with path.open("wb") as out:
                    count = _copy(text, out, len(columns), [columns.index(each) for each in kept], tick)
            except OSError as error:
                raise DiskFailed(
                    f"'{directory}' cannot be written: {error.strerror}",
                    hint="Free some room there, or name another place with --temp-dir.",
                ) from error
            found[name] = TableRows(path, kept, count)
    return found


def unquoted(identifier: str) -> str:
    """The name that an identifier in SQL stands for."""
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier.lower()


def _note_line(found: DumpSchema, line: str) -> None:
    if line.startswith("SET client_encoding = "):
        found.encoding = line.split("'")[1]
    elif enum := _ENUM.fullmatch(line):
        found.enums.add(enum[1])


def _note_parents(found: DumpSchema, line: str) -> None:
    for parents in _PARENTS.finditer(line):
        found.parents |= {(unquoted(one), unquoted(two)) for one, two in re.findall(_NAME, parents[1] or parents[2])}


@contextmanager
def _text(dump: Dump, arguments: Sequence[str]) -> Iterator[IO[bytes]]:
    if dump.programs is None:
        with dump.archive.open("rb") as file:
            yield file
        return
    command = [dump.programs.path("pg_restore"), f"--format={dump.format}", *arguments, "--file=-", str(dump.archive)]
    with Child(command, environment=plain_environment(), stdout=PIPE) as child:
        yield child.stdout
        status = child.wait()
        if status:
            raise ClientToolFailed(f"the archive cannot be read: {reason(child, status)}", hint="Run 'lockstep drill'.")


def _lines(text: IO[bytes], tick: Callable[[], None]) -> Iterator[bytes]:
    """Lines; of a very long one its beginning, which has no newline at its end."""
    number, begins = 0, True
    while line := text.readline(LONGEST_ROW):
        if begins:
            yield line
        begins = line.endswith(b"\n")
        number += 1
        if number % _ROWS_AT_ONCE == 0:
            tick()


def _skip(text: IO[bytes], tick: Callable[[], None]) -> None:
    for line in _lines(text, tick):
        if line == _END:
            return


def _copy(text: IO[bytes], out: IO[bytes], width: int, chosen: Sequence[int], tick: Callable[[], None]) -> int:
    for count, line in enumerate(_lines(text, tick)):
        if line == _END:
            return count
        fields = line[:-1].split(b"\t") if width else []
        if len(fields) != width or not line.endswith(b"\n"):
            break
        out.write(b"\t".join([b".", *[fields[each] for each in chosen]]) + b"\n")
    raise ClientToolFailed("a row in the dump is cut or too long", hint="Run 'lockstep drill'.")
