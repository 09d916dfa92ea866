"""Tells the whole story, all of it real: a deployment is made, backed up twice while users write, lost, restored, and compared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lockstep.demo.environment import environment_of_our_own
from lockstep.demo.filling import Filled, fill
from lockstep.demo.place import demo_directory
from lockstep.demo.proof import Contents, Save, Window, count_left_out, find_differences
from lockstep.demo.reading import read_contents
from lockstep.demo.servers import Servers, check_programs, servers_in
from lockstep.demo.size import DemoSize
from lockstep.demo.steps import Steps
from lockstep.demo.writers import save_file, writers_at_work
from lockstep.errors import LockstepError
from lockstep.model.demo import DemoResult
from lockstep.model.results import BackupResult
from lockstep.operations.backup import backup
from lockstep.operations.backup_options import BackupOptions
from lockstep.operations.browse import find_snapshot
from lockstep.operations.dumping import STAGE as DUMPING
from lockstep.operations.restore import RestoreOptions, RestoreTarget, restore
from lockstep.postgres.connection import open_database
from lockstep.postgres.writing import open_writing_session
from lockstep.progress import SILENT, Event, Listener, Note, StageStarted
from lockstep.report.units import as_bytes, as_count, as_counted

_FILE_AFTER_THE_RESTORE = 0  # the writers count from a million upwards


def tell(keep: Path | None = None, *, size: DemoSize | None = None, listener: Listener = SILENT) -> DemoResult:
    """Tell the story in a temporary directory of which nothing is left, or in `keep`, an empty directory in which all is left.

    Raises ConfigurationError when a server is not installed or `keep` is not empty; other errors when a step cannot be done. Then, too,
    nothing is left. What did not come back is part of the result, not an error.
    """
    started = time.monotonic()
    check_programs()
    with environment_of_our_own(), demo_directory(keep) as directory, servers_in(directory) as servers:
        listener(Note(_opening(keep)))
        story = _Story(servers, directory, size or DemoSize(), listener)
        findings = story.run()
        kept = servers.keep() if keep is not None else None
    return DemoResult(
        steps=tuple(story.steps.done),
        rows_compared=story.compared.row_count,
        objects_compared=len(story.compared.objects),
        seconds=round(time.monotonic() - started, 3),
        left_out=story.left_out,
        findings=findings,
        kept=kept,
    )


@dataclass(slots=True)
class _Story:
    """One telling, with everything that its steps share."""

    servers: Servers
    directory: Path
    size: DemoSize
    listener: Listener
    steps: Steps = field(init=False)
    compared: Contents = field(init=False)
    left_out: int = 0

    def __post_init__(self) -> None:
        self.steps = Steps(self.listener)

    def run(self) -> tuple[str, ...]:
        """The story from beginning to end; returns what is not as it was."""
        self._start("servers", "starting a PostgreSQL server and an S3 store (SeaweedFS): both real, both empty")
        filled = self._fill()
        with writers_at_work(self.servers, filled.realms, self.size) as writers:
            self._back_up("backup", "backing up; from now on users save files all the time")
            with self.steps.step("more files", "letting them save more files") as step:
                step.detail = f"{as_counted(writers.wait_for(self.size.files_between), 'file')} saved since that backup"
            window = self._back_up("second backup", "backing up again: only what is new is read")
            writers.wait_for(self.size.files_after)  # any backup loses these
        self._destroy()
        self._start("new servers", "starting two new servers: both empty")
        self._restore()
        return (*self._compare(filled, writers.saves, window), *self._go_on(filled))

    def _start(self, name: str, announcement: str) -> None:
        with self.steps.step(name, announcement) as step:
            self.servers.start()
            with open_database(self.servers.server) as database:
                step.detail = f"PostgreSQL {database.facts().server_version} and an S3 store, both empty"

    def _fill(self) -> Filled:
        with self.steps.step("fill", "filling them in the shape of a Parsec server") as step:
            filled = fill(self.servers, self.size, listener=self.listener)
            step.detail = (
                f"{as_counted(self.size.organizations, 'organization')}, {as_counted(len(filled.realms), 'workspace')}, "
                f"{as_counted(filled.contents.row_count, 'row')}, "
                f"{as_counted(len(filled.contents.objects), 'object')} ({as_bytes(filled.size_bytes)})"
            )
        return filled

    def _back_up(self, name: str, announcement: str) -> Window:
        watch = _DumpWatch(self.listener)
        with self.steps.step(name, announcement) as step:
            asked = time.monotonic()
            result = backup(
                self.servers.deployment(),
                self.servers.open_repository_store(),
                options=BackupOptions(temporary=self.directory),
                listener=watch,
            )
            step.detail = _told(result)
        return Window(asked, watch.dumping or time.monotonic())

    def _destroy(self) -> None:
        with self.steps.step("disaster", "killing both servers and deleting all their data") as step:
            self.servers.destroy()
            step.detail = "both servers killed, all their data deleted"

    def _restore(self) -> None:
        with self.steps.step("restore", "restoring the latest snapshot: objects first, the database last") as step:
            place = self.servers.open_repository_store()
            latest = find_snapshot(place, "latest", now=datetime.now(UTC), zone=UTC)
            deployment = self.servers.deployment()
            target = RestoreTarget(deployment.database, deployment.stores)
            result = restore(place, latest, target, options=RestoreOptions(temporary=self.directory), listener=self.listener)
            if result.objects is not None:
                objects = f"{as_counted(result.objects.uploaded, 'object')} ({as_bytes(result.objects.uploaded_bytes)})"
                step.detail = f"{objects}, and only then the database"

    def _compare(self, filled: Filled, saves: Sequence[Save], window: Window) -> tuple[str, ...]:
        with self.steps.step("proof", "comparing every row and every object with what was written") as step:
            self.compared = read_contents(self.servers.database, self.servers.open_bucket(), listener=self.listener)
            findings = find_differences(filled.contents, saves, window, self.compared)
            self.left_out = count_left_out(saves, self.compared)
            outcome = as_counted(len(findings), "difference") if findings else "all are as they were written"
            step.detail = f"{as_counted(self.compared.row_count, 'row')} and {as_counted(len(self.compared.objects), 'object')}: {outcome}"
        return findings

    def _go_on(self, filled: Filled) -> tuple[str, ...]:
        """Serials that came back wrong would show here: the row's number is taken."""
        with self.steps.step("new file", "saving one more file in what was restored") as step:
            try:
                with open_writing_session(self.servers.database) as session:
                    save_file(session, self.servers.open_bucket(), filled.realms[0], self.size, file=_FILE_AFTER_THE_RESTORE)
            except LockstepError as error:
                step.detail = "refused"
                return (f"the restored deployment takes no new file: {error.message}",)
            step.detail = "saved: work goes on"
        return ()


@dataclass(slots=True)
class _DumpWatch:
    """Passes events on, and keeps when the dump began: by then the database was frozen."""

    listener: Listener
    dumping: float | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == DUMPING and self.dumping is None:
            self.dumping = time.monotonic()
        self.listener(event)


def _told(result: BackupResult) -> str:
    objects, requests = result.objects, result.requests
    copied = as_counted(objects.referenced, "object")
    if objects.reused:
        copied = f"{as_count(objects.new)} new of {copied}"
    listed = f"{as_count(requests.list)} LIST" if requests.list else "no LIST"
    outcome = "" if result.complete else "; NOT complete"
    return f"{copied} ({as_bytes(objects.copied_bytes)}) by {as_count(requests.get)} GET and {listed}{outcome}"


def _opening(keep: Path | None) -> str:
    outcome = "leaves nothing behind" if keep is None else f"leaves all of it in {keep}"
    return f"two backups, a disaster and a restore, on real servers; takes half a minute, {outcome}"
