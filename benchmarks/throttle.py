"""A store that is far away: each answer of a TCP service comes later, and each connection carries only so much a second.

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
from urllib.parse import urlsplit

PIECE = 16 << 10
LOOPBACK = "127.0.0.1"


@contextmanager
def throttled(endpoint_url: str, *, latency_seconds: float, bytes_per_second: int) -> Iterator[str]:
    """The address under which a service is far away, for the length of the block."""
    arguments = [endpoint_url, "--latency", str(latency_seconds), "--rate", str(bytes_per_second)]
    with subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://{LOOPBACK}:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def _serve(upstream: tuple[str, int], latency: float, rate: int) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = [0.0]
        try:
            theirs, to_them = await asyncio.open_connection(*upstream)
            await asyncio.gather(_forward(reader, to_them, asked), _slowly(theirs, writer, asked, latency, rate))
        except OSError:
            writer.close()

    server = await asyncio.start_server(handle, LOOPBACK, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[float]) -> None:
    while data := await reader.read(PIECE):
        asked[0] = time.monotonic()
        writer.write(data)
        await writer.drain()
    writer.close()


async def _slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[float], latency: float, rate: int) -> None:
    free_at = 0.0  # when what was sent so far would have arrived
    while data := await reader.read(PIECE):
        free_at = max(free_at, asked[0] + latency) + len(data) / rate
        await asyncio.sleep(free_at - time.monotonic())
        writer.write(data)
        await writer.drain()
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint_url")
    parser.add_argument("--latency", type=float, required=True)
    parser.add_argument("--rate", type=int, required=True)
    chosen = parser.parse_args()
    place = urlsplit(chosen.endpoint_url)
    asyncio.run(_serve((str(place.hostname), int(place.port or 80)), chosen.latency, chosen.rate))
