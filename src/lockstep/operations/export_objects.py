"""The objects' side of an export: each under its own key where that can be a file name, else under its checksum with a line in a list."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from lockstep.errors import KeyRefused
from lockstep.model.export import ExportedObjects
from lockstep.model.inventory import InventoryEntry, MissingObject
from lockstep.model.keys import can_be_a_file_name
from lockstep.objects.retry import PATIENT, noting, retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits, in_parallel
from lockstep.operations.browse import load_references
from lockstep.operations.carrying import Spoilt, carry, is_there
from lockstep.operations.export_place import ExportPlace
from lockstep.operations.pool_reader import refuse_unreadable_objects
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.repository.manifest import Manifest
from lockstep.repository.pool import read_object
from lockstep.repository.repository import Repository
from lockstep.tables import exports, inventory, restores
from lockstep.tables.engine import Tables

STAGE = "objects"
MISSING_SHOWN = 100
"""How many missing keys a result names; the list in the directory has them all."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One object that is in the directory; `written` unless a killed export had left it whole."""

    entry: InventoryEntry
    odd: bool
    written: bool


@dataclass(slots=True)
class ObjectsExport:
    """One export of objects: `prepare` writes nothing, `run` fills the directory."""

    repository: Repository
    manifest: Manifest
    tables: Tables
    limits: TransferLimits
    stop: Stop
    listener: Listener

    def prepare(self) -> restores.Restorable:
        """Find out what there is to export. Raises RepositoryInvalid when it cannot be known."""
        load_references(self.repository, self.manifest, self.tables, self.tables.directory)
        entry = self.manifest.file("missing.parquet")
        missing = self.repository.local_copy(entry, self.tables.directory) if entry else None
        found = restores.plan_restorable(self.tables, snapshot=self.manifest.snapshot, references="named", missing=missing, prefix="")
        refuse_unreadable_objects(self.repository, self.tables, "restorable")
        return found

    def run(self, place: ExportPlace, found: restores.Restorable) -> ExportedObjects:
        """Write what there is, and the lists of what files cannot say."""
        started = time.monotonic()
        places, odd = self._places(place), place.store("odd")
        written, written_bytes, already = 0, 0, 0
        exports.create_odd(self.tables)
        self.listener(StageStarted(STAGE, total=found.objects, unit="objects"))
        budget, pacer = ByteBudget(self.limits.bytes_in_flight), Pacer(self.limits)
        one = partial(self._one, places=places, odd=odd, resumed=place.resumed, budget=budget, pacer=pacer)
        for outcomes in in_parallel(inventory.entries(self.tables, "restorable"), one, threads=pacer, stop=self.stop):
            done = [each for each in outcomes if isinstance(each, Exported)]
            restores.add_unrestorable(self.tables, [each for each in outcomes if isinstance(each, MissingObject)])
            exports.add_odd(self.tables, [each.entry for each in done if each.odd])
            new = [each.entry for each in done if each.written]
            written, written_bytes = written + len(new), written_bytes + sum(entry.size for entry in new)
            already += len(done) - len(new)
            self.listener(StageAdvanced(STAGE, done=len(outcomes), size_bytes=sum(entry.size for entry in new)))
        self.listener(StageEnded(STAGE))
        self._write_lists(place)
        return ExportedObjects(
            exported=written,
            exported_bytes=written_bytes,
            already_there=already,
            odd=exports.count_odd(self.tables),
            missing=restores.count_unrestorable(self.tables),
            missing_sample=tuple(each.key for each in restores.unrestorable(self.tables, most=MISSING_SHOWN)),
            seconds=time.monotonic() - started,
        )

    def _places(self, place: ExportPlace) -> dict[str, ObjectStore]:
        """The directory of each store: `objects` itself for the only one, one below it for each of several."""
        names = list(self.manifest.stores)
        places: dict[str, ObjectStore] = {name: place.store("objects" if len(names) == 1 else f"objects/{name}") for name in names}
        for store in places.values():
            store.create_bucket()  # what is to be uploaded later must be there, also when it is empty
        return places

    def _one(
        self,
        entry: InventoryEntry,
        *,
        places: Mapping[str, ObjectStore],
        odd: ObjectStore,
        resumed: bool,
        budget: ByteBudget,
        pacer: Pacer,
    ) -> Exported | MissingObject:
        source = self.repository.store

        def put(target: ObjectStore, key: str) -> bool:
            if resumed and is_there(target, key, size=entry.size, sha256=entry.sha256, limits=self.limits):
                return False
            opened = partial(read_object, source, entry)
            send = partial(carry, opened, target, key, size=entry.size, sha256=entry.sha256, limits=self.limits)
            retrying(send, policy=PATIENT, on_retry=noting(source.requests, and_then=pacer.note), stop=self.stop)
            return True

        with budget.take(entry.size if entry.size <= self.limits.whole_up_to else 2 * self.limits.chunk):
            try:
                if can_be_a_file_name(entry.key):
                    try:
                        return Exported(entry, odd=False, written=put(places[entry.store], entry.key))
                    except KeyRefused:  # `a` and `a/b`: the one that comes second goes aside
                        pass
                return Exported(entry, odd=True, written=put(odd, entry.sha256))
            except Spoilt as error:
                self.listener(Note(f"the repository's object {entry.key!r} {error}", level="warning"))
                return MissingObject(entry.store, entry.key, entry.size, "lost")

    def _write_lists(self, place: ExportPlace) -> None:
        if exports.count_odd(self.tables):
            _write_list(place, "odd.jsonl", exports.odd_rows(self.tables))
        if exports.has_attributes(self.tables):
            _write_list(place, "attributes.jsonl", exports.attribute_rows(self.tables))
        if restores.count_unrestorable(self.tables):
            _write_list(place, "missing.jsonl", map(asdict, restores.unrestorable(self.tables)))


def _write_list(place: ExportPlace, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    lines = ((json.dumps(row, ensure_ascii=False) + "\n").encode(errors="backslashreplace") for row in rows)
    place.store().write_stream(name, lines, overwrite=True)
