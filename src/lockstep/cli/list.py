"""`lockstep list`: the snapshots of a repository."""

from __future__ import annotations

from lockstep.cli.composition import Session
from lockstep.cli.screen import Result
from lockstep.cli.wiring import open_repository_store
from lockstep.config.repository import RepositorySettings
from lockstep.operations.browse import list_snapshots
from lockstep.report import snapshots as report
from lockstep.repository.manifest import Manifest


def run_list(session: Session, repository: RepositorySettings) -> Result:  # noqa: ARG001 - every command talks to somebody
    """List the snapshots of a repository."""
    rows = [as_row(manifest) for manifest in list_snapshots(open_repository_store(repository))]
    return Result(report.as_document(rows), report.as_table(rows))


def as_row(manifest: Manifest) -> report.SnapshotRow:
    """What a list shows of a snapshot."""
    return report.SnapshotRow(
        snapshot=manifest.snapshot,
        created=manifest.created,
        complete=manifest.complete,
        tag=manifest.tag,
        database_bytes=manifest.dump.size_bytes,
        referenced=manifest.objects.referenced,
        referenced_bytes=manifest.objects.referenced_bytes,
        new=manifest.objects.new,
        copied_bytes=manifest.objects.copied_bytes,
        missing=manifest.objects.missing,
    )
