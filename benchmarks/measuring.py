"""Runs a command and says what its whole process tree took: seconds, CPU seconds, peak memory in bytes."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a command; `output` is its standard output."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def measure(command: str, *, environment: Mapping[str, str], log: Path) -> Measured:
    """Run a shell command to its end; its errors go to `log`. Ends the benchmark with all that it said when it fails."""
    before, started = _children_cpu(), time.monotonic()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"set -e; {command}"], env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        peak: list[int] = [0]
        watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
        watcher.start()
        output, _ = process.communicate()
    seconds = time.monotonic() - started
    watcher.join()
    if process.returncode:
        raise SystemExit(f"status {process.returncode} of {command}\n{output}\n{log.read_text(errors='replace')}")
    return Measured(seconds, _children_cpu() - before, peak[0], output)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(pid: int, peak: list[int]) -> None:
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            peak[0] = max(peak[0], sum(_memory(each) for each in [root, *root.children(recursive=True)]))
            time.sleep(LOOK_SECONDS)
    except psutil.Error:
        return


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
