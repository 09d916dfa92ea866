from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from lockstep.errors import ObjectExists, ObjectNotFound, StoreBusy, StoreUnreachable
from lockstep.objects.known import AGAIN, AskingAgain, read_known
from lockstep.objects.limits import StreamLimits
from lockstep.objects.memory import MemoryStore
from lockstep.objects.patient import PatientStore
from lockstep.objects.retry import NO_RETRY, Backoff, RetryPolicy

THREE_AT_ONCE = RetryPolicy(unreachable=Backoff(3, 0, 1, 0), busy=Backoff(3, 0, 1, 0))
AT_ONCE = AskingAgain(pause_seconds=0.0)
UNREACHABLE = StoreUnreachable("no answer", hint="Wait.")
BUSY = StoreBusy("too many requests", hint="Wait.")


class Failing(MemoryStore):
    """Fails with each of the given errors in turn, before the request is made or (`answers_lost`) after it."""

    def __init__(self, *, answers_lost: bool = False) -> None:
        super().__init__(versioned=True)
        self.errors: list[Exception] = []
        self.asked: list[str] = []
        self._answers_lost, self._guard = answers_lost, threading.Lock()

    def _fail(self, what: str) -> None:
        with self._guard:
            self.asked.append(what)
            error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error

    def read(self, key: str, *, version: str | None = None) -> Any:
        self._fail("read")
        return super().read(key, version=version)

    def head(self, key: str) -> Any:
        self._fail("head")
        return super().head(key)

    def write(self, key: str, data: bytes, **options: Any) -> str | None:
        if self._answers_lost:
            etag = super().write(key, data, **options)
            self._fail("write")
            return etag
        self._fail("write")
        return super().write(key, data, **options)

    def delete(self, keys: Iterable[str]) -> None:
        given = [*keys]
        self._fail("delete")
        super().delete(given)

    def list_versions(self, key: str) -> Any:
        self._fail("list_versions")
        return super().list_versions(key)

    def etag_is_md5(self, key: str) -> bool:
        self._fail("etag_is_md5")
        return super().etag_is_md5(key)

    def create_bucket(self) -> None:
        self._fail("create_bucket")
        super().create_bucket()

    def check_reachable(self) -> None:
        self._fail("check_reachable")
        super().check_reachable()


def patient(store: MemoryStore) -> PatientStore:
    return PatientStore(store, policy=THREE_AT_ONCE)


REQUESTS: dict[str, Callable[[PatientStore], Any]] = {
    "read": lambda store: store.read("a").bytes(),
    "head": lambda store: store.head("a")[0].size,
    "write": lambda store: store.write("b", b"new"),
    "delete": lambda store: store.delete(key for key in ("a", "b")),
    "list_versions": lambda store: store.list_versions("a"),
    "etag_is_md5": lambda store: store.etag_is_md5("a"),
    "create_bucket": lambda store: store.create_bucket(),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("error", [UNREACHABLE, BUSY], ids=["unreachable", "busy"])
def test_a_request_that_fails_twice_is_made_three_times_and_counted(request_: Callable[[PatientStore], Any], error: Exception) -> None:
    calm, store = Failing(), Failing()
    for each in (calm, store):
        each.write("a", b"there", overwrite=True)
        each.asked.clear()
    store.errors = [error, error]
    made = patient(store)
    assert request_(made) == request_(patient(calm))
    assert store.asked == calm.asked * 3
    assert made.requests.counts().retried == store.requests.counts().retried == 2
    assert [info.key for page in store.list() for info in page] == [info.key for page in calm.list() for info in page]


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_patience_ends(request_: Callable[[PatientStore], Any]) -> None:
    store = Failing()
    store.errors = [UNREACHABLE] * 100
    with pytest.raises(StoreUnreachable):
        request_(patient(store))
    assert len(store.asked) == 3


def test_without_patience_the_first_failure_counts() -> None:
    store = Failing()
    store.errors = [UNREACHABLE]
    with pytest.raises(StoreUnreachable):
        PatientStore(store, policy=NO_RETRY).read("a")
    assert store.requests.counts().retried == 0


def test_what_is_no_failure_of_the_service_is_said_at_once() -> None:
    store = Failing()
    with pytest.raises(ObjectNotFound):
        patient(store).read("a")
    assert store.asked == ["read"]


def test_a_first_look_at_a_service_that_fails_is_patient() -> None:
    store = Failing()
    store.errors = [BUSY, UNREACHABLE]
    patient(store).check_reachable()
    assert store.asked == ["check_reachable"] * 3


def test_a_first_look_at_what_cannot_be_connected_to_is_no_time_for_patience() -> None:
    store = Failing()
    store.errors = [StoreUnreachable("unknown host", hint="Check it.", fault="unreachable")]
    with pytest.raises(StoreUnreachable):
        patient(store).check_reachable()
    assert store.asked == ["check_reachable"]


@pytest.mark.parametrize("read", [lambda body: body.bytes(), lambda body: b"".join(body.chunks(2))])
@pytest.mark.parametrize("gone", [False, True])
def test_what_was_there_is_not_gone_because_of_one_answer(read: Callable[[Any], bytes], *, gone: bool) -> None:
    store = Failing()
    store.write("a", b"data")
    body: Any = PatientStore(store, policy=THREE_AT_ONCE).read("a")
    body._body = Breaking()
    store.errors = [ObjectNotFound("not there", hint="Look.")] * (20 if gone else 1)
    if gone:
        with pytest.raises(ObjectNotFound):
            read(body)
    else:
        assert read(body) == b"data"
        assert store.requests.faults() == {"failed": 1, "not_found": 1}


@pytest.mark.parametrize("denials", [0, 2, 20])
def test_only_a_denial_that_turns_out_to_be_wrong_is_a_fault_of_the_store(denials: int) -> None:
    """What a first backup or a first verification looks for is not there yet, and the store is right to say so."""
    store = Failing()
    store.write("a", b"data")
    store.errors = [ObjectNotFound("not there", hint="Look.")] * denials
    if denials > AGAIN.times:
        with pytest.raises(ObjectNotFound):
            read_known(store, "a", again=AT_ONCE)
    else:
        assert read_known(store, "a", again=AT_ONCE).bytes() == b"data"
    assert store.requests.faults() == ({"not_found": denials} if 0 < denials <= AGAIN.times else {})
    assert store.asked == ["write", *["read"] * (1 + min(denials, AGAIN.times))]


class Breaking:
    """A body whose connection breaks."""

    def bytes(self) -> bytes:
        raise UNREACHABLE

    def chunks(self, size: int) -> Any:
        yield b"d" * min(size, 1)
        raise UNREACHABLE


def test_a_write_whose_answer_was_lost_has_happened() -> None:
    store = Failing(answers_lost=True)
    store.errors = [UNREACHABLE]
    assert patient(store).write("a", b"mine") == store.head("a")[0].etag
    assert store.read("a").bytes() == b"mine"


def test_other_bytes_that_appeared_between_two_tries_are_somebody_elses() -> None:
    class Overtaken(Failing):
        def write(self, key: str, data: bytes, **options: Any) -> str | None:
            if self.errors:
                MemoryStore.write(self, key, b"theirs")
            return super().write(key, data, **options)

    store = Overtaken()
    store.errors = [UNREACHABLE]
    with pytest.raises(ObjectExists):
        patient(store).write("a", b"mine")
    assert store.read("a").bytes() == b"theirs"


@pytest.mark.parametrize("there", [b"mine", b"theirs"])
def test_what_was_there_before_the_first_try_exists_even_with_the_same_bytes(there: bytes) -> None:
    store = MemoryStore()
    store.write("a", there)
    with pytest.raises(ObjectExists):
        patient(store).write("a", b"mine")
    assert store.read("a").bytes() == there


def test_a_stream_that_fits_into_one_request_is_sent_again() -> None:
    store = Failing()
    store.errors = [UNREACHABLE]
    patient(store).write_stream("a", iter([b"ha", b"lf"]))
    assert store.asked == ["write", "write"]
    assert store.read("a").bytes() == b"half"


def test_a_longer_stream_is_not_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.objects.patient.STREAM", StreamLimits(part_bytes=3))
    store = Failing()
    store.errors = [UNREACHABLE]
    with pytest.raises(StoreUnreachable):
        patient(store).write_stream("a", iter([b"ha", b"lf", b" and more"]))
    assert store.asked == ["write"]


def test_the_rest_is_as_the_store_has_it() -> None:
    store = MemoryStore("memory://other")
    made = patient(store)
    made.write_stream("a", [b"1", b"2"])
    made.flush()
    assert (made.url, made.free_bytes(), made.local_file("a")) == ("memory://other", None, None)
    assert [info.key for page in made.list() for info in page] == ["a"]
