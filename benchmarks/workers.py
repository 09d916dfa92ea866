"""Measures a full backup, or the reading of a repository, in one process and in several, from a store that is far away; prints a table.

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
    parser.add_argument("--verify", action="store_true", help="read a repository that lies in the far store, in place of a backup from it")
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
        lockstep, environment = str(BIN / "lockstep"), place.store.environment()
        source = ["--database", deployment.conninfo, "--bucket", f"s3://{deployment.bucket}", "--endpoint-url"]
        if chosen.verify:
            kept = f"s3://{place.store.create_bucket()}/repository"
            near = shlex.join([lockstep, "backup", *source, place.store.endpoint_url, "--repo", kept])
            measure(near, environment=environment, log=directory / "errors.log")
            environment |= {"LOCKSTEP_REPO_ENDPOINT_URL": endpoint}
            command = [lockstep, "verify", "--repo", kept, "--read-data", "--json"]
        else:
            command = [lockstep, "backup", *source, endpoint, "--repo", str(directory / "repository"), "--json"]
        seen: dict[int, list[Measured]] = {workers: [] for workers in chosen.workers}
        for number in range(chosen.rounds):
            for workers in chosen.workers:
                shutil.rmtree(directory / "repository", ignore_errors=True)
                asked = [*command, *(["--workers", str(workers)] if workers else [])]
                found = measure(shlex.join(asked), environment=environment, log=directory / "errors.log")
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
        amounts = [_amount(run) for run in runs]
        rate = statistics.median(objects / seconds for objects, _, seconds in amounts)
        speed = statistics.median(size_bytes / seconds for _, size_bytes, seconds in amounts) / (1 << 20)
        ratio = statistics.median(one.seconds / other.seconds for one, other in zip(first, runs, strict=True))
        seconds, cpu = statistics.median(run.seconds for run in runs), statistics.median(run.cpu_seconds for run in runs)
        memory = max(run.peak_bytes for run in runs) >> 20
        lines.append(f"| {workers or 'none'} | {seconds:.1f} | {rate:.0f} | {speed:.1f} | {ratio:.2f} | {cpu:.1f} | {memory} |")
    return "\n".join(lines)


def _amount(run: Measured) -> tuple[int, int, float]:
    """Objects, bytes, and the seconds that they took; of a verification, which is little else, those of the whole run."""
    found = json.loads(run.output)
    if "checked" in found:
        return found["checked"]["objects_read"], found["checked"]["bytes"], run.seconds
    objects = found["objects"]
    return objects["new"], objects["copied_bytes"], objects["seconds"]


if __name__ == "__main__":
    main()
