"""All files of a repository but the objects: dumps, references, lists of what is missing, inventories."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lockstep.errors import RepositoryInvalid
from lockstep.model.findings import Fault, Finding
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.checksums import Checker
from lockstep.objects.retry import retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, in_parallel
from lockstep.operations.verify_older import with_older
from lockstep.operations.verify_structure import Structure
from lockstep.progress import Listener, StageAdvanced, StageEnded, StageStarted
from lockstep.repository import layout
from lockstep.repository.bridges import Link, named_segments
from lockstep.repository.manifest import FileEntry, Manifest
from lockstep.repository.repository import Repository
from lockstep.tables.engine import Tables
from lockstep.tables.swollen import refuse_swollen

STAGE = "files"


@dataclass(slots=True)
class VerifiedFiles:
    """The tables that are as they were written, as local files by their path in the repository, and what is wrong with other files.

    `hidden` are tables that are as they were written too, but encrypted, and no identity is given.
    """

    tables: dict[str, Path] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    size_bytes: int = 0

    def own(self, manifest: Manifest, name: str) -> Path | None:
        """A table of a snapshot; None when it has none, or a bad one."""
        entry = manifest.file(name)
        return self.tables.get(entry.path) if entry else None

    def references(self, link: Link | None) -> Path | None:
        """The table of references of a link; None when it is lost."""
        return self.tables.get(link.references.path) if link is not None and link.references is not None else None

    def hides(self, manifest: Manifest | None, name: str) -> bool:
        """True when a snapshot has the table, and it cannot be read without an identity."""
        entry = manifest.file(name) if manifest else None
        return entry is not None and entry.path in self.hidden


def files_of(structure: Structure, selected: Iterable[SnapshotId]) -> list[FileEntry]:
    """The files that some snapshots need, each once: their own, the references of their chains, and all segments of the inventory."""
    entries: dict[FileEntry, None] = {}
    for snapshot in selected:
        entries |= dict.fromkeys(structure.manifests[snapshot].files)
        entries |= dict.fromkeys(link.references for link in chain_of(structure, snapshot) if link.references is not None)
    entries |= dict.fromkeys(named_segments(structure.manifests.values(), structure.bridges).values())
    return sorted(entries, key=lambda entry: -entry.size)


def chain_of(structure: Structure, snapshot: SnapshotId) -> list[Link]:
    """The links that a snapshot's references are made of, its own first; it ends early where one is lost."""
    links = []
    at: SnapshotId | None = snapshot
    while at is not None and (link := structure.link(at)) is not None:
        links.append(link)
        at = link.parent
    return links


def whole_chain(structure: Structure, files: VerifiedFiles, snapshot: SnapshotId) -> list[Path] | None:
    """The tables of references of a snapshot's chain, oldest first; None when one of them is lost."""
    links = chain_of(structure, snapshot)
    tables = [files.references(link) for link in reversed(links)]
    if not links or not links[-1].full or any(table is None for table in tables):
        return None
    return [table for table in tables if table is not None]


def verify_files(
    store: ObjectStore, structure: Structure, entries: list[FileEntry], *, work: Path, threads: int, stop: Stop, listener: Listener
) -> VerifiedFiles:
    """Hold files against the size and the checksum in their manifests."""
    checker, found = Checker(store), VerifiedFiles()
    listener(StageStarted(STAGE, total=sum(entry.size for entry in entries)))
    check = partial(_check, Repository(store, structure.repository), checker, work, stop)
    for batch in in_parallel(entries, check, threads=threads, stop=stop):
        for entry, fault, table in batch:
            if fault is not None:
                told = with_older(store, fault, entry.path, size=entry.size, sha256=entry.sha256)
                found.findings.append(Finding(told.kind, entry.path, None, touched_by(structure, entry), told.detail))
            elif table is not None:
                found.tables[entry.path] = table
            elif entry.encrypted and _is_table(entry):
                found.hidden.add(entry.path)
            found.size_bytes += 0 if fault is not None and fault.kind != "damaged" else entry.size
            listener(StageAdvanced(STAGE, done=entry.size, size_bytes=entry.size))
    listener(StageEnded(STAGE))
    return found


def touched_by(structure: Structure, entry: FileEntry) -> tuple[SnapshotId, ...]:
    """The snapshots that need a file: of a segment all from the one that names it on, of references those whose chain they are in."""
    if layout.is_segment(entry.path):
        namers = [each for each, manifest in structure.manifests.items() if entry in manifest.inventory]
        first = min(namers, default=SnapshotId(""))
        return tuple(each for each in structure.snapshots if each >= first)
    owner = SnapshotId(entry.path.split("/")[1])
    if not layout.is_references(entry.path):
        return (owner,)
    return tuple(each for each in structure.manifests if any(link.references == entry for link in chain_of(structure, each)))


def refuse_swollen_tables(structure: Structure, files: VerifiedFiles, tables: Tables) -> None:
    """Find the tables that unfold to more than any of ours, although their checksums are right; nobody reads them then."""
    for path, table in list(files.tables.items()):
        try:
            refuse_swollen(tables, [table])
        except RepositoryInvalid as error:
            del files.tables[path]
            entry = next(each for each in files_of(structure, structure.manifests) if each.path == path)
            files.findings.append(Finding("tampered", path, None, touched_by(structure, entry), error.message.partition(" ")[2]))


def _check(
    repository: Repository, checker: Checker, work: Path, stop: Stop, entry: FileEntry
) -> tuple[FileEntry, Fault | None, Path | None]:
    here, is_table = repository.store.local_file(entry.path), _is_table(entry)
    if here is not None or not is_table or entry.encrypted:
        fault = retrying(lambda: checker.read(entry.path, entry.size, entry.sha256), stop=stop)
        if fault is not None or not is_table:
            return entry, fault, None
        return (entry, *_decrypted(repository, entry, work, stop)) if entry.encrypted else (entry, None, here)
    target = work / f"{entry.sha256}.parquet"

    def download() -> Fault | None:
        with target.open("wb") as file:
            return checker.read(entry.path, entry.size, entry.sha256, sink=file)

    fault = retrying(download, stop=stop)
    if fault is not None:
        target.unlink()
    return entry, fault, target if fault is None else None


def _decrypted(repository: Repository, entry: FileEntry, work: Path, stop: Stop) -> tuple[Fault | None, Path | None]:
    """A table whose stored bytes are right. An identity that is given must fit: else IdentityNeeded is raised."""
    if not repository.keyring.identities.given:
        return None, None
    try:
        return None, retrying(lambda: repository.local_copy(entry, work), stop=stop)
    except RepositoryInvalid as error:
        return Fault("tampered", error.message), None


def _is_table(entry: FileEntry) -> bool:
    return entry.path.removesuffix(layout.ENCRYPTED).endswith(".parquet")
