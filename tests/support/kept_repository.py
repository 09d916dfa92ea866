"""Real repositories without servers: what a backup writes of given objects, at any time of any calendar, in milliseconds."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lockstep.model.snapshots import SnapshotId, new_snapshot_id
from lockstep.objects.memory import MemoryStore
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import TransferLimits
from lockstep.operations.copying import Copier
from lockstep.operations.recording import save_missing, save_references
from lockstep.operations.restore_objects import ObjectsOptions, ObjectsRestore
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT
from lockstep.repository.draft import Draft, reclaim
from lockstep.repository.history import inventory_files, read_history
from lockstep.repository.journal import open_journal
from lockstep.repository.locks import writer_lock
from lockstep.repository.manifest import DatabaseRecord, DumpRecord, Manifest, ObjectCounts, ProfileRecord
from lockstep.repository.repository import open_or_create, open_repository
from lockstep.tables import plans, references
from lockstep.tables.engine import TableLimits, Tables

DATABASE = DatabaseRecord(
    name="app", server_version="18.6", server_major=18, encoding="UTF8", collate="C", ctype="C", locale_provider="libc", owner="app"
)
DUMP = b"what pg_dump wrote"


@dataclass
class Keeper:
    """Keeps objects in a repository at `store`. `living` is the deployment's store, which has what the last backup was given."""

    store: ObjectStore
    work: Path
    living: MemoryStore = field(default_factory=MemoryStore)

    def backup(
        self,
        objects: Mapping[str, bytes],
        *,
        at: datetime,
        lost: Mapping[str, bytes] | None = None,
        tag: str | None = None,
        stop: bool = False,
    ) -> str:
        """Keep `objects`, by key, as a snapshot, as `lockstep backup` does; those in `lost` are referenced and not there.

        With `stop` the run is killed when all is copied and journalled: there is no snapshot, and the name of the run is returned.
        """
        repository, _ = open_or_create(self.store, now=at)
        for key, data in objects.items():
            self.living.write(key, data, overwrite=True)
        self.living.delete(lost or ())
        with work_directory(self.work) as work, writer_lock(self.store, "backup", listener=SILENT) as lock:
            reclaim(repository, listener=SILENT)
            history = read_history(repository, listener=SILENT)
            tables = Tables(work, limits=TableLimits(threads=1))
            try:
                snapshot = new_snapshot_id(at, newest=history.newest_name, randomness=len(objects))
                files = inventory_files(repository, history, work, listener=SILENT)
                journal = open_journal(repository, history, files, tables, snapshot, listener=SILENT)
                named = references.load(tables, _rows({**objects, **(lost or {})}), columns=("key", "size", "sha256"))
                plans.plan_new(tables, compare_etags=False)
                copier = Copier({"main": self.living}, repository, tables, journal, TransferLimits(threads=2), threading.Event(), SILENT)
                copied = copier.copy(plans.wanted(tables))
                if stop:
                    return snapshot
                with Draft(repository, snapshot, lock) as draft:
                    draft.save_stream("database.dump", [DUMP])
                    length = save_references(draft, history, tables, listener=SILENT)
                    lacking = plans.count_missing(tables).missing
                    if lacking:
                        save_missing(draft, history, tables, listener=SILENT)
                    segments, replaced = journal.close()
                    counts = ObjectCounts(
                        referenced=named.objects,
                        referenced_bytes=named.size_bytes,
                        new=copied.objects,
                        copied_bytes=copied.size_bytes,
                        reused=named.objects - copied.objects - lacking,
                        missing=lacking,
                        mismatched=0,
                    )
                    manifest = Manifest(
                        repository=repository.id,
                        snapshot=snapshot,
                        created=at,
                        complete=not lacking,
                        tag=tag,
                        parent=history.parent,
                        chain_length=length,
                        previous=history.previous,
                        database=DATABASE,
                        dump=DumpRecord(format="custom", size_bytes=len(DUMP), pg_dump_major=18, seconds=0.1),
                        profile=ProfileRecord(name="bucket"),
                        stores={"main": self.living.url},
                        objects=counts,
                        files=tuple(draft.files),
                        inventory=tuple(repository.describe(path) for path in segments),
                    )
                    draft.commit(manifest, replaced=replaced)
                return snapshot
            finally:
                tables.close()

    def restored(self, snapshot: str) -> dict[str, bytes]:
        """What a restore of the snapshot brings back into an empty store."""
        found, target = open_repository(self.store), MemoryStore()
        with work_directory(self.work) as work:
            tables = Tables(work, limits=TableLimits(threads=1))
            try:
                manifest = found.manifest(SnapshotId(snapshot))
                limits = TransferLimits(threads=2)
                objects = ObjectsRestore(
                    found, manifest, {"main": target}, tables, ObjectsOptions(limits=limits), SILENT, threading.Event()
                )
                objects.run(objects.prepare())
            finally:
                tables.close()
        return {info.key: target.read(info.key).bytes() for page in target.list() for info in page}

    def pool(self) -> set[str]:
        """What lies where objects lie."""
        return {info.key for prefix in ("objects/", "odd/") for page in self.store.list(prefix) for info in page}


def _rows(objects: Mapping[str, bytes]) -> Generator[bytes, None, int]:
    for key, data in objects.items():
        quoted = key.replace('"', '""')
        yield f'"{quoted}",{len(data)},{hashlib.sha256(data).hexdigest()}\n'.encode()
    return len(objects)
