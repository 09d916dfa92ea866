"""Sees to it that a throw-away server does not outlive the process that started it, even when that is killed with SIGKILL.

A guard is a small shell that waits on a pipe whose other end only we hold: when we are gone, by whatever way, it reads the end of the
file, ends the server and removes its temporary directory. That needs no feature of one system alone (Linux's PR_SET_PDEATHSIG would
follow the thread that started the server, and run Python between fork and exec in a process with threads). Where the guard is killed
as well, `remove_leftovers` does its work the next time; a lock on a file in the directory tells the living from the dead, also where
several containers share a directory of temporary files.
Source: POSIX, "Shell Command Language"; flock(2); PostgreSQL manual, "Shutting Down the Server" (SIGQUIT: at once).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

PREFIX = "lockstep-pg-"
_OWNER = "owner"
_PATIENCE_SECONDS = 10.0

# $1: the data directory, $2: the temporary directory. The server's first line in postmaster.pid is its process id.
_SCRIPT = """
trap '' INT TERM HUP
read -r _
command_of() {
    if [ -r "/proc/$1/cmdline" ]; then tr '\\0' ' ' <"/proc/$1/cmdline"; else ps -ww -o command= -p "$1"; fi 2>/dev/null
}
end() {
    pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null)
    case $(command_of "${pid:-0}") in *"$1"*) kill "-$2" "$pid" 2>/dev/null;; *) return 1;; esac
}
tries=0
while end "$1" QUIT && [ "$tries" -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
end "$1" KILL
tries=0
while [ -e "$2" ] && [ "$tries" -lt 50 ]; do rm -rf -- "$2"; tries=$((tries + 1)); sleep 0.1; done
"""


class Guard:
    """Watches over a temporary directory and the server whose data directory it is told. One a server."""

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary
        self._owner: IO[bytes] = (temporary / _OWNER).open("wb")
        fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._watcher: subprocess.Popen[bytes] | None = None

    def watch(self, data_directory: Path) -> None:
        """Begin to watch, before the server is started."""
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "lockstep-guard", str(data_directory), str(self._temporary)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # what ends our whole group leaves it alone
        )

    def end(self) -> None:
        """Stop watching: the server is over."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.kill()
            watcher.wait()
            if watcher.stdin is not None:
                watcher.stdin.close()
        self._owner.close()


def remove_leftovers(places: Iterable[Path]) -> int:
    """Remove what killed processes left of their throw-away servers in directories of temporary files; returns how many there were.

    A server that still runs there is ended. What belongs to a living process, or to another user, is left alone.
    """
    count = 0
    for place in dict.fromkeys(places):
        for found in sorted(place.glob(f"{PREFIX}*")):
            with suppress(OSError):
                if found.stat().st_uid == os.getuid() and _is_orphaned(found):
                    _end_server(found)
                    shutil.rmtree(found, ignore_errors=True)
                    count += 1
    return count


def _is_orphaned(directory: Path) -> bool:
    """True when nobody holds the lock. A directory without the file is being made at this moment."""
    try:
        with (directory / _OWNER).open("rb") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


def _end_server(directory: Path) -> None:
    for known in directory.glob("*/data/postmaster.pid"):
        pid = known.read_text().split("\n", 1)[0]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while pid.isdigit() and str(known.parent) in _command_of(pid) and time.monotonic() < deadline:
            os.kill(int(pid), signal.SIGQUIT)
            time.sleep(0.1)


def _command_of(pid: str) -> str:
    known = Path("/proc", pid, "cmdline")
    if known.parent.parent.is_dir():
        return known.read_bytes().replace(b"\0", b" ").decode(errors="replace") if known.exists() else ""
    return subprocess.run(["ps", "-ww", "-o", "command=", "-p", pid], capture_output=True, text=True, check=False).stdout
