from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

from lockstep.model.audit import Affected, Amount, AuditResult, Group, KeptSide
from lockstep.model.results import Requests
from lockstep.report.audit import as_document, as_text
from lockstep.report.audit_page import as_page

HOSTILE = '</script><img src=x onerror="alert(1)">&amp;'

FOUND = AuditResult(
    database="parsec",
    stores={"main": "s3://blocks"},
    profile="parsec",
    started=datetime(2026, 11, 22, 12, tzinfo=UTC),
    referenced=1000,
    referenced_bytes=4_096_000,
    present=994,
    missing=Affected(4, 4096, ("Acme/a", "Acme/b"), (Group({"organization": "Acme", "realm": "r1"}, 4, 4096),)),
    mismatched=Affected(1, 1024, ("Ελλάδα_1/c",), (Group({"organization": "Ελλάδα_1", "realm": "r2"}, 1, 1024),)),
    orphans=Amount(40, 10_240),
    purged=Amount(1, 1024),
    in_flight=Amount(2, 10),
    classes={"lost": 3, "older_version": 1},
    breakdown={"author": (Group({"author": "device"}, 5, 5120),), "date": (Group({"date": "2026-01-01"}, 5, 5120),)},
    recoverable=1,
    requests=Requests(list=2, head=7),
    seconds=1.23,
    peak_rss=1,
)
SOUND = replace(
    FOUND, present=1000, missing=Affected(), mismatched=Affected(), orphans=Amount(), purged=Amount(), in_flight=Amount(),
    classes={}, breakdown={},
)  # fmt: skip


def test_the_document_begins_as_the_contract_says() -> None:
    document = as_document(FOUND)
    assert list(document)[:7] == ["consistent", "referenced", "present", "missing", "mismatched", "orphans", "seconds"]
    assert document["missing"] == {
        "count": 4, "bytes": 4096, "sample": ["Acme/a", "Acme/b"],
        "groups": [{"organization": "Acme", "realm": "r1", "count": 4, "bytes": 4096}],
    }  # fmt: skip
    assert document["orphans"] == {"count": 40, "bytes": 10_240}


def test_the_text_says_what_is_affected() -> None:
    assert as_text(FOUND).splitlines() == [
        "the deployment is NOT consistent (1.2 s)",
        "  referenced  1,000 objects (3.91 MiB), 994 present",
        "  missing     4 objects (4.00 KiB):",
        "    organization Acme, realm r1: 4 objects (4.00 KiB)",
        "    1 as an older version, in the bucket's history",
        "  mismatched  1 object (1.00 KiB):",
        "    organization Ελλάδα_1, realm r2: 1 object (1.00 KiB)",
        "  orphans     40 objects (10.0 KiB) that no row references: harmless, and left alone",
        "  purged      1 object lost their rows while the audit ran",
        "  in flight   2 objects stored while the audit ran, without a row yet",
    ]
    assert as_text(SOUND).splitlines() == [
        "the deployment is consistent (1.2 s)",
        "  referenced  1,000 objects (3.91 MiB), 1,000 present",
    ]


def test_what_a_repository_knows_is_said() -> None:
    kept = KeptSide(
        "file:///r", "20261122T124000Z-1a2b3c4d", Amount(3, 3), (Group({"since": "20261121T124000Z-1a2b3c4d"}, 1, 1),), Amount(1, 9)
    )
    known = replace(FOUND, kept=kept)
    assert as_text(known).splitlines()[7:11] == [
        "  of these",
        "    3 in the repository: 'lockstep repair' can put them back",
        "    1 missing since the snapshot 20261121T124000Z-1a2b3c4d at the latest",
        "    1 in no snapshot yet, neither kept nor missed",
    ]
    assert as_document(known)["repository"] == {
        "url": "file:///r", "newest": "20261122T124000Z-1a2b3c4d", "copied": {"count": 3, "bytes": 3},
        "since": [{"since": "20261121T124000Z-1a2b3c4d", "count": 1, "bytes": 1}], "unknown": {"count": 1, "bytes": 9},
    }  # fmt: skip
    assert "missing since the snapshot 20261121T124000Z-1a2b3c4d" in "".join(as_page(known))
    assert as_document(FOUND)["repository"] is None


def test_keys_stand_in_for_groups_where_the_profile_knows_none() -> None:
    assert "    'Acme/a'" in as_text(replace(FOUND, missing=replace(FOUND.missing, groups=()))).splitlines()


def test_the_page_needs_nothing_else_and_holds_the_document() -> None:
    page = "".join(as_page(FOUND))
    seen = Seen(page)
    assert json.loads(seen.document) == json.loads(json.dumps({**as_document(FOUND), "started": "2026-11-22T12:00:00Z"}))
    assert seen.tags >= {"html", "main", "section", "svg", "rect", "script"}
    assert not seen.tags & {"link", "img", "iframe", "object", "base"}
    assert not seen.places
    assert re.search(r"url\(|@import", page) is None
    assert "prefers-color-scheme: dark" in page


def test_nothing_that_a_database_or_a_bucket_says_becomes_markup() -> None:
    hostile = Affected(1, 1, (HOSTILE,), (Group({"organization": HOSTILE, HOSTILE: HOSTILE}, 1, 1),))
    result = replace(
        FOUND, database=HOSTILE, stores={HOSTILE: HOSTILE, "b": "c"}, missing=hostile, mismatched=hostile,
        breakdown={HOSTILE: (Group({HOSTILE: HOSTILE}, 1, 1),)},
    )  # fmt: skip
    seen = Seen("".join(as_page(result)))
    assert "img" not in seen.tags
    assert json.loads(seen.document)["missing"]["sample"] == [HOSTILE]


def test_a_sound_deployment_has_a_page_without_pictures() -> None:
    page = "".join(as_page(SOUND))
    assert "Every object that the database references is there" in page
    assert "<svg" not in page


class Seen(HTMLParser):
    """What a browser would see: tags, places that would be fetched or followed, the embedded JSON."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.places: list[str] = []
        self.document = ""
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.places += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "srcset", "action"} or name.startswith("on")]
        self._inside = ("id", "audit") in attrs

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.document += data

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's
        self._inside = False
