"""Measures what keys alone cost, without any server: reading references, finding what is new, the files that record them; prints a table.

The keys are those of a Parsec server, random as theirs are. What a number of them costs tells what a billion will, where it grows in
proportion; the page docs/how-to/scale-out.md does that arithmetic.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import tempfile
import time
import uuid
from collections.abc import Generator
from pathlib import Path

from lockstep.model.inventory import InventoryEntry
from lockstep.tables import inventory, plans, references
from lockstep.tables.engine import Tables

ROWS = 10_000
RUN = "20260101T000000Z-00000000"


def main() -> None:
    """Load references twice: into an empty repository, and into one that has all of them but one in a hundred."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    count = parser.parse_args().keys
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as directory:
        work = Path(directory)
        recorded, listed = work / "inventory.parquet", work / "references.parquet"
        record(work / "before", recorded, count)
        before, tables = peak_bytes(), Tables(work / "tables")
        inventory.create(tables, [recorded])
        started = time.monotonic()
        references.load(tables, rows(count), columns=("key", "size"))
        loaded = time.monotonic()
        new = plans.plan_new(tables, compare_etags=False)
        planned = time.monotonic()
        spilt = sum(path.stat().st_size for path in (work / "tables").rglob("*") if path.is_file())
        references.save_full(tables, listed)
        saved = time.monotonic()
        tables.close()
        found = {
            "keys": f"{count:,} ({new.objects:,} new)",
            "read, a second": f"{count / (loaded - started):,.0f}",
            "find what is new": f"{planned - loaded:.2f} s",
            "write the list": f"{saved - planned:.2f} s",
            "a key in the list": f"{listed.stat().st_size / count:.1f} B",
            "in the inventory": f"{recorded.stat().st_size / count:.1f} B",
            "in the work directory": f"{spilt / count:.0f} B",
            "peak memory": f"{peak_bytes() >> 20} MiB",
        }
        print("| " + " | ".join(found) + " |", "|---" * len(found) + "|", "| " + " | ".join(found.values()) + " |", sep="\n")
        print(f"the memory before: {before >> 20} MiB")


def rows(count: int) -> Generator[bytes, None, int]:
    """What COPY sends, key and size."""
    for start in range(0, count, ROWS):
        yield "".join(f'"{key_of(number)}",524288\n' for number in range(start, min(start + ROWS, count))).encode()
    return count


def record(work: Path, made: Path, count: int) -> None:
    """A segment of the inventory with all keys but each hundredth."""
    tables = Tables(work)
    inventory.create(tables, [])
    for start in range(0, count, ROWS):
        kept = [entry_of(number) for number in range(start, min(start + ROWS, count)) if number % 100]
        inventory.add_entries(tables, kept)
    inventory.save_segment(tables, made, snapshot=RUN)
    tables.close()


def entry_of(number: int) -> InventoryEntry:
    """A block as it is recorded."""
    seed = number.to_bytes(8, "big")
    return InventoryEntry("main", key_of(number), 524_288, hashlib.sha256(seed).hexdigest(), hashlib.md5(seed).hexdigest(), None, None)


def key_of(number: int) -> str:
    """A key that follows from its number and looks random."""
    return f"Organization/{uuid.UUID(bytes=hashlib.md5(number.to_bytes(8, 'little')).digest(), version=4)}"


def peak_bytes() -> int:
    """The most memory that this process held so far, on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    main()
