"""Lays out the objects of a large deployment as a backup that was stopped at its end would have left them.

Fetching a million objects takes most of an hour and is no part of what is measured here. What they are is known, since the benchmark
made them: so they are written at their places, with their inventory, and the next backup resumes.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bulk_loading import MOST_BYTES, noise_of
from deployments import CHUNK, Deployment, plan_chunk

from lockstep.model.inventory import InventoryEntry
from lockstep.model.snapshots import new_snapshot_id
from lockstep.objects.local import LocalStore
from lockstep.repository.journal import Journal
from lockstep.repository.layout import WORK, own_path
from lockstep.repository.repository import open_or_create
from lockstep.tables import inventory
from lockstep.tables.engine import Tables


def lay_out(deployment: Deployment, repository: Path) -> None:
    """Make a repository with all objects of a deployment of small objects, and no snapshot. Larger ones are left to be fetched."""
    size = deployment.shape.size_bytes
    if size > MOST_BYTES:
        return
    now = datetime.now(UTC)
    store = LocalStore(repository, private=True, temporary=repository / WORK)
    open_or_create(store, now=now)
    with tempfile.TemporaryDirectory() as work:
        tables = Tables(Path(work))
        inventory.create(tables, ())
        journal = Journal(store, tables, new_snapshot_id(now, newest=None, randomness=secrets.randbits(32)))
        for number in range(deployment.count() // CHUNK):
            noise, entries = noise_of(number, CHUNK, size), []
            for start, row in enumerate(plan_chunk(number, deployment.shape.name)):
                content = noise[start : start + size]
                store.write(own_path("main", row.key), content)
                md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
                entries.append(InventoryEntry("main", row.key, size, hashlib.sha256(content).hexdigest(), md5, None, None))
            journal.add(entries)
        _, replaced = journal.close()
        store.delete(replaced)  # no manifest names them: a stopped run would have been killed right after its last commit
        tables.close()
