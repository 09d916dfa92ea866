"""Transfers of libcurl: many requests under way at once, all of them driven by the one thread that asks what has ended."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import pycurl

from lockstep.errors import LockstepError
from lockstep.objects.limits import HTTP, LANE
from lockstep.objects.memory import MemoryBody
from lockstep.objects.plain_requests import Question

_REASONS = {
    pycurl.E_COULDNT_RESOLVE_HOST: "unknown host",
    pycurl.E_COULDNT_CONNECT: "connection refused",
    pycurl.E_OPERATION_TIMEDOUT: "no answer in time",
    pycurl.E_PARTIAL_FILE: "the connection broke off",
    pycurl.E_GOT_NOTHING: "the connection broke off",
    pycurl.E_SEND_ERROR: "the connection broke off",
    pycurl.E_RECV_ERROR: "the connection broke off",
}

_NOT_BY_ITSELF = ("Content-Type:", "Expect:")
"""Headers that libcurl would add to a body: here only those that were signed are sent."""


class _Slot:
    """One handle of libcurl, used again and again, and what its present answer has brought."""

    def __init__(self) -> None:
        self.headers: list[bytes] = []
        self.body: list[bytes] = []
        self.item: Any = None
        self.question: Question
        self.handle = pycurl.Curl()
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.CONNECTTIMEOUT, HTTP.connect_timeout_seconds),
            (pycurl.TCP_NODELAY, 1),
            (pycurl.LOW_SPEED_LIMIT, 1),
            (pycurl.MAXFILESIZE, LANE.weight_bytes),
            (pycurl.MAXAGE_CONN, HTTP.idle_seconds),
            (pycurl.HEADERFUNCTION, self.headers.append),
            (pycurl.WRITEFUNCTION, self.body.append),
        ):
            self.handle.setopt(option, value)

    def aim(self, item: Any, question: Question) -> None:
        """Make the handle ready for a request."""
        self.item, self.question = item, question
        self.headers.clear()
        self.body.clear()
        self.handle.setopt(pycurl.URL, question.url)
        if question.data is None:
            self.handle.setopt(pycurl.HTTPHEADER, question.headers)
        else:
            self.handle.setopt(pycurl.HTTPHEADER, [*question.headers, *_NOT_BY_ITSELF])
            self.handle.setopt(pycurl.POSTFIELDS, question.data)
            self.handle.setopt(pycurl.CUSTOMREQUEST, "PUT")
        self.handle.setopt(pycurl.LOW_SPEED_TIME, self.waits)
        if question.url.startswith("https:"):
            _trust(self.handle, question.plain.certificates)

    @property
    def waits(self) -> int:
        """How many seconds the service may be silent."""
        return self.question.plain.silence.seconds(len(self.question.data or b""))

    def answer(self) -> MemoryBody | LockstepError:
        """What came."""
        status = self.handle.getinfo(pycurl.RESPONSE_CODE)
        return self.question.plain.answer(self.question, status, self.headers[1:-1], b"".join(self.body))


class CurlRequests:
    """Requests that are under way, each with what it is for (`item`); all of one run are GETs, or all are PUTs."""

    def __init__(self) -> None:
        self._multi = pycurl.CurlMulti()
        self._free: list[_Slot] = []
        self._busy: dict[Any, _Slot] = {}

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return len(self._busy)

    def begin(self, item: Any, question: Question) -> None:
        """Send a request."""
        question.plain.requests.add("get" if question.data is None else "put")
        slot = self._free.pop() if self._free else _Slot()
        slot.aim(item, question)
        self._busy[slot.handle] = slot
        self._multi.add_handle(slot.handle)

    def answers(self, wait_seconds: float) -> Iterator[tuple[Any, MemoryBody | LockstepError]]:
        """What has ended by now, each once; when nothing has, after the next thing happens or the time is over."""
        self._multi.perform()
        ended = 0
        while True:
            left, well, badly = self._multi.info_read()
            for handle in well:
                slot = self._taken(handle)
                yield slot.item, slot.answer()
                self._free.append(slot)
                ended += 1
            for handle, number, text in badly:
                slot = self._taken(handle)
                plain = slot.question.plain
                yield slot.item, plain.silence.judge(plain.failed(_REASONS.get(number, text)), waited_seconds=slot.waits)
                ended += 1
            if not left:
                break
        if not ended and self._busy:
            self._multi.select(wait_seconds)

    def close(self) -> None:
        """End everything that is under way."""
        for handle in list(self._busy):
            self._multi.remove_handle(handle)
            handle.close()
        for slot in self._free:
            slot.handle.close()
        self._multi.close()

    def _taken(self, handle: Any) -> _Slot:
        self._multi.remove_handle(handle)
        return self._busy.pop(handle)


def _trust(handle: Any, certificates: str | None) -> None:
    if certificates is not None:
        handle.setopt(pycurl.CAINFO_BLOB, certificates)
        return
    paths = ssl.get_default_verify_paths()
    if paths.cafile:  # None where the file is not there
        handle.setopt(pycurl.CAINFO, paths.cafile)
    elif paths.capath:
        handle.setopt(pycurl.CAPATH, paths.capath)
