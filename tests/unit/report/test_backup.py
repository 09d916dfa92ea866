from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from lockstep.model.cost import Rate
from lockstep.model.results import BackupDatabase, BackupObjects, BackupPlan, BackupResult, MissingGroup, Requests
from lockstep.report.backup import GROUPS_SHOWN, as_document, as_text, plan_as_document, plan_as_text

RESULT = BackupResult(
    snapshot="20261122T124000Z-1a2b3c4d",
    complete=True,
    created=datetime(2026, 11, 22, 12, 40, tzinfo=UTC),
    parent=None,
    database=BackupDatabase("parsec", "18.6", "custom", 1 << 20, 4.2),
    objects=BackupObjects(
        referenced=20_000, referenced_bytes=80 << 20, new=150, copied_bytes=600 << 10, reused=19_850, missing=0, mismatched=0, seconds=1.5
    ),
    requests=Requests(get=150),
    repository_requests=Requests(put=153),
    seconds=6.04449,
    peak_rss=123_456_789,
)
LACKING = replace(RESULT, complete=False, objects=replace(RESULT.objects, missing=2, mismatched=1), missing_sample=("Acme/1", "a\nb"))


def test_a_complete_backup_is_told_in_four_lines() -> None:
    assert as_text(RESULT).splitlines() == [
        "snapshot 20261122T124000Z-1a2b3c4d is complete (6.0 s)",
        "  database  parsec of PostgreSQL 18.6: 1.00 MiB as custom, 4.2 s",
        "  objects   20,000 referenced (80.0 MiB): 150 new (600 KiB copied), 19,850 already in the repository",
        "  requests  150 GET",
    ]


def test_a_backup_that_sent_nothing_says_so_and_retries_are_told() -> None:
    assert "  requests  none" in as_text(replace(RESULT, requests=Requests()))
    assert "  requests  3 LIST, 1,000 GET, 2 retried" in as_text(replace(RESULT, requests=Requests(list=3, get=1000, retried=2)))


def test_a_backup_that_lacks_objects_says_so_first_and_where_to_read_more() -> None:
    lines = as_text(LACKING).splitlines()
    assert lines[0] == "snapshot 20261122T124000Z-1a2b3c4d is NOT complete (6.0 s)"
    assert lines[4:] == [
        "  2 referenced objects missing, 1 not as the metadata says:",
        "    'Acme/1'",
        "    'a\\nb'",
        "  'lockstep show 20261122T124000Z-1a2b3c4d --missing' lists them all",
    ]


def test_what_is_missing_is_told_by_group_where_the_profile_knows_groups() -> None:
    groups = tuple(MissingGroup({"organization": f"Org{number}", "realm": "r"}, number) for number in range(GROUPS_SHOWN + 3))
    lines = as_text(replace(LACKING, missing_groups=groups)).splitlines()
    assert "    organization Org1, realm r: 1 object" in lines
    assert f"    organization Org{GROUPS_SHOWN - 1}, realm r: {GROUPS_SHOWN - 1} objects" in lines
    assert "    and 3 more groups" in lines
    assert "    'Acme/1'" not in lines


def test_what_was_found_elsewhere_is_told() -> None:
    assert "  1 object had to be copied from an older version or an older key of the store" in as_text(
        replace(RESULT, objects=replace(RESULT.objects, recovered=1))
    )


def test_a_key_cannot_forge_a_line() -> None:
    text = as_text(replace(LACKING, missing_sample=("a\nsnapshot x is complete", "\x1b[2J")))
    assert "\x1b" not in text
    assert "\nsnapshot x" not in text


def test_the_document_has_what_the_contract_of_the_command_line_names() -> None:
    document = json.loads(json.dumps(as_document(LACKING), default=str))
    assert document.keys() >= {"snapshot", "complete", "created", "parent", "database", "objects", "requests", "seconds", "peak_rss"}
    assert document["database"].keys() == {"name", "server_version", "format", "bytes", "seconds"}
    assert document["objects"].keys() >= {
        "referenced",
        "referenced_bytes",
        "new",
        "copied_bytes",
        "reused",
        "missing",
        "mismatched",
        "seconds",
    }
    assert document["requests"].keys() == {"list", "get", "head", "put", "retried"}
    assert (document["complete"], document["parent"], document["seconds"], document["peak_rss"]) == (False, None, 6.044, 123_456_789)
    assert document["missing_sample"] == ["Acme/1", "a\nb"]


def test_groups_of_missing_objects_are_flat_in_the_document() -> None:
    document = as_document(replace(LACKING, missing_groups=(MissingGroup({"organization": "Acme", "realm": "r"}, 3),)))
    assert document["missing_groups"] == [{"organization": "Acme", "realm": "r", "count": 3}]


PLAN = BackupPlan("parsec", 1 << 30, referenced=10, referenced_bytes=1000, new=1, new_bytes=100, requests=1, room_left=None)


def test_a_plan_says_what_would_be_done_and_that_nothing_was() -> None:
    assert plan_as_text(PLAN).splitlines() == [
        "a backup now would",
        "  dump      the database parsec (1.00 GiB on the server)",
        "  copy      1 new object (100 B) of 10 referenced (1000 B)",
        "  send      about 1 request to the stores",
        "  take      an unknown time: no former run tells how fast objects are copied",
        "nothing was written",
    ]


COSTED = replace(PLAN, repository_requests=7, rate=Rate(1234.4, 5 << 20, 2), copy_seconds=90.0, dump_seconds=12.0, seconds=90.0)


def test_a_plan_tells_how_long_and_how_that_is_known() -> None:
    lines = plan_as_text(COSTED).splitlines()
    assert "  send      about 1 request to the stores, and about 7 to the repository" in lines
    assert "  take      about 1 min 30 s (the dump 12 s; copying 1 min 30 s; at the rate so far, 1,234 objects/s, 5.00 MiB/s)" in lines


def test_a_plan_without_new_objects_tells_the_time_of_the_dump() -> None:
    plan = replace(PLAN, new=0, copy_seconds=0.0, dump_seconds=12.0, seconds=12.0)
    assert "  take      about 12 s (the dump 12 s)" in plan_as_text(plan).splitlines()


def test_a_plan_tells_the_room_that_is_left_on_a_local_disk() -> None:
    assert "  find      2.00 KiB of room left for the repository" in plan_as_text(replace(PLAN, room_left=2048))


def test_the_document_of_a_plan_says_that_it_is_one() -> None:
    document = plan_as_document(PLAN)
    assert document["dry_run"] is True
    assert (document["new"], document["room_left"]) == (1, None)
    assert (document["requests"], document["rate"], document["seconds"]) == (1, None, None)
    assert plan_as_document(COSTED)["rate"] == {"objects_per_second": 1234.4, "bytes_per_second": 5 << 20, "runs": 2}
