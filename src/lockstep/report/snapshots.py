"""Snapshots of a repository, as JSON and as a table for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lockstep.model.snapshots import DamagedSnapshot
from lockstep.report.units import as_bytes, as_count, as_plain


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A snapshot in a list of them; sizes in bytes.

    `proven` is when a drill last proved it; `verified` when a verification last found nothing wrong with its files and the sizes of its
    objects, `verified_data` with every byte of them. `copies` are the places where it is known to be too.
    """

    snapshot: str
    created: datetime
    complete: bool
    tag: str | None
    database_bytes: int
    referenced: int
    referenced_bytes: int
    new: int
    copied_bytes: int
    missing: int
    proven: datetime | None = None
    verified: datetime | None = None
    verified_data: datetime | None = None
    copies: tuple[str, ...] = ()


_HEADINGS = ("snapshot", "complete", "database", "objects", "size", "new", "missing", "proven", "verified", "copies", "tag")


def as_document(rows: Iterable[SnapshotRow], damaged: Sequence[DamagedSnapshot] = ()) -> Mapping[str, object]:
    """The JSON of `lockstep list`; `damaged` has the snapshots whose manifests cannot be trusted."""
    return {"snapshots": list(rows), "damaged": list(damaged)}


def as_table(rows: Iterable[SnapshotRow], damaged: Sequence[DamagedSnapshot] = ()) -> Iterator[str]:
    """A line a snapshot, oldest first, under headings; one sentence when there is none. Then a line for each damaged one."""
    rows = list(rows)
    cells = [_cells(row) for row in rows]
    if cells:
        yield from _columns(cells)
        for url in sorted({url for row in rows for url in row.copies}):
            yield f"copies of {sum(url in row.copies for row in rows)} are in {as_plain(url)}"
    elif not damaged:
        yield "no snapshot yet"
    for each in damaged:
        yield f"DAMAGED: {as_plain(each.why)}"
    if damaged:
        yield "Run 'lockstep verify' to see what else is damaged."


def _columns(cells: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (_HEADINGS, *cells)) for column in range(len(_HEADINGS))]
    for row in (_HEADINGS, *cells):
        yield "  ".join(_aligned(text, width, column) for column, (text, width) in enumerate(zip(row, widths, strict=True))).rstrip()


def _cells(row: SnapshotRow) -> tuple[str, ...]:
    return (
        row.snapshot,
        "yes" if row.complete else "NO",
        as_bytes(row.database_bytes),
        as_count(row.referenced),
        as_bytes(row.referenced_bytes),
        as_count(row.new),
        as_count(row.missing),
        _day(row.proven),
        _day(row.verified),
        str(len(row.copies)) if row.copies else "none",
        as_plain(row.tag or ""),
    )


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never"


def _aligned(text: str, width: int, column: int) -> str:
    return text.rjust(width) if 2 <= column <= 6 else text.ljust(width)
