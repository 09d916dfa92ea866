"""Turns what the tests of faults counted into the tables of `docs/explanation/faults.md`: `python tests/support/fault_tables.py REPORT…`.

Each test says what it did in properties of its JUnit report; of a test that failed there are none, so whatever is counted here ended well.
Several reports, of runs of parts (`make test-faults ARGS="-k …" FAULTS=build/part.xml`), are counted together.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

SIGNALS = ("KILL", "TERM", "INT")
WHERE = ("disk", "s3")


def main(reports: Sequence[Path]) -> str:
    """All tables, as Markdown."""
    found = list(properties(reports))
    parts = [
        kill_table([each for name, each in found if name == "kills"]),
        random_table([each for name, each in found if name == "random kills"]),
        store_table([each for name, each in found if name == "store faults"]),
    ]
    return "\n".join(part for part in parts if part)


def properties(reports: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the tests that ended well said of themselves; of a test that ran several times, what it said last."""
    last: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for report in reports:
        for case in ET.parse(report).iter("testcase"):
            if case.find("failure") is None and case.find("error") is None:
                said = [(str(each.get("name")), json.loads(str(each.get("value")))) for each in case.iter("property")]
                which = str(said[0][1].get("seed")) if said else ""  # another seed is another run, not the same once more
                last[f"{case.get('classname')}.{case.get('name')}", which] = said
    for each in last.values():
        yield from each


def kill_table(runs: Sequence[dict[str, Any]]) -> str:
    """Of each operation and each of its steps, how often it was stopped there."""
    columns = [(where, signal) for where in WHERE for signal in SIGNALS]
    there = [column for column in columns if any((run["where"], run["signal"]) == column for run in runs)]
    counts = Counter((run["operation"], step, run["where"], run["signal"]) for run in runs for step in run["steps"])
    if not counts:
        return ""
    titles = [f"{'SIG' if signal != 'INT' else 'Ctrl-C'}{signal if signal != 'INT' else ''}, {where}" for where, signal in there]
    lines = [row("operation", "step", *titles, "sound"), row(*["---"] * (3 + len(there)))]
    for operation in dict.fromkeys(run["operation"] for run in runs):
        for step in sorted({step for name, step, *_ in counts if name == operation}):
            cells = [counts[operation, step, *column] for column in there]
            lines.append(row(operation, f"`{step}`", *(cell or "" for cell in cells), f"{sum(cells)} of {sum(cells)}"))
    whole = [sum(counts[name, step, *column] for name, step, *rest in counts if tuple(rest) == column) for column in there]
    lines.append(row("**all**", "", *whole, f"**{sum(whole)} of {sum(whole)}**"))
    return "\n".join([*lines, ""])


def random_table(runs: Sequence[dict[str, Any]]) -> str:
    """Of the kills at random moments, what came of them, over all seeds."""
    lines = [
        row("operation", "objects", "seeds", "kills", "sound", "came of it", "killed behind the commit", "ended before the kill"),
        row(*["---"] * 8),
    ]
    for operation in dict.fromkeys(run["operation"] for run in runs):
        own = [run for run in runs if run["operation"] == operation]
        total = Counter[str]()
        for run in own:
            total.update({name: run.get(name, 0) for name in ("kills", "came of it", "behind", "ended before")})
        objects = ", ".join(str(each) for each in sorted({run["objects"] for run in own}))
        seeds = ", ".join(str(each) for each in sorted({run["seed"] for run in own}))
        sound = f"{total['kills']} of {total['kills']}"
        lines.append(row(operation, objects, seeds, total["kills"], sound, total["came of it"], total["behind"], total["ended before"]))
    return "\n".join([*lines, ""]) if runs else ""


def store_table(runs: Sequence[dict[str, Any]]) -> str:
    """Of each kind of fault, how many requests there were, how many of them met it, and how it ended."""
    lines = [row("fault", "in", "of the requests", "requests", "injected", "sent again", "backup, restore, verify"), row(*["---"] * 7)]
    for kind, where in dict.fromkeys((run["kind"], run["where"]) for run in runs):
        own = [run for run in runs if (run["kind"], run["where"]) == (kind, where)]
        sums = [sum(run[name] for run in own) for name in ("requests", "injected", "overcome")]
        lines.append(row(f"`{kind}`", where, f"{own[0]['rate']:.0%}", *sums, ", ".join(f"exit {run['exit']}" for run in own)))
    return "\n".join([*lines, ""]) if runs else ""


def row(*cells: object) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.stdout.write(main([Path(each) for each in sys.argv[1:]]))
