"""Decides whether what was restored is what was written, by the writers' own books.

The books hold each row as the server had it, with two times: when its transaction began and when the server had confirmed it. Whatever was
confirmed before the backup was asked for must be there. Whatever began after the dump had begun must not. What was on its way in between
may have made it or not, but each transaction as a whole. Nothing else may be there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lockstep.report.units import as_counted


@dataclass(frozen=True, slots=True)
class Contents:
    """What a deployment holds: every table's rows as text, the keys that its rows name, the SHA-256 of each object by key."""

    rows: Mapping[str, Sequence[str]]
    named: Collection[str]
    objects: Mapping[str, str]

    @property
    def row_count(self) -> int:
        """The rows of all tables."""
        return sum(len(rows) for rows in self.rows.values())


@dataclass(frozen=True, slots=True)
class Save:
    """A file that a writer saved: its objects, and its rows in one transaction; times are those of one monotonic clock."""

    begun: float
    confirmed: float
    rows: Mapping[str, Sequence[str]]
    objects: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Window:
    """Between these two moments, on the same clock, the backup froze the database."""

    asked: float
    dumping: float


def find_differences(before: Contents, saves: Sequence[Save], window: Window, restored: Contents) -> tuple[str, ...]:
    """What is not as it must be, as sentences; empty when all is. `before` is what was there before the first save."""
    certain = [save for save in saves if save.confirmed < window.asked]
    late = [save for save in saves if save.begun > window.dumping]
    on_the_way = [save for save in saves if save.confirmed >= window.asked and save.begun <= window.dumping]
    written = dict(before.objects)
    for save in saves:
        written.update(save.objects)
    return (*_wrong_rows(before, certain, on_the_way, late, restored), *_halves(on_the_way, restored), *_wrong_objects(written, restored))


def count_left_out(saves: Iterable[Save], restored: Contents) -> int:
    """How many saves the restored deployment does not have: they came too late for the backup."""
    there = _rows_by_table(restored)
    return sum(1 for save in saves if not _count_there(save, there))


def _wrong_rows(
    before: Contents, certain: Sequence[Save], on_the_way: Sequence[Save], late: Sequence[Save], restored: Contents
) -> Iterator[str]:
    for table in sorted(before.rows.keys() | restored.rows.keys()):
        must = {*before.rows.get(table, ()), *_rows_of(certain, table)}
        possible = _rows_of(on_the_way, table)
        too_late = _rows_of(late, table)
        found = restored.rows.get(table, ())
        counts = {
            "that had been committed before the backup {are} missing": len(must.difference(found)),
            "{are} there that nobody wrote so": len(set(found) - must - possible - too_late),
            "{are} there from after the backup's moment": len(too_late.intersection(found)),
            "{are} there more than once": len(found) - len(set(found)),
        }
        for says, count in counts.items():
            if count:
                yield f"table {table}: {as_counted(count, 'row')} {says.format(are='is' if count == 1 else 'are')}"


def _halves(on_the_way: Iterable[Save], restored: Contents) -> Iterator[str]:
    there = _rows_by_table(restored)
    halves = sum(1 for save in on_the_way if 0 < _count_there(save, there) < sum(map(len, save.rows.values())))
    if halves:
        yield f"of {as_counted(halves, 'transaction')} only a part is there"


def _wrong_objects(written: Mapping[str, str], restored: Contents) -> Iterator[str]:
    named = set(restored.named)
    dangling = len(named - restored.objects.keys())
    different = sum(1 for key, sha256 in restored.objects.items() if key in named and written.get(key) != sha256)
    unnamed = len(restored.objects.keys() - named)
    if dangling:
        yield f"{as_counted(dangling, 'object')} that rows name, and that the bucket does not have"
    if different:
        yield f"{as_counted(different, 'object')} with other bytes than were written"
    if unnamed:
        yield f"{as_counted(unnamed, 'object')} in the bucket that no row names"


def _rows_of(saves: Iterable[Save], table: str) -> set[str]:
    return {row for save in saves for row in save.rows.get(table, ())}


def _rows_by_table(contents: Contents) -> dict[str, set[str]]:
    return {table: set(rows) for table, rows in contents.rows.items()}


def _count_there(save: Save, there: Mapping[str, set[str]]) -> int:
    return sum(len(there.get(table, set()).intersection(rows)) for table, rows in save.rows.items())
