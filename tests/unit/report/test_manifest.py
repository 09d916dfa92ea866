from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from lockstep.report.manifest import as_text

DOCUMENT: dict[str, Any] = {
    "snapshot": "20261122T124000Z-1a2b3c4d",
    "created": "2026-11-22T12:40:00Z",
    "complete": True,
    "tag": None,
    "parent": None,
    "database": {
        "server_version": "18.6",
        "encoding": "UTF8",
        "collate": "C",
        "owner": "app",
        "extensions": {"pgcrypto": "1.4", "citext": "1.8"},
        "rows": {"public.block": 20_000, "public.realm": 3},
    },
    "dump": {"format": "custom", "size_bytes": 1 << 20, "pg_dump_major": 18, "seconds": 4.2},
    "profile": {"name": "parsec"},
    "stores": {"main": "s3://bucket"},
    "objects": {"referenced": 20_000, "referenced_bytes": 80 << 20, "new": 150, "missing": 0, "mismatched": 0},
    "tools": {"lockstep": "0.1.0"},
}


def test_a_snapshot_is_told_in_a_dozen_lines_and_what_is_empty_is_left_out() -> None:
    assert as_text("parsec", DOCUMENT).splitlines() == [
        "snapshot   20261122T124000Z-1a2b3c4d",
        "created    2026-11-22T12:40:00Z",
        "complete   yes",
        "proven     never",
        "verified   never",
        "database   parsec, PostgreSQL 18.6, UTF8, C",
        "owner      app",
        "extensions citext 1.8, pgcrypto 1.4",
        "tables     2 with 20,003 rows",
        "dump       custom, 1.00 MiB, by pg_dump 18 in 4.2 s",
        "profile    parsec",
        "stores     main = s3://bucket",
        "objects    20,000 referenced (80.0 MiB), 150 new, 0 missing, 0 mismatched",
        "made with  lockstep 0.1.0",
    ]


def test_a_snapshot_that_was_drilled_says_when_it_was_proven() -> None:
    lines = as_text("parsec", DOCUMENT, proven=datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)).splitlines()
    assert "proven     2026-11-23 04:05:06 UTC, by a drill" in lines


def test_a_snapshot_says_when_it_was_verified_and_how_deep() -> None:
    day = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)

    def line(**times: datetime) -> str:
        return as_text("parsec", DOCUMENT, **times).splitlines()[4]

    assert line(verified=day) == "verified   2026-11-23 04:05:06 UTC, by the sizes of its objects alone"
    assert line(verified=day, verified_data=day) == "verified   2026-11-23 04:05:06 UTC, every byte"
    later = day + timedelta(days=1)
    assert line(verified=later, verified_data=day) == "verified   2026-11-24 04:05:06 UTC, every byte 2026-11-23 04:05:06 UTC"


def test_a_snapshot_that_is_not_complete_says_so_loudly() -> None:
    lines = as_text("parsec", {**DOCUMENT, "complete": False, "tag": "t", "parent": "p"}).splitlines()
    assert {"complete   NO", "tag        t", "parent     p"} <= set(lines)
