"""What a repository takes beside the objects themselves: many snapshots with few new objects each, before and after a prune.

Run it as `.venv/bin/python benchmarks/growth.py`; at its defaults it takes about ten minutes.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from deployments import CHUNK, Deployment, Place, Shape, servers
from measuring import Measured, measure

SIZE_BYTES = 64


def main() -> None:
    """Fill, back up again and again, prune, and print what there is by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=200_000, help="at the beginning (default 200000)")
    parser.add_argument("--new", type=int, default=200, help=f"between two snapshots, at most {CHUNK} (default 200)")
    parser.add_argument("--gone", type=int, default=0, help="rows that are deleted between two snapshots (default 0)")
    parser.add_argument("--snapshots", type=int, default=40, help="(default 40)")
    parser.add_argument("--keep-last", type=int, default=7, help="what the prune keeps (default 7)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep servers and repository here")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        directory = chosen.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-growth-")))
        directory.mkdir(parents=True, exist_ok=True)
        place = stack.enter_context(servers(directory.resolve()))
        deployment = place.deployment(Shape("growth", chosen.objects, SIZE_BYTES))
        repository = directory.resolve() / "repository"
        for day in range(chosen.snapshots):
            if day:
                deployment.live_on(day, new=chosen.new, size_bytes=SIZE_BYTES, gone=chosen.gone)
            taken = _run(
                place, deployment, f"backup --database {shlex.quote(deployment.conninfo)} --bucket s3://{deployment.bucket}", repository
            )
            print(f"snapshot {day + 1} of {chosen.snapshots}: {taken.seconds:.1f} s", file=sys.stderr)
            if day == 0:
                first = _by_kind(repository)
        before = _by_kind(repository)
        _print(
            f"{chosen.snapshots} snapshots, growth since the first for each",
            {k: v - first[k] for k, v in before.items()},
            chosen.snapshots - 1,
        )
        _print("all of it", before, 1)
        pruned = _run(place, deployment, f"prune --keep-last {chosen.keep_last} --yes", repository)
        after, told = _by_kind(repository), json.loads(pruned.output)
        _print(f"after a prune to {len(told['kept'])} ({pruned.seconds:.1f} s, {pruned.peak_bytes / 1e6:.0f} MB at most)", after, 1)
        freed = sum(before.values()) - sum(after.values())
        print(f"objects removed: {told['objects_removed']:,}; bytes freed: {told['bytes_freed']:,} told, {freed:,} seen")


def _run(place: Place, deployment: Deployment, command: str, repository: Path) -> Measured:
    line = f"{shlex.quote(sys.executable)} -m lockstep {command} --repo {shlex.quote(str(repository))} --json"
    return measure(line, environment=deployment.environment, log=place.directory / "errors.log")


def _by_kind(repository: Path) -> Counter[str]:
    """Bytes of all files but the objects."""
    found: Counter[str] = Counter()
    for path in repository.rglob("*"):
        parts = path.relative_to(repository).parts
        if path.is_file() and parts[0] not in {"objects", "odd"}:
            name = path.stem.partition("-")[0] if parts[0] == "snapshots" else parts[0]
            found["dumps" if name == "database" else name] += path.stat().st_size
    return found


def _print(title: str, found: Counter[str] | dict[str, int], snapshots: int) -> None:
    kinds = ", ".join(f"{kind} {size / snapshots:,.0f}" for kind, size in sorted(found.items()) if size)
    beside = sum(size for kind, size in found.items() if kind != "dumps")
    print(f"{title}: {sum(found.values()) / snapshots:,.0f} bytes, {beside / snapshots:,.0f} without dumps ({kinds})", flush=True)


if __name__ == "__main__":
    main()
