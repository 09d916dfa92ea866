"""`check --probe` against services that lie: moto, which does not look at signatures, behind a proxy that changes what goes through."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from lockstep.encryption.keyring import NO_KEYS
from lockstep.model.checkup import Answer
from lockstep.operations import check_stores, probe_place, probe_service
from lockstep.operations.check_book import Book
from lockstep.operations.check_probe import probe_bucket_of
from lockstep.operations.probe_scratch import Scratch, clean, open_scratch
from lockstep.progress import SILENT
from lockstep.repository.place import open_place
from support.s3_proxy import Answer as Reply
from support.s3_proxy import Answering, S3Proxy
from support.servers import MotoServer

OTHER = '"0123456789abcdef0123456789abcdef"'


class Deaf(S3Proxy):
    """Does not hand conditions on, from the `after`-th on."""

    def __init__(self, endpoint_url: str, *, after: int) -> None:
        super().__init__(endpoint_url)
        self.left = after
        self.own = threading.Lock()

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if "if-none-match" in map(str.lower, headers):
            with self.own:
                self.left -= 1
            if self.left < 0:
                headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        return super().ask(method, target, headers, body)


class Stale(S3Proxy):
    """Gives for a while what was there first."""

    def __init__(self, endpoint_url: str) -> None:
        super().__init__(endpoint_url)
        self.first: dict[str, Reply] = {}
        self.answering_kind = self.remember

    def remember(self, kind: str, path: str, ask: Callable[[], Reply]) -> Reply:
        return self.first.setdefault(path, ask()) if kind == "GET" and path.endswith("/read") else ask()


def hiding(kind: str, _path: str, ask: Callable[[], Reply]) -> Reply:
    """A listing that shows nothing yet, as if it came from a copy that is behind."""
    answer = ask()
    return replace(answer, body=re.sub(rb"<Contents>.*</Contents>", b"", answer.body, flags=re.DOTALL)) if kind == "LIST" else answer


def forgetting(kind: str, _path: str, ask: Callable[[], Reply]) -> Reply:
    """Each page of a listing loses its last object."""
    answer = ask()
    entries = answer.body.split(b"<Contents>")
    if kind != "LIST" or len(entries) < 3:
        return answer
    tail = entries[-1].partition(b"</Contents>")[2]
    return replace(answer, body=b"<Contents>".join(entries[:-1]) + tail)


def mistaken(kind: str, _path: str, ask: Callable[[], Reply]) -> Reply:
    """ETags that look like an MD5 and are none."""
    answer = ask()
    headers = {name: OTHER if name.lower() == "etag" else value for name, value in answer.headers.items()}
    return replace(answer, headers=headers) if kind in {"PUT", "GET", "HEAD"} else answer


def growing(kind: str, _path: str, ask: Callable[[], Reply]) -> Reply:
    """Listings that say another size than there is."""
    answer = ask()
    return replace(answer, body=re.sub(rb"<Size>\d+<", b"<Size>77<", answer.body)) if kind == "LIST" else answer


def probed(moto: MotoServer, proxy: S3Proxy, *looks: Callable[[Scratch], Answer]) -> list[Answer]:
    """What some probes of a repository's place say, and the cleaning up behind them."""
    address = replace(moto.address(moto.create_bucket(), prefix="p", name="repository"), endpoint_url=proxy.endpoint_url)
    with proxy:
        scratch, _ = open_scratch(address, None)
        answers = [look(scratch) for look in (*looks, clean)]
    left = moto.client().list_objects_v2(Bucket=address.url.split("/")[2])  # asked past the proxy: what no listing shows goes too
    assert "Contents" not in left
    return answers


def test_a_service_that_hears_no_condition_is_worked_with_in_the_safe_way(moto_server: MotoServer) -> None:
    once, lock, cleaned = probed(moto_server, Deaf(moto_server.endpoint_url, after=0), probe_place.writing_once, probe_place.lock)
    assert [answer.verdict for answer in (once, lock, cleaned)] == ["ok", "ok", "ok"]
    assert once.detail.startswith("If-None-Match is ignored without a word: HEAD asks before")


@pytest.mark.parametrize(("after", "says"), [(1, "was replaced"), (2, "honoured now and then")])
def test_a_service_that_hears_conditions_at_times_fails(moto_server: MotoServer, after: int, says: str) -> None:
    """The first is that by which the engine learns; the second is the engine's own, the third a bare one."""
    answer = probed(moto_server, Deaf(moto_server.endpoint_url, after=after + 1), probe_place.writing_once)[0]
    assert (answer.verdict, says in answer.detail) == ("failed", True), answer


def test_a_service_that_gives_what_was_there_before_fails(moto_server: MotoServer) -> None:
    answer = probed(moto_server, Stale(moto_server.endpoint_url), probe_place.reading)[0]
    assert (answer.verdict, answer.detail) == ("failed", "at once after writing a replaced one is the old one and a deleted one is found")


@pytest.mark.parametrize(
    ("lie", "look", "verdict", "says"),
    [
        (hiding, probe_place.listing, "warning", "4 of 4 new objects are not listed"),
        (hiding, probe_service.start_after, "warning", "not known"),
        (forgetting, probe_service.paging, "failed", "leaves 2 out"),
        (mistaken, probe_service.etag, "failed", "ETags look like an MD5 and are another one"),
        (growing, probe_service.sizes, "failed", "have another size in the listing than by HEAD"),
    ],
)
def test_what_a_lie_endangers_is_told(
    moto_server: MotoServer, lie: Answering, look: Callable[[Scratch], Answer], verdict: str, says: str
) -> None:
    proxy = S3Proxy(moto_server.endpoint_url)
    proxy.answering_kind = lie
    answer = probed(moto_server, proxy, look)[0]
    assert (answer.verdict, says in answer.detail) == (verdict, True), answer


def test_a_living_bucket_is_only_read_and_its_lies_are_told(moto_server: MotoServer) -> None:
    bucket = moto_server.create_bucket()
    for number in range(6):
        moto_server.client().put_object(Bucket=bucket, Key=f"o{number}", Body=b"x" * number)
    proxy = S3Proxy(moto_server.endpoint_url)
    proxy.answering_kind = mistaken
    address = replace(moto_server.address(bucket), endpoint_url=proxy.endpoint_url)
    book = Book(SILENT)
    with proxy:
        reached = book.learn("bucket", lambda: check_stores.reach(address, lambda _: open_place(address, NO_KEYS)))
        probe_bucket_of(address, reached, book, named=lambda name: name)
    found = {each.name: each.answer for each in book.close().checks}
    assert found["probe.bucket.etag_md5"].verdict == "failed"
    assert found["probe.bucket.list_head"].verdict == "warning"
    assert found["probe.bucket.paging"].detail == "5 objects are listed, each once, in 3 pages"
    assert found["probe.bucket.range"].verdict == "ok"
    assert set(proxy.counts) <= {"GET", "HEAD", "LIST"}
