from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockstep.model.findings import OLDER_IS_RIGHT, Checked, Finding
from lockstep.report import verify as report
from lockstep.report import verify_hints
from lockstep.report.verify import as_lines
from lockstep.report.verify_hints import hint_for

ID = "20261122T124000Z-1a2b3c4d"
CHECKED = Checked(snapshots=1, objects=2, objects_read=0, bytes=2048)


def of(path: str, kind: Any = "damaged", *, key: str | None = None) -> Finding:
    return Finding(kind, path, key, (ID,), "is wrong", "main" if key else None)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("lockstep.json", verify_hints.MARKER),
        ("head.json", verify_hints.HEAD),
        ("verifications/1.json", verify_hints.RECORD),
        (f"drills/20261123T010203Z-{ID}.json", verify_hints.DRILL),
        (f"snapshots/{ID}/manifest.json", verify_hints.MANIFEST),
        (f"snapshots/{ID}/database.dump", verify_hints.DUMP),
        (f"snapshots/{ID}/database/toc.dat", verify_hints.DUMP),
        (f"snapshots/{ID}/references.parquet", verify_hints.TABLE),
        (f"snapshots/{ID}/missing.parquet", verify_hints.TABLE),
        (f"inventory/{ID}-0.parquet", verify_hints.SEGMENT),
        ("objects/main/a", verify_hints.OBJECT),
        (f"odd/ab/{'ab' * 32}", verify_hints.OBJECT),
        ("../elsewhere", verify_hints.STRANGER),
    ],
)
def test_each_file_has_its_own_way_out(path: str, hint: str) -> None:
    assert hint_for(of(path)) == hint
    assert hint_for(of(path, "missing")) == hint
    assert hint_for(of(path, "unreadable")) == verify_hints.UNREADABLE


def test_what_the_bucket_still_has_is_uncovered() -> None:
    for path in ("objects/main/a", f"snapshots/{ID}/database.dump"):
        found = replace(of(path, "missing"), detail=f"is not there; {OLDER_IS_RIGHT}")
        assert hint_for(found) == verify_hints.COVERED


@pytest.mark.parametrize("name", ["manifest.json", "references.parquet"])
def test_what_was_rewritten_is_not_mended_by_another_snapshot(name: str) -> None:
    assert hint_for(of(f"snapshots/{ID}/{name}", "tampered")) == verify_hints.REWRITTEN


def test_a_hint_is_a_sentence_that_begins_with_a_verb() -> None:
    for name, hint in vars(verify_hints).items():
        if name.isupper() and not name.startswith(("DRILLS", "VERIFICATIONS", "COPIES")):
            assert hint[0].isupper(), name
            assert hint.endswith("."), name


def test_findings_of_one_sort_share_their_hint() -> None:
    found = [of("objects/main/a", key="a"), of("objects/main/b", "missing", key="b"), of(f"snapshots/{ID}/database.dump")]
    assert list(as_lines(CHECKED, found, count=3, depth="sizes")) == [
        f"damaged     objects/main/a: is wrong; touches {ID}",
        f"missing     objects/main/b: is wrong; touches {ID}",
        f"            {verify_hints.OBJECT}",
        f"damaged     snapshots/{ID}/database.dump: is wrong; touches {ID}",
        f"            {verify_hints.DUMP}",
        "3 findings: 1 snapshot, 2 objects, 2.00 KiB held against their checksums",
    ]


def test_what_is_sound_needs_no_hint() -> None:
    assert list(as_lines(CHECKED, [], count=0, depth="quick")) == ["sound: 1 snapshot, 2.00 KiB held against their checksums"]


def test_each_entry_of_the_document_has_its_hint() -> None:
    entries = [report.as_entry(each) for each in (of("objects/main/a", key="a"), of("head.json"))]
    assert [entry["hint"] for entry in entries] == [verify_hints.OBJECT, verify_hints.HEAD]
    assert list(entries[0]) == ["kind", "path", "key", "snapshots", "store", "detail", "hint"]
    assert "store" not in entries[1]
