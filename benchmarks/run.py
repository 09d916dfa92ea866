"""`make bench`: lockstep beside other tools, on the same servers in the same run; medians of ratios, pair by pair.

Absolute times depend on the machine and its mood. Ratios within a round do not, so those are what is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import peers
from deployments import Deployment, make_deployment, servers
from measuring import Measured, measure

from lockstep.postgres.embedded import available_servers
from lockstep.version import __version__

Maker = Callable[[Deployment, Path], Sequence[peers.Peer]]
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True)
class Case:
    """A deployment, and what is done with it: `again` measures a second run into the same target, with nothing new."""

    name: str
    objects: int
    size_bytes: int
    again: bool
    peers: tuple[str, ...]


CASES = (
    Case("full backup, 20,000 objects of 4 KiB", 20_000, 4096, again=False, peers=("manual", "rclone", "s5cmd")),
    Case("full backup, 4,000 objects of 256 KiB", 4_000, 262_144, again=False, peers=("manual", "rclone", "s5cmd")),
    Case("nothing new, 200,000 objects", 200_000, 64, again=True, peers=("bare_dump", "rclone")),
    Case("nothing new, 1,000,000 objects", 1_000_000, 64, again=True, peers=("bare_dump",)),
)


def main() -> None:
    """Run the chosen cases and print their tables; with --write put them into the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", type=int, action="append", help="number of a case, from 1; all by default")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    chosen = parser.parse_args()
    cases = [CASES[number - 1] for number in chosen.case or range(1, len(CASES) + 1)]
    tables = []
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as directory, servers(Path(directory) / "servers") as (database, store):
        pg_dump = str(max(available_servers().items())[1] / "pg_dump")
        for number, case in enumerate(cases):
            deployment = make_deployment(database, store, f"case{number}")
            print(f"filling: {case.name}", file=sys.stderr)
            for first in range(0, case.objects, 20_000):
                deployment.add(first, min(20_000, case.objects - first), case.size_bytes)
            deployment.psql("VACUUM ANALYZE")
            tables.append(run_case(case, deployment, Path(directory) / f"case{number}", rounds=chosen.rounds, pg_dump=pg_dump))
            print(tables[-1])
    if chosen.write:
        PAGE.write_text(as_page(tables), encoding="utf-8")


def run_case(case: Case, deployment: Deployment, target: Path, *, rounds: int, pg_dump: str) -> str:
    """Measure all in turn, `rounds` times; returns a table."""
    made = [peers.lockstep(deployment, target), *(getattr(peers, name)(deployment, target, pg_dump=pg_dump) for name in case.peers)]
    seen: dict[str, list[Measured]] = {peer.name: [] for peer in made}
    if case.again:
        target.mkdir(parents=True)
        for peer in made:
            measure(["sh", "-c", peer.command], environment=deployment.environment)
    for _ in range(rounds):
        for peer in made:
            if not case.again:
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(parents=True)
            seen[peer.name].append(measure(["sh", "-c", peer.command], environment=deployment.environment))
    return as_table(case, made, seen)


def as_table(case: Case, made: Sequence[peers.Peer], seen: dict[str, list[Measured]]) -> str:
    """The figures of a case in Markdown: medians, and the ratio to lockstep pair by pair."""
    ours = seen["lockstep"]
    requests = json.loads(ours[-1].output)["requests"]
    lines = [f"## {case.name}", "", "| | seconds | times lockstep | CPU seconds | peak memory | settings |", "|---|---|---|---|---|---|"]
    for peer in made:
        runs = seen[peer.name]
        ratio = statistics.median(theirs.seconds / mine.seconds for theirs, mine in zip(runs, ours, strict=True))
        seconds, cpu = (statistics.median(getattr(each, name) for each in runs) for name in ("seconds", "cpu_seconds"))
        peak = max(each.peak_bytes for each in runs) / 1_000_000
        lines.append(f"| {peer.name} | {seconds:.2f} | {ratio:.2f} | {cpu:.2f} | {peak:.0f} MB | {peer.settings} |")
    sent = ", ".join(f"{count} {name.upper()}" for name, count in requests.items() if count)
    return "\n".join([*lines, "", f"Requests of lockstep's last run: {sent or 'none'}. Rounds: {len(ours)}.", ""])


def as_page(tables: Sequence[str]) -> str:
    """The page of the documentation."""
    made_with = f"lockstep {__version__}, {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores."
    head = [
        "# Benchmarks",
        "",
        "Made by `make bench`: real PostgreSQL and SeaweedFS on the same machine as the tools, all in turn, several rounds; the median of",
        "each, and the median of the ratios pair by pair. Memory is that of the whole process tree. Every peer dumps the database too.",
        "",
        made_with,
        "",
    ]
    return "\n".join([*head, *tables])


if __name__ == "__main__":
    main()
