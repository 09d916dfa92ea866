"""What pg_dump wrote: which pg_restore can read it, and whether it can be read to its end.

Source: PostgreSQL source, src/bin/pg_dump/pg_backup_archiver.h (K_VERS_1_14 and later, and when each came); the header itself begins
with "PGDMP" and three bytes of version. A truncated archive lists without an error, so it is read, not listed.
"""

# ruff: noqa: A002 - `format` is what the command line and the manifest call it
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Literal, Protocol

from lockstep.errors import ClientToolFailed, DiskFailed
from lockstep.model.database import DumpFormat
from lockstep.postgres.processes import Child, how_it_ended, plain_environment
from lockstep.postgres.programs import Programs

# Archive version: the oldest major version of pg_restore that reads it. 1.14 came with 12, 1.15 with 16, 1.16 with 17 (and 18 kept it).
_READERS = {(1, 14): 12, (1, 15): 16, (1, 16): 17}
_MAGIC = b"PGDMP"
_PLAIN_END = b"\n-- PostgreSQL database dump complete\n"
TAIL_BYTES = 4096  # the last comment and, since 2025, a line with \unrestrict


def archive_version(head: bytes) -> tuple[int, int] | None:
    """The version in the first bytes of a custom archive or of a directory's toc.dat; None when it is neither."""
    return (head[5], head[6]) if head.startswith(_MAGIC) and len(head) > 6 else None


def oldest_reader(version: tuple[int, int]) -> int:
    """The oldest major version of pg_restore that reads archives of a version. Raises ClientToolFailed for one from the future."""
    if version > max(_READERS):
        raise ClientToolFailed(
            f"the archive has version {version[0]}.{version[1]}, which this lockstep does not know",
            hint="Install a newer lockstep, or restore by hand with the pg_restore of the version that made the dump.",
        )
    return next(major for known, major in sorted(_READERS.items()) if version <= known)


def reader_needed(pg_dump_major: int) -> int:
    """The oldest major version of pg_restore that reads what pg_dump of a major version writes."""
    return max((major for major in _READERS.values() if major <= pg_dump_major), default=min(_READERS.values()))


def read_archive_reader(archive: Path, *, format: DumpFormat) -> int | None:
    """The oldest major version of pg_restore that reads the archive at a path; None for plain SQL, which needs none.

    Raises ClientToolFailed when it is not an archive.
    """
    if format == "plain":
        return None
    try:
        with (archive / "toc.dat" if format == "directory" else archive).open("rb") as file:
            version = archive_version(file.read(16))
    except OSError as error:
        raise DiskFailed(f"{archive} cannot be read: {error.strerror}", hint="Check the disk and its permissions.") from error
    if version is None:
        raise _unreadable("it does not begin as an archive of pg_dump does")
    return oldest_reader(version)


class ArchiveCheck(Protocol):
    """Takes the bytes of an archive while they are written, and is the judge of whether they can be read back."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. May wait for the reader; never raises because of what the bytes are."""


@contextmanager
def check_archive(programs: Programs, *, format: DumpFormat) -> Iterator[ArchiveCheck]:
    """A check for a stream of the format `custom` or `plain`, to be fed all of it.

    When the `with` ends well the last byte has been read back, or ClientToolFailed is raised.
    """
    if format == "plain":
        end = PlainEnd()
        yield end
        if not end.complete:
            raise _unreadable("it does not end as a dump ends")
        return
    with Child([programs.path("pg_restore"), "--file=/dev/null"], environment=plain_environment(), stdin=PIPE) as child:
        yield _Reader(child)
        _finish(child)


def check_archive_file(programs: Programs, archive: Path, *, format: DumpFormat, tick: Callable[[], None] | None = None) -> None:
    """Read an archive on disk (a directory for the format `directory`) to its end. Raises ClientToolFailed when it cannot be read."""
    if format == "plain":
        with check_archive(programs, format=format) as check, archive.open("rb") as file:
            file.seek(max(0, archive.stat().st_size - TAIL_BYTES))
            check.feed(file.read())
        return
    arguments = [programs.path("pg_restore"), f"--format={format}", "--file=/dev/null", str(archive)]
    with Child(arguments, environment=plain_environment()) as child:
        status = child.wait(tick)
        if status:
            raise _unreadable(reason(child, status))


def archive_to_sql(
    programs: Programs,
    archive: Path,
    target: Path,
    *,
    format: DumpFormat | Literal["tar"],
    options: Sequence[str] = (),
    tick: Callable[[], None] | None = None,
) -> None:
    """Write an archive of the format `custom`, `directory` or `tar` as SQL text into a new file, which ends as a dump ends.

    `options` are more of pg_restore's. Raises ClientToolFailed when the archive cannot be read, or pg_restore cannot write.
    """
    arguments = [programs.path("pg_restore"), f"--format={format}", *options, f"--file={target}", str(archive)]
    with Child(arguments, environment=plain_environment()) as child:
        status = child.wait(tick)
        if status:
            raise _unreadable(reason(child, status))
    check_archive_file(programs, target, format="plain")


class PlainEnd:
    """Looks whether SQL text ends as pg_dump and pg_restore end it; text that broke off is not restored as if it were whole."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._tail = (self._tail + chunk[-TAIL_BYTES:])[-TAIL_BYTES:]

    @property
    def complete(self) -> bool:
        """True when nothing but comments and the end of restricted mode comes after the closing comment."""
        _, found, rest = self._tail.rpartition(_PLAIN_END)
        return bool(found) and all(not line or line.startswith((b"--", b"\\unrestrict ")) for line in rest.splitlines())


class _Reader:
    def __init__(self, child: Child) -> None:
        self._child = child
        self._gone = False

    def feed(self, chunk: bytes) -> None:
        # Waiting here cannot become a deadlock: the reader's output goes to /dev/null and its errors to a file.
        if not self._gone:
            try:
                self._child.stdin.write(chunk)
            except BrokenPipeError:  # it gave up; its exit status says why, when all is written
                self._gone = True


def _finish(child: Child) -> None:
    try:
        child.stdin.close()
    except BrokenPipeError:
        child.wait()
    status = child.wait()
    if status:
        raise _unreadable(reason(child, status))


def _unreadable(why: str) -> ClientToolFailed:
    return ClientToolFailed(
        f"the archive cannot be read back: {why}", hint="Check the disk, and the memory of this machine; then dump again."
    )


def reason(child: Child, status: int) -> str:
    """Why a client program failed, as it said itself."""
    lines = [line.partition("error: ")[2] for line in child.errors().splitlines() if "error: " in line]
    return lines[0] if lines else how_it_ended(child.name, status)
