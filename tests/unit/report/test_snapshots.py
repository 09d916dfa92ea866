from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lockstep.model.snapshots import DamagedSnapshot, SnapshotId
from lockstep.report.snapshots import SnapshotRow, as_document, as_table

ROW = SnapshotRow(
    snapshot="20261122T124000Z-1a2b3c4d",
    created=datetime(2026, 11, 22, 12, 40, tzinfo=UTC),
    complete=True,
    tag=None,
    database_bytes=1 << 20,
    referenced=20_000,
    referenced_bytes=80 << 20,
    new=150,
    copied_bytes=600 << 10,
    missing=0,
)


def test_snapshots_are_a_table_under_headings() -> None:
    other = replace(
        ROW,
        snapshot="20261123T124000Z-1a2b3c4d",
        complete=False,
        tag="before an upgrade",
        new=0,
        missing=1_234,
        proven=ROW.created,
        verified=ROW.created + timedelta(days=2),
        copies=("file:///mnt/second", "s3://second"),
    )
    assert list(as_table([ROW, other])) == [
        "snapshot                   complete  database  objects      size  new  missing  proven      verified    copies  tag",
        "20261122T124000Z-1a2b3c4d  yes       1.00 MiB   20,000  80.0 MiB  150        0  never       never       none",
        "20261123T124000Z-1a2b3c4d  NO        1.00 MiB   20,000  80.0 MiB    0    1,234  2026-11-22  2026-11-24  2       before an upgrade",
        "copies of 1 are in file:///mnt/second",
        "copies of 1 are in s3://second",
    ]


def test_an_empty_repository_is_one_sentence() -> None:
    assert list(as_table([])) == ["no snapshot yet"]


def test_the_document_lists_what_the_contract_of_the_command_line_names() -> None:
    document: Any = as_document(iter([ROW]))
    assert document == {"snapshots": [ROW], "damaged": []}
    assert asdict(ROW).keys() == {
        "snapshot", "created", "complete", "tag", "database_bytes", "referenced", "referenced_bytes", "new", "copied_bytes", "missing",
        "proven", "verified", "verified_data", "copies",
    }  # fmt: skip


def test_a_tag_cannot_forge_a_line_or_command_the_terminal() -> None:
    lines = list(as_table([replace(ROW, tag="x\n20270101T000000Z-00000000  yes\x1b[2J\x9b1m\r")]))
    assert len(lines) == 2
    assert lines[1].startswith(ROW.snapshot)
    assert not set("\n\r\x1b\x9b") & set(lines[1])


def test_a_damaged_snapshot_is_named_behind_the_others() -> None:
    broken = DamagedSnapshot(SnapshotId("20261121T124000Z-1a2b3c4d"), "snapshots/x/manifest.json", "'snapshots/x' is\x1b[2J gone")
    assert list(as_table([ROW], [broken]))[2:] == [
        "DAMAGED: 'snapshots/x' is\\x1b[2J gone",
        "Run 'lockstep verify' to see what else is damaged.",
    ]
    assert next(as_table([], [broken])).startswith("DAMAGED")
    assert as_document([ROW], [broken])["damaged"] == [broken]
