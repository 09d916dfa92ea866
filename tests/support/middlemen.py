"""What may stand between lockstep and a server, for tests: a pooler in front of PostgreSQL, an S3 service whose clock is wrong."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOOPBACK = "127.0.0.1"


@contextmanager
def pooler(port: int) -> Iterator[int]:
    """Stands in front of the PostgreSQL server at a port and gives clients process numbers of its own, as poolers do; yields its port.

    Only for sessions without TLS.
    """
    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((LOOPBACK, port))
            threading.Thread(target=_carry, args=(client, server), daemon=True).start()
            threading.Thread(target=_carry_answers, args=(server, client), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _carry_answers(server: socket.socket, client: socket.socket) -> None:
    """Message by message until the session is ready, then as they come. Source: PostgreSQL manual, "Message Formats"."""
    stream = server.makefile("rb")
    with suppress(OSError), client, server:
        while head := stream.read(5):
            kind, length = head[:1], struct.unpack("!I", head[1:])[0]
            body = stream.read(length - 4)
            if kind == b"K":
                body = struct.pack("!I", 1) + body[4:]
            client.sendall(head + body)
            if kind == b"Z":
                break
        while data := stream.read1(65536):
            client.sendall(data)


@contextmanager
def skewed_service(ahead: timedelta) -> Iterator[str]:
    """An S3 service whose clock is ahead and which refuses every request for it; yields its endpoint."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<Error><Code>RequestTimeTooSkewed</Code><Message>The clocks differ.</Message></Error>"
            self.send_response_only(403)
            self.send_header("Date", format_datetime(datetime.now(UTC) + ahead, usegmt=True))
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer((LOOPBACK, 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
        server.shutdown()
