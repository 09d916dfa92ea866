"""The signatures of a repository: each by the key that the manifest names, and by those that the person names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.errors import ConfigurationError
from lockstep.model.findings import Finding, FindingKind
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.retry import retrying
from lockstep.objects.store import ObjectStore
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges, bridges_path
from lockstep.repository.keyed_store import keyring_of
from lockstep.repository.manifest import Manifest
from lockstep.repository.trust import read_signature, why_untrusted


@dataclass(frozen=True, slots=True)
class Signature:
    """What was seen of a manifest's signature: `right`, or else what is wrong, when something is (`kind`, `path`, `why`).

    `before` is true for a manifest that says of itself that it is not signed, and is not.
    """

    right: bool = False
    kind: FindingKind = "tampered"
    path: str = ""
    why: str = ""
    before: bool = False


NOT_ASKED = Signature()


def read_signature_of(store: ObjectStore, manifest: Manifest, data: bytes) -> Signature:
    """Hold a manifest against its signature: with the keys that are given, else with the one that it names itself."""
    keys, path = keyring_of(store).verify_keys, layout.manifest_path(SnapshotId(manifest.snapshot))
    if not keys and manifest.signed_by is None:
        return NOT_ASKED
    from lockstep.encryption.signatures import read_verify_key  # not for those who have no signatures

    beside = layout.signature_path(path)
    if retrying(lambda: read_signature(store, path)) is None:
        if manifest.signed_by is not None:
            return Signature(kind="missing", path=beside, why="is not there, and the manifest is signed")
        return Signature(path=path, why="is not signed", before=True)
    try:
        keys = keys or (read_verify_key(manifest.signed_by or ""),)
    except ConfigurationError:
        return Signature(path=path, why="is signed with a key that is none")
    if retrying(lambda: why_untrusted(store, path, data, keys=keys)) is None:
        return Signature(right=True)
    return Signature(path=beside, why="is not of the manifest beside it, or not by a key that is given")


def judge_signatures(seen: Mapping[SnapshotId, Signature]) -> list[Finding]:
    """What is wrong with signatures. What is older than all of them may have none: the chain of manifests vouches for it."""
    first = min((snapshot for snapshot, signature in seen.items() if signature.right), default=SnapshotId(""))
    return [
        Finding(signature.kind, signature.path, None, (snapshot,), signature.why)
        for snapshot, signature in sorted(seen.items())
        if signature.why and not (signature.before and snapshot < first)
    ]


def judge_record(store: ObjectStore, bridges: Bridges, snapshots: tuple[SnapshotId, ...]) -> list[Finding]:
    """What is wrong with the signature of the record of what was removed, where keys ask for it."""
    if not keyring_of(store).verify_keys or not bridges.number or bridges.damaged:
        return []
    path = bridges_path(bridges.number)
    why = retrying(lambda: why_untrusted(store, path, store.read(path).bytes()))
    return [Finding("tampered", path, None, snapshots, why)] if why is not None else []
