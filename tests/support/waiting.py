"""Waits for what a process beside the test is about to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from support.world import Deployment


def wait_for(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait until something is so; a test that waits in vain fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """True for a process that has not ended; one that nobody has asked about yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def words_of(pid: int) -> str:
    """The arguments of a process, which everybody on the machine can see."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def wait_until_stopped(pid: int, *, seconds: float = 30) -> None:
    """Wait until a process stands still, as SIGSTOP makes it."""
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T", seconds=seconds)


@contextmanager
def dump_that_waits(source: Deployment) -> Iterator[psycopg.Connection]:
    """Keep pg_dump waiting behind all of its locks on tables, until the session that is given is rolled back or closed."""
    source.execute("CREATE SEQUENCE held")
    with source.connect() as blocker:
        blocker.execute("DROP SEQUENCE held")
        yield blocker
        blocker.rollback()
