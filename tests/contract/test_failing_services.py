"""What a service does wrong arrives as one sentence in our words, on both roads."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contract.conftest import Answering
from lockstep.errors import (
    ConfigurationError,
    LockstepError,
    ObjectExists,
    PermissionMissing,
    StoreBusy,
    StoreUnreachable,
)
from lockstep.objects import second_road
from lockstep.objects.open import open_store
from lockstep.objects.store import ObjectStore

PLAIN, ODD = "a", "a//b"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failure means is asked here, not how long a listing waits for a better answer."""
    monkeypatch.setattr(second_road, "retrying", lambda call, **_: call())


def answer(status: str, body: str = "", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n{body}".encode()


def code(name: str, message: str = "") -> str:
    return f"<Error><Code>{name}</Code><Message>{message}</Message></Error>"


def reads(store: ObjectStore, key: str) -> list[Callable[[], object]]:
    return [lambda: store.read(key).bytes(), lambda: list(store.list()), store.check_reachable]


@pytest.mark.parametrize("key", [PLAIN, ODD])
@pytest.mark.parametrize(
    ("sent", "kind", "says"),
    [
        (answer("503 Slow Down", code("SlowDown")), StoreBusy, "503 SlowDown"),
        (answer("503 Service Unavailable"), StoreBusy, "503"),
        (answer("429 Too Many Requests"), StoreBusy, "429"),
        (answer("500 Internal Server Error", code("InternalError")), StoreUnreachable, "500 InternalError"),
        (answer("502 Bad Gateway", "<html>"), StoreUnreachable, "502"),
        (answer("403 Forbidden", code("AccessDenied")), PermissionMissing, "403 AccessDenied"),
        (answer("403 Forbidden", code("RequestTimeTooSkewed")), PermissionMissing, "clocks"),
        (answer("400 Bad Request", code("ExpiredToken")), PermissionMissing, "ExpiredToken"),
        (answer("301 Moved Permanently", code("PermanentRedirect")), ConfigurationError, "another region"),
        (
            answer("400 Bad Request", code("AuthorizationHeaderMalformed", "the region is wrong; expecting 'eu-west-1'")),
            ConfigurationError,
            "region eu-west-1",
        ),
        (b"nonsense\r\n\r\n", StoreUnreachable, "cannot reach http://127.0.0.1"),
        (b"", StoreUnreachable, "the connection broke off"),
    ],
)
def test_an_answer_has_one_meaning(answering: Answering, key: str, sent: bytes, kind: type[LockstepError], says: str) -> None:
    store = open_store(answering(sent))
    for ask in reads(store, key):
        with pytest.raises(kind) as caught:
            ask()
        assert says in caught.value.message
        assert "\n" not in caught.value.message
        assert len(caught.value.message) < 200
        assert type(caught.value) is kind


@pytest.mark.parametrize("key", [PLAIN, ODD])
def test_a_body_that_is_cut_short_is_never_taken_for_the_object(answering: Answering, key: str) -> None:
    sent = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "abc"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\nabcdef'
    store = open_store(answering(sent))
    body = store.read(key)
    assert (body.info.key, body.info.size, body.info.etag) == (key, 100, "abc")
    with pytest.raises(StoreUnreachable, match="broke off"):
        body.bytes()
    with pytest.raises(StoreUnreachable, match="broke off"):
        list(store.read(key).chunks(3))


def test_a_condition_that_a_service_does_not_know_is_not_sent_again(answering: Answering) -> None:
    store = open_store(answering(answer("501 Not Implemented", code("NotImplemented"))))
    with pytest.raises(StoreUnreachable, match="501 NotImplemented"):
        store.write("a", b"x", overwrite=True)
    assert store.list_versions("a") == []


def test_a_conflict_between_two_writers_is_worth_another_try(answering: Answering) -> None:
    store = open_store(answering(answer("409 Conflict", code("ConditionalRequestConflict"))))
    with pytest.raises(StoreBusy):
        store.write("a", b"x", overwrite=True)


def test_a_refused_condition_says_that_the_object_exists(answering: Answering) -> None:
    store = open_store(answering(answer("412 Precondition Failed", code("PreconditionFailed"))))
    with pytest.raises(ObjectExists):
        store.write("a", b"x", overwrite=True)


def test_a_listing_that_is_no_listing_is_refused(answering: Answering) -> None:
    for body in ("", "<html></html>", "<ListBucketResult>", "not xml"):
        store = open_store(answering(answer("200 OK", body)))
        with pytest.raises(StoreUnreachable):
            list(store.list())


def test_a_listing_that_does_not_advance_ends(answering: Answering) -> None:
    body = (
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
        "<Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>"
    )
    store = open_store(answering(answer("200 OK", body)))
    with pytest.raises(StoreUnreachable, match="does not advance"):
        list(store.list())


def test_a_secret_never_shows(answering: Answering) -> None:
    store = open_store(answering(answer("403 Forbidden", code("SignatureDoesNotMatch", "you sent secret"))))
    with pytest.raises(PermissionMissing) as caught:
        store.read("a")
    assert "secret" not in caught.value.message
    assert "secret" not in repr(store)
