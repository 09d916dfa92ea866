"""All files of a repository but the objects: dumps, references, lists of what is missing, inventories."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lockstep.model.findings import Fault, Finding
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.checksums import Checker
from lockstep.objects.retry import retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, in_parallel
from lockstep.operations.verify_structure import Structure
from lockstep.progress import Listener, StageAdvanced, StageEnded, StageStarted
from lockstep.repository import layout
from lockstep.repository.manifest import FileEntry, Manifest

STAGE = "files"


@dataclass(slots=True)
class VerifiedFiles:
    """The tables that are as they were written, as local files by their path in the repository, and what is wrong with other files."""

    tables: dict[str, Path] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    size_bytes: int = 0

    def own(self, manifest: Manifest, name: str) -> Path | None:
        """A table of a snapshot; None when it has none, or a bad one."""
        entry = manifest.file(name)
        return self.tables.get(entry.path) if entry else None


def files_of(structure: Structure, selected: Iterable[SnapshotId]) -> list[FileEntry]:
    """The files that some snapshots need, each once: their own, the references of their chains, and all segments of the inventory."""
    entries: dict[FileEntry, None] = {}
    for snapshot in selected:
        entries |= dict.fromkeys(structure.manifests[snapshot].files)
        for link in chain_of(structure, snapshot):
            entries |= dict.fromkeys(each for each in link.files if each.path.endswith("/references.parquet"))
    for manifest in structure.manifests.values():
        entries |= dict.fromkeys(manifest.inventory)
    return sorted(entries, key=lambda entry: -entry.size)


def chain_of(structure: Structure, snapshot: SnapshotId) -> list[Manifest]:
    """The manifests whose references a snapshot's are made of, its own first; it ends early where one is lost."""
    links = [structure.manifests[snapshot]]
    while links[-1].chain_length > 0 and len(links) <= links[0].chain_length:
        parent = structure.manifests.get(SnapshotId(links[-1].parent or ""))
        if parent is None:
            break
        links.append(parent)
    return links


def whole_chain(structure: Structure, files: VerifiedFiles, snapshot: SnapshotId) -> list[Path] | None:
    """The tables of references of a snapshot's chain, oldest first; None when one of them is lost."""
    links = chain_of(structure, snapshot)
    tables = [files.own(link, "references.parquet") for link in reversed(links)]
    if links[-1].chain_length > 0 or any(table is None for table in tables):
        return None
    return [table for table in tables if table is not None]


def verify_files(
    store: ObjectStore, structure: Structure, entries: list[FileEntry], *, work: Path, threads: int, stop: Stop, listener: Listener
) -> VerifiedFiles:
    """Hold files against the size and the checksum in their manifests."""
    checker, found = Checker(store), VerifiedFiles()
    listener(StageStarted(STAGE, total=sum(entry.size for entry in entries)))
    check = partial(_check, store, checker, work, stop)
    for batch in in_parallel(entries, check, threads=threads, stop=stop):
        for entry, fault, table in batch:
            if fault is not None:
                found.findings.append(Finding(fault.kind, entry.path, None, touched_by(structure, entry), fault.detail))
            elif table is not None:
                found.tables[entry.path] = table
            found.size_bytes += 0 if fault is not None and fault.kind != "damaged" else entry.size
            listener(StageAdvanced(STAGE, done=entry.size, size_bytes=entry.size))
    listener(StageEnded(STAGE))
    return found


def touched_by(structure: Structure, entry: FileEntry) -> tuple[SnapshotId, ...]:
    """The snapshots that need a file: of a segment all from the one that names it on, of references those whose chain they are in."""
    if layout.is_segment(entry.path):
        first = min((each for each, manifest in structure.manifests.items() if entry in manifest.inventory), default=SnapshotId(""))
        return tuple(each for each in structure.snapshots if each >= first)
    owner = SnapshotId(entry.path.split("/")[1])
    if not entry.path.endswith("/references.parquet"):
        return (owner,)
    return tuple(each for each in structure.manifests if any(link.snapshot == owner for link in chain_of(structure, each)))


def _check(store: ObjectStore, checker: Checker, work: Path, stop: Stop, entry: FileEntry) -> tuple[FileEntry, Fault | None, Path | None]:
    is_table = entry.path.endswith(".parquet")
    here = store.local_file("x") is not None
    if not is_table or here:
        fault = retrying(lambda: checker.read(entry.path, entry.size, entry.sha256), stop=stop)
        return entry, fault, store.local_file(entry.path) if is_table and fault is None else None
    target = work / f"{entry.sha256}.parquet"

    def download() -> Fault | None:
        with target.open("wb") as file:
            return checker.read(entry.path, entry.size, entry.sha256, sink=file.write)

    fault = retrying(download, stop=stop)
    if fault is not None:
        target.unlink()
    return entry, fault, target if fault is None else None
