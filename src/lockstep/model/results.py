"""What the operations report: values that the command line prints, a script reads as JSON, and a test compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lockstep.model.cost import Rate
from lockstep.model.database import DumpFormat


@dataclass(frozen=True, slots=True)
class BackupDatabase:
    """The database's side of a backup; `bytes` is the size of the dump, `seconds` what it took."""

    name: str
    server_version: str
    format: DumpFormat
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BackupObjects:
    """The objects' side of a backup.

    `referenced` = `new` + `reused` + `missing` + `mismatched`; `recovered` of the new ones were not in their place in the store but in
    an older one; `seconds` is what copying took. `by_service` of those that this run copied never came by here: the S3 service copied them
    by itself; of `hashed_by_service` of these the SHA-256 is what the service says.
    """

    referenced: int
    referenced_bytes: int
    new: int
    copied_bytes: int
    reused: int
    missing: int
    mismatched: int
    seconds: float
    recovered: int = 0
    by_service: int = 0
    hashed_by_service: int = 0


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests to the deployment's stores; what a repository in an object store costs is counted apart."""

    list: int = 0
    get: int = 0
    head: int = 0
    put: int = 0
    retried: int = 0


@dataclass(frozen=True, slots=True)
class MissingGroup:
    """How many missing objects belong together; `labels` are the profile's groups (organization, realm)."""

    labels: Mapping[str, str]
    count: int


@dataclass(frozen=True, slots=True)
class WorkersUsed:
    """Other processes that took part: how many reported, how many died, and the most memory in bytes that one of them held."""

    count: int
    lost: int
    peak_rss: int


@dataclass(frozen=True, slots=True)
class LockedObjects:
    """Object Lock of what a snapshot needs: the mode, and until when all of it is locked at least.

    `extended` locks were made longer; of these `hidden` lie under delete markers; `gone` files were not there to be locked.
    """

    mode: str
    until: datetime
    extended: int
    hidden: int
    gone: int


@dataclass(frozen=True, slots=True)
class BackupResult:
    """One new snapshot. `peak_rss` is in bytes.

    `faults` counts the requests that failed and were sent again, by kind; `degraded` says what was wrong with nodes of a RAID and the
    others made up for.
    """

    snapshot: str
    complete: bool
    created: datetime
    parent: str | None
    database: BackupDatabase
    objects: BackupObjects
    requests: Requests
    repository_requests: Requests
    seconds: float
    peak_rss: int
    missing_sample: tuple[str, ...] = ()
    missing_groups: tuple[MissingGroup, ...] = ()
    degraded: tuple[str, ...] = ()
    faults: Mapping[str, int] = field(default_factory=dict)
    workers: WorkersUsed | None = None
    locked: LockedObjects | None = None


@dataclass(frozen=True, slots=True)
class ImportResult:
    """One new snapshot of what was made without lockstep.

    `unreferenced` files lie among the objects and nothing references them; `late` is true when the repository had a newer snapshot.
    """

    backup: BackupResult
    unreferenced: int
    late: bool


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """What a backup would do now, and what that would cost: nothing was written.

    Sizes in bytes; `database_bytes` is the size on the server. `requests` are those to the deployment's stores, `repository_requests` those
    to a repository in an object store. `rate` is that of former runs; what they do not tell is None.
    """

    database: str
    database_bytes: int
    referenced: int
    referenced_bytes: int
    new: int
    new_bytes: int
    requests: int
    room_left: int | None
    repository_requests: int = 0
    rate: Rate | None = None
    copy_seconds: float | None = None
    dump_seconds: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SnapshotObject:
    """A reference of a snapshot. `sha256` is None when the snapshot does not have the object."""

    store: str
    key: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RestoredDatabase:
    """The database's side of a restore; `replaced` is the name under which the former database is kept."""

    name: str
    replaced: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class RestoredObjects:
    """The objects' side of a restore.

    `different` objects were under their key with other bytes and were left alone; `missing` ones the snapshot never had, or the
    repository has lost. Of the uploaded ones `by_service` never came by here: the S3 service copied them by itself.
    """

    uploaded: int
    uploaded_bytes: int
    already_there: int
    different: int
    missing: int
    missing_sample: tuple[str, ...]
    seconds: float
    by_service: int = 0


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """A snapshot that was brought back; a side that was not asked for is None. `faults` as in `BackupResult`."""

    snapshot: str
    database: RestoredDatabase | None
    objects: RestoredObjects | None
    consistent: bool
    seconds: float
    requests: Requests = Requests()
    repository_requests: Requests = Requests()
    faults: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore would do; nothing was changed.

    `database_steps` are sentences in their order; sizes in bytes; `missing` objects cannot come back. A side that was not asked for has
    zeros and None.
    """

    snapshot: str
    created: datetime
    objects: int
    objects_bytes: int
    missing: int
    database: str | None
    dump_bytes: int
    database_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What a repair would do; nothing was changed. `broken` = `restorable` + `unrestorable`; `sample` are keys of the latter."""

    broken: int
    restorable: int
    restorable_bytes: int
    unrestorable: int
    sample: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeRepair:
    """How many parts of objects that the other nodes had were written to one node of a RAID."""

    store: str
    node: int
    url: str
    restored: int


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What a repair put back; `still_missing` counts what the repository does not have either."""

    restored: int
    restored_bytes: int
    still_missing: int
    still_missing_sample: tuple[str, ...]
    seconds: float
    nodes: tuple[NodeRepair, ...] = ()
