"""Runs pg_dump on a frozen view.

Source: PostgreSQL manual, pg_dump: `--snapshot`, `--lock-wait-timeout`, `--compress`, `--jobs`, `--no-sync`.
"""

# ruff: noqa: A002 - `format` is what the command line and the manifest call it
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

from lockstep.errors import ClientToolFailed, DiskFailed
from lockstep.model.database import DumpFormat
from lockstep.postgres.dump_errors import dump_error
from lockstep.postgres.frozen import FrozenView
from lockstep.postgres.processes import Child
from lockstep.postgres.programs import Programs
from lockstep.postgres.sessions import client_environment, live_parameters

DEFAULT_COMPRESSION = "1"
"""gzip at its fastest: a third of the time of level 6 for a tenth more bytes, and every pg_restore reads it (zstd is often left out)."""

_CHUNK_BYTES = 1 << 20


class DumpStream:
    """A running pg_dump."""

    def __init__(self, view: FrozenView, child: Child) -> None:
        self._view = view
        self._child = child

    def chunks(self) -> Iterator[bytes]:
        """The dump in blocks of 1 MiB (the last is shorter), to be taken once and to the end.

        Where a failed pg_dump broke off, its error is raised, so that nobody takes the end of the stream for the end of the dump.
        """
        while chunk := self._child.stdout.read(_CHUNK_BYTES):
            yield chunk
        self.finish()

    def end(self) -> None:
        """End pg_dump from another thread; whoever takes the chunks is told so."""
        self._child.kill()

    def finish(self) -> None:
        """Wait for the end of pg_dump. Raises its error."""
        self._child.stdout.close()  # a caller that stopped reading must not keep it waiting for ever
        _check(self._view, self._child, self._child.wait())


@contextmanager
def dump_to_stream(
    view: FrozenView, programs: Programs, *, format: DumpFormat = "custom", compression: str = DEFAULT_COMPRESSION
) -> Iterator[DumpStream]:
    """Dump the view's database as a stream, `custom` or `plain`.

    `compression` is what `pg_dump --compress` takes; plain SQL is not compressed. When the `with` ends well, pg_dump has ended well:
    else PermissionMissing, DatabaseFailed, DatabaseUnreachable or ClientToolFailed is raised. When the block raises, pg_dump is ended.
    """
    arguments = [*_arguments(view, programs, format=format), "--compress=0" if format == "plain" else f"--compress={compression}"]
    with client_environment(view.connection) as environment, Child(arguments, environment=environment, stdout=PIPE) as child:
        stream = DumpStream(view, child)
        yield stream
        stream.finish()


def dump_to_directory(
    view: FrozenView,
    programs: Programs,
    directory: Path,
    *,
    jobs: int = 1,
    compression: str = DEFAULT_COMPRESSION,
    tick: Callable[[], None] | None = None,
) -> None:
    """Dump the view's database into a directory, which must be empty or absent, with `jobs` sessions at a time (and one more).

    Nothing is flushed to the disk. `tick` is called a few times a second and may raise to stop the work. What is left behind after an
    error is for the caller to remove. Raises as `dump_to_stream`, and DiskFailed.
    """
    if directory.exists() and any(directory.iterdir()):
        raise DiskFailed(f"{directory} is not empty", hint="Name an empty directory.")
    arguments = [*_arguments(view, programs, format="directory"), f"--compress={compression}", f"--jobs={jobs}", "--no-sync"]
    with (
        client_environment(view.connection) as environment,
        Child([*arguments, f"--file={directory}"], environment=environment, stdout=DEVNULL) as child,
    ):
        _check(view, child, child.wait(tick))


def _arguments(view: FrozenView, programs: Programs, *, format: DumpFormat) -> list[str]:
    server_major = view.connection.info.server_version // 10_000
    if programs.major < server_major:
        raise ClientToolFailed(
            f"pg_dump {programs.version} cannot dump a server of version {server_major}",
            hint=f"Install postgresql-client-{server_major}.",
        )
    wait = f"--lock-wait-timeout={view.lock_timeout_seconds}s"
    return [programs.path("pg_dump"), "--no-password", f"--format={format}", f"--snapshot={view.snapshot_name}", wait]


def _check(view: FrozenView, child: Child, status: int) -> None:
    if status:
        raise dump_error(child, status, live_parameters(view.connection))
