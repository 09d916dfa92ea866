"""The options and arguments of commands that work on snapshots and move objects, and the limits that follow from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lockstep.objects.transfer import TransferLimits

SnapshotName = Annotated[
    str, typer.Argument(metavar="SNAPSHOT", help="An id, a unique prefix of one, 'latest', or a time: 2026-11-20, '2 days ago'.")
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency", min=1, max=256, metavar="N", show_default=False, help="Objects in flight at once. Default: found out by itself."
    ),
]
TempDir = Annotated[
    Path | None,
    typer.Option(
        "--temp-dir", metavar="DIR", exists=True, file_okay=False, writable=True, show_default=False,
        help="Where tables are compared and files are kept for the time of the run. Default: the system's temporary directory.",
    ),
]  # fmt: skip

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, max=64, metavar="N", show_default=False,
        help="Move objects with N processes on this machine. Default: with this one.",
    ),
]  # fmt: skip

Dask = Annotated[
    str | None,
    typer.Option(
        "--dask", metavar="ADDRESS", show_default=False,
        help="Move objects with the workers of the Dask cluster whose scheduler is there, such as tcp://host:8786. They take the keys of "
        "the stores from their own environment.",
    ),
]  # fmt: skip


ServerSideCopy = Annotated[
    bool | None,
    typer.Option(
        "--server-side-copy/--no-server-side-copy", show_default=False,
        help="Let the S3 service copy objects by itself where both places are of one service, with the same keys; where it tells no "
        "SHA-256 of a copy, what it has copied is read. Default: where it tells one.",
    ),
]  # fmt: skip


def transfer_limits(concurrency: int | None) -> TransferLimits:
    """The limits of a transfer with so many objects in flight."""
    return TransferLimits() if concurrency is None else replace(TransferLimits(), threads=concurrency)
