"""What a backup would cost now: asked of the database and the repository, nothing written anywhere."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lockstep.deployment.deployment import Deployment, bind_profile, reference_blocks
from lockstep.errors import RepositoryNotFound
from lockstep.model.cost import PastRun, estimate_duration, find_rate
from lockstep.model.results import BackupPlan
from lockstep.objects.raid import requests_of_a_read
from lockstep.objects.store import ObjectStore, is_local
from lockstep.operations.backup_options import BackupOptions
from lockstep.operations.preconditions import look_at, refuse_careless, refuse_unlockable
from lockstep.operations.work import work_directory
from lockstep.postgres.connection import open_database
from lockstep.repository.history import readable_segments
from lockstep.repository.repository import Repository, open_repository
from lockstep.tables import inventory, plans, references
from lockstep.tables.engine import Tables

RUNS_ASKED = 32
"""How many former runs tell the rate: enough to even out one bad night, few enough to follow a faster line."""

FILES_OF_A_SNAPSHOT = 6
"""What is written into a repository besides objects: dump, references, inventory, manifest, head, and the lock."""


def plan_backup(deployment: Deployment, repository_store: ObjectStore, *, options: BackupOptions) -> BackupPlan:
    """Count what is new. Raises what `backup` would raise before its first write."""
    with work_directory(options.temporary) as work, open_database(deployment.database) as database:
        look_at(deployment.stores.values())
        facts = database.facts()
        refuse_unlockable(repository_store)
        tables = Tables(work)
        segments, runs = list[Path](), list[PastRun]()
        with suppress(RepositoryNotFound):
            repository = open_repository(repository_store)
            refuse_careless(repository)
            segments, runs = readable_segments(repository, work), _past_runs(repository)
        try:
            inventory.create(tables, segments)
            with database.frozen() as view:
                bound = bind_profile(deployment, view)
                blocks = reference_blocks(deployment, bound, view)
                named = references.load(tables, blocks, columns=bound.columns, store=bound.store)
            new = plans.plan_new(tables, compare_etags=bound.lists_the_bucket)
            reads = sum(count * requests_of_a_read(deployment.stores[store]) for store, count in plans.new_by_store(tables).items())
        finally:
            tables.close()
        takes = estimate_duration(new.objects, new.size_bytes, database_bytes=facts.size_bytes, runs=runs)
        return BackupPlan(
            database=facts.name,
            database_bytes=facts.size_bytes,
            referenced=named.objects,
            referenced_bytes=named.size_bytes,
            new=new.objects,
            new_bytes=new.size_bytes,
            requests=reads + deployment.requests().list,
            room_left=repository_store.free_bytes(),
            repository_requests=0 if is_local(repository_store) else new.objects + FILES_OF_A_SNAPSHOT,
            rate=find_rate(runs),
            copy_seconds=takes.copy_seconds,
            dump_seconds=takes.dump_seconds,
            seconds=takes.seconds,
        )


def _past_runs(repository: Repository) -> list[PastRun]:
    """The newest snapshots that were taken, not imported, oldest first."""
    taken = [manifest for manifest in repository.survey()[0] if manifest.imported is None]
    return [
        PastRun(each.objects.new, each.objects.copied_bytes, each.objects.seconds, each.dump.seconds, each.database.size_bytes)
        for each in taken[-RUNS_ASKED:]
    ]
