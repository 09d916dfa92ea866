from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

from lockstep.model.drill import DrillResult, DrillStep
from lockstep.report.drill import as_document, as_text, rto_sentence
from lockstep.report.drill_page import as_page

RESULT = DrillResult(
    snapshot="20261122T124000Z-1a2b3c4d",
    created=datetime(2026, 11, 22, 12, 40, tzinfo=UTC),
    complete=True,
    database="parsec",
    server="PostgreSQL 18.6, started for this drill",
    started=datetime(2026, 11, 23, 4, 0, tzinfo=UTC),
    steps=(
        DrillStep("dump", True, "custom format", 0.1),
        DrillStep("restore", True, "without an error", 4.2),
        DrillStep("checksums", True, "a sample is right", 2.0, extrapolated=True),
    ),
    rto_seconds=64.3,
    seconds=8.0,
    recorded="drills/20261123T040000Z-20261122T124000Z-1a2b3c4d.json",
)
WRONG = replace(RESULT, steps=(*RESULT.steps[:2], DrillStep("checksums", False, "the object '</script><b>' is wrong", 2.0)), recorded=None)


def test_the_document_has_what_the_contract_of_the_command_line_names() -> None:
    document = as_document(RESULT)
    assert (document["ok"], document["snapshot"], document["rto_seconds"]) == (True, RESULT.snapshot, 64.3)
    assert document["steps"][0] == {"name": "dump", "ok": True, "detail": "custom format", "seconds": 0.1, "extrapolated": False}  # type: ignore[index] # a list
    assert (document["extrapolated"], as_document(WRONG)["ok"], as_document(WRONG)["extrapolated"]) == (True, False, False)


def test_a_drill_is_told_in_a_line_a_step_and_says_what_is_extrapolated() -> None:
    assert as_text(RESULT).splitlines() == [
        "snapshot 20261122T124000Z-1a2b3c4d is proven (8.0 s)",
        "  ok      dump             0.1 s  custom format",
        "  ok      restore          4.2 s  without an error",
        "  ok      checksums        2.0 s  a sample is right",
        f"  {rto_sentence(RESULT)}",
    ]
    assert rto_sentence(RESULT).startswith("a restore takes about 1 min 04 s (extrapolated from a sample of the objects")
    text = as_text(WRONG)
    assert "is NOT proven" in text
    assert "  NOT ok  checksums " in text


def test_the_page_holds_the_document_and_asks_nobody_for_anything() -> None:
    for result in (RESULT, WRONG):
        page = "".join(as_page(result))
        found = re.search(r'<script type="application/json" id="drill">(.*?)</script>', page, flags=re.DOTALL)
        assert found is not None
        assert json.loads(found[1])["ok"] is result.ok
        assert re.search(r"""(src|href)=|url\(|@import|https?://""", page) is None
        assert "<b>' is wrong" not in page
        assert page.count("<li ") == 3
    assert "not proven: checksums" in "".join(as_page(WRONG))


def test_no_time_of_a_restore_is_claimed_when_the_dump_was_not_restored() -> None:
    unrestored = replace(RESULT, steps=(DrillStep("dump", False, "damaged", 0.1), DrillStep("restore", False, "not tried", 0.0)))
    assert "is not known: the dump was not restored" in as_text(unrestored)
    assert "unknown" in "".join(as_page(unrestored))
