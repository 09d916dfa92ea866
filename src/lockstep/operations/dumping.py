"""The database's side of a backup: the dump, read back while it is written, and what proves a restore of it later."""

# ruff: noqa: A002 - `format` is what the command line and the manifest call it
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import Cancelled, TableLocked
from lockstep.model.database import DumpFormat
from lockstep.objects.transfer import Stop
from lockstep.postgres.archives import check_archive, check_archive_file
from lockstep.postgres.dump import dump_to_directory, dump_to_stream
from lockstep.postgres.frozen import FrozenView
from lockstep.postgres.holding import STUCK_SECONDS, HeldTables
from lockstep.postgres.programs import Programs
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.repository.draft import Draft
from lockstep.repository.manifest import DumpRecord
from lockstep.steps import step

STAGE = "database"
FILE_NAMES: dict[DumpFormat, str] = {"custom": "database.dump", "plain": "database.sql", "directory": "database"}


@dataclass(frozen=True, slots=True)
class Dumped:
    """A dump that was read back to its end, and the rows that the same moment had."""

    record: DumpRecord
    rows: dict[str, int]


def save_dump(
    draft: Draft, view: FrozenView, programs: Programs, *, format: DumpFormat, jobs: int, work: Path, listener: Listener, stop: Stop
) -> Dumped:
    """Dump the frozen view into the draft. Raises what pg_dump's failure means; then the draft has no usable dump."""
    started = time.monotonic()
    listener(StageStarted(STAGE, unit="bytes"))
    if format == "directory":
        size_bytes = _save_directory(draft, view, programs, jobs=jobs, work=work, stop=stop)
    else:
        size_bytes = _save_stream(draft, view, programs, format=format, listener=listener, stop=stop)
    seconds = time.monotonic() - started
    listener(StageAdvanced(STAGE, size_bytes=size_bytes if format == "directory" else 0))
    listener(StageEnded(STAGE))
    record = DumpRecord(format=format, size_bytes=size_bytes, pg_dump_major=programs.major, seconds=round(seconds, 3))
    return Dumped(record, view.row_counts())


def dump_unless_stuck(
    view: FrozenView, still: HeldTables, save: Callable[[FrozenView], Dumped], *, last: bool, listener: Listener
) -> Dumped | None:
    """Dump in a session of its own on the same moment: the first one copies the references out meanwhile.

    None when the dump cannot begin since a table is to be changed, unless this is the `last` moment to be tried.
    """
    try:
        with view.sibling(lock_timeout_seconds=None if last else STUCK_SECONDS) as sibling:
            still.hand_over(sibling.connection)
            return save(sibling)
    except TableLocked as error:
        if last:
            raise
        listener(Note(f"{error.message} while the dump began: another moment will be frozen", level="warning"))
        return None


def _save_stream(draft: Draft, view: FrozenView, programs: Programs, *, format: DumpFormat, listener: Listener, stop: Stop) -> int:
    with (
        check_archive(programs, format=format) as check,
        dump_to_stream(view, programs, format=format) as stream,
        _ended_by(stop, stream.end),
    ):

        def chunks() -> Iterator[bytes]:
            for chunk in stream.chunks():
                _raise_if(stop)
                check.feed(chunk)
                yield chunk
                step("dump.chunk")
                listener(StageAdvanced(STAGE, done=len(chunk)))
            _raise_if(stop)

        return draft.save_stream(FILE_NAMES[format], chunks()).size


def _save_directory(draft: Draft, view: FrozenView, programs: Programs, *, jobs: int, work: Path, stop: Stop) -> int:
    def tick() -> None:
        _raise_if(stop)

    def fill(directory: Path) -> None:
        dump_to_directory(view, programs, directory, jobs=jobs, tick=tick)
        check_archive_file(programs, directory, format="directory", tick=tick)

    return sum(entry.size for entry in draft.save_directory(FILE_NAMES["directory"], fill, work=work))


def _raise_if(stop: Stop) -> None:
    if stop.is_set():
        raise Cancelled(2)


@contextmanager
def _ended_by(stop: Stop, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` as soon as the stop is asked for inside the block: a thread that waits for a silent program cannot look by itself."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            if stop.is_set():
                end()
                return

    watcher = threading.Thread(target=watch, name="dump-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
