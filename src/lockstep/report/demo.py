"""The demo's story as JSON, and as a table for a person with the commands for servers of their own."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lockstep.model.demo import DemoResult
from lockstep.report.units import as_count, as_counted, as_duration

REPOSITORY = "/srv/backup"
ENV_FILE = "parsec.env"

_NARROWEST, _WIDEST = 60, 110


def as_document(result: DemoResult) -> Mapping[str, object]:
    """The JSON: whether all came back, the steps, what was compared; behind it what else is known."""
    return {
        "ok": result.ok,
        "steps": [asdict(step) for step in result.steps],
        "rows_compared": result.rows_compared,
        "objects_compared": result.objects_compared,
        "seconds": result.seconds,
        "left_out": result.left_out,
        "findings": list(result.findings),
        "kept": asdict(result.kept) if result.kept else None,
    }


def as_text(result: DemoResult, *, program: str, width: int, colour: bool) -> str:
    """What happened as a table, the verdict, and what to type next. `program` is how lockstep is called here; `width` in characters."""
    out = io.StringIO()
    width = min(max(width, _NARROWEST), _WIDEST)
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, color_system="standard" if colour else None)
    console.print(_table(result))
    for line, style in _verdict(result):
        console.print(Text(line, style=style))
    console.print()
    for line in _next(result, program):
        console.print(Text(line), soft_wrap=True)  # commands are for copying: not broken, whatever the width
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def commands(program: str) -> tuple[str, ...]:
    """The commands that do the same with the reader's own Parsec server."""
    return (
        f"{program} backup  --repo {REPOSITORY} --parsec-env {ENV_FILE}",
        f"{program} list    --repo {REPOSITORY}",
        f"{program} restore --repo {REPOSITORY} --parsec-env {ENV_FILE} latest",
    )


def commands_for_others(program: str) -> tuple[str, ...]:
    """The same for a deployment whose two stores are named one by one; a command goes on where a line ends in a backslash."""
    return (
        f"{program} backup  --repo {REPOSITORY} --database postgresql://USER@HOST/NAME \\",
        "    --bucket s3://BUCKET --endpoint-url https://S3.EXAMPLE.ORG",
    )


def _table(result: DemoResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column("step", footer="in all", no_wrap=True)
    table.add_column("what happened")
    table.add_column("time", footer=as_duration(result.seconds), justify="right", no_wrap=True)
    for number, step in enumerate(result.steps, start=1):
        table.add_row(str(number), Text(step.name, style="bold"), Text(step.detail), as_duration(step.seconds))
    return table


def _verdict(result: DemoResult) -> Iterator[tuple[str, str]]:
    compared = f"{as_count(result.rows_compared)} rows and {as_count(result.objects_compared)} objects"
    if result.ok:
        yield f"Nothing is lost: all {compared} came back as they were written.", "bold green"
    else:
        yield f"NOT everything came back. Of {compared} that were compared:", "bold red"
        for finding in result.findings:
            yield f"  - {finding}", "red"
    if result.left_out:
        files = as_counted(result.left_out, "file")
        yield f"Not in the backup, as must be: {files} that users saved after its moment, before the disaster.", ""


def _next(result: DemoResult, program: str) -> Iterator[str]:
    if result.kept is not None:
        yield "Kept:"
        yield ""
        yield f"  {result.kept.repository}  the repository; see it with: {program} list --repo {result.kept.repository}"
        yield f"  {result.kept.database}  the restored database, stopped"
        yield f"  {result.kept.objects}  the restored bucket, stopped"
        yield ""
    yield "The same with your own Parsec server, by the env file that it already has:"
    yield ""
    for command in commands(program):
        yield f"  {command}"
    yield ""
    yield "  (restore shows its plan and asks before it changes anything)"
    yield ""
    yield "With any other PostgreSQL and S3, name the two in place of the env file:"
    yield ""
    for line in commands_for_others(program):
        yield f"  {line}"
