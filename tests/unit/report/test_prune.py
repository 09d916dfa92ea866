from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lockstep.model.prune import Fate, PrunePlan, PruneResult
from lockstep.model.retention import Verdict
from lockstep.model.snapshots import SnapshotId
from lockstep.report import prune as report

DAY = datetime(2026, 11, 22, 12, 40, tzinfo=UTC)
OLD, NEW = SnapshotId("20261121T124000Z-00000000"), SnapshotId("20261122T124000Z-00000000")
PLAN = PrunePlan(
    verdicts=(
        Verdict(OLD, DAY.replace(day=21), complete=False, tag="x\x1b[2J", kept=False, reasons=("daily: no", "last: no")),
        Verdict(NEW, DAY, complete=True, tag=None, kept=True, reasons=("last",)),
    ),
    objects=2,
    objects_bytes=1000,
    files_bytes=24,
    spared=1,
)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


def test_the_plan_and_the_result_show_the_same_table() -> None:
    planned, done = report.plan_as_text(PLAN, fate="freed").splitlines(), report.as_text(PruneResult(PLAN, 1.0), fate="freed").splitlines()
    assert planned[:3] == done[:3]
    assert [line.split()[0] for line in planned[:3]] == ["snapshot", OLD, NEW]
    assert planned[1].endswith("NO        remove   daily: no; last: no")
    assert planned[2].endswith("yes       keep     last")
    assert planned[3] == "would remove 1 snapshot and 2 objects, 1.00 KiB in all; 1 kept"
    assert done[3] == "removed 1 snapshot and 2 objects, 1.00 KiB in all; 1 kept (1.0 s)"
    assert planned[4:] == done[4:] == ["1 object of a stopped backup are kept for the next one, until the grace period is over"]


@pytest.mark.parametrize(
    ("fate", "freed", "said"),
    [("freed", 1024, None), ("kept", 0, "as older versions"), ("locked", 0, "Object Lock"), ("unknown", 1024, "is not known")],
)
def test_it_says_what_becomes_of_the_bytes(fate: Fate, freed: int, said: str | None) -> None:
    document = report.plan_as_document(PLAN, fate=fate)
    assert (document["bytes_freed"], document["bytes_deleted"], document["bytes_are"]) == (freed, 1024, fate)
    last = report.plan_as_text(PLAN, fate=fate).splitlines()[-1]
    assert said in last if said else "stopped backup" in last
