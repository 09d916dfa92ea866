from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.errors import ObjectExists
from lockstep.objects.memory import MemoryStore
from lockstep.repository.drills import drill_path, last_proven, save_drill

ONE, TWO = "20261122T124000Z-1a2b3c4d", "20261123T124000Z-1a2b3c4d"
DAY = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def save(store: MemoryStore, snapshot: str, days: int, *, ok: bool) -> str:
    return save_drill(store, snapshot, DAY + timedelta(days=days), {"ok": ok, "snapshot": snapshot})


def test_a_snapshot_is_proven_by_its_newest_green_drill() -> None:
    store = MemoryStore()
    assert last_proven(store) == {}
    for days, ok in enumerate((True, True, False)):
        save(store, ONE, days, ok=ok)
    save(store, TWO, 0, ok=False)
    assert last_proven(store) == {ONE: DAY + timedelta(days=1)}
    assert last_proven(store, snapshot=TWO) == {}


def test_a_record_that_is_damaged_or_of_another_snapshot_proves_nothing() -> None:
    store = MemoryStore()
    save(store, ONE, 0, ok=True)
    path = save(store, ONE, 1, ok=True)
    data = store.read(path).bytes()
    store.write(path, data.replace(b"true", b"True"), overwrite=True)
    store.write(drill_path(ONE, DAY + timedelta(days=2)), data.replace(b'"ok": true', b'"ok": true '), overwrite=True)
    store.write(drill_path(TWO, DAY), data)
    store.write("drills/notes.txt", b"of somebody else")
    assert last_proven(store) == {ONE: DAY}


def test_no_record_is_ever_replaced() -> None:
    store = MemoryStore()
    save(store, ONE, 0, ok=True)
    with pytest.raises(ObjectExists):
        save(store, ONE, 0, ok=False)
