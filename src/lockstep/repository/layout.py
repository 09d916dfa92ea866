"""The names of everything in a repository of format 1; no input or output."""

from __future__ import annotations

import re

from lockstep.model.snapshots import SnapshotId, is_snapshot_id

FORMAT = 1
MARKER = "lockstep.json"
HEAD = "head.json"
LOCKS = "locks/"
SNAPSHOTS = "snapshots/"
INVENTORY = "inventory/"
OBJECTS = "objects/"
ENCRYPTED_OBJECTS = "encrypted/"
ODD = "odd/"
POOL = (OBJECTS, ENCRYPTED_OBJECTS, ODD)
"""Where objects lie."""
ENCRYPTED = ".age"
"""Behind the name of every encrypted file."""
SIGNATURE = ".sig"
"""Behind the name of what it is the signature of."""
WORK = "locks/work"
"""Where local files grow before they are renamed into place: beside the locks, because it is nobody's data yet."""

_SEGMENT = re.compile(r"inventory/(\d{8}T\d{6}Z-[0-9a-f]{8})-(\d+)\.parquet")
_GATHERED = re.compile(r"inventory/gathered-\d+\.parquet")
_REFERENCES = re.compile(r"snapshots/[^/]+/references(-\d+)?\.parquet")
_ODD = re.compile(r"odd/[0-9a-f]{2}/[0-9a-f]{64}(\.age)?")


def snapshot_directory(snapshot: SnapshotId) -> str:
    """Where the files of a snapshot lie."""
    return f"{SNAPSHOTS}{snapshot}/"


def manifest_path(snapshot: SnapshotId) -> str:
    """The file whose presence makes the snapshot."""
    return f"{SNAPSHOTS}{snapshot}/manifest.json"


def signature_path(path: str) -> str:
    """Where the signature of a file lies."""
    return f"{path}{SIGNATURE}"


def snapshot_of_manifest(path: str) -> SnapshotId | None:
    """The snapshot whose manifest a path names, or None when the path names something else."""
    parts = path.split("/")
    if len(parts) == 3 and parts[0] == "snapshots" and parts[2] == "manifest.json" and is_snapshot_id(parts[1]):
        return SnapshotId(parts[1])
    return None


def segment_path(run: SnapshotId, number: int) -> str:
    """A segment of the inventory, written by the run that was to become the snapshot `run`."""
    return f"{INVENTORY}{run}-{number}.parquet"


def run_of_segment(path: str) -> SnapshotId | None:
    """The id of the run that wrote a segment of the inventory; None when the path is no segment's."""
    found = _SEGMENT.fullmatch(path)
    return SnapshotId(found[1]) if found else None


def gathered_path(number: int) -> str:
    """The segment that a record puts in the place of others: nobody takes it for what a killed run left. See `number_for_files`."""
    return f"{INVENTORY}gathered-{number}.parquet"


def is_segment(path: str) -> bool:
    """True when a path has the form of a segment of the inventory."""
    return _SEGMENT.fullmatch(path) is not None or _GATHERED.fullmatch(path) is not None


def folded_path(snapshot: SnapshotId, number: int) -> str:
    """The file of references that a record puts in the place of a snapshot's own. See `number_for_files`."""
    return f"{SNAPSHOTS}{snapshot}/references-{number}.parquet"


def is_folded(path: str) -> bool:
    """True when a path has the form of folded references."""
    found = _REFERENCES.fullmatch(path)
    return found is not None and found[1] is not None


def is_references(path: str) -> bool:
    """True when a path has the form of a snapshot's references, its own or folded."""
    return _REFERENCES.fullmatch(path) is not None


def own_path(store: str, key: str) -> str:
    """Where an object lies when its key can be a file name."""
    return f"{OBJECTS}{store}/{key}"


def encrypted_path(store: str, key: str) -> str:
    """Where an encrypted object lies when its key can be a file name with `.age` behind it: not among the plain ones, which are synced."""
    return f"{ENCRYPTED_OBJECTS}{store}/{key}{ENCRYPTED}"


def odd_path(sha256: str, *, encrypted: bool = False) -> str:
    """Where an object lies when its key cannot; `sha256` is that of the bytes there."""
    return f"{ODD}{sha256[:2]}/{sha256}{ENCRYPTED if encrypted else ''}"


def is_odd_path(path: str) -> bool:
    """True when a path has the form of `odd_path`: what an inventory says must not lead anywhere else."""
    return _ODD.fullmatch(path) is not None and path[4:6] == path[7:9]
