"""The record of what is not here any more: how the snapshots that are left go on without those that prune removed or a copy left out.

Manifests are never rewritten. What a manifest says of its predecessor, of its parent in the chain of references and of segments of the
inventory counts until a record says otherwise. `bridges/<number>.json`, sealed, each under a new name: the one with the highest number
counts, alone, and from the instant at which it is there. `removed` are the snapshots whose files go because of it: they exist no more,
whatever of them is still there.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from lockstep.errors import ObjectNotFound, RepositoryInvalid
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.repository.layout import FORMAT
from lockstep.repository.manifest import Count, FileEntry, Id, Manifest, Previous, Record
from lockstep.repository.seal import is_sealed, seal

BRIDGES = "bridges/"

_PATH = re.compile(r"bridges/([1-9][0-9]{0,9})\.json")


class Fold(Record):
    """A file of references in place of the one in a snapshot's manifest: a full list when `parent` is null, else changes against it."""

    references: FileEntry
    parent: Id | None = None


class Bridges(Record):
    """What the snapshots that are left need to know of those that are not. Empty, with number 0, where nothing was ever removed.

    `previous` is the nearest predecessor that is left, for each snapshot whose own is gone; null: none is. `segments` are those of the
    inventory that no manifest names any more, `replaced` those that a manifest still names and that are gone. New ids must sort behind
    `newest`. `damaged` is never stored: it is said of a record that could not be read.
    """

    format: Literal[1] = 1
    repository: str
    number: Count
    written: AwareDatetime
    removed: tuple[Id, ...] = ()
    previous: dict[Id, Previous | None] = Field(default_factory=dict)
    folds: dict[Id, Fold] = Field(default_factory=dict)
    segments: tuple[FileEntry, ...] = ()
    replaced: tuple[str, ...] = ()
    newest: Id | None = None
    damaged: bool = Field(default=False, exclude=True)

    def as_bytes(self) -> bytes:
        """The file as it is stored."""
        return seal(self.model_dump_json(indent=2))


NOTHING_REMOVED = Bridges(repository="", number=0, written=datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a chain of references: the file, and the snapshot that it gives the changes against (None: it is a full list)."""

    snapshot: SnapshotId
    references: FileEntry | None
    parent: SnapshotId | None

    @property
    def full(self) -> bool:
        """True when the file is a full list."""
        return self.parent is None


def link_of(manifest: Manifest, bridges: Bridges) -> Link:
    """Where a snapshot's references are, and what they go on from. Raises RepositoryInvalid when a manifest contradicts itself."""
    snapshot = SnapshotId(manifest.snapshot)
    fold = bridges.folds.get(snapshot)
    if fold is not None:
        return Link(snapshot, fold.references, SnapshotId(fold.parent) if fold.parent else None)
    entry = manifest.file("references.parquet")
    if manifest.chain_length == 0:
        return Link(snapshot, entry, None)
    if manifest.parent is None or manifest.parent >= snapshot:  # ids grow along every chain, so that it has an end
        raise RepositoryInvalid(f"the chain of references of {snapshot} has no beginning", hint="Run 'lockstep verify'.")
    return Link(snapshot, entry, SnapshotId(manifest.parent))


def previous_of(manifest: Manifest, bridges: Bridges) -> Previous | None:
    """The predecessor that a snapshot has now."""
    return bridges.previous.get(manifest.snapshot, manifest.previous)


def named_segments(manifests: Iterable[Manifest], bridges: Bridges) -> dict[str, FileEntry]:
    """The segments of the inventory that count, by path: what manifests name, with the record's changes."""
    named = {entry.path: entry for manifest in manifests for entry in manifest.inventory}
    named |= {entry.path: entry for entry in bridges.segments}
    return {path: entry for path, entry in named.items() if path not in bridges.replaced}


def bridges_path(number: int) -> str:
    """Where a record lies."""
    return f"{BRIDGES}{number}.json"


def number_for_files(record: int) -> int:
    """The number in the names of the files that a record is to name: its own and six digits by chance.

    So a prune that was suspended, and goes on when another one has written the record with its number, overwrites nothing of it.
    """
    return record * 10**6 + secrets.randbelow(10**6)


def number_of_record(path: str) -> int:
    """The number in the name of a record; 0 when the path is no record's."""
    found = _PATH.fullmatch(path)
    return int(found[1]) if found else 0


def record_paths(store: ObjectStore) -> list[str]:
    """The records that are there, the one that counts first."""
    found = (info.key for page in store.list(BRIDGES) for info in page)
    numbers = sorted({number_of_record(path) for path in found} - {0}, reverse=True)
    return [bridges_path(number) for number in numbers]


def save_bridges(store: ObjectStore, bridges: Bridges) -> None:
    """Make a record count; what it names must be there already. Raises ObjectExists when another writer was faster."""
    store.flush()  # what the record names must outlast it
    store.write(bridges_path(bridges.number), bridges.as_bytes())
    store.flush()


def load_bridges(store: ObjectStore) -> Bridges:
    """The record that counts. Raises RepositoryInvalid when it is damaged, or of a newer format."""
    found = read_bridges(store)
    if found.damaged:
        raise RepositoryInvalid(
            f"'{bridges_path(found.number)}' is damaged", hint="Bring it back from a copy of the repository; 'lockstep verify' tells more."
        )
    return found


def read_bridges(store: ObjectStore) -> Bridges:
    """As `load_bridges`, for readers: a damaged record says nothing. Then what needs it is not found, and everything else is."""
    while paths := record_paths(store):
        with suppress(ObjectNotFound):  # deleted since it was listed, since there is a newer one
            found = bridges_from_bytes(store.read(paths[0]).bytes(), path=paths[0])
            return found or NOTHING_REMOVED.model_copy(update={"number": number_of_record(paths[0]), "damaged": True})
    return NOTHING_REMOVED


def bridges_from_bytes(data: bytes, *, path: str) -> Bridges | None:
    """Read a record; None when it is damaged. Raises RepositoryInvalid when it is of a newer format."""
    if not is_sealed(data):
        return None
    try:
        document = json.loads(data)
        if document["format"] > FORMAT:
            raise RepositoryInvalid(
                f"'{path}' has format {document['format']}, and this lockstep reads formats up to {FORMAT}",
                hint="Use a newer lockstep for this repository.",
            )
        return Bridges.model_validate_json(data)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
