"""Measures what server-side copy saves: a backup, a copy and a restore within one S3 service that is far away; prints a table.

Answers come 20 ms later and a connection carries 1 MiB a second each way. SeaweedFS tells no SHA-256, so what it copies into the repository
is read once; out of it, it is proven by its ETag.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from deployments import Deployment, Place, Shape, servers
from measuring import Measured, measure
from peers import BIN
from throttle import Travelled, throttled, travelled

LATENCY_SECONDS = 0.02
BYTES_PER_SECOND = 1 << 20
WAYS = ("--no-server-side-copy", "--server-side-copy")


@dataclass(frozen=True, slots=True)
class Row:
    """One command, one way."""

    command: str
    way: str
    took: Measured
    travelled: Travelled

    def as_line(self) -> str:
        """A row of the table."""
        objects, mib = json.loads(self.took.output)["objects"], 1 << 20
        return (
            f"| {self.command} | `{self.way}` | {objects['by_service']} | {self.travelled.received / mib:.0f} "
            f"| {self.travelled.sent / mib:.0f} | {self.took.seconds:.1f} | {self.took.cpu_seconds:.1f} | {self.took.peak_bytes >> 20} |"
        )


def main() -> None:
    """Fill a deployment, and take each command both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=2_000)
    parser.add_argument("--size", type=int, default=512 << 10, help="of each object, in bytes")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-bench-")))
        place = stack.enter_context(servers(directory))
        deployment = place.deployment(Shape("near", chosen.objects, chosen.size))
        far = throttled(
            place.store.endpoint_url, latency_seconds=LATENCY_SECONDS, bytes_per_second=BYTES_PER_SECOND, count=directory / "count"
        )
        endpoint = stack.enter_context(far)
        print("| command | | objects by the service | MiB received | MiB sent | seconds | CPU seconds | memory, MiB |")
        print("|---|---|---|---|---|---|---|---|")
        for way in WAYS:
            for row in _rows(place, deployment, endpoint, way):
                print(row.as_line(), flush=True)


def _rows(place: Place, deployment: Deployment, endpoint: str, way: str) -> list[Row]:
    number = WAYS.index(way)
    repo, mirror, target = (f"s3://{place.empty_bucket(f'{name}-{number}')}" for name in ("repository", "mirror", "target"))
    lockstep, shared = str(BIN / "lockstep"), ["--endpoint-url", endpoint, way, "--json", "--repo", f"{repo}/r"]
    commands = {
        "backup": ["backup", "--database", deployment.conninfo, "--bucket", f"s3://{deployment.bucket}"],
        "copy": ["copy", f"{mirror}/m"],
        "restore": ["restore", "latest", "--only", "objects", "--bucket", target],
    }
    rows = []
    for name, command in commands.items():
        before = travelled(place.directory / "count")
        took = measure(shlex.join([lockstep, *command, *shared]), environment=place.store.environment(), log=place.directory / "errors.log")
        rows.append(Row(name, way, took, travelled(place.directory / "count").since(before)))
        print(f"{name} {way}: {took.seconds:.1f} s", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    main()
