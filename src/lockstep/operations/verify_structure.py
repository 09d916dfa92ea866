"""The skeleton of a repository: the marker, the head and every manifest, each by its own seal and by what the others say of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from lockstep.errors import DiskFailed, KeyRefused, ObjectNotFound, PermissionMissing, RepositoryInvalid
from lockstep.model.findings import Finding, FindingKind
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.known import read_known
from lockstep.objects.retry import retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, in_parallel
from lockstep.operations.verify_signatures import NOT_ASKED, Signature, judge_record, judge_signatures, read_signature_of
from lockstep.repository import layout
from lockstep.repository.bridges import (
    NOTHING_REMOVED,
    Bridges,
    Link,
    bridges_from_bytes,
    link_of,
    number_of_record,
    previous_of,
    read_bridges,
    record_paths,
)
from lockstep.repository.lock_state import read_lock
from lockstep.repository.manifest import Manifest, manifest_from_bytes
from lockstep.repository.manifests import LARGEST_MANIFEST
from lockstep.repository.repository import looks_used, open_repository
from lockstep.repository.seal import is_cut, is_grown, is_sealed

READERS = 8
"""Manifests that are read at once."""


@dataclass(frozen=True, slots=True)
class SeenManifest:
    """A manifest file as it lies there; `manifest` is None when it cannot be used, `sealed` is true when it is as it was written."""

    snapshot: SnapshotId
    sha256: str
    sealed: bool
    manifest: Manifest | None
    faults: tuple[Finding, ...]
    size_bytes: int = 0
    signature: Signature = NOT_ASKED


@dataclass(slots=True)
class Structure:
    """What the repository is made of. `manifests` has those that can be used, by snapshot, oldest first."""

    repository: str
    snapshots: tuple[SnapshotId, ...]
    manifests: dict[SnapshotId, Manifest]
    findings: list[Finding] = field(default_factory=list)
    size_bytes: int = 0
    bridges: Bridges = NOTHING_REMOVED
    signatures: int = 0

    def link(self, snapshot: SnapshotId) -> Link | None:
        """Where a snapshot's references are; None when its manifest is lost, or contradicts itself."""
        try:
            return link_of(self.manifests[snapshot], self.bridges)
        except (KeyError, RepositoryInvalid):
            return None

    @property
    def lost_manifests(self) -> bool:
        """True when there is, or was, a manifest that cannot be used: what it alone names is not known."""
        return len(self.manifests) < len(self.snapshots) or any(finding.kind == "missing" for finding in self.findings)


def read_structure(store: ObjectStore, *, stop: Stop) -> Structure:
    """Read and judge the marker, the head and all manifests.

    Raises RepositoryNotFound where there is none, and RepositoryInvalid when it is of a newer format.
    """
    marker = _read(store, layout.MARKER)
    if isinstance(marker, Finding) and marker.kind == "missing" and not looks_used(store):
        open_repository(store)  # says so
    head = _read(store, layout.HEAD)  # before the manifests: a backup that commits meanwhile makes it older than they are, never newer
    bridges, fault = _read_bridges(store)
    snapshots = _snapshot_ids(store, bridges)
    seen = {each.snapshot: each for each in _read_manifests(store, snapshots, stop)}
    identity, findings = _judge_marker(store, marker, seen, snapshots)
    manifests: dict[SnapshotId, Manifest] = {}
    for snapshot in snapshots:
        found = seen[snapshot]
        findings += found.faults
        if found.manifest is not None and found.manifest.repository == identity:
            manifests[snapshot] = found.manifest
        elif found.manifest is not None:
            findings.append(_about(snapshot, "tampered", "is of another repository"))
    findings += [replace(fault, snapshots=snapshots)] if fault is not None else []
    signed = {each.snapshot: each.signature for each in seen.values() if each.manifest is not None and not each.faults}
    for judged in (
        judge_signatures(signed),
        judge_record(store, bridges, snapshots),
        _judge_history(seen, manifests, bridges),
        _judge_chains(manifests, seen, bridges),
        _judge_head(store, head, seen, bridges),
    ):
        known = {finding.path for finding in findings}
        findings += [each for each in judged if each.path not in known]
    size = sum(each.size_bytes for each in seen.values()) + sum(len(each) for each in (marker, head) if isinstance(each, bytes))
    return Structure(identity, snapshots, manifests, findings, size, bridges, sum(each.right for each in signed.values()))


def read_sealed(store: ObjectStore, path: str, snapshots: Iterable[str] = ()) -> tuple[Any, Finding | None]:
    """The document in a sealed file, or what is wrong with it; both None when it is not there."""
    data = _read(store, path, tuple(snapshots))
    if isinstance(data, Finding):
        return None, None if data.kind == "missing" else data
    if not is_sealed(data):
        return None, _broken(path, data, tuple(snapshots))
    return json.loads(data), None


def _read(store: ObjectStore, path: str, snapshots: tuple[str, ...] = ()) -> bytes | Finding:
    try:
        body = retrying(lambda: read_known(store, path))
        if body.info.size > LARGEST_MANIFEST:
            return Finding("damaged", path, None, snapshots, f"has {body.info.size} bytes")
        return body.bytes()
    except ObjectNotFound:
        return Finding("missing", path, None, snapshots, "is not there")
    except KeyRefused as error:
        return Finding("tampered", path, None, snapshots, error.message)
    except (PermissionMissing, DiskFailed) as error:
        if path == layout.MARKER and isinstance(error, PermissionMissing):
            raise  # nothing here can be read: that says nothing about the repository
        return Finding("unreadable", path, None, snapshots, error.message)


def _broken(path: str, data: bytes, snapshots: tuple[str, ...] = ()) -> Finding:
    if is_cut(data):
        return Finding("truncated", path, None, snapshots, "has lost its end")
    return Finding("damaged", path, None, snapshots, "is not what its own checksum says")


def _about(snapshot: str, kind: FindingKind, detail: str) -> Finding:
    return Finding(kind, layout.manifest_path(SnapshotId(snapshot)), None, (snapshot,), detail)


def _read_bridges(store: ObjectStore) -> tuple[Bridges, Finding | None]:
    """The record of what was removed, and what is wrong with it."""
    while paths := record_paths(store):
        data = _read(store, paths[0])
        if isinstance(data, Finding) and data.kind == "missing":  # there is a newer one
            continue
        found = bridges_from_bytes(data, path=paths[0]) if isinstance(data, bytes) else None
        if found is not None:
            return found, None
        return read_bridges(store), _broken(paths[0], data) if isinstance(data, bytes) else data
    return NOTHING_REMOVED, None


def _snapshot_ids(store: ObjectStore, bridges: Bridges) -> tuple[SnapshotId, ...]:
    found = {layout.snapshot_of_manifest(info.key) for page in store.list(layout.SNAPSHOTS) for info in page}
    return tuple(sorted(snapshot for snapshot in found if snapshot is not None and snapshot not in bridges.removed))


def _read_manifests(store: ObjectStore, snapshots: Iterable[SnapshotId], stop: Stop) -> list[SeenManifest]:
    read: Callable[[SnapshotId], SeenManifest] = lambda snapshot: _read_manifest(store, snapshot)  # noqa: E731
    return [each for batch in in_parallel(snapshots, read, threads=READERS, stop=stop) for each in batch]


def _read_manifest(store: ObjectStore, snapshot: SnapshotId) -> SeenManifest:
    path = layout.manifest_path(snapshot)
    data = _read(store, path, (snapshot,))
    if isinstance(data, Finding):
        return SeenManifest(snapshot, "", False, None, (data,))
    sha256, sealed = hashlib.sha256(data).hexdigest(), is_sealed(data)
    try:
        manifest = manifest_from_bytes(data, path=path)
    except RepositoryInvalid as error:
        fault = _about(snapshot, "tampered", error.message) if sealed else _broken(path, data, (snapshot,))
        return SeenManifest(snapshot, sha256, sealed, None, (fault,), len(data))
    faults: tuple[Finding, ...] = ()
    if is_grown(data) or is_sealed(data + b"\n"):  # white space at its end, which JSON does not mind
        faults = (_broken(path, data, (snapshot,)),)
    elif not sealed:
        faults = (_about(snapshot, "tampered", "reads well, but is not what its own checksum says"),)
    return SeenManifest(snapshot, sha256, sealed, manifest, faults, len(data), read_signature_of(store, manifest, data))


def _judge_marker(
    store: ObjectStore, marker: bytes | Finding, seen: dict[SnapshotId, SeenManifest], snapshots: tuple[SnapshotId, ...]
) -> tuple[str, list[Finding]]:
    """The repository's identity, and what is wrong with the file that gives it. Manifests say it too."""
    said = Counter(each.manifest.repository for each in seen.values() if each.manifest is not None and each.sealed)
    others = said.most_common(1)[0][0] if said else ""
    if isinstance(marker, Finding):
        return others, [Finding(marker.kind, marker.path, None, snapshots, marker.detail)]
    if not is_sealed(marker):
        if not seen:
            open_repository(store)  # refuses a newer format politely
        return others, [_broken(layout.MARKER, marker, snapshots)]
    document = json.loads(marker)
    identity = document.get("id")
    if not isinstance(identity, str) or "created" not in document:
        return others, [Finding("tampered", layout.MARKER, None, snapshots, "is another file")]
    if document.get("format") != layout.FORMAT:
        open_repository(store)  # refuses it
    if said and identity not in said:
        return others, [Finding("tampered", layout.MARKER, None, snapshots, "is of another repository than the manifests")]
    return identity, []


def _judge_history(seen: dict[SnapshotId, SeenManifest], manifests: dict[SnapshotId, Manifest], bridges: Bridges) -> list[Finding]:
    """Each manifest names the one before it by content. Only those that are as they were written may accuse another."""
    findings: dict[str, Finding] = {}
    ids = sorted(seen)
    for position, snapshot in enumerate(ids):
        manifest = manifests.get(snapshot)
        if manifest is None or not seen[snapshot].sealed:
            continue
        before = previous_of(manifest, bridges)
        skipped = [each for each in ids[:position] if before is None or each > before.snapshot]
        for each in skipped:
            findings.setdefault(each, _about(each, "tampered", f"is not part of the history that {snapshot} goes on with"))
        if before is None:
            continue
        earlier = seen.get(SnapshotId(before.snapshot))
        if earlier is None:
            findings[before.snapshot] = _about(before.snapshot, "missing", f"is not there, and {snapshot} follows it")
        elif earlier.sealed and earlier.sha256 != before.sha256:
            findings[before.snapshot] = _about(before.snapshot, "tampered", f"is not the one that {snapshot} followed")
    return [finding for _, finding in sorted(findings.items())]


def _judge_chains(manifests: dict[SnapshotId, Manifest], seen: dict[SnapshotId, SeenManifest], bridges: Bridges) -> list[Finding]:
    """Each snapshot's references build on those of an earlier one that is there, or on none."""
    findings = []
    for snapshot, manifest in manifests.items():
        try:
            link = link_of(manifest, bridges)
        except RepositoryInvalid as error:
            findings.append(_about(snapshot, "tampered", f"contradicts itself: {error.message}"))
            continue
        if link.references is None:
            findings.append(_about(snapshot, "tampered", "names no references"))
        elif link.parent is not None and link.parent not in seen:
            findings.append(_about(link.parent, "missing", f"is not there, and the references of {snapshot} build on it"))
    return findings


def _judge_head(store: ObjectStore, head: bytes | Finding, seen: dict[SnapshotId, SeenManifest], bridges: Bridges) -> list[Finding]:
    if isinstance(head, Finding) and head.kind == "missing" and (not seen or _is_written_to(store)):
        return []  # there is no snapshot yet, or the first one is just being finished
    newest: tuple[str, ...] = (max(seen),) if seen else ()
    if isinstance(head, Finding):
        return [replace(head, snapshots=newest)]
    return [_broken(layout.HEAD, head, newest)] if not is_sealed(head) else _judge_sealed_head(head, seen, newest, bridges)


def _judge_sealed_head(head: bytes, seen: dict[SnapshotId, SeenManifest], newest: tuple[str, ...], bridges: Bridges) -> list[Finding]:
    document = json.loads(head)
    named, sha256, record = document.get("snapshot"), document.get("sha256"), document.get("bridges")
    if named is None and sha256 is None and len(seen) <= 1:
        return []  # the first snapshot is not made yet, or its run was killed before it was named here
    if not isinstance(named, str) or not isinstance(sha256, str):
        return [Finding("tampered", layout.HEAD, None, newest, "is another file")]
    if record is not None and number_of_record(str(record)) > bridges.number:
        return [Finding("missing", str(record), None, tuple(sorted(seen)), "is not there, and head.json names it")]
    found = seen.get(SnapshotId(named))
    if found is None:
        return [_about(named, "missing", "is not there, and head.json names it")] if named not in bridges.removed else []
    if found.sealed and found.sha256 != sha256:
        return [_about(named, "tampered", "is not the one that head.json names")]
    return []


def _is_written_to(store: ObjectStore) -> bool:
    holder = read_lock(store)
    return holder is not None and holder.lives is not False
