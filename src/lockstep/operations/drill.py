"""Prove a snapshot by doing it: restore its dump into a throw-away PostgreSQL, hold it against the snapshot, read its objects.

No lock is taken, and nothing but the record of the drill is left anywhere.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from lockstep.errors import LockstepError, ObjectExists
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.drill import DrillResult
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.drill_book import DrillBook
from lockstep.operations.drill_database import DatabaseDrill
from lockstep.operations.drill_objects import ObjectsDrill
from lockstep.operations.drill_server import drill_server
from lockstep.operations.telling import telling
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT, Listener, Note
from lockstep.repository.drills import save_drill
from lockstep.repository.manifest import Manifest
from lockstep.repository.readers import reading
from lockstep.repository.repository import open_repository
from lockstep.steps import step
from lockstep.tables.engine import Tables
from lockstep.version import __version__


@dataclass(frozen=True, slots=True)
class DrillOptions:
    """What the operator can choose.

    `database` is a scratch server of the user's (None: one of our own); `percent` of the objects are read (None: all up to 1 GiB, else a
    sample of 1 GiB).
    """

    database: DatabaseAddress | None = None
    client_programs: str | None = None
    percent: float | None = None
    jobs: int | None = None
    limits: TransferLimits = field(default_factory=TransferLimits)
    temporary: Path | None = None


def drill(
    repository_store: ObjectStore,
    manifest: Manifest,
    *,
    options: DrillOptions | None = None,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> DrillResult:
    """Prove one snapshot, and record that in the repository. What is not proven is in the result's steps.

    Raises LockstepError when the drill itself could not be done. Either way the scratch database and the throw-away server are gone.
    """
    options, stop = options or DrillOptions(), stop or threading.Event()
    started, began = datetime.now(UTC), time.monotonic()
    repository, book = open_repository(repository_store), DrillBook(listener)
    with (
        telling([repository_store], listener),
        work_directory(options.temporary) as directory,
        reading(repository_store, "drill", listener=listener),
    ):
        tables = Tables(directory)
        try:
            seed = secrets.randbits(62)  # another sample every time
            objects = ObjectsDrill(repository, manifest, tables, book, options.limits, listener, stop, options.percent, seed)
            database = DatabaseDrill(repository, manifest, tables, book, listener, stop, options.jobs)
            known = objects.prepare()
            name, major = manifest.database.name, manifest.database.server_major
            step("drill.prepared")
            with drill_server(name, major, options.database, client_programs=options.client_programs) as server:
                database.run(server, references_known=known)
            step("drill.database")
            objects.run()  # after the server is gone: what is measured is the reading alone
        finally:
            tables.close()
    step("drill.done")
    result = DrillResult(
        snapshot=manifest.snapshot,
        created=manifest.created,
        complete=manifest.complete,
        database=manifest.database.name,
        server=f"PostgreSQL {database.server_version}, {'a server of yours' if options.database else 'started for this drill'}",
        started=started,
        steps=tuple(book.steps),
        rto_seconds=book.seconds("dump") + book.seconds("restore") + objects.seconds,
        seconds=time.monotonic() - began,
    )
    return replace(result, recorded=_record(repository_store, record_document(result, manifest), result, listener))


def record_document(result: DrillResult, manifest: Manifest) -> Mapping[str, object]:
    """What a record in the repository says.

    Of an encrypted snapshot it has the verdicts alone: the sentences can name what is missing, and quote what PostgreSQL said of a row.
    """
    steps = [asdict(step) for step in result.steps]
    if manifest.encryption is not None:
        steps = [{name: value for name, value in step.items() if name != "detail"} for step in steps]
    return {
        "ok": result.ok,
        "snapshot": result.snapshot,
        "started": result.started.isoformat(timespec="seconds"),
        "server": result.server,
        "steps": steps,
        "rto_seconds": result.rto_seconds,
        "seconds": result.seconds,
        "lockstep": __version__,
    }


def _record(store: ObjectStore, document: Mapping[str, object], result: DrillResult, listener: Listener) -> str | None:
    try:
        return save_drill(store, result.snapshot, result.started, document)
    except ObjectExists:
        listener(Note("another drill of this snapshot began in the same second; this one is not recorded", level="warning"))
    except LockstepError as error:  # read-only, most often; whatever it is, what was proven is worth telling
        listener(Note(f"the drill is not recorded in the repository: {error.message}", level="warning"))
    return None
