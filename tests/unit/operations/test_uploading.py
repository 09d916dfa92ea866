from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import DiskFailed, PermissionMissing, StoreUnreachable
from lockstep.model.inventory import InventoryEntry, Wanted
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryBody, MemoryStore
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.sent import Uploaded
from lockstep.operations.uploading import Uploader
from lockstep.progress import SILENT, Event, StageAdvanced
from lockstep.repository.pool import place_of, save_object
from lockstep.repository.repository import Repository
from lockstep.tables import restores
from lockstep.tables.engine import Tables

LIMITS = TransferLimits(threads=2, whole_up_to=8, chunk=4)
SMALL, LARGE = b"small", b"larger than what is read whole"
ATTRIBUTES = ObjectAttributes(content_type="image/png", metadata={"by": "alice"})

both = pytest.mark.parametrize("data", [SMALL, LARGE])


def keep(repository: Repository, key: str, data: bytes, tables: Tables) -> InventoryEntry:
    body = MemoryBody(ObjectInfo(key, len(data), hashlib.md5(data).hexdigest()), ATTRIBUTES, data)
    return save_object(repository.store, Wanted("main", key, len(data)), body, limits=LIMITS, work=tables.directory)


@pytest.fixture
def upload(repository: Repository, tables: Tables) -> Any:
    """Uploads entries to a store, each as the listing showed it (or did not)."""
    restores.plan_restorable(tables, snapshot="9", references="(SELECT '' AS store, '' AS key, 0 AS size LIMIT 0)", missing=None, prefix="")

    def run(store: ObjectStore, *entries: InventoryEntry, listed: bool = False, listener: Any = SILENT, **options: bool) -> Uploaded:
        infos = {info.key: info for page in store.list() for info in page} if listed else {}
        uploader = Uploader({"main": store}, repository, tables, LIMITS, Stop(), listener, ask_each=not listed, **options)
        return uploader.upload([(entry, infos.get(entry.key)) for entry in entries])

    return run


def lost(tables: Tables) -> list[str]:
    return [each.key for each in restores.unrestorable(tables)]


@pytest.mark.parametrize("listed", [True, False])
@both
def test_what_is_not_there_is_uploaded_with_its_attributes(
    upload: Any, repository: Repository, tables: Tables, data: bytes, *, listed: bool
) -> None:
    store, entries = MemoryStore(), [keep(repository, key, data, tables) for key in ("a/b", "odd\n")]
    assert upload(store, *entries, listed=listed) == Uploaded(uploaded=2, uploaded_bytes=2 * len(data))
    for entry in entries:
        body = store.read(entry.key)
        assert (body.bytes(), body.attributes) == (data, ATTRIBUTES)
    assert lost(tables) == []


@pytest.mark.parametrize("listed", [True, False])
@both
def test_what_is_there_already_is_not_sent_again(upload: Any, repository: Repository, tables: Tables, data: bytes, *, listed: bool) -> None:
    store = MemoryStore()
    store.write("a", data)
    before = store.requests.counts()
    assert upload(store, keep(repository, "a", data, tables), listed=listed) == Uploaded(already_there=1)
    assert store.requests.counts().put == before.put
    assert store.requests.counts().get == before.get  # the ETag is proof enough


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("there", [b"SMALL", b"other size", b""])
def test_what_is_different_is_left_alone_and_told(
    upload: Any, repository: Repository, tables: Tables, there: bytes, *, listed: bool
) -> None:
    store = MemoryStore()
    store.write("a", there)
    assert upload(store, keep(repository, "a", SMALL, tables), listed=listed) == Uploaded(different=1)
    assert store.read("a").bytes() == there


@pytest.mark.parametrize("there", [b"SMALL", b"other size"])
@both
def test_what_is_different_is_replaced_when_that_was_asked_for(
    upload: Any, repository: Repository, tables: Tables, data: bytes, there: bytes
) -> None:
    store = MemoryStore()
    store.write("a", there)
    assert upload(store, keep(repository, "a", data, tables), overwrite=True) == Uploaded(uploaded=1, uploaded_bytes=len(data))
    assert (store.read("a").bytes(), store.read("a").attributes) == (data, ATTRIBUTES)


def test_what_is_right_is_not_replaced_even_if_that_was_asked_for(upload: Any, repository: Repository, tables: Tables) -> None:
    store = MemoryStore()
    store.write("a", SMALL)
    assert upload(store, keep(repository, "a", SMALL, tables), overwrite=True) == Uploaded(already_there=1)


class WithoutMd5(MemoryStore):
    """A store whose ETags say nothing, as after a multipart upload."""

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Any:
        for page in super().list(prefix, after=after, until=until):
            yield [ObjectInfo(info.key, info.size, "etag-2") for info in page]

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        info, attributes = super().head(key)
        return ObjectInfo(info.key, info.size, "etag-2"), attributes

    def write(self, key: str, data: bytes, **options: Any) -> str | None:
        super().write(key, data, **options)
        return "etag-2"


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(("there", "outcome"), [(SMALL, Uploaded(already_there=1)), (b"SMALL", Uploaded(different=1))])
def test_where_an_etag_says_nothing_the_bytes_are_compared(
    upload: Any, repository: Repository, tables: Tables, there: bytes, outcome: Uploaded, *, listed: bool
) -> None:
    store = WithoutMd5()
    store.write("a", there)
    assert upload(store, keep(repository, "a", SMALL, tables), listed=listed) == outcome


@pytest.mark.parametrize(("verify", "reads"), [(True, 1), (False, 0)])
def test_an_upload_without_a_proof_is_read_back_unless_that_was_declined(
    upload: Any, repository: Repository, tables: Tables, reads: int, *, verify: bool
) -> None:
    store = WithoutMd5()
    assert upload(store, keep(repository, "a", SMALL, tables), verify=verify).uploaded == 1
    assert store.requests.counts().get == reads


class Damaging(WithoutMd5):
    """Stores other bytes than it was sent, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def write(self, key: str, data: bytes, **options: Any) -> str | None:
        self.times -= 1
        return super().write(key, data if self.times < 0 else b"X" + data[1:], **options)


@both
def test_what_arrived_damaged_is_sent_again(upload: Any, repository: Repository, tables: Tables, data: bytes) -> None:
    store = Damaging(1)
    assert upload(store, keep(repository, "a", data, tables)) == Uploaded(uploaded=1, uploaded_bytes=len(data))
    assert store.read("a").bytes() == data


def test_a_store_that_damages_everything_is_told(upload: Any, repository: Repository, tables: Tables) -> None:
    with pytest.raises(StoreUnreachable, match="did not arrive"):
        upload(Damaging(100), keep(repository, "a", SMALL, tables))


@pytest.mark.parametrize("there", [None, b"there"])
@pytest.mark.parametrize("damage", [b"X", b"", None])
@both
def test_what_the_repository_lost_or_finds_damaged_does_not_arrive_and_is_listed(
    upload: Any, repository: Repository, tables: Tables, data: bytes, damage: bytes | None, there: bytes | None
) -> None:
    store, entry = MemoryStore(), keep(repository, "a", data, tables)
    if there is not None:
        store.write("a", there)
    if damage is None:
        repository.store.delete([place_of(entry)])
    else:
        repository.store.write(place_of(entry), damage + data[1:], overwrite=True)
    good = keep(repository, "b", data, tables)
    assert upload(store, entry, good, overwrite=True) == Uploaded(uploaded=1, uploaded_bytes=len(data))
    assert lost(tables) == ["a"]
    assert {info.key: info.size for page in store.list() for info in page} == {"b": len(data)} | ({} if there is None else {"a": 5})


def test_an_inventory_that_leads_elsewhere_is_listed_and_not_followed(upload: Any, tables: Tables) -> None:
    forged = InventoryEntry("main", "a", 5, "ab" * 32, None, None, "lockstep.json")
    store = MemoryStore()
    assert upload(store, forged) == Uploaded()
    assert lost(tables) == ["a"]


@pytest.mark.parametrize("attributes", ['{"x": 1}', "[]", "5", "{"])
def test_attributes_that_lockstep_never_wrote_cost_their_object_alone(
    upload: Any, repository: Repository, tables: Tables, attributes: str
) -> None:
    store, good = MemoryStore(), keep(repository, "b", SMALL, tables)
    assert upload(store, replace(keep(repository, "a", SMALL, tables), attributes=attributes), good).uploaded == 1
    assert lost(tables) == ["a"]


@both
def test_a_disk_that_fails_on_an_object_of_the_repository_costs_that_object_alone(
    upload: Any, repository: Repository, tables: Tables, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    bad, good, store = keep(repository, "a", data, tables), keep(repository, "b", data * 2, tables), MemoryStore()
    read = repository.store.read

    def failing(key: str, **options: Any) -> Any:
        if key == place_of(bad):
            raise DiskFailed("input/output error", hint="Look at the disk.")
        return read(key, **options)

    monkeypatch.setattr(repository.store, "read", failing)
    assert upload(store, bad, good) == Uploaded(uploaded=1, uploaded_bytes=2 * len(data))
    assert lost(tables) == ["a"]


def test_a_key_that_the_target_cannot_hold_is_refused_and_the_others_arrive(
    upload: Any, repository: Repository, tables: Tables, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "target")
    store.create_bucket()
    assert upload(store, *(keep(repository, key, SMALL, tables) for key in ("a//b", "b"))).uploaded == 1
    assert [(each.key, each.why) for each in restores.unrestorable(tables)] == [("a//b", "refused")]


class Promising(MemoryStore):
    """Its listing shows an object of the right size that is not there, as some stores do for a while after a deletion."""

    def list(self, *_: object, **_options: object) -> Any:
        yield [ObjectInfo("a", len(SMALL), "etag-2")]


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_a_listing_shows_and_is_not_there_is_uploaded(upload: Any, repository: Repository, tables: Tables, *, overwrite: bool) -> None:
    store, entry = Promising(), keep(repository, "a", SMALL, tables)
    assert upload(store, entry, listed=True, overwrite=overwrite) == Uploaded(uploaded=1, uploaded_bytes=len(SMALL))
    assert store.read("a").bytes() == SMALL


class Racing(MemoryStore):
    """Somebody stores something between the question and the upload."""

    def __init__(self, there: bytes) -> None:
        super().__init__()
        self.there = there

    def write(self, key: str, data: bytes, **options: Any) -> str | None:
        super().write(key, self.there, overwrite=True)
        return super().write(key, data, **options)


@pytest.mark.parametrize(("there", "outcome"), [(SMALL, Uploaded(already_there=1)), (b"SMALL", Uploaded(different=1))])
def test_what_appeared_meanwhile_is_not_overwritten(
    upload: Any, repository: Repository, tables: Tables, there: bytes, outcome: Uploaded
) -> None:
    store = Racing(there)
    assert upload(store, keep(repository, "a", SMALL, tables)) == outcome
    assert store.read("a").bytes() == there


class LosingAnswers(MemoryStore):
    """The object arrives, the answer does not."""

    lose = 1

    def write(self, key: str, data: bytes, **options: Any) -> str | None:
        etag = super().write(key, data, **options)
        if self.lose:
            self.lose -= 1
            raise StoreUnreachable("no answer", hint="Wait.")
        return etag


@pytest.mark.parametrize("listed", [True, False])
def test_an_upload_whose_answer_was_lost_has_happened(upload: Any, repository: Repository, tables: Tables, *, listed: bool) -> None:
    store = LosingAnswers()
    assert upload(store, keep(repository, "a", SMALL, tables), listed=listed) == Uploaded(uploaded=1, uploaded_bytes=len(SMALL))
    assert store.requests.counts().retried == 1


@pytest.mark.parametrize("error", [StoreUnreachable("no answer", hint="Wait."), PermissionMissing("denied", hint="Ask.")])
def test_a_store_that_keeps_failing_ends_the_upload(upload: Any, repository: Repository, tables: Tables, error: Exception) -> None:
    class Failing(MemoryStore):
        def write(self, key: str, data: bytes, **options: Any) -> str | None:
            raise error if key and not options.get("never") else AssertionError(data)

    with pytest.raises(type(error)):
        upload(Failing(), keep(repository, "a", SMALL, tables))
    assert lost(tables) == []


def test_progress_counts_every_object_and_the_bytes_that_moved(upload: Any, repository: Repository, tables: Tables) -> None:
    store, heard = MemoryStore(), list[Event]()
    store.write("b", SMALL)
    upload(store, *(keep(repository, key, SMALL, tables) for key in ("a", "b")), listener=heard.append)
    steps = [event for event in heard if isinstance(event, StageAdvanced)]
    assert (sum(step.done for step in steps), sum(step.size_bytes for step in steps)) == (2, len(SMALL))
