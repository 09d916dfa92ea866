from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.model.inventory import InventoryEntry, attributes_as_text, attributes_from_text
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryBody
from lockstep.objects.transfer import TransferLimits
from lockstep.repository.pool import read_object, save_object
from lockstep.tables import inventory, plans, references
from lockstep.tables.engine import TableLimits, Tables

SEGMENTS = st.sampled_from(["a", "b", "ab", "", ".", "..", "a\n", "é", "a.b", "-"])
KEYS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
OBJECTS = st.dictionaries(KEYS, st.binary(max_size=3), max_size=8)
TEXT = st.none() | st.text(max_size=6)


@given(content_type=TEXT, encoding=TEXT, metadata=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3))
def test_attributes_come_back_as_they_went_but_for_empty_headers(
    content_type: str | None, encoding: str | None, metadata: dict[str, str]
) -> None:
    went = ObjectAttributes(content_type=content_type, content_encoding=encoding, metadata=metadata)
    came = attributes_from_text(attributes_as_text(went))
    assert came == ObjectAttributes(content_type=content_type or None, content_encoding=encoding or None, metadata=metadata)


@settings(max_examples=12)
@given(backups=st.lists(OBJECTS, min_size=1, max_size=3))
def test_whatever_the_keys_are_every_new_object_finds_a_place_and_nothing_is_overwritten(backups: list[dict[str, bytes]]) -> None:
    """Several backups of a bucket that changes at will, into a real directory; afterwards every version ever copied is still there."""
    with tempfile.TemporaryDirectory() as directory:
        repository = _Repository(Path(directory))
        for objects in backups:
            repository.back_up(objects)
            for entry, data in repository.kept:
                assert read_object(repository.store, entry).bytes() == data
        places = [entry.location or f"objects/main/{entry.key}" for entry, _ in repository.kept]
        own = [place for place in places if not place.startswith("odd/")]
        assert len(own) == len(set(own))
        repository.tables.close()


@settings(max_examples=12)
@given(first=OBJECTS, second=OBJECTS)
def test_a_second_backup_wants_exactly_what_changed(first: dict[str, bytes], second: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        repository = _Repository(Path(directory))
        assert repository.back_up(first) == set(first)
        assert repository.back_up(first) == set()
        assert repository.back_up(second) == {key for key, data in second.items() if first.get(key) != data}
        assert repository.back_up(second) == set()
        repository.tables.close()


@dataclass
class _Repository:
    directory: Path
    kept: list[tuple[InventoryEntry, bytes]] = field(default_factory=list)
    segments: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = LocalStore(self.directory / "repository", private=True, temporary=self.directory / "repository" / "locks" / "work")
        self.store.create_bucket()
        self.tables = Tables(self.directory / "work", limits=TableLimits(threads=1))
        plans.add_missing(self.tables, [])

    def back_up(self, objects: dict[str, bytes]) -> set[str]:
        """Copy what is new without ever asking for another place than the plan says; the keys of it."""
        snapshot = f"2026010{len(self.segments) + 1}T000000Z-00000000"
        inventory.create(self.tables, self.segments, run=snapshot)
        references.load(self.tables, _as_csv(objects.items()))
        plans.plan_new(self.tables, compare_etags=True)
        saved = []
        for wanted in plans.wanted(self.tables):
            data = objects[wanted.key]
            body = MemoryBody(ObjectInfo(wanted.key, len(data), _etag(data)), ObjectAttributes(), data)
            saved.append(save_object(self.store, wanted, body, limits=TransferLimits(), work=self.tables.directory))
            self.kept.append((saved[-1], data))
        inventory.add_entries(self.tables, saved)
        assert plans.unaccounted(self.tables) == 0
        self.segments.append(self.directory / f"{snapshot}.parquet")
        inventory.save_segment(self.tables, self.segments[-1], snapshot=snapshot)
        self.tables.run("DELETE FROM journal")
        return {entry.key for entry in saved}


def _etag(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def _as_csv(objects: Iterable[tuple[str, bytes]]) -> Generator[bytes, None, int]:
    count = 0
    for key, data in objects:
        count += 1
        yield f'main,"{key}",{len(data)},{_etag(data)},\n'.encode()
    return count
