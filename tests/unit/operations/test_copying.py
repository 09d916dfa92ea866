from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import MissingObjects, ObjectNotFound, PermissionMissing, StoreBusy, StoreUnreachable
from lockstep.model.inventory import InventoryEntry, MissingObject, Wanted
from lockstep.model.objects import ObjectAttributes
from lockstep.objects.doubt import SAME_BYTES
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryBody, MemoryStore
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop
from lockstep.operations.copying import Copied, Copier
from lockstep.progress import Event, StageAdvanced
from lockstep.repository.pool import read_object
from lockstep.repository.repository import Repository
from lockstep.tables import inventory, plans
from lockstep.tables.engine import Tables

LARGE = b"larger than what is read whole"


class Troubled(MemoryStore):
    """A store whose first answers for a key are something else: an error to raise, or bytes that were flipped on the way."""

    def __init__(self, **trouble: list[Exception | bytes]) -> None:
        super().__init__()
        self.trouble, self._guard = trouble, threading.Lock()

    def read(self, key: str, *, version: str | None = None) -> MemoryBody:
        body = super().read(key, version=version)
        with self._guard:
            waiting = self.trouble.get(key)
            answer = waiting.pop(0) if waiting else None
        if isinstance(answer, Exception):
            raise answer
        return body if answer is None else MemoryBody(body.info, body.attributes, answer)


def wanted(key: str, data: bytes | None = None, **fields: Any) -> Wanted:
    return replace(Wanted("main", key, None if data is None else len(data)), **fields)


def held(tables: Tables) -> dict[str, InventoryEntry]:
    return {entry.key: entry for entry in inventory.entries(tables, "journal")}


def missing(tables: Tables) -> list[MissingObject]:
    return list(plans.missing_now(tables, most=100))


def objects_in(store: ObjectStore) -> set[str]:
    return {info.key for prefix in ("objects/", "odd/") for page in store.list(prefix) for info in page}


def test_objects_are_copied_and_recorded_with_their_attributes(make_copier: Any, repository: Repository, tables: Tables) -> None:
    store, attributes = MemoryStore(), ObjectAttributes(content_type="image/png", metadata={"by": "alice"})
    contents = {"a/b": b"small", "c": LARGE, "d\n": b"odd", "empty": b""}
    for key, data in contents.items():
        store.write(key, data, attributes=attributes)
    copied = make_copier(main=store).copy([wanted(key, data) for key, data in contents.items()])
    assert copied == Copied(4, sum(map(len, contents.values())))
    assert missing(tables) == []
    for key, entry in held(tables).items():
        data = contents[key]
        assert read_object(repository.store, entry).bytes() == data
        assert (entry.size, entry.sha256, entry.etag) == (len(data), hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest())
        assert entry.attributes == '{"content_type":"image/png","metadata":{"by":"alice"}}'
    assert held(tables).keys() == contents.keys()


def test_what_was_copied_is_journalled_when_the_pass_ends(make_copier: Any, repository: Repository) -> None:
    store = MemoryStore()
    store.write("a", b"1")
    make_copier(main=store).copy([wanted("a", b"1")])
    assert [info.key for page in repository.store.list("inventory/") for info in page] == ["inventory/20261122T124000Z-1a2b3c4d-0.parquet"]


def test_nothing_to_copy_sends_no_request(make_copier: Any, tables: Tables) -> None:
    store = MemoryStore()
    assert make_copier(main=store).copy([]) == Copied()
    assert store.requests.counts().get == 0
    assert missing(tables) == []


def test_each_object_costs_one_request(make_copier: Any) -> None:
    store = MemoryStore()
    for number in range(20):
        store.write(str(number), b"x")
    make_copier(main=store).copy([wanted(str(number), b"x") for number in range(20)])
    counts = store.requests.counts()
    assert (counts.get, counts.head, counts.list, counts.retried) == (20, 0, 0, 0)


def test_an_object_is_fetched_from_the_store_of_its_reference(make_copier: Any, tables: Tables) -> None:
    one, two = MemoryStore(), MemoryStore()
    one.write("a", b"1")
    two.write("a", b"22")
    make_copier(one=one, two=two).copy([Wanted("one", "a", 1), Wanted("two", "a", 2)])
    assert sorted((entry.store, entry.size) for entry in inventory.entries(tables, "journal")) == [("one", 1), ("two", 2)]


def test_what_is_not_there_is_missing_and_the_rest_is_copied(make_copier: Any, tables: Tables) -> None:
    store = MemoryStore()
    store.write("b", b"1")
    assert make_copier(main=store).copy([wanted("a", b"1"), wanted("b", b"1"), wanted("c")]) == Copied(1, 1)
    assert missing(tables) == [MissingObject("main", "a", 1, "lost"), MissingObject("main", "c", None, "lost")]
    assert store.requests.counts().retried == 0


@pytest.mark.parametrize("data", [b"small", LARGE])
@pytest.mark.parametrize("key", ["a", "a\n"])
def test_an_object_of_another_size_is_a_mismatch_and_not_kept(
    make_copier: Any, repository: Repository, tables: Tables, key: str, data: bytes
) -> None:
    store = MemoryStore()
    store.write(key, data)
    make_copier(main=store).copy([wanted(key, data + b"x")])
    assert missing(tables) == [MissingObject("main", key, len(data) + 1, "wrong_size")]
    assert objects_in(repository.store) == set()
    assert store.requests.counts().get == 1  # its size was announced: asking again cannot change it


@pytest.mark.parametrize("data", [b"small", LARGE])
def test_bytes_that_were_flipped_on_the_way_are_fetched_again(
    make_copier: Any, repository: Repository, tables: Tables, data: bytes
) -> None:
    flipped = b"X" + data[1:]
    store = Troubled(a=[flipped] * (SAME_BYTES - 1))
    store.write("a", data)
    assert make_copier(main=store).copy([wanted("a", data)]) == Copied(1, len(data))
    assert read_object(repository.store, held(tables)["a"]).bytes() == data
    assert store.requests.counts().retried == SAME_BYTES - 1


def test_bytes_that_stay_wrong_are_a_mismatch_and_not_kept(make_copier: Any, repository: Repository, tables: Tables) -> None:
    store = Troubled(a=[b"flipp"] * 100)
    store.write("a", b"right")
    make_copier(main=store).copy([wanted("a", b"right")])
    assert missing(tables) == [MissingObject("main", "a", 5, "wrong_checksum")]
    assert objects_in(repository.store) == set()
    assert store.requests.counts().get == SAME_BYTES


def test_other_bytes_than_the_metadata_say_are_a_mismatch(make_copier: Any, tables: Tables) -> None:
    store = MemoryStore()
    store.write("a", b"right")
    make_copier(main=store).copy([wanted("a", b"right", sha256="0" * 64)])
    assert [each.why for each in missing(tables)] == ["wrong_checksum"]


class Encrypting(Troubled):
    """SSE-KMS: ETags look like MD5 and are none."""

    def read(self, key: str, *, version: str | None = None) -> MemoryBody:
        body = super().read(key, version=version)
        return MemoryBody(replace(body.info, etag="0" * 32), body.attributes, body.data)

    def etag_is_md5(self, key: str) -> bool:
        self.requests.add("head")
        return not key


def test_a_store_whose_etags_are_no_md5_is_found_out_once_and_then_believed(make_copier: Any, tables: Tables) -> None:
    store = Encrypting()
    for number in range(30):
        store.write(str(number), b"x")
    assert make_copier(main=store).copy([wanted(str(number), b"x") for number in range(30)]).objects == 30
    assert missing(tables) == []
    assert 1 <= store.requests.counts().head <= 4  # one for each worker that found out at the same time
    assert store.requests.counts().get <= 34


@pytest.mark.parametrize("error", [StoreUnreachable("no answer", hint="Wait."), StoreBusy("slow down", hint="Wait.")])
def test_a_request_that_fails_is_sent_again(make_copier: Any, tables: Tables, error: Exception) -> None:
    store = Troubled(a=[error, error])
    store.write("a", b"1")
    assert make_copier(main=store).copy([wanted("a", b"1")]) == Copied(1, 1)
    assert store.requests.counts().retried == 2
    assert missing(tables) == []


@pytest.mark.parametrize("error", [StoreUnreachable("no answer", hint="Wait."), PermissionMissing("denied", hint="Ask.")])
def test_a_store_that_keeps_failing_ends_the_pass_and_nothing_counts_as_missing(
    make_copier: Any, repository: Repository, tables: Tables, error: Exception
) -> None:
    store = Troubled(z=[error] * 100)
    for key in ("a", "b", "z"):
        store.write(key, b"1")
    copier: Copier = replace(make_copier(main=store), limits=replace(make_copier().limits, threads=1))
    with pytest.raises(type(error)):
        copier.copy([wanted(key, b"1") for key in ("a", "b", "z")])
    assert missing(tables) == []
    assert held(tables).keys() <= {"a", "b"}
    segments = [info.key for page in repository.store.list("inventory/") for info in page]
    assert len(segments) == bool(held(tables))  # what was copied by then is not copied again


@pytest.mark.parametrize("data", [b"small", LARGE])
@pytest.mark.parametrize(("there", "key"), [("a", "a/b"), ("a/b", "a")])
def test_a_key_that_something_unknown_is_in_the_way_of_lies_aside(
    make_copier: Any, repository: Repository, tables: Tables, there: str, key: str, data: bytes
) -> None:
    """What a killed run left without a segment is in no inventory, so the plan cannot know of it."""
    repository.store.write(f"objects/main/{there}", b"left")
    store = MemoryStore()
    store.write(key, data)
    assert make_copier(main=store).copy([wanted(key, data)]).objects == 1
    assert read_object(repository.store, held(tables)[key]).bytes() == data
    if repository.store.local_file("x") is not None:
        assert held(tables)[key].location is not None
        assert repository.store.read(f"objects/main/{there}").bytes() == b"left"


def test_bytes_are_read_where_they_were_found_and_kept_under_the_key_that_is_referenced(make_copier: Any, tables: Tables) -> None:
    store = MemoryStore(versioned=True)
    store.write("old/name", b"12345")
    store.write("versioned", b"first")
    store.delete(["versioned"])
    version = store.list_versions("versioned")[0][0]
    make_copier(main=store).copy(
        [wanted("new/name", b"12345", found_key="old/name"), wanted("versioned", b"first", found_key="versioned", found_version=version)]
    )
    assert missing(tables) == []
    assert held(tables)["new/name"].location is None
    assert held(tables)["versioned"].size == 5


def test_fail_fast_ends_at_the_first_object_that_is_missing(make_copier: Any) -> None:
    with pytest.raises(MissingObjects, match="the object 'a' of the store 'main' is missing") as caught:
        make_copier(main=MemoryStore(), fail_fast=True).copy([wanted("a", b"1")])
    assert "--fail-fast" in caught.value.hint


def test_fail_fast_says_what_is_wrong_with_an_object_that_is_there(make_copier: Any) -> None:
    store = MemoryStore()
    store.write("a", b"12")
    with pytest.raises(MissingObjects, match="is wrong size"):
        make_copier(main=store, fail_fast=True).copy([wanted("a", b"1")])


def test_progress_counts_every_object_and_the_bytes_that_moved(make_copier: Any) -> None:
    store, heard = MemoryStore(), list[Event]()
    store.write("a", b"123")
    make_copier(heard.append, main=store).copy([wanted("a", b"123"), wanted("gone", b"1")])
    steps = [event for event in heard if isinstance(event, StageAdvanced)]
    assert (sum(step.done for step in steps), sum(step.size_bytes for step in steps)) == (2, 3)


def test_a_stop_leaves_the_rest_uncopied_and_unaccounted(make_copier: Any, tables: Tables) -> None:
    stop = Stop()
    stop.set()
    store = MemoryStore()
    store.write("a", b"1")
    assert make_copier(main=store, stop=stop).copy([wanted("a", b"1")]) == Copied()
    assert (held(tables), missing(tables)) == ({}, [])


def test_an_object_that_is_deleted_while_it_is_retried_is_missing(make_copier: Any, tables: Tables) -> None:
    store = Troubled(a=[StoreUnreachable("no answer", hint="Wait."), ObjectNotFound("gone", hint="Look.")])
    store.write("a", b"1")
    make_copier(main=store).copy([wanted("a", b"1")])
    assert [each.why for each in missing(tables)] == ["lost"]


def test_a_key_that_the_source_cannot_hold_is_lost_and_the_others_are_copied(make_copier: Any, tables: Tables, tmp_path: Path) -> None:
    source = LocalStore(tmp_path / "source")
    source.create_bucket()
    source.write("b", b"1")
    assert make_copier(main=source).copy([wanted("a//b", b"1"), wanted("b", b"1")]) == Copied(1, 1)
    assert [(each.key, each.why) for each in missing(tables)] == [("a//b", "lost")]
