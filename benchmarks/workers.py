"""Measures a full backup in this process and in several, from a store that is far away; prints a table.

Answers come 20 ms later and a connection carries 128 KiB a second, so that neither the store nor this machine is the limit.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from deployments import Shape, servers
from measuring import Measured, measure
from peers import BIN
from throttle import throttled

LATENCY_SECONDS = 0.02
BYTES_PER_SECOND = 128 << 10


def main() -> None:
    """Fill a deployment, back it up in each way, several times in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=8_000)
    parser.add_argument("--size", type=int, default=64 << 10, help="of each object, in bytes")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4], help="0: in one process, without workers")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-bench-")))
        place = stack.enter_context(servers(directory))
        deployment = place.deployment(Shape("far", chosen.objects, chosen.size))
        endpoint = stack.enter_context(
            throttled(place.store.endpoint_url, latency_seconds=LATENCY_SECONDS, bytes_per_second=BYTES_PER_SECOND)
        )
        seen: dict[int, list[Measured]] = {workers: [] for workers in chosen.workers}
        for number in range(chosen.rounds):
            for workers in chosen.workers:
                shutil.rmtree(directory / "repository", ignore_errors=True)
                command = [
                    str(BIN / "lockstep"), "backup", "--database", deployment.conninfo, "--bucket", f"s3://{deployment.bucket}",
                    "--endpoint-url", endpoint, "--repo", str(directory / "repository"), "--json",
                    *(["--workers", str(workers)] if workers else []),
                ]  # fmt: skip
                found = measure(shlex.join(command), environment=place.store.environment(), log=directory / "errors.log")
                seen[workers].append(found)
                print(f"round {number + 1}, {workers} workers: {found.seconds:.1f} s", file=sys.stderr, flush=True)
        print(as_table(seen))


def as_table(seen: dict[int, list[Measured]]) -> str:
    """A row for each number of workers; ratios are pair by pair against the first."""
    first = next(iter(seen.values()))
    lines = [
        "| workers | seconds | objects/s | MiB/s | times as fast | CPU seconds | memory of all, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for workers, runs in seen.items():
        objects = [json.loads(run.output)["objects"] for run in runs]
        rate = statistics.median(each["new"] / each["seconds"] for each in objects)
        speed = statistics.median(each["copied_bytes"] / each["seconds"] for each in objects) / (1 << 20)
        ratio = statistics.median(one.seconds / other.seconds for one, other in zip(first, runs, strict=True))
        seconds, cpu = statistics.median(run.seconds for run in runs), statistics.median(run.cpu_seconds for run in runs)
        memory = max(run.peak_bytes for run in runs) >> 20
        lines.append(f"| {workers or 'none'} | {seconds:.1f} | {rate:.0f} | {speed:.1f} | {ratio:.2f} | {cpu:.1f} | {memory} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
