"""The named steps of operations, at which a test can end or suspend the process; nothing at all unless the environment asks for it.

`_LOCKSTEP_STEP=<step>:<signal>` sends the process a signal when it comes to the step; `<step>#<n>:<signal>` when it comes there for the
n-th time; several stand with commas between. KILL takes the whole process group, as the end of a machine would.
`_LOCKSTEP_STEPS_TO=<file>` writes down each step that is reached, a line each. The tests in `tests/faults` hold that every step that the
code names is reached and outlived.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

INTERRUPT = "_LOCKSTEP_STEP"
RECORD = "_LOCKSTEP_STEPS_TO"

_signals = dict(each.split(":") for each in os.environ.get(INTERRUPT, "").split(",") if each)
_record = os.environ.get(RECORD, "")
_passed: Counter[str] = Counter()
_counting = threading.Lock()


def step(name: str) -> None:
    """Come to a step of an operation."""
    if _signals or _record:
        _come_to(name)


def _come_to(name: str) -> None:
    with _counting:
        _passed[name] += 1
        times = _passed[name]
    if _record:
        with open(_record, "a", encoding="ascii") as file:  # noqa: PTH123 - in one write, since many threads pass here
            file.write(f"{name}\n")
    wanted = _signals.get(f"{name}#{times}") or (_signals.get(name) if times == 1 else None)
    if wanted:
        number = signal.Signals[f"SIG{wanted}"]
        if number is signal.SIGKILL:
            os.killpg(os.getpgrp(), number)
        os.kill(os.getpid(), number)
