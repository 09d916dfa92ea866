"""Small objects that go back into a bucket through the lane: what arrives, and what is left alone."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockstep.errors import ObjectExists
from lockstep.model.addresses import StoreAddress
from lockstep.model.inventory import InventoryEntry, MissingObject, Wanted
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects.attributes import NONE
from lockstep.objects.lane import Lane, carry_all
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryBody
from lockstep.objects.open import open_store
from lockstep.objects.plain_requests import plain_requests_of
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits
from lockstep.operations.sending import Sender
from lockstep.operations.sent import Sending, Sent, Uploaded
from lockstep.progress import SILENT
from lockstep.repository.pool import place_of, save_object
from lockstep.repository.repository import Repository, open_or_create

LIMITS = TransferLimits(threads=2)
PNG = ObjectAttributes(content_type="image/png; charset=a b")
ODD = ObjectAttributes(content_type="two  spaces", metadata={"by": "alice  b"}, cache_control="max-age=5")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A new repository on a disk."""
    return open_or_create(LocalStore(tmp_path / "repository", private=True), now=datetime(2026, 1, 1, tzinfo=UTC))[0]


@pytest.fixture
def store(bucket: StoreAddress) -> ObjectStore:
    """A bucket that has shown that it honours conditions."""
    opened = open_store(bucket)
    opened.write("first", b"x")
    assert (plain := plain_requests_of(opened)) is not None
    assert plain.can_create
    return opened


def keep(repository: Repository, key: str, data: bytes, attributes: ObjectAttributes = NONE) -> InventoryEntry:
    body = MemoryBody(ObjectInfo(key, len(data), hashlib.md5(data).hexdigest()), attributes, data)
    return save_object(repository.store, Wanted("main", key, len(data)), body, limits=LIMITS, work=Path())


def send(repository: Repository, store: ObjectStore, *entries: InventoryEntry) -> list[Sent]:
    sender = Sender({"main": store}, repository, LIMITS, ByteBudget(1 << 24), Stop(), SILENT)
    return [each for batch in carry_all((Sending(entry, None) for entry in entries), sender, Pacer(LIMITS)) for each in batch]


def test_what_goes_through_the_lane_arrives_as_it_was(repository: Repository, store: ObjectStore) -> None:
    said = (NONE, PNG, ODD)
    objects = {f"dir/{number} ü+%&": (bytes([number]) * (number * 900), said[number % 3]) for number in range(30)}
    before = store.requests.counts()
    sent = send(repository, store, *(keep(repository, key, *one) for key, one in objects.items()))
    assert sent == [Uploaded(1, each.uploaded_bytes) for each in sent if isinstance(each, Uploaded)]
    assert len(sent) == 30
    after = store.requests.counts()
    assert (after.put - before.put, after.head - before.head, after.retried) == (30, 0, 0)
    for key, (data, attributes) in objects.items():
        body = store.read(key)
        assert body.bytes() == data
        if attributes is not NONE:  # a service gives a type of its own to what has none
            assert body.attributes == attributes


def test_what_appeared_meanwhile_is_left_alone(repository: Repository, store: ObjectStore) -> None:
    store.write("same", b"data")
    store.write("other", b"OTHER")
    same, other = keep(repository, "same", b"data"), keep(repository, "other", b"data")
    assert set(send(repository, store, same, other)) == {Uploaded(already_there=1), Uploaded(different=1)}
    assert store.read("other").bytes() == b"OTHER"


def test_what_the_repository_has_damaged_does_not_arrive(repository: Repository, store: ObjectStore) -> None:
    bad, good = keep(repository, "bad", b"data"), keep(repository, "good", b"data")
    repository.store.write(place_of(bad), b"DATA", overwrite=True)
    found = send(repository, store, bad, good)
    assert [each.key for each in found if isinstance(each, MissingObject)] == ["bad"]
    assert [info.key for page in store.list() for info in page] == ["first", "good"]


def test_a_request_to_create_is_refused_where_something_lies(store: ObjectStore) -> None:
    plain, pacer = plain_requests_of(store), Pacer(LIMITS)
    assert plain is not None
    digest = hashlib.sha256(b"new").hexdigest()
    lane = Lane[str, MemoryBody | Exception](
        ["first"],
        ask=lambda key: plain.creation(key, b"new", sha256=digest, attributes=NONE),
        finish=lambda _, answer: answer,
        pacer=pacer,
        budget=ByteBudget(1 << 20),
        stop=Stop(),
    )
    with lane:
        assert list(lane.careful()) == []
    assert [type(each) for each in lane.drain()] == [ObjectExists]
    assert store.read("first").bytes() == b"x"


def test_wrong_bytes_that_were_taken_as_new_are_replaced(repository: Repository, store: ObjectStore) -> None:
    entry = keep(repository, "a", b"data")
    sender = Sender({"main": store}, repository, LIMITS, ByteBudget(1 << 24), Stop(), SILENT)
    attempt = Sending(entry, None)
    assert sender.ask(attempt) is not None
    store.write("a", b"DATA")  # what arrived, had the network changed it
    answer = MemoryBody(ObjectInfo("a", 4, hashlib.md5(b"DATA").hexdigest()), NONE, b"")
    assert sender.settle(attempt, answer, Pacer(LIMITS)) is None
    assert sender.carry(attempt, Pacer(LIMITS)) == Uploaded(uploaded=1, uploaded_bytes=4)
    assert store.read("a").bytes() == b"data"
    assert sender.ask(Sending(entry, None)) is None  # a store whose answers prove nothing is asked with care
