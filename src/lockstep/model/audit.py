"""What an audit finds: the live references held against the live objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from lockstep.model.raid import RaidMode
from lockstep.model.results import Requests

WhyFound = Literal["lost", "older_key", "older_version", "wrong_size"]
"""What is wrong with a referenced object: nowhere in the store; not under its key but under that of an older server; only as an older
version of a versioned bucket; there, with another size than the metadata says."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Objects and the bytes they have, or that their references say they have."""

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Objects that belong together; `labels` are the profile's words for it (organization, realm)."""

    labels: Mapping[str, str]
    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Affected:
    """Referenced objects of one fault. `sample` holds the first keys, `groups` the largest group first."""

    count: int = 0
    bytes: int = 0
    sample: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One referenced object with a fault. `found_key` and `found_version` say where its bytes still are, `known` what the profile says.

    `since` is the first snapshot that missed it, `copied` the newest one whose backup read it from the bucket, and kept it.
    """

    store: str
    key: str
    size: int | None
    why: WhyFound
    found_size: int | None = None
    found_key: str | None = None
    found_version: str | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    since: str | None = None
    copied: str | None = None


@dataclass(frozen=True, slots=True)
class OrphanObject:
    """An object that no row references."""

    store: str
    key: str
    size: int
    modified: datetime | None


@dataclass(frozen=True, slots=True)
class KeptSide:
    """What a repository knows of an audit's findings.

    `newest` is its newest snapshot. `copied` is what it keeps and could put back; `since` counts what its snapshots missed already by the
    first that did, oldest first; `unknown` is what it has never seen.
    """

    url: str
    newest: str | None
    copied: Amount
    since: tuple[Group, ...]
    unknown: Amount


@dataclass(frozen=True, slots=True)
class NodeAudit:
    """One node of a RAID: what it lacks of the referenced objects, has of another size, and has without need.

    `unreachable` says why nothing is known of the node; None when it was listed. `sample` holds keys of what it lacks or has wrong.
    """

    store: str
    mode: RaidMode
    node: int
    url: str
    missing: int
    mismatched: int
    orphans: int
    sample: tuple[str, ...] = ()
    unreachable: str | None = None

    @property
    def sound(self) -> bool:
        """True when the node has its part of every referenced object, as far as sizes tell."""
        return self.unreachable is None and self.missing == self.mismatched == 0


@dataclass(frozen=True, slots=True)
class AuditResult:
    """A deployment's two sides compared. `referenced` = `present` + `missing` + `mismatched` + `purged`.

    `purged` lost their row while the audit ran; `in_flight` were stored while it ran and have no row yet: neither is a finding.
    `classes` says where the missing ones are, `breakdown` counts them by what else the profile knows (author, date). `kept` is None when no
    repository was asked.
    """

    database: str
    stores: Mapping[str, str]
    profile: str
    started: datetime
    referenced: int
    referenced_bytes: int
    present: int
    missing: Affected
    mismatched: Affected
    orphans: Amount
    purged: Amount
    in_flight: Amount
    classes: Mapping[WhyFound, int]
    breakdown: Mapping[str, tuple[Group, ...]]
    recoverable: int
    requests: Requests
    seconds: float
    peak_rss: int
    kept: KeptSide | None = None
    nodes: tuple[NodeAudit, ...] = ()

    @property
    def sound(self) -> bool:
        """True when the deployment is consistent and no node of a RAID lacks anything that the others make up for."""
        return self.consistent and all(node.sound for node in self.nodes)

    @property
    def consistent(self) -> bool:
        """True when every referenced object is there with the size that the metadata says; orphans do no harm."""
        return self.missing.count == self.mismatched.count == 0
