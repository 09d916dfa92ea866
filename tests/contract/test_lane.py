"""The lane of small objects says the same of an object as the road with one request at a time."""

from __future__ import annotations

from dataclasses import replace

from lockstep.errors import BucketNotFound, ObjectNotFound, PermissionMissing
from lockstep.model.addresses import StoreAddress
from lockstep.model.objects import ObjectAttributes
from lockstep.objects.memory import MemoryBody
from lockstep.objects.open import open_store
from support.lanes import CAREFUL, answers

KEYS = ("plain", "dir/a b", "ünicode/ключ", "plus+and%percent", "tilde~(par)[br]&=;,'!*", "question?mark#hash", "😀")
ATTRIBUTES = ObjectAttributes("text/plain", "x-own", 'attachment; filename="a"', "de", "max-age=5", {"owner": "me", "note": "a b"})


def test_an_object_of_the_lane_is_the_object_of_the_road(bucket: StoreAddress) -> None:
    store = open_store(bucket)
    for number, key in enumerate(KEYS):
        store.write(key, key.encode() * number, attributes=ATTRIBUTES if number % 2 else None)
    found = answers(store, KEYS)
    for key in KEYS:
        body, road = found[key], store.read(key)
        assert isinstance(body, MemoryBody), body
        assert (body.data, body.info.size, body.info.etag) == (road.bytes(), road.info.size, road.info.etag)
        assert body.attributes == road.attributes


def test_what_is_not_there_and_what_is_odd_and_what_is_long(bucket: StoreAddress) -> None:
    store = open_store(bucket)
    store.write("long", bytes(100_000))
    store.write("short", b"x")
    found = answers(store, ["short", "absent", "odd//key", "long"], width=1)
    assert isinstance(found["short"], MemoryBody)
    assert isinstance(found["absent"], ObjectNotFound)
    assert found["odd//key"] == CAREFUL
    assert not isinstance(found["long"], MemoryBody)
    assert store.requests.counts().get == 3


def test_a_bucket_that_is_not_there_and_wrong_keys_are_told_apart_from_a_missing_object(bucket: StoreAddress) -> None:
    absent = open_store(replace(bucket, url="s3://no-such-bucket-here"))
    assert isinstance(answers(absent, ["a"])["a"], BucketNotFound)
    wrong = open_store(replace(bucket, secret_access_key="wrong"))
    assert isinstance(answers(wrong, ["a"])["a"], PermissionMissing)
