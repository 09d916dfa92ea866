"""The objects' side of a restore: what the snapshot has, what the stores have, and the way from one to the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lockstep.errors import BucketNotFound, ConfigurationError
from lockstep.model.results import RestoredObjects
from lockstep.model.workers import Uploading
from lockstep.objects.raid import RaidStore
from lockstep.objects.retry import noting, retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.browse import load_references
from lockstep.operations.pool_reader import refuse_unreadable_objects
from lockstep.operations.preconditions import look_at
from lockstep.operations.scale_out import ScaledWork
from lockstep.operations.uploading import STAGE, Uploader
from lockstep.progress import Listener, StageEnded, StageStarted
from lockstep.repository.manifest import Manifest
from lockstep.repository.repository import Repository
from lockstep.steps import step
from lockstep.tables import restores
from lockstep.tables.engine import Tables

ASK_EACH_UP_TO = 500
"""Up to this many objects are asked about one by one (HEAD); above it the store is listed, a thousand objects a request."""

MISSING_SHOWN = 100
"""How many missing keys a result names (CLI.md)."""


@dataclass(frozen=True, slots=True)
class ObjectsOptions:
    """What the operator can choose for the objects of a restore."""

    prefix: str = ""
    overwrite: bool = False
    verify: bool = True
    create_bucket: bool = False
    list_missing: Path | None = None
    limits: TransferLimits = field(default_factory=TransferLimits)
    server_side_copy: bool | None = None


@dataclass(slots=True)
class ObjectsRestore:
    """One restore of objects: `prepare` changes nothing, `run` uploads."""

    repository: Repository
    manifest: Manifest
    stores: Mapping[str, ObjectStore]
    tables: Tables
    options: ObjectsOptions
    listener: Listener
    stop: Stop

    def prepare(self) -> restores.Restorable:
        """Find out what can be restored, and that the stores can be used. Raises BucketNotFound, ConfigurationError."""
        lacking = sorted(self.manifest.stores.keys() - self.stores.keys())
        if lacking and self.manifest.objects.referenced:
            raise ConfigurationError(
                f"the snapshot has objects of the store '{lacking[0]}', and no target for it is named",
                hint=f"Name it with --bucket {lacking[0]}=URL.",
            )
        for store in self.stores.values():
            try:
                look_at([store])
            except BucketNotFound as error:
                if store.url.startswith(("gs://", "az://")):
                    raise  # only the service's own tools can make it
                if not self.options.create_bucket:
                    raise BucketNotFound(error.message, hint=f"{error.hint} Or add --create-bucket.") from error
        load_references(self.repository, self.manifest, self.tables, self.tables.directory)
        entry = self.manifest.file("missing.parquet")
        missing = self.repository.local_copy(entry, self.tables.directory) if entry else None
        found = restores.plan_restorable(
            self.tables, snapshot=self.manifest.snapshot, references="named", missing=missing, prefix=self.options.prefix
        )
        refuse_unreadable_objects(self.repository, self.tables, "restorable")
        return found

    def run(self, found: restores.Restorable, scaled: ScaledWork | None = None) -> RestoredObjects:
        """Upload what is not there, and prove it. What cannot come back is in the table `unrestorable` afterwards."""
        started = time.monotonic()
        for store in self.stores.values():
            if self.options.create_bucket:
                retrying(store.create_bucket, on_retry=noting(store.requests))
        step("restore.bucket")
        # What a listing of a RAID shows would have to be put together, object by object, to tell its size.
        ask_each = found.objects <= ASK_EACH_UP_TO or any(isinstance(store, RaidStore) for store in self.stores.values())
        self._list_present(skip=ask_each)
        self.listener(StageStarted(STAGE, total=found.objects, unit="objects"))
        uploader = Uploader(self.stores, self.repository, self.tables, self.options.limits, self.stop, self.listener)
        uploader = replace(uploader, overwrite=self.options.overwrite, verify=self.options.verify, ask_each=ask_each)
        uploader = replace(uploader, server_side_copy=self.options.server_side_copy)
        if scaled is None:
            uploaded = uploader.upload(restores.restorable(self.tables))
        else:
            work = Uploading(self.options.overwrite, self.options.verify, ask_each)
            items = restores.restorable(self.tables)
            uploaded = uploader.record(scaled.upload(items, objects=found.objects, repository_id=self.repository.id, work=work))
        for store in self.stores.values():
            store.flush()
        self.listener(StageEnded(STAGE))
        if self.options.list_missing is not None:
            restores.write_lines(self.options.list_missing, restores.unrestorable(self.tables))
        return RestoredObjects(
            uploaded=uploaded.uploaded,
            uploaded_bytes=uploaded.uploaded_bytes,
            already_there=uploaded.already_there,
            different=uploaded.different,
            by_service=uploaded.by_service,
            missing=restores.count_unrestorable(self.tables),
            missing_sample=tuple(each.key for each in restores.unrestorable(self.tables, most=MISSING_SHOWN)),
            seconds=time.monotonic() - started,
        )

    def count_missing(self) -> int:
        """How many objects of the snapshot cannot come back, as far as is known."""
        return restores.count_unrestorable(self.tables)

    def _list_present(self, *, skip: bool) -> None:
        for name, store in self.stores.items():
            for page in () if skip else store.list(self.options.prefix):
                restores.add_present(self.tables, name, page)
