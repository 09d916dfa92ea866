"""`lockstep list`: the snapshots of a repository."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.screen import Result
from lockstep.cli.wiring import open_repository_store
from lockstep.config.repository import RepositorySettings
from lockstep.operations.browse import survey_snapshots, when_proven, when_verified, where_else
from lockstep.report import snapshots as report
from lockstep.repository.manifest import Manifest


def run_list(session: Session, repository: RepositorySettings) -> Result:  # noqa: ARG001 - every command talks to somebody
    """List the snapshots of a repository."""
    store = open_repository_store(repository)
    manifests, damaged = survey_snapshots(store)
    proven = when_proven(store)
    verified, read = when_verified(store)
    elsewhere = where_else(store)
    rows = [
        replace(
            as_row(manifest, proven.get(manifest.snapshot), verified=verified.get(manifest.snapshot), read=read.get(manifest.snapshot)),
            copies=tuple(elsewhere.get(manifest.snapshot, ())),
        )
        for manifest in manifests
    ]
    status = ExitStatus.FINDINGS if damaged else ExitStatus.DONE
    return Result(report.as_document(rows, damaged), report.as_table(rows, damaged), status)


def as_row(
    manifest: Manifest, proven: datetime | None = None, *, verified: datetime | None = None, read: datetime | None = None
) -> report.SnapshotRow:
    """What a list shows of a snapshot.

    `proven` is when a drill last proved it, `verified` when a verification last found it sound, `read` when one did to the byte.
    """
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
        proven=proven,
        verified=verified,
        verified_data=read,
    )
