"""What a person can do about a finding of `lockstep verify`, by which file it is and what is wrong with it."""

from __future__ import annotations

from lockstep.model.findings import Finding
from lockstep.repository import layout
from lockstep.repository.copies import COPIES
from lockstep.repository.drills import DRILLS

VERIFICATIONS = "verifications/"

UNREADABLE = "Mend the disk, or the rights to the file, and verify again: its bytes may still be right."
COVERED = "Find out who was in the bucket, then uncover it (docs/how-to/lock-a-repository.md); a restore reads the older version meanwhile."
OBJECT = "Run 'lockstep repair --repository', which fetches it again from the bucket, if that has it."
ENCRYPTED_OBJECT = "Bring it back from a copy of the repository: what is encrypted anew is not what was recorded."
MARKER = f"Bring {layout.MARKER} back from a copy of the repository: without it nothing can be opened."
HEAD = "Compare it with a copy kept elsewhere; the next backup writes a new one, and nothing else is lost."
MANIFEST = "Bring it back from a copy, or use another snapshot: this one can't be restored; the next backup makes a new one."
REWRITTEN = "Find out who wrote to the repository, and compare it with a copy: what this file says is not what was written at the time."
SIGNATURE = "Bring it back from a copy: without it nobody can tell who made the snapshot."
DUMP = "Use another snapshot: this snapshot's database can't be restored; the next backup makes a new one."
TABLE = "Use another snapshot, or restore this one's database alone: its objects can't be told; the next backup writes them down anew."
SEGMENT = "Run 'lockstep backup', which copies again what only this inventory records; bring it back from a copy for older snapshots."
RECORD = "Verify again: each verification writes this record anew, and no snapshot needs it."
DRILL = "Delete it and run 'lockstep drill' again: no snapshot needs it."
COPY = "Run 'lockstep copy' again, which writes it anew: no snapshot needs it."
STRANGER = "Find out who wrote to the repository: lockstep writes nothing there."


def hint_for(finding: Finding) -> str:
    """One sentence that begins with a verb."""
    if finding.kind == "unreadable" or finding.covered:
        return UNREADABLE if finding.kind == "unreadable" else COVERED
    own = _of_its_own(finding)
    if own is not None:
        return own
    if finding.store is not None or finding.path.startswith(layout.POOL):
        return ENCRYPTED_OBJECT if finding.path.startswith(layout.ENCRYPTED_OBJECTS) else OBJECT
    if finding.path.startswith(layout.SNAPSHOTS):
        return _of_a_snapshot(finding)
    if finding.path.startswith(layout.INVENTORY):
        return SEGMENT
    return STRANGER


def _of_its_own(finding: Finding) -> str | None:
    """For files that belong to no snapshot."""
    if finding.path.startswith(VERIFICATIONS):
        return RECORD
    if finding.path.startswith(DRILLS):
        return DRILL
    if finding.path.startswith(COPIES):
        return COPY
    return {layout.MARKER: MARKER, layout.HEAD: HEAD}.get(finding.path)


def _of_a_snapshot(finding: Finding) -> str:
    name = "/".join(finding.path.split("/")[2:])
    if finding.kind == "tampered":
        return REWRITTEN
    if name == layout.signature_path("manifest.json"):
        return SIGNATURE
    if name == "manifest.json":
        return MANIFEST
    return DUMP if name.startswith("database") else TABLE
