"""What every object store does alike: in memory, in a directory, in a real S3 service."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from contract.conftest import Kind, ask_for_small_pages
from lockstep.errors import BucketNotFound, KeyRefused, ObjectExists, ObjectNotFound
from lockstep.model.addresses import StoreAddress
from lockstep.model.objects import ObjectAttributes
from lockstep.objects.addresses import BucketUrl
from lockstep.objects.memory import MemoryStore
from lockstep.objects.open import open_store
from lockstep.objects.raid_modes import open_raid
from lockstep.objects.s3 import S3ObjectStore
from lockstep.objects.store import ObjectStore

ATTRIBUTES = ObjectAttributes(
    content_type="image/png",
    content_encoding="identity",
    content_disposition='attachment; filename="a.png"',
    content_language="fr",
    cache_control="no-cache",
    metadata={"colour": "blue green", "x-1": "!#$%&'*+-.^_`|~"},
)
MIB = 1 << 20


def listed(store: ObjectStore, prefix: str = "", *, after: str | None = None, until: str | None = None) -> list[str]:
    return [found.key for page in store.list(prefix, after=after, until=until) for found in page]


def test_an_object_comes_back_as_it_was_written(store: ObjectStore) -> None:
    data = os.urandom(5000)
    etag = store.write("Acme/1", data)
    body = store.read("Acme/1")
    assert (body.info.key, body.info.size, body.info.etag) == ("Acme/1", 5000, etag)
    assert body.bytes() == data
    assert store.head("Acme/1")[0].size == 5000


def test_an_etag_is_an_md5_where_there_is_one(kind: Kind) -> None:
    expected = hashlib.md5(b"bytes", usedforsecurity=False).hexdigest() if kind.gives_etags else None
    written = kind.store.write("a", b"bytes")
    if kind.etags_are_md5:
        assert written == expected
    else:
        expected = written
    assert kind.store.read("a").info.etag == expected
    assert kind.store.head("a")[0].etag == expected
    assert [found.etag for page in kind.store.list() for found in page] == [expected]


def test_an_empty_object_comes_back(store: ObjectStore) -> None:
    store.write("empty", b"")
    assert store.read("empty").bytes() == b""
    assert list(store.read("empty").chunks(10)) == []
    assert [found.size for page in store.list() for found in page] == [0]


def test_every_key_a_store_can_hold_comes_back(kind: Kind) -> None:
    for key in kind.keys:
        kind.store.write(key, key.encode())
    for key in kind.keys:
        body = kind.store.read(key)
        assert (body.info.key, body.bytes()) == (key, key.encode())
        assert kind.store.head(key)[0].key == key
    found = listed(kind.store)
    assert sorted(found) == sorted(kind.keys)
    if kind.lists_in_order:
        assert found == sorted(found, key=str.encode)
    for end in (*kind.keys[::4], "\ufeff", "\N{SLIGHTLY SMILING FACE}"):
        assert sorted(listed(kind.store, until=end)) == sorted(key for key in kind.keys if key <= end)
        assert sorted(listed(kind.store, after=end)) == sorted(key for key in kind.keys if key > end)
    kind.store.delete(kind.keys)
    assert listed(kind.store) == []


def test_nothing_is_overwritten_unless_asked(store: ObjectStore) -> None:
    for key in ("first", "second"):  # the second takes another path on a service that was learned about with the first
        store.write(key, b"old")
        with pytest.raises(ObjectExists):
            store.write(key, b"new")
        with pytest.raises(ObjectExists):
            store.write_stream(key, [b"new"])
        assert store.read(key).bytes() == b"old"
        store.write(key, b"newer", overwrite=True)
        assert store.read(key).bytes() == b"newer"
        store.write_stream(key, [b"new", b"est"], overwrite=True)
        assert store.read(key).bytes() == b"newest"


def test_attributes_come_back(kind: Kind) -> None:
    attributes = replace(ATTRIBUTES, metadata=dict.fromkeys(kind.metadata_names or ATTRIBUTES.metadata, "blue green"))
    kind.store.write("short", b"x", attributes=attributes)
    kind.store.write_stream("long", (b"x" * MIB for _ in range(18)), attributes=attributes)
    for key in ("short", "long"):
        expected = attributes if kind.keeps_attributes else ObjectAttributes()
        assert kind.store.read(key).attributes == expected
        assert kind.store.head(key)[1] == expected


def test_metadata_that_no_header_can_carry_is_refused(kind: Kind) -> None:
    if kind.keeps_attributes and kind.name not in {"memory", "raid1", "raid5"}:
        for metadata in ({"naïve": "x"}, {"a b": "x"}, {"": "x"}, {"a": "é"}, {"a": "x\ny"}):
            with pytest.raises(KeyRefused, match="metadata"):
                kind.store.write("a", b"", attributes=ObjectAttributes(metadata=metadata))
    assert listed(kind.store) == []


def test_a_listing_is_cut_by_prefix_and_range(store: ObjectStore) -> None:
    keys = ["Acme-EU/1", "Acme-EU/2", "Acme/1", "Acme/2", "Acme/25", "Acme/3/x", "Acme0", "Zed/1"]
    for key in keys:
        store.write(key, b"")
    assert sorted(listed(store)) == keys
    assert sorted(listed(store, "Acme/")) == ["Acme/1", "Acme/2", "Acme/25", "Acme/3/x"]
    assert sorted(listed(store, "Acme/2")) == ["Acme/2", "Acme/25"]
    assert sorted(listed(store, "Acm")) == keys[:-1]
    assert listed(store, "nothing") == []
    bounds = [None, "A", "Acme", "Acme-EU", "Acme-EU/1", "Acme-EU/9", "Acme/", "Acme/1", "Acme/2", "Acme/3", "Acme/3/x", "Acme0", "z"]
    for after in bounds:
        for until in bounds:
            expected = [key for key in keys if (after is None or key > after) and (until is None or key <= until)]
            assert sorted(listed(store, after=after, until=until)) == expected, (after, until)


def test_a_listing_of_many_objects_has_each_of_them_once(kind: Kind) -> None:
    store, count = kind.store, 1005
    if kind.name.startswith("moto"):  # too slow for a thousand objects
        count = 105
        ask_for_small_pages(store, 10)
    keys = [f"Acme/{number:04}" for number in range(count)]
    for key in keys:
        store.write(key, b"x", overwrite=True)
    pages = list(store.list())
    assert [found.key for page in pages for found in page] == keys
    assert all(page for page in pages)
    assert len(pages) > 1
    assert listed(store, after="Acme/0050", until="Acme/0070") == keys[51:71]


def test_small_pages_of_a_service_hold_what_large_ones_hold(kind: Kind) -> None:
    if kind.is_s3:
        keys = ["Acme-EU/1", "Acme-EU/2", "Acme/1", "Acme/2", "Acme/25", "Acme/3/x", "Acme0", "Zed/1", "Zed/2"]
        for key in keys:
            kind.store.write(key, b"")
        ask_for_small_pages(kind.store, 2)
        assert sorted(listed(kind.store)) == keys
        for after in (None, "Acme-EU/1", "Acme/1", "Acme0"):
            for until in ("Acme/1", "Acme/3/x", "Acme0", None):
                expected = [key for key in keys if (after is None or key > after) and (until is None or key <= until)]
                assert sorted(listed(kind.store, after=after, until=until)) == expected, (after, until)


def test_an_empty_store_gives_no_page(store: ObjectStore) -> None:
    assert list(store.list()) == []


def test_an_object_that_is_not_there_is_said_to_be_missing(kind: Kind) -> None:
    store = kind.store
    for key in ("absent", "Acme/absent", "Acme/deep/absent") if kind.is_cloud else ("absent", "Acme/absent", "absent\x01"):
        with pytest.raises(ObjectNotFound):
            store.read(key).bytes()
        with pytest.raises(ObjectNotFound):
            store.head(key)


def test_deleting_takes_what_is_there_and_ignores_what_is_not(store: ObjectStore) -> None:
    for key in ("a", "Acme/1", "Acme/2"):
        store.write(key, b"")
    store.delete(["a", "Acme/1", "absent", "Acme/absent"])
    store.delete([])
    assert listed(store) == ["Acme/2"]
    store.write("a", b"again")
    assert store.read("a").bytes() == b"again"


def test_a_long_stream_comes_back_in_pieces(kind: Kind) -> None:
    store = kind.store
    piece = os.urandom(MIB)
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for number in range(40):
            chunk = piece[number:] + piece[:number]
            digest.update(chunk)
            yield chunk

    store.write_stream("long", pieces())
    body = store.read("long")
    assert body.info.size == 40 * MIB
    read = hashlib.sha256()
    sizes = []
    for chunk in body.chunks(3 * MIB):
        sizes.append(len(chunk))
        read.update(chunk)
    assert read.digest() == digest.digest()
    assert all(size >= 3 * MIB for size in sizes[:-1])
    assert max(sizes) < 20 * MIB or kind.name == "cloud"  # what is in memory comes in one piece
    with pytest.raises(ObjectExists):
        store.write_stream("long", (b"x" * MIB for _ in range(20)))
    assert store.head("long")[0].size == 40 * MIB


@pytest.mark.parametrize("length", [0, 1, 40])
def test_a_stream_that_breaks_leaves_nothing_behind(kind: Kind, length: int) -> None:
    class TapeTornError(Exception):
        pass

    def pieces() -> Iterator[bytes]:
        for _ in range(length):
            yield b"x" * MIB
        raise TapeTornError

    with pytest.raises(TapeTornError):
        kind.store.write_stream("torn", pieces())
    assert listed(kind.store) == []
    # Azurite takes the blocks of an upload that was not finished for an object, when asked to make one: HEAD and listings do not.
    kind.store.write("torn", b"whole", overwrite=kind.name == "azure" and length == 40)


def test_an_empty_stream_is_an_empty_object(store: ObjectStore) -> None:
    store.write_stream("empty", [])
    assert store.read("empty").bytes() == b""


def test_no_object_lies_under_an_empty_key(store: ObjectStore) -> None:
    with pytest.raises(KeyRefused):
        store.write("", b"x")
    for ask in (lambda: store.read(""), lambda: store.head("")):
        with pytest.raises((KeyRefused, ObjectNotFound)):
            ask()
    assert listed(store) == []


def test_a_store_that_is_there_can_be_made_again(store: ObjectStore) -> None:
    store.write("a", b"x")
    store.create_bucket()
    store.check_reachable()
    store.flush()
    assert listed(store) == ["a"]


def test_without_versioning_there_are_no_older_versions(store: ObjectStore) -> None:
    store.write("a", b"x")
    store.write("a", b"y", overwrite=True)
    assert store.list_versions("a") == []
    assert store.list_versions("absent") == []


def test_only_a_directory_has_files_and_room(kind: Kind) -> None:
    kind.store.write("a", b"x")
    if kind.name == "directory":
        path = kind.store.local_file("a")
        assert path is not None
        assert path.read_bytes() == b"x"
        assert (kind.store.free_bytes() or 0) > 0
    else:
        assert kind.store.local_file("a") is None
        assert kind.store.free_bytes() is None


def test_many_threads_share_a_store(store: ObjectStore) -> None:
    def round_trip(number: int) -> bytes:
        store.write(f"Acme/{number}", str(number).encode())
        return store.read(f"Acme/{number}").bytes()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(round_trip, range(200))) == [str(number).encode() for number in range(200)]


def test_a_bucket_that_does_not_exist_is_named(kind: Kind) -> None:
    if kind.name == "cloud":
        return  # obstore's store in memory has no buckets
    if kind.name == "memory":
        missing: ObjectStore = MemoryStore("memory://nowhere", exists=False)
    elif kind.name.startswith("raid"):
        missing = open_raid("raid5", [MemoryStore("memory://nowhere", exists=False) for _ in range(3)])
    elif kind.name == "directory":
        missing = open_store(StoreAddress(kind.store.url + "/nowhere"))
    elif kind.is_cloud:
        missing = open_store(StoreAddress(kind.store.url[:5] + "nowhere-at-all/x"))
    else:
        missing = elsewhere(kind)
    for ask in (missing.check_reachable, lambda: list(missing.list())):
        with pytest.raises(BucketNotFound, match="nowhere"):
            ask()
    if kind.name != "directory":
        with pytest.raises(BucketNotFound, match="nowhere"):
            missing.read("a")
        with pytest.raises(BucketNotFound, match="nowhere"):
            missing.head("a")


def elsewhere(kind: Kind) -> ObjectStore:
    store = kind.store
    assert isinstance(store, S3ObjectStore)
    settings = replace(store._settings, url=BucketUrl("s3", "nowhere-at-all", ""))
    return S3ObjectStore(settings, store._credentials)
