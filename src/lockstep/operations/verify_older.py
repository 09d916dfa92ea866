"""Tells of what a verification finds missing or damaged whether the bucket still has it in an older version."""

from __future__ import annotations

from dataclasses import replace

from lockstep.model.findings import OLDER_IS_RIGHT, Fault
from lockstep.objects.older_versions import find_right_version
from lockstep.objects.store import ObjectStore


def with_older(store: ObjectStore, fault: Fault, path: str, *, size: int, sha256: str) -> Fault:
    """The fault, and that an older version of the file is what was recorded, where one is."""
    if fault.kind == "unreadable" or find_right_version(store, path, size=size, sha256=sha256) is None:
        return fault
    return replace(fault, detail=f"{fault.detail}; {OLDER_IS_RIGHT}")
