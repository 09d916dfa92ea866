"""A page of a listing that fails is asked for again where it was, and nothing is lost or told twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contract.conftest import ask_for_small_pages
from lockstep.errors import StoreBusy
from lockstep.objects import second_road
from lockstep.objects.open import open_store
from lockstep.objects.retry import NO_RETRY, retrying
from lockstep.objects.s3 import S3ObjectStore
from lockstep.objects.store import ObjectStore
from support.s3_proxy import Answer, S3Proxy
from support.servers import MotoServer, SeaweedFS

KEYS = ["a", "a-b", "b/c/d", "b/x", "c", "d", "e", "f g+%", "é"]
SLOW_DOWN = Answer(503, {}, b"<Error><Code>SlowDown</Code><Message>wait</Message></Error>")
ERROR_THAT_SAYS_200 = Answer(200, {}, b"<Error><Code>InternalError</Code><Message>sorry</Message></Error>")


@pytest.fixture(params=["seaweedfs", "moto"])
def proxy_and_store(request: pytest.FixtureRequest, s3_server: SeaweedFS, moto_server: MotoServer) -> Any:
    """A bucket with a few objects, listed two at a time through a proxy."""
    server = s3_server if request.param == "seaweedfs" else moto_server
    address = server.address(server.create_bucket())
    direct = open_store(address)
    for key in KEYS:
        direct.write(key, b"x")
    with S3Proxy(server.endpoint_url) as proxy:
        store = open_store(replace(address, endpoint_url=proxy.endpoint_url))
        ask_for_small_pages(store, 2)
        yield proxy, store


def watch_places(store: ObjectStore) -> list[str]:
    """Where each request for a page goes on: its token, or what it starts after."""
    assert isinstance(store, S3ObjectStore)
    places: list[str] = []

    def look(params: dict[str, Any], **_: object) -> None:
        places.append(params.get("ContinuationToken") or params.get("StartAfter") or "")

    store.any_road().client.meta.events.register("before-parameter-build.s3.ListObjectsV2", look)
    return places


def failing(proxy: S3Proxy, *numbers: int, saying: Answer = SLOW_DOWN) -> None:
    """Answer these listings, counted from 1, with 503, or with something else."""

    def answering(_method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
        return saying if proxy.counts["LIST"] in numbers else ask()

    proxy.counts.clear()
    proxy.answering = answering


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses are the business of retry's own tests."""
    monkeypatch.setattr(second_road, "retrying", lambda call, **options: retrying(call, sleep=lambda _: None, **options))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("page", [1, 2, 3, 5])
def test_a_page_that_fails_twice_is_asked_for_again_where_it_was(proxy_and_store: tuple[S3Proxy, ObjectStore], page: int) -> None:
    proxy, store = proxy_and_store
    whole = [[found.key for found in each] for each in store.list()]
    assert sorted(key for each in whole for key in each) == sorted(KEYS)
    before, places = store.requests.counts(), watch_places(store)
    failing(proxy, page, page + 1)
    assert [[found.key for found in each] for each in store.list()] == whole
    assert places[page - 1 : page + 2] == [places[page - 1]] * 3
    assert len(set(places)) == len(places) - 2
    after = store.requests.counts()
    assert (after.retried - before.retried, after.list - before.list) == (2, proxy.counts["LIST"])


@pytest.mark.usefixtures("at_once")
def test_an_error_that_says_200_is_no_empty_page(proxy_and_store: tuple[S3Proxy, ObjectStore]) -> None:
    proxy, store = proxy_and_store
    failing(proxy, 2, saying=ERROR_THAT_SAYS_200)
    assert sorted(found.key for each in store.list() for found in each) == sorted(KEYS)
    assert store.requests.counts().retried == 1


@pytest.mark.usefixtures("at_once")
def test_a_range_of_a_listing_is_as_patient(proxy_and_store: tuple[S3Proxy, ObjectStore]) -> None:
    proxy, store = proxy_and_store
    expected = sorted(found.key for each in store.list(after="a", until="d") for found in each)
    assert expected == ["a-b", "b/c/d", "b/x", "c", "d"]
    failing(proxy, 1, 2, 4)
    found = [found.key for each in store.list(after="a", until="d") for found in each]
    assert sorted(found) == expected


def test_a_service_that_keeps_failing_ends_the_listing_after_what_it_gave(
    proxy_and_store: tuple[S3Proxy, ObjectStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_road, "retrying", lambda call, **_: retrying(call, policy=NO_RETRY))
    proxy, store = proxy_and_store
    failing(proxy, *range(2, 100))
    pages = iter(store.list())
    assert len(next(pages)) == 2
    with pytest.raises(StoreBusy):
        next(pages)
