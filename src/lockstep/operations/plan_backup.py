"""What a backup would cost now: asked of the database and the repository, nothing written anywhere."""

from __future__ import annotations

from lockstep.deployment.deployment import Deployment, bind_profile, reference_blocks
from lockstep.errors import RepositoryNotFound
from lockstep.model.results import BackupPlan
from lockstep.objects.store import ObjectStore
from lockstep.operations.backup_options import BackupOptions
from lockstep.operations.preconditions import look_at, refuse_plain
from lockstep.operations.work import work_directory
from lockstep.postgres.connection import open_database
from lockstep.repository.history import readable_segments
from lockstep.repository.repository import open_repository
from lockstep.tables import inventory, plans, references
from lockstep.tables.engine import Tables


def plan_backup(deployment: Deployment, repository_store: ObjectStore, *, options: BackupOptions) -> BackupPlan:
    """Count what is new. Raises what `backup` would raise before its first write."""
    with work_directory(options.temporary) as work, open_database(deployment.database) as database:
        look_at(deployment.stores.values())
        facts = database.facts()
        tables = Tables(work)
        try:
            repository = open_repository(repository_store)
            refuse_plain(repository)
            segments = readable_segments(repository, work)
        except RepositoryNotFound:
            segments = []
        try:
            inventory.create(tables, segments)
            with database.frozen() as view:
                bound = bind_profile(deployment, view)
                blocks = reference_blocks(deployment, bound, view)
                named = references.load(tables, blocks, columns=bound.columns, store=bound.store)
            new = plans.plan_new(tables, compare_etags=bound.lists_the_bucket)
        finally:
            tables.close()
        return BackupPlan(
            database=facts.name,
            database_bytes=facts.size_bytes,
            referenced=named.objects,
            referenced_bytes=named.size_bytes,
            new=new.objects,
            new_bytes=new.size_bytes,
            requests=new.objects + deployment.requests().list,
            room_left=repository_store.free_bytes(),
        )
