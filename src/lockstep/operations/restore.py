"""Bring a snapshot back: objects first, the database last, so that no visible database ever references what is not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lockstep.errors import ConfigurationError
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.results import RestorePlan, RestoreResult
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop
from lockstep.operations.counting import as_requests, sum_of
from lockstep.operations.restore_database import DatabaseOptions, DatabaseRestore
from lockstep.operations.restore_objects import ObjectsOptions, ObjectsRestore
from lockstep.operations.scale_out import ScaledWork, ScaleOut, scaled_crew
from lockstep.operations.telling import faults_of, telling
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT, Listener
from lockstep.repository.manifest import Manifest
from lockstep.repository.readers import reading
from lockstep.repository.repository import Repository, open_repository
from lockstep.steps import step
from lockstep.tables.engine import Tables

Side = Literal["database", "objects"]


@dataclass(frozen=True, slots=True)
class RestoreTarget:
    """Where a snapshot is brought back to. A side that is not restored may be absent."""

    database: DatabaseAddress | None
    stores: Mapping[str, ObjectStore]


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What the operator can choose. `only` is one side, None both; `scale` says who uploads when this process does not."""

    only: Side | None = None
    objects: ObjectsOptions = field(default_factory=ObjectsOptions)
    database: DatabaseOptions = field(default_factory=DatabaseOptions)
    temporary: Path | None = None
    scale: ScaleOut | None = None

    @property
    def with_objects(self) -> bool:
        """True when the objects come back."""
        return self.only != "database"

    @property
    def with_database(self) -> bool:
        """True when the database comes back. A part of the objects beside a whole database would show a half, so a prefix excludes it."""
        return self.only != "objects" and not self.objects.prefix


def restore(
    repository_store: ObjectStore,
    manifest: Manifest,
    target: RestoreTarget,
    *,
    options: RestoreOptions | None = None,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> RestoreResult:
    """Bring a snapshot back into a target.

    Everything that can be refused is refused before the first write. Raises LockstepError when the work could not be done: then the
    target's database is as it was, and uploaded objects stay, since nothing references them yet and the next run needs them.
    """
    started = time.monotonic()
    options, stop = options or RestoreOptions(), stop or threading.Event()
    scale = options.scale if options.with_objects else None
    with (
        scaled_crew(scale, listener) as crew,
        _prepared(repository_store, manifest, target, options, listener, stop) as work,
        reading(repository_store, "restore", listener=listener),
    ):
        scaled = None
        if crew is not None and scale is not None:
            limits = options.objects.limits
            scaled = ScaledWork(crew, scale, target.stores, repository_store, limits=limits, stop=stop, listener=listener)
        found = work.objects.prepare() if work.objects else None
        if work.database:
            work.database.prepare()
        step("restore.prepared")
        objects = work.objects.run(found, scaled) if work.objects and found else None  # first, while nobody sees the database
        step("restore.uploaded")
        database = work.database.run() if work.database else None  # from its last step on, the restored deployment is visible
        step("restore.visible")
        consistent = objects is None or (objects.missing == 0 and objects.different == 0)
        return RestoreResult(
            manifest.snapshot,
            database,
            objects,
            consistent,
            time.monotonic() - started,
            requests=as_requests(sum_of(store.requests.counts() for store in target.stores.values())),
            repository_requests=as_requests(repository_store.requests.counts()),
            faults=faults_of([*target.stores.values(), repository_store]),
        )


def plan_restore(
    repository_store: ObjectStore, manifest: Manifest, target: RestoreTarget, *, options: RestoreOptions, listener: Listener = SILENT
) -> RestorePlan:
    """Say what `restore` would do; raises what it would refuse. Nothing is changed."""
    with _prepared(repository_store, manifest, target, options, listener, threading.Event()) as work:
        found = work.objects.prepare() if work.objects else None
        steps = work.database.prepare() if work.database else ()
        return RestorePlan(
            snapshot=manifest.snapshot,
            created=manifest.created,
            database_steps=steps,
            objects=found.objects if found else 0,
            objects_bytes=found.size_bytes if found else 0,
            missing=work.objects.count_missing() if work.objects else 0,
            database=work.database.name if work.database else None,
            dump_bytes=manifest.dump.size_bytes if work.database else 0,
        )


@dataclass(frozen=True, slots=True)
class _Work:
    objects: ObjectsRestore | None
    database: DatabaseRestore | None


@contextmanager
def _prepared(
    repository_store: ObjectStore, manifest: Manifest, target: RestoreTarget, options: RestoreOptions, listener: Listener, stop: Stop
) -> Iterator[_Work]:
    with telling([*target.stores.values(), repository_store], listener), work_directory(options.temporary) as directory:
        repository = open_repository(repository_store)
        tables = Tables(directory)
        try:
            yield _Work(
                ObjectsRestore(repository, manifest, target.stores, tables, options.objects, listener, stop)
                if options.with_objects
                else None,
                _database_side(repository, manifest, target, tables, options, listener, stop) if options.with_database else None,
            )
        finally:
            tables.close()


def _database_side(
    repository: Repository,
    manifest: Manifest,
    target: RestoreTarget,
    tables: Tables,
    options: RestoreOptions,
    listener: Listener,
    stop: Stop,
) -> DatabaseRestore:
    if target.database is None:
        raise ConfigurationError("no target database is named", hint="Name it with --database, or restore with --only objects.")
    return DatabaseRestore(repository, manifest, target.database, tables, options.database, listener, stop, datetime.now(UTC))
