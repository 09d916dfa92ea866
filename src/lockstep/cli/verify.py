"""`lockstep verify`: options, the operation, the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.scaling import scale_out
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import Concurrency, TempDir, transfer_limits
from lockstep.cli.wiring import open_repository_store
from lockstep.config.repository import RepositorySettings
from lockstep.errors import ConfigurationError
from lockstep.model.findings import Depth, Finding
from lockstep.operations.verify import Verification, VerifyOptions, verify
from lockstep.progress import Note
from lockstep.report import verify as report

Snapshots = Annotated[
    list[str] | None,
    typer.Argument(metavar="SNAPSHOT", help="Ids, unique prefixes, 'latest', or times. Default: the whole repository.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="The whole repository, which is the default.")]
Quick = Annotated[bool, typer.Option("--quick", help="Look at manifests, dumps and tables, and at no object.")]
ReadData = Annotated[
    float | None,
    typer.Option(
        "--read-data",
        min=0.001,
        max=100,
        metavar="[=PERCENT]",
        show_default=False,
        help="Read the objects too, and compare their checksums; with =PERCENT those of them that were not read for the longest time.",
    ),
]


Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, max=64, metavar="N", show_default=False,
        help="With --read-data: read objects with N processes on this machine. Default: with this one.",
    ),
]  # fmt: skip
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask", metavar="ADDRESS", show_default=False,
        help="With --read-data: read objects with the workers of the Dask cluster whose scheduler is there, such as tcp://host:8786. They "
        "take the keys of the repository from their own environment.",
    ),
]  # fmt: skip


def run_verify(
    session: Session,
    repository: RepositorySettings,
    snapshots: Snapshots = None,
    *,
    all_: All = False,
    quick: Quick = False,
    read_data: ReadData = None,
    concurrency: Concurrency = None,
    temp_dir: TempDir = None,
    workers: Workers = None,
    dask: Dask = None,
) -> Result:
    """Prove that the repository is what was written into it."""
    if all_ and snapshots:
        raise ConfigurationError("--all and a snapshot exclude each other", hint="Leave out one of the two.")
    if quick and read_data is not None:
        raise ConfigurationError("--quick and --read-data exclude each other", hint="Leave out one of the two.")
    depth: Depth = "quick" if quick else "sizes" if read_data is None else "data"
    options = VerifyOptions(tuple(snapshots or ()), depth, read_data or 100.0, transfer_limits(concurrency), temp_dir)
    scale = scale_out(None, repository, workers=workers, dask=dask, temporary=temp_dir)
    if scale is not None and depth != "data":
        session.listener(Note("workers read objects, and without --read-data none is read: this process does all there is to do"))
    options = replace(options, scale=scale if depth == "data" else None)
    store, zone = open_repository_store(repository), datetime.now().astimezone().tzinfo or UTC
    with ExitStack() as opened:
        found = opened.enter_context(verify(store, options=options, now=datetime.now(UTC), zone=zone, listener=session.listener))
        if found.ok:
            return Result(_as_document(found, iter(())), report.as_lines(found.checked, (), count=0, depth=depth, faults=found.faults))
        findings = _until_read(found, opened.pop_all())
    lines = report.as_lines(found.checked, findings, count=found.count, depth=depth, faults=found.faults)
    return Result(_as_document(found, findings), lines, ExitStatus.FINDINGS)


def _as_document(found: Verification, findings: Iterator[Finding]) -> Mapping[str, object]:
    return report.as_document(
        found.checked,
        findings,
        ok=found.ok,
        not_derived=found.not_derived,
        requests=found.requests,
        faults=found.faults,
        workers=found.workers,
    )


def _until_read(found: Verification, opened: ExitStack) -> Iterator[Finding]:
    """The findings, which lie in tables on the disk; these go when the last one has been read."""
    with opened:
        yield from found.findings()
