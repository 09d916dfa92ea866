from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.model.audit import Amount
from lockstep.model.objects import ObjectInfo
from lockstep.tables import audits, references
from lockstep.tables.engine import Tables

STARTED = datetime(2026, 11, 22, 12, tzinfo=UTC)
BEFORE = STARTED - timedelta(minutes=5)


def refer(tables: Tables, *rows: tuple[str, int | None]) -> None:
    def blocks() -> Generator[bytes, None, int]:
        for key, size in rows:
            quoted = key.replace('"', '""')
            yield f'main,"{quoted}",{"" if size is None else size},,\n'.encode()
        return len(rows)

    references.load(tables, blocks())


def look(tables: Tables, first: Sequence[tuple[str, int | None]], listed: Sequence[ObjectInfo], *, chunk_bytes: int = 1 << 20) -> None:
    refer(tables, *first)
    audits.keep_first_references(tables)
    listing = audits.Listing(tables, chunk_bytes=chunk_bytes)
    listing.add("main", listed)
    listing.close(has_doubles=False)
    audits.compare(tables)


def there(key: str, size: int = 1, modified: datetime | None = BEFORE) -> ObjectInfo:
    return ObjectInfo(key, size, None, modified)


def test_what_is_there_with_its_size_is_no_finding(tables: Tables) -> None:
    look(tables, [("a", 1), ("b", None)], [there("a"), there("b", 99)])
    audits.later_references_are_the_first(tables)
    audits.decide(tables, started=STARTED)
    assert list(audits.findings(tables)) == []
    assert audits.count_orphans(tables) == (Amount(), Amount())


def test_missing_mismatched_and_orphans_are_told_apart(tables: Tables) -> None:
    first = [("gone", 7), ("short", 5), ("fine", 3)]
    look(tables, first, [there("short", 2), there("fine", 3), there("extra", 11)])
    refer(tables, *first)
    audits.decide(tables, started=STARTED)
    assert [(each.key, each.size, each.why, each.found_size) for each in audits.findings(tables)] == [
        ("gone", 7, "lost", None),
        ("short", 5, "wrong_size", 2),
    ]
    assert audits.count_findings(tables) == {"lost": Amount(1, 7), "wrong_size": Amount(1, 5)}
    assert [(each.key, each.size) for each in audits.orphans(tables)] == [("extra", 11)]


def test_a_row_that_has_gone_since_was_purged(tables: Tables) -> None:
    look(tables, [("purged", 7), ("kept", 1)], [there("kept")])
    refer(tables, ("kept", 1))
    audits.decide(tables, started=STARTED)
    assert list(audits.findings(tables)) == []
    assert audits.count_purged(tables) == Amount(1, 7)


def test_a_row_that_came_since_makes_no_orphan_of_its_object(tables: Tables) -> None:
    look(tables, [], [there("late")])
    refer(tables, ("late", 1))
    audits.decide(tables, started=STARTED)
    assert audits.count_orphans(tables) == (Amount(), Amount())


def test_what_was_stored_after_the_beginning_is_in_flight(tables: Tables) -> None:
    look(tables, [("x", 1)], [there("old"), there("young", 5, STARTED + timedelta(seconds=1)), there("undated", 2, None), there("x")])
    refer(tables, ("x", 1))
    audits.decide(tables, started=STARTED)
    assert audits.count_orphans(tables) == (Amount(2, 3), Amount(1, 5))
    assert [each.key for each in audits.orphans(tables)] == ["old", "undated"]


def test_an_answer_takes_the_place_of_what_the_listing_said(tables: Tables) -> None:
    first = [("there", 1), ("other", 1), ("gone", 1)]
    look(tables, first, [])
    audits.add_answers(tables, [("main", "there", 1), ("main", "other", 2), ("main", "gone", None)])
    assert audits.believe_answers(tables) == 2
    refer(tables, *first)
    audits.decide(tables, started=STARTED)
    assert [(each.key, each.why) for each in audits.findings(tables)] == [("gone", "lost"), ("other", "wrong_size")]


def test_the_object_under_an_older_key_is_no_orphan(tables: Tables) -> None:
    look(tables, [("o/a-b", 4)], [there("o/ab", 4), there("o/extra", 1)])
    refer(tables, ("o/a-b", 4))
    audits.decide(tables, started=STARTED)
    assert audits.listed_sizes(tables, "main", ["o/ab", "o/none"]) == {"o/ab": 4}
    audits.note_places(tables, "main", [("o/a-b", "o/ab", None)])
    audits.forgive_orphans(tables)
    [found] = audits.findings(tables)
    assert (found.why, found.found_key, found.found_version) == ("older_key", "o/ab", None)
    assert audits.count_orphans(tables)[0] == Amount(1, 1)
    assert audits.count_recoverable(tables) == 1


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_odd_keys_arrive_as_they_are(tables: Tables, chunk_bytes: int) -> None:
    keys = ['quote"', "comma,", "line\nfeed", "carriage\r\n", " space ", "株式会社/é", "e\u0301", "'", "\\", "#", "NULL", "-"]
    look(tables, [(key, 1) for key in keys if "\r" not in key], [there(key) for key in keys], chunk_bytes=chunk_bytes)
    audits.later_references_are_the_first(tables)
    audits.decide(tables, started=STARTED)
    assert list(audits.findings(tables)) == []
    assert [each.key for each in audits.orphans(tables)] == ["carriage\r\n"]


def test_many_threads_fill_one_listing(tables: Tables) -> None:
    refer(tables)
    audits.keep_first_references(tables)
    listing = audits.Listing(tables, chunk_bytes=500)

    def fill(number: int) -> None:
        for each in range(40):
            listing.add("main", [there(f"{number}/{each}")])

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listing.add("main", [there("0/0")])
    listing.close(has_doubles=True)
    assert audits.compare(tables)[1] == Amount(160, 160)


def test_findings_come_in_batches_of_one_store_that_may_be_changed_meanwhile(tables: Tables) -> None:
    first = [(f"k{number}", number) for number in range(7)]
    look(tables, first, [])
    refer(tables, *first)
    audits.decide(tables, started=STARTED)
    tables.run("UPDATE findings SET store = 'other' WHERE key >= 'k5'")
    seen = []
    for batch in audits.finding_batches(tables, size=3, most=100):
        seen.append([(each.store, each.key) for each in batch])
        audits.note_known(tables, [(each.key, {"organization": "Ü"}) for each in batch])
    assert seen == [[("main", "k0"), ("main", "k1"), ("main", "k2")], [("main", "k3"), ("main", "k4")], [("other", "k5"), ("other", "k6")]]
    assert {each.known["organization"] for each in audits.findings(tables)} == {"Ü"}
    assert [len(batch) for batch in audits.finding_batches(tables, size=2, most=4)] == [2, 2]
