"""Give a snapshot out as plain files: what `pg_dump` and `aws s3 sync` would have made, for whoever wants to go on without lockstep."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.errors import Cancelled, DiskFailed, TargetRefused
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DumpFormat
from lockstep.model.export import ExportedDatabase, ExportResult
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.export_objects import ObjectsExport
from lockstep.operations.export_place import ExportPlace, export_place
from lockstep.operations.local_dump import local_dump
from lockstep.operations.work import work_directory
from lockstep.postgres.archives import archive_to_sql, read_archive_reader
from lockstep.postgres.programs import find_programs
from lockstep.progress import SILENT, Listener, StageAdvanced, StageEnded, StageStarted
from lockstep.repository.layout import MARKER
from lockstep.repository.local_copies import CHUNK
from lockstep.repository.manifest import Manifest
from lockstep.repository.readers import reading
from lockstep.repository.repository import Repository, open_repository
from lockstep.tables.engine import Tables

STAGE = "database"
NAMES: dict[DumpFormat, str] = {"custom": "backup.dump", "plain": "backup.sql", "directory": "backup"}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What the operator can choose. With `plain` the dump becomes SQL text whatever its form; `client_programs` then makes it."""

    plain: bool = False
    client_programs: str | None = None
    limits: TransferLimits = field(default_factory=TransferLimits)
    temporary: Path | None = None


def export(
    repository_store: ObjectStore,
    manifest: Manifest,
    directory: Path,
    *,
    options: ExportOptions | None = None,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> ExportResult:
    """Write a snapshot into a directory that is empty or not there, every byte checked.

    What the snapshot lacks is part of the result and listed in the directory. Raises LockstepError when the work could not be done: then
    the same call goes on where it ended.
    """
    options, stop = options or ExportOptions(), stop or threading.Event()
    started = time.monotonic()
    repository = open_repository(repository_store)
    _refuse_inside(repository, directory)
    with work_directory(options.temporary) as work, reading(repository_store, "export", listener=listener):
        tables = Tables(work)
        try:
            side = ObjectsExport(repository, manifest, tables, options.limits, stop, listener)
            found = side.prepare()  # what cannot be read shows before anything is written
            archive = local_dump(repository, manifest, work)
            with export_place(directory, repository=repository.id, snapshot=manifest.snapshot) as place:
                if not place.resumed:
                    _refuse_full(place, manifest.dump.size_bytes + found.size_bytes)
                database = _DumpExport(manifest, archive, place, options, listener, stop).run()
                objects = side.run(place, found)
                if stop.is_set():
                    raise Cancelled(2)
        finally:
            tables.close()
    complete = objects.missing == 0
    return ExportResult(manifest.snapshot, str(directory), complete, database, objects, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _DumpExport:
    """The database's side; `archive` was checked when it was taken from the repository."""

    manifest: Manifest
    archive: Path
    place: ExportPlace
    options: ExportOptions
    listener: Listener
    stop: Stop

    def run(self) -> ExportedDatabase:
        """Write the dump."""
        started, form = time.monotonic(), self.manifest.dump.format
        self.listener(StageStarted(STAGE, total=self.manifest.dump.size_bytes))
        if self.options.plain and form != "plain":
            form, size = "plain", self._convert()
        elif form == "directory":
            size = sum(self._copy(path, f"{NAMES[form]}/{path.name}") for path in sorted(self.archive.iterdir()))
        else:
            size = self._copy(self.archive, NAMES[form])
        self.listener(StageEnded(STAGE))
        return ExportedDatabase(form, NAMES[form], size, time.monotonic() - started)

    def _copy(self, source: Path, name: str) -> int:
        expected, store, hashing = _sha256(source), self.place.store(), hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            for chunk in _chunks(source):
                self._tick()
                hashing.update(chunk)
                yield chunk
                self.listener(StageAdvanced(STAGE, done=len(chunk), size_bytes=len(chunk)))
            if hashing.hexdigest() != expected:
                raise DiskFailed(f"{source} reads differently from one time to the next", hint="Check the disk and the memory.")

        store.write_stream(name, chunks(), overwrite=True)
        return store.head(name)[0].size

    def _convert(self) -> int:
        reader = read_archive_reader(self.archive, format=self.manifest.dump.format)
        address = DatabaseAddress(client_programs=self.options.client_programs)
        programs = find_programs(address, self.manifest.database.server_major, at_least=reader)
        self.place.work.mkdir(mode=0o700, exist_ok=True)
        growing, made = self.place.work / "backup.sql", self.place.root / NAMES["plain"]
        archive_to_sql(programs, self.archive, growing, format=self.manifest.dump.format, tick=self._tick)
        shutil.move(growing, made)
        self.listener(StageAdvanced(STAGE, done=self.manifest.dump.size_bytes, size_bytes=self.manifest.dump.size_bytes))
        return made.stat().st_size

    def _tick(self) -> None:
        if self.stop.is_set():
            raise Cancelled(2)


def _refuse_inside(repository: Repository, directory: Path) -> None:
    marker = repository.store.local_file(MARKER)
    if marker is not None and marker.parent.resolve() in (directory.resolve(), *directory.resolve().parents):
        raise TargetRefused(f"'{directory}' lies inside the repository", hint="Name a directory elsewhere.")


def _refuse_full(place: ExportPlace, needed: int) -> None:
    room = place.store().free_bytes()
    if room is not None and room < needed:
        raise DiskFailed(
            f"'{place.root}' has room for {room} bytes, and the snapshot needs {needed}", hint="Make room, or name another disk."
        )


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise DiskFailed(f"{path} cannot be read: {error.strerror}", hint="Check the disk and its permissions.") from error


def _sha256(path: Path) -> str:
    hashing = hashlib.sha256()
    for chunk in _chunks(path):
        hashing.update(chunk)
    return hashing.hexdigest()
