"""Child processes that never outlive the work they were started for, and never block on their own error output."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self, cast

from lockstep.errors import ClientToolFailed, DiskFailed

_ERRORS_KEPT_BYTES = 32_768  # per end of the error output: enough for every message a person reads, bounded for the one who floods
_GRACE_SECONDS = 5.0  # pg_dump -j needs a moment to cancel its workers' queries; after that nothing is left that deserves patience
_PIPE_BYTES = 1 << 20  # lets two processes run apart for a moment; Linux allows this much to everyone


class Child:
    """A started program: its own process group, its error output in an unnamed file.

    Use it in a `with`: on the way out a child that still runs is ended, with all that it started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> None:
        self.name = Path(arguments[0]).name
        try:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
            self.process = subprocess.Popen(
                arguments,
                env=dict(environment),
                stdin=stdin,
                stdout=stdout,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C reaches lockstep alone, which ends its children in order
                umask=0o077,
            )
        except FileNotFoundError as error:
            raise ClientToolFailed(f"{arguments[0]} is not there", hint="Install the client programs of PostgreSQL.") from error
        except PermissionError as error:
            raise ClientToolFailed(f"{arguments[0]} may not be run", hint="Check the permissions of the client programs.") from error
        except OSError as error:
            raise self._not_started(error) from error
        try:
            self._guard = _Guard(self.process.pid)
        except OSError as error:  # no more processes, or no memory
            self.end()
            raise self._not_started(error) from error
        for pipe in (self.process.stdin, self.process.stdout):
            _widen(pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()
        self._guard.end()
        self._errors.close()

    @property
    def stdout(self) -> IO[bytes]:
        """The child's output; it was started with a pipe."""
        return cast(IO[bytes], self.process.stdout)

    @property
    def stdin(self) -> IO[bytes]:
        """The child's input; it was started with a pipe."""
        return cast(IO[bytes], self.process.stdin)

    def errors(self) -> str:
        """What the child wrote to its error output: the beginning and the end when it is long."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(0)
        text = self._errors.read(_ERRORS_KEPT_BYTES)
        if size > 2 * _ERRORS_KEPT_BYTES:
            self._errors.seek(size - _ERRORS_KEPT_BYTES)
        return (text + self._errors.read(_ERRORS_KEPT_BYTES)).decode(errors="replace")

    def wait(self, tick: Callable[[], None] | None = None) -> int:
        """Wait for the end and return the exit status. `tick` is called a few times a second and may raise to stop the work."""
        while True:
            try:
                return self.process.wait(timeout=0.2 if tick else None)
            except subprocess.TimeoutExpired:
                if tick:
                    tick()

    def end(self) -> None:
        """End the child and all that it started. Nothing happens when it is over already."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_SECONDS
            while self.process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            self._signal(signal.SIGKILL)
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # bytes that were never sent: the reader is gone
                    continue

    def kill(self) -> None:
        """End the child at once, without letting it finish anything."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _not_started(self, error: OSError) -> DiskFailed:
        return DiskFailed(f"{self.name} cannot be started: {error.strerror}", hint="Check memory and the temporary directory.")

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):  # already over (macOS says EPERM for a group of zombies)
            return


class _Guard:
    """A small shell that ends a child's group when we are gone, by whatever way; see `lockstep.postgres.guard`.

    Without it a pg_restore would go on filling a database that nobody waits for, and the next run would find it in use.
    """

    _SCRIPT = "trap '' INT TERM HUP; read -r _; kill -KILL -- \"-$1\""

    def __init__(self, group: int) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", self._SCRIPT, "lockstep-guard", str(group)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # what ends our whole group leaves it alone
        )

    def end(self) -> None:
        """Stop watching: the child is over."""
        self._shell.kill()
        self._shell.wait()
        if self._shell.stdin is not None:
            self._shell.stdin.close()


def plain_environment() -> dict[str, str]:
    """Our own environment without what would lead a client program to a server, and with messages in English, which are read."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment.pop("LANGUAGE", None)
    return {**environment, "LC_ALL": "C"}


def how_it_ended(name: str, status: int) -> str:
    """A clause about an exit status: "pg_dump was killed by SIGKILL", "pg_dump ended with exit status 1"."""
    if status < 0:
        try:
            return f"{name} was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"{name} was killed by signal {-status}"
    return f"{name} ended with exit status {status}"


def _widen(pipe: IO[bytes] | None) -> None:
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if pipe is None or set_size is None:
        return
    try:
        fcntl.fcntl(pipe, set_size, _PIPE_BYTES)
    except OSError:  # the user's share of pipe memory is used up: it works with less
        return
