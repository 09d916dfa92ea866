"""`make bench`: lockstep beside other tools, on the same servers in the same run; medians of ratios, pair by pair.

Absolute times depend on the machine and its mood. Ratios within a round do not, so those are what is reported.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import page
from cases import CASES, Case
from deployments import Place, servers
from measuring import Measured, measure
from peers import Way

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> None:
    """Run the chosen cases and print their tables; with --write put them into the page of the documentation, with a plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; slow peers are measured once (default 3)")
    names = [case.name for case in CASES]
    parser.add_argument("--case", choices=names, action="append", metavar="NAME", help=f"only this one, repeatable: {', '.join(names)}")
    parser.add_argument("--only-lockstep", action="store_true", help="leave the slow peers out")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep servers and repositories here; the next run with it fills nothing")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name} and its plot")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        directory = chosen.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-bench-")))
        directory.mkdir(parents=True, exist_ok=True)
        place = stack.enter_context(servers(directory.resolve()))
        results = []
        for case in CASES:
            if not chosen.case or case.name in chosen.case:
                results.append(run_case(case, place, rounds=chosen.rounds, slow=not chosen.only_lockstep))
                print(page.as_table(results[-1]), flush=True)
                if chosen.write:
                    page.write(PAGE, results)


def run_case(case: Case, place: Place, *, rounds: int, slow: bool) -> page.Result:
    """Measure all ways in turn, `rounds` times."""
    print(f"preparing: {case.title}", file=sys.stderr)
    deployment = place.deployment(case.shape)
    ways = [way for way in case.ways(place, deployment) if slow or not way.slow]
    seen: dict[str, list[Measured]] = {way.name: [] for way in ways}
    for number in range(rounds):
        if case.before_round is not None:
            case.before_round(deployment)
        for way in ways:
            if number == 0 or not way.slow:
                seen[way.name].append(_measured(way, place))
                print(f"round {number + 1}: {way.name}: {seen[way.name][-1].seconds:.2f} s", file=sys.stderr)
    return page.Result(case.name, case.title, ways, seen)


def _measured(way: Way, place: Place) -> Measured:
    way.before()
    os.sync()  # what the way before left to be written is not this one's to wait for
    found = measure(way.command, environment=place.store.environment(), log=place.directory / "errors.log")
    if way.left is not None and (left := way.left()) != way.expected:
        raise SystemExit(f"{way.name} left {left} objects, not {way.expected}: what it took says nothing")
    if way.seconds_in is None:
        return found
    return Measured(way.seconds_in(found.output), found.cpu_seconds, found.peak_bytes, found.output)


if __name__ == "__main__":
    main()
