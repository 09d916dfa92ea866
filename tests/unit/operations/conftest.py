from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockstep.model.snapshots import SnapshotId
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryStore
from lockstep.objects.retry import Backoff, RetryPolicy
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations import fetching, sending
from lockstep.operations.copying import Copier
from lockstep.progress import SILENT
from lockstep.repository.journal import Journal
from lockstep.repository.layout import WORK
from lockstep.repository.repository import Repository, open_or_create
from lockstep.tables import inventory
from lockstep.tables.engine import TableLimits, Tables

RUN = SnapshotId("20261122T124000Z-1a2b3c4d")
LIMITS = TransferLimits(threads=4, whole_up_to=8, chunk=4)

MakeCopier = Callable[..., Copier]


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three attempts, at once: the pauses between them are the business of retry's own tests."""
    at_once = RetryPolicy(unreachable=Backoff(3, 0, 1, 0), busy=Backoff(3, 0, 1, 0))
    for module in (fetching, sending):
        monkeypatch.setattr(module, "PATIENT", at_once)


@pytest.fixture(params=["memory", "directory"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    """A new repository in an object store, and one in a directory."""
    root = tmp_path / "repository"
    store: ObjectStore = MemoryStore() if request.param == "memory" else LocalStore(root, private=True, temporary=root / WORK)
    return open_or_create(store, now=datetime(2026, 1, 1, tzinfo=UTC))[0]


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    """Tables with an empty inventory."""
    made = Tables(tmp_path / "work", limits=TableLimits(threads=1))
    inventory.create(made, [], run=RUN)
    yield made
    made.close()


@pytest.fixture
def make_copier(repository: Repository, tables: Tables) -> MakeCopier:
    """Makes what copies from stores (by name) into the repository."""

    def make(listener: Any = SILENT, *, fail_fast: bool = False, stop: Stop | None = None, **stores: ObjectStore) -> Copier:
        journal = Journal(repository.store, tables, RUN)
        return Copier(stores, repository, tables, journal, LIMITS, stop or Stop(), listener, fail_fast)

    return make
