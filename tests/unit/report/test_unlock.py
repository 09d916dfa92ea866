from __future__ import annotations

from lockstep.model.locks import FoundLock, UnlockResult
from lockstep.report.unlock import as_document, as_text

WRITER = FoundLock("writer", "locks/writer.json", "backup", "db1", 12, "2026-11-22T12:40:00+00:00", lives=True)
READER = FoundLock("reader", "locks/reader-1.json", None, None, None, None, lives=False)


def test_no_lock_is_said_in_words() -> None:
    assert as_text(UnlockResult((), removed=True)) == "nobody holds a lock of the repository"
    assert as_document(UnlockResult((), removed=True)) == {"locks": []}


def test_each_lock_has_its_line_with_who_holds_it() -> None:
    assert as_text(UnlockResult((WRITER, READER), removed=False)).splitlines() == [
        "the writer's lock: backup, process 12 on db1, since 2026-11-22T12:40:00+00:00 (at work)",
        "the reader's lock: an operation (dead)",
    ]
    assert as_text(UnlockResult((READER,), removed=True)) == "removed the reader's lock: an operation (dead)"


def test_the_document_says_who_and_whether_it_is_gone() -> None:
    assert as_document(UnlockResult((WRITER,), removed=True))["locks"] == [
        {
            "kind": "writer",
            "path": "locks/writer.json",
            "operation": "backup",
            "host": "db1",
            "pid": 12,
            "since": "2026-11-22T12:40:00+00:00",
            "lives": True,
            "removed": True,
        }
    ]
