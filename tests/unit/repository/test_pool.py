from __future__ import annotations

import builtins
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.errors import KeyRefused, ObjectNotFound, RepositoryInvalid, StoreUnreachable
from lockstep.model.inventory import InventoryEntry, Wanted, attributes_as_text
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryBody
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import TransferLimits
from lockstep.repository.pool import WrongBytes, place_of, read_object, save_object
from lockstep.repository.repository import Repository

LIMITS = TransferLimits(whole_up_to=8, chunk=4)
SMALL, LARGE = b"small", b"larger than one piece"
SHA256 = "ab" * 32


def body(data: bytes, *, etag: str | None = None, announced: int | None = None, attributes: ObjectAttributes | None = None) -> MemoryBody:
    size = len(data) if announced is None else announced
    return MemoryBody(
        ObjectInfo("key", size, hashlib.md5(data).hexdigest() if etag is None else etag), attributes or ObjectAttributes(), data
    )


def wanted(key: str, data: bytes, *, odd: bool = False, sha256: str | None = None) -> Wanted:
    return Wanted("main", key, len(data), sha256=sha256, odd=odd)


def save(store: ObjectStore, what: Wanted, came: MemoryBody, work: Path) -> InventoryEntry:
    return save_object(store, what, came, limits=LIMITS, work=work)


def keys(store: ObjectStore) -> set[str]:
    return {info.key for page in store.list() for info in page} - {"lockstep.json"}


@pytest.mark.parametrize("data", [b"", SMALL, LARGE, b"x" * 8, b"x" * 9])
def test_an_object_lies_under_its_own_key(repository: Repository, tmp_path: Path, data: bytes) -> None:
    entry = save(repository.store, wanted("Acme/1", data), body(data), tmp_path)
    assert entry == InventoryEntry("main", "Acme/1", len(data), hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest(), None, None)
    assert keys(repository.store) == {"objects/main/Acme/1"}
    assert read_object(repository.store, entry).bytes() == data


@pytest.mark.parametrize("data", [b"", SMALL, LARGE])
@pytest.mark.parametrize(
    "key", ["", "../../../../etc/cron.d/x", "/etc/passwd", "a//b", "dir/", "a\nb", "x" * 256, "a\0b", "..", "objects/\udcff", "a\\b"]
)
def test_an_object_whose_key_can_be_no_file_name_or_another_one_lies_under_its_checksum(
    repository: Repository, tmp_path: Path, key: str, data: bytes
) -> None:
    entry = save(repository.store, wanted(key, data), body(data), tmp_path)
    sha256 = hashlib.sha256(data).hexdigest()
    assert entry.location == f"odd/{sha256[:2]}/{sha256}"
    assert keys(repository.store) == {entry.location}
    assert read_object(repository.store, entry).bytes() == data
    assert list(tmp_path.glob("*")) in ([], [tmp_path / "repository"])  # the spool is gone


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_an_object_goes_aside_when_it_is_told_to(repository: Repository, tmp_path: Path, data: bytes) -> None:
    entry = save(repository.store, wanted("a", data, odd=True), body(data), tmp_path)
    assert entry.location is not None
    assert keys(repository.store) == {entry.location}


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_the_same_bytes_lie_aside_only_once(repository: Repository, tmp_path: Path, data: bytes) -> None:
    first = save(repository.store, wanted("a\n", data), body(data), tmp_path)
    second = save(repository.store, wanted("b\n", data), body(data), tmp_path)
    assert first.location == second.location
    assert read_object(repository.store, second).bytes() == data


def test_attributes_and_the_etag_are_kept(repository: Repository, tmp_path: Path) -> None:
    attributes = ObjectAttributes(content_type="image/png", metadata={"owner": "alice"})
    entry = save(repository.store, wanted("a", SMALL), body(SMALL, etag="no-md5-1", attributes=attributes), tmp_path)
    assert entry.etag == "no-md5-1"
    assert entry.attributes == attributes_as_text(attributes)


class Unread(MemoryBody):
    def bytes(self) -> builtins.bytes:
        raise AssertionError

    def chunks(self, size: int) -> Iterator[builtins.bytes]:
        raise AssertionError(size)


@pytest.mark.parametrize("key", ["a", "a\n"])
@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_an_object_of_another_size_than_the_reference_is_refused_before_it_is_read(
    repository: Repository, tmp_path: Path, key: str, data: bytes
) -> None:
    came = Unread(ObjectInfo("key", len(data)), ObjectAttributes(), data)
    with pytest.raises(WrongBytes) as caught:
        save(repository.store, replace(wanted(key, data), size=len(data) + 1), came, tmp_path)
    assert caught.value.why == "wrong_size"
    assert keys(repository.store) == set()


@pytest.mark.parametrize("key", ["a", "a\n"])
@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize("wrong", ["md5", "sha256", "size"])
def test_wrong_bytes_are_not_kept(repository: Repository, tmp_path: Path, key: str, data: bytes, wrong: str) -> None:
    came = body(data, etag="0" * 32 if wrong == "md5" else None, announced=len(data) + 1 if wrong == "size" else None)
    what = replace(wanted(key, data, sha256=SHA256 if wrong == "sha256" else None), size=came.info.size)
    with pytest.raises(WrongBytes) as caught:
        save(repository.store, what, came, tmp_path)
    assert caught.value.why == ("wrong_size" if wrong == "size" else "wrong_checksum")
    assert keys(repository.store) == set()


@pytest.mark.parametrize("key", ["a", "a\n"])
def test_a_body_that_breaks_off_is_not_kept(repository: Repository, tmp_path: Path, key: str) -> None:
    class Broken(MemoryBody):
        def chunks(self, size: int) -> Iterator[bytes]:
            yield self.data[:size]
            raise StoreUnreachable("the connection broke", hint="Wait.")

    came = Broken(ObjectInfo("key", len(LARGE)), ObjectAttributes(), LARGE)
    with pytest.raises(StoreUnreachable):
        save(repository.store, wanted(key, LARGE), came, tmp_path)
    assert keys(repository.store) == set()


def test_the_checksum_that_the_reference_knows_is_the_right_one(repository: Repository, tmp_path: Path) -> None:
    what = wanted("a", LARGE, sha256=hashlib.sha256(LARGE).hexdigest())
    assert save(repository.store, what, body(LARGE, etag="no md5"), tmp_path).sha256 == what.sha256


def test_what_a_killed_run_left_under_a_key_is_replaced(repository: Repository, tmp_path: Path) -> None:
    repository.store.write("objects/main/a", b"left")
    for data in (SMALL, LARGE):
        entry = save(repository.store, wanted("a", data), body(data), tmp_path)
        assert read_object(repository.store, entry).bytes() == data


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize(("there", "key"), [("a", "a/b"), ("a/b", "a")])
def test_what_is_in_the_way_of_a_key_on_a_disk_is_told_and_not_harmed(tmp_path: Path, there: str, key: str, data: bytes) -> None:
    store = LocalStore(tmp_path / "repository")
    store.create_bucket()
    store.write(f"objects/main/{there}", b"there")
    with pytest.raises(KeyRefused):
        save(store, wanted(key, data), body(data), tmp_path)
    assert store.read(f"objects/main/{there}").bytes() == b"there"
    entry = save(store, wanted(key, data, odd=True), body(data), tmp_path)
    assert read_object(store, entry).bytes() == data


def entry_at(location: str | None, *, key: str = "a", store: str = "main", sha256: str = SHA256) -> InventoryEntry:
    return InventoryEntry(store, key, 1, sha256, None, None, location)


def test_an_object_is_looked_for_where_the_inventory_says() -> None:
    assert place_of(entry_at(None, key="Acme/1", store="node-1")) == "objects/node-1/Acme/1"
    assert place_of(entry_at(f"odd/ab/{SHA256}", key="../x")) == f"odd/ab/{SHA256}"


@pytest.mark.parametrize(
    "forged",
    [
        entry_at(None, key="../../lockstep.json"),
        entry_at(None, key="/etc/passwd"),
        entry_at(None, key="a\0"),
        entry_at(None, key=""),
        entry_at(None, store=".."),
        entry_at(None, store="../locks"),
        entry_at(None, store="Main"),
        entry_at(None, store=""),
        entry_at(""),
        entry_at("lockstep.json"),
        entry_at("objects/main/b"),
        entry_at("../../etc/passwd"),
        entry_at(f"odd/ab/../../{SHA256}"),
        entry_at(f"odd/cd/{'cd' * 32}"),  # a proper place, of other bytes
        entry_at("odd/ab/../x", sha256="../x"),
    ],
    ids=range(15),
)
def test_an_inventory_cannot_lead_anywhere_else(forged: InventoryEntry, repository: Repository) -> None:
    with pytest.raises(RepositoryInvalid, match="a place that it cannot have"):
        read_object(repository.store, forged)


def test_an_object_that_the_repository_lost_is_not_found(repository: Repository) -> None:
    with pytest.raises(ObjectNotFound):
        read_object(repository.store, entry_at(None))
