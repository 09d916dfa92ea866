from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockstep.model.snapshots import SnapshotId
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryStore
from lockstep.objects.store import ObjectStore
from lockstep.repository.layout import WORK
from lockstep.repository.manifest import DatabaseRecord, DumpRecord, Manifest, ObjectCounts, ProfileRecord
from lockstep.repository.repository import Repository, open_or_create
from lockstep.tables.engine import TableLimits, Tables

MakeManifest = Callable[..., Manifest]


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty place for a repository: an object store, and a directory."""
    if request.param == "memory":
        return MemoryStore()
    return LocalStore(tmp_path / "repository", private=True, temporary=tmp_path / "repository" / WORK)


@pytest.fixture
def repository(store: ObjectStore) -> Repository:
    """A new repository."""
    return open_or_create(store, now=datetime(2026, 1, 1, tzinfo=UTC))[0]


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    """Empty tables in a work directory of their own."""
    made = Tables(tmp_path / "work", limits=TableLimits(threads=1))
    yield made
    made.close()


@pytest.fixture
def make_manifest() -> MakeManifest:
    """Makes a manifest of a snapshot of an empty database; fields are replaced by name."""

    def make(place: Repository | None, snapshot: SnapshotId | str, **fields: Any) -> Manifest:
        given: dict[str, Any] = {
            "repository": place.id if place else "00000000-0000-0000-0000-000000000001",
            "snapshot": snapshot,
            "created": datetime(2026, 11, 22, 12, 40, tzinfo=UTC),
            "complete": True,
            "database": DatabaseRecord(
                name="app",
                server_version="18.6",
                server_major=18,
                encoding="UTF8",
                collate="C",
                ctype="C",
                locale_provider="libc",
                owner="app",
                extensions={"citext": "1.8"},
                rows={"public.block": 3},
            ),
            "dump": DumpRecord(format="custom", size_bytes=10, pg_dump_major=18, seconds=0.5),
            "profile": ProfileRecord(name="parsec", query="SELECT 1"),
            "stores": {"main": "s3://bucket"},
            "objects": ObjectCounts(referenced=0, referenced_bytes=0, new=0, copied_bytes=0, reused=0, missing=0, mismatched=0),
            "files": (),
        }
        return Manifest(**{**given, **fields})

    return make
