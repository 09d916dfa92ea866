"""Runs a fuzz target: with atheris where it is installed (coverage-guided), else with changes of samples made by chance."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import sys
import time
from collections.abc import Callable, Sequence

Target = Callable[[bytes], None]


def main(target: Target, samples: Sequence[bytes], *, words: Sequence[bytes]) -> None:
    """Give the target inputs until `--runs` or `--seconds` are over. What the target raises is a crash; the input is shown."""
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=20_000)
    options.add_argument("--seconds", type=float, default=float("inf"))
    options.add_argument("--seed", type=int, default=time.time_ns())
    options.add_argument("--no-atheris", action="store_true")
    given = options.parse_args()
    if importlib.util.find_spec("atheris") and not given.no_atheris:
        atheris = importlib.import_module("atheris")
        limit = [] if given.seconds == float("inf") else [f"-max_total_time={int(given.seconds)}"]
        atheris.instrument_all()
        atheris.Setup([sys.argv[0], f"-runs={given.runs}", *limit], target)
        atheris.Fuzz()
        return
    chance, end = random.Random(given.seed), time.monotonic() + given.seconds
    for number in range(given.runs):
        if time.monotonic() > end:
            break
        data = changed(chance, samples, words)
        try:
            target(data)
        except BaseException:
            sys.stderr.write(f"seed {given.seed}, run {number}, input {data!r}\n")
            raise
    else:
        number = given.runs
    sys.stdout.write(f"{number} runs, no crash (seed {given.seed})\n")


def changed(chance: random.Random, samples: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A sample after a few changes: bytes flipped, cut, doubled, words of the format put in, or another sample's piece."""
    data = bytearray(chance.choice(samples))
    for _ in range(chance.randint(1, 6)):
        start, length = chance.randint(0, len(data)), chance.choice((0, 1, 1, 2, 8, 64))
        other = chance.choice(samples)
        at = chance.randint(0, len(other))
        new = chance.choice(
            (b"", chance.randbytes(chance.randint(1, 4)), chance.choice(words), data[start : start + 40] * 2, other[at:][:40])
        )
        data[start : start + length] = new
    return bytes(data)
