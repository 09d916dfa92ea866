"""Stands between lockstep and an S3 store: counts what was really asked, and lies where a test wants it to."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from lockstep.objects.embedded import LOOPBACK


@dataclass(frozen=True, slots=True)
class Answer:
    """What the proxy says to a request; `cut` closes the connection before the last byte.

    `how` is the fault on the way of it: the connection is reset before or after the headers, the body is cut short, or nothing comes any
    more, before the headers or in the middle of the body.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False
    how: str = ""


STALL_SECONDS = 600
"""Longer than any timeout that lockstep has."""

Answering = Callable[[str, str, Callable[[], Answer]], Answer]
"""Called with the method, the path without the query, and what asks the store itself."""


def _honest(_method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
    return ask()


class S3Proxy:
    """A proxy for the store at `endpoint_url`; `answering` may be set at any time."""

    def __init__(self, endpoint_url: str) -> None:
        self.counts: Counter[str] = Counter()
        self.answering: Answering = _honest
        self.answering_kind: Answering = _honest
        """As `answering`, and called with LIST for a listing; only one of the two is set."""
        self.over = threading.Event()
        self._upstream = urlsplit(endpoint_url)
        self._lock = threading.Lock()
        self._server = _Server((LOOPBACK, 0), type("Handler", (_Handler,), {"proxy": self}))
        self.endpoint_url = f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="s3-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def count(self, kind: str) -> None:
        with self._lock:
            self.counts[kind] += 1

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Ask the store itself, with the Host of the client: it is part of what was signed."""
        connection = http.client.HTTPConnection(str(self._upstream.hostname), self._upstream.port, timeout=30)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() not in {"connection", "expect"}:
                    connection.putheader(name, value)
            connection.endheaders(body)
            got = connection.getresponse()
            return Answer(got.status, dict(got.getheaders()), got.read())
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    proxy: S3Proxy

    def parse_request(self) -> bool:
        known = super().parse_request()
        if known:
            setattr(self, f"do_{self.command}", self._handle)  # one way for every method
        return known

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives
        """Say nothing."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        kind = _kind(self.command, parts.path, parts.query)
        self.proxy.count(kind)
        headers = dict(self.headers.items())

        def ask() -> Answer:
            return self.proxy.ask(self.command, self.path, headers, body)

        if self.proxy.answering_kind is not _honest:
            self._send(self.proxy.answering_kind(kind, unquote(parts.path), ask))
        else:
            self._send(self.proxy.answering(self.command, unquote(parts.path), ask))

    def _send(self, answer: Answer) -> None:
        if answer.how == "reset_before_headers":
            self._reset()
            return
        if answer.how == "stall":
            self._stall()
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = str(len(answer.body)) if self.command != "HEAD" else answer.headers.get("Content-Length", "0")
        self.send_header("Content-Length", length)
        self.end_headers()
        cut = answer.cut or answer.how in {"cut_body", "stall_in_body"}
        if answer.how == "reset_after_headers":
            self._reset()
        elif self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if cut else answer.body)
        if answer.how == "stall_in_body":
            self._stall()
        self.close_connection = self.close_connection or cut

    def _reset(self) -> None:
        """End the connection so that the other side is told of an error, not of an end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _stall(self) -> None:
        """Say nothing until the test is over; the connection stays open."""
        self.wfile.flush()
        self.proxy.over.wait(STALL_SECONDS)
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error of the test."""


def _kind(method: str, path: str, query: str) -> str:
    """LIST for a listing, else the method."""
    if method == "GET" and (
        parse_qs(query, keep_blank_values=True).keys() & {"list-type", "versions", "prefix"} or path.strip("/").count("/") == 0
    ):
        return "LIST"
    return method
