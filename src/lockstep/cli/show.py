"""`lockstep show`: one snapshot, what it references and what it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from lockstep.cli.composition import Session
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import SnapshotName, TempDir
from lockstep.cli.wiring import open_repository_store
from lockstep.config.repository import RepositorySettings
from lockstep.errors import ConfigurationError
from lockstep.model.inventory import MissingObject
from lockstep.model.results import SnapshotObject
from lockstep.operations.browse import find_snapshot, missing_of, objects_of, when_proven, when_verified
from lockstep.report.manifest import as_text

Missing = Annotated[bool, typer.Option("--missing", help="List the objects that it references and does not have.")]
Objects = Annotated[bool, typer.Option("--objects", help="List the objects that it references.")]
JsonLines = Annotated[bool, typer.Option("--jsonl", help="Write a list as JSON lines, one object a line.")]


def run_show(
    session: Session,
    repository: RepositorySettings,
    snapshot: SnapshotName,
    *,
    missing: Missing = False,
    objects: Objects = False,
    jsonl: JsonLines = False,
    temp_dir: TempDir = None,
) -> Result:
    """Show a snapshot, what it references and what it lacks."""
    if missing and objects:
        raise ConfigurationError("--missing and --objects are two lists", hint="Ask for one of them.")
    if jsonl and (session.output.json or not (missing or objects)):
        raise ConfigurationError("--jsonl is for a list", hint="Use it with --missing or --objects, and without --json.")
    store = open_repository_store(repository)
    now, zone = datetime.now(UTC), datetime.now().astimezone().tzinfo or UTC
    manifest = find_snapshot(store, snapshot, now=now, zone=zone, to_look_at=True, listener=session.listener)
    if not (missing or objects):
        document = manifest.model_dump(mode="json")
        proven = when_proven(store, snapshot=manifest.snapshot).get(manifest.snapshot)
        verified, read = (times.get(manifest.snapshot) for times in when_verified(store))
        text = as_text(manifest.database.name, document, proven=proven, verified=verified, verified_data=read)
        return Result({**document, "proven": proven, "verified": verified, "verified_data": read}, text)
    with ExitStack() as stack:  # what cannot be read shows before the first line is written
        found: Iterator[MissingObject | SnapshotObject] = stack.enter_context(
            missing_of(store, manifest, temporary=temp_dir) if missing else objects_of(store, manifest, temporary=temp_dir)
        )
        opened = stack.pop_all()

    def rows() -> Iterator[dict[str, Any]]:
        with opened:
            for each in found:
                yield asdict(each)

    lines = (_line(row) if jsonl else _words(row) for row in rows())
    return Result({"missing" if missing else "objects": rows()}, lines)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _words(row: dict[str, Any]) -> str:
    why = f"  {row['why'].replace('_', ' ')} since {row['since']}" if "why" in row else ""
    return f"{row['store']}  {row['size'] if row['size'] is not None else '?':>12}  {row['key']!r}{why}"
