"""A store that is far away: each answer of a TCP service comes later, and each connection carries only so much a second each way.

It runs as a process of its own, so that what it costs is not counted with what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PIECE = 16 << 10
COUNT_SECONDS = 0.2
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Travelled:
    """Bytes that have gone to a service and come from it."""

    sent: int
    received: int

    def since(self, before: Travelled) -> Travelled:
        """Those that were not counted before."""
        return Travelled(self.sent - before.sent, self.received - before.received)


def travelled(count: Path) -> Travelled:
    """What a throttled service that counts has carried by now."""
    time.sleep(3 * COUNT_SECONDS)
    return Travelled(*map(int, count.read_text().split()))


@contextmanager
def throttled(endpoint_url: str, *, latency_seconds: float, bytes_per_second: int, count: Path | None = None) -> Iterator[str]:
    """The address under which a service is far away, for the length of the block; what it carries is written to the file `count`."""
    arguments = [endpoint_url, "--latency", str(latency_seconds), "--rate", str(bytes_per_second)]
    arguments += ["--count", str(count)] if count else []
    with subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://{LOOPBACK}:{int(process.stdout.readline())}"
        finally:
            process.kill()


class _Far:
    """The way to the service."""

    def __init__(self, upstream: tuple[str, int], latency: float, rate: int, count: Path | None) -> None:
        self._upstream, self._latency, self._rate, self._count = upstream, latency, rate, count
        self._sent = self._received = 0

    async def serve(self) -> None:
        server = await asyncio.start_server(self._handle, LOOPBACK, 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        if self._count is not None:
            counting = asyncio.create_task(self._write(self._count))
            counting.add_done_callback(lambda _: server.close())
        await server.serve_forever()

    async def _write(self, count: Path) -> None:
        while True:
            made = count.with_suffix(".new")
            made.write_text(f"{self._sent} {self._received}")
            made.rename(count)
            await asyncio.sleep(COUNT_SECONDS)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = [0.0]
        try:
            theirs, to_them = await asyncio.open_connection(*self._upstream)
            await asyncio.gather(self._forward(reader, to_them, asked), self._slowly(theirs, writer, asked))
        except OSError:
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[float]) -> None:
        free_at = 0.0  # when what was sent so far would have arrived
        while data := await reader.read(PIECE):
            self._sent += len(data)
            free_at = max(free_at, time.monotonic()) + len(data) / self._rate
            if len(data) == PIECE:  # a body: the little that a request has beside it takes no time worth counting
                await asyncio.sleep(free_at - time.monotonic())
            asked[0] = time.monotonic()
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _slowly(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[float]) -> None:
        free_at = 0.0
        while data := await reader.read(PIECE):
            self._received += len(data)
            free_at = max(free_at, asked[0] + self._latency) + len(data) / self._rate
            await asyncio.sleep(free_at - time.monotonic())
            writer.write(data)
            await writer.drain()
        writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint_url")
    parser.add_argument("--latency", type=float, required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--count", type=Path)
    chosen = parser.parse_args()
    place = urlsplit(chosen.endpoint_url)
    asyncio.run(_Far((str(place.hostname), int(place.port or 80)), chosen.latency, chosen.rate, chosen.count).serve())
