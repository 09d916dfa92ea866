"""`lockstep import`: options, the operation, the report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.drill import scratch_address
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.options import App, ClientPrograms
from lockstep.cli.screen import Result
from lockstep.cli.transfer_options import Concurrency, TempDir, transfer_limits
from lockstep.cli.wiring import open_repository_store
from lockstep.config.encryption import EncryptionSettings, SigningSettings
from lockstep.config.keeping import KeepingSettings
from lockstep.config.repository import RepositorySettings
from lockstep.errors import ConfigurationError
from lockstep.model.keys import is_store_name
from lockstep.operations.import_ import ImportOptions, import_
from lockstep.report import import_ as report
from lockstep.repository.layout import MARKER

Dump = Annotated[
    Path | None,
    typer.Option(
        "--dump", metavar="FILE", show_default=False,
        help="What pg_dump wrote: custom, plain (also packed with gzip), tar, or a directory. It is only read.",
    ),
]  # fmt: skip
Objects = Annotated[
    list[str] | None,
    typer.Option(
        "--objects", metavar="DIR", show_default=False,
        help="The directory of 'aws s3 sync', each object a file under its key. It is only read. Several stores: repeat it as name=DIR.",
    ),
]  # fmt: skip
Created = Annotated[
    str | None,
    typer.Option(
        "--created", metavar="TIME", show_default=False,
        help="When the dump was begun, as 2026-11-20T03:00:00Z. Default: as the dump says, else the time of its file.",
    ),
]  # fmt: skip
Scratch = Annotated[
    str | None,
    typer.Option(
        "--scratch-database", metavar="URI", show_default=False,
        help="A scratch server of yours, on which the dump is restored and dropped again. Default: a server that lockstep starts itself.",
    ),
]  # fmt: skip
Tag = Annotated[str | None, typer.Option("--tag", metavar="TEXT", show_default=False, help="A word to know the snapshot by.")]


def run_import(
    session: Session,
    repository: RepositorySettings,
    encryption: EncryptionSettings,
    signing: SigningSettings,
    keeping: KeepingSettings,  # noqa: ARG001 - the address has them
    *,
    dump: Dump = None,
    objects: Objects = None,
    app: App = None,
    tag: Tag = None,
    created: Created = None,
    scratch_database: Scratch = None,
    client_programs: ClientPrograms = None,
    concurrency: Concurrency = None,
    temp_dir: TempDir = None,
) -> Result:
    """Make a snapshot of a dump and a directory of objects that were made without lockstep."""
    if dump is None or not objects:
        raise ConfigurationError("an import needs --dump and --objects", hint="Name what pg_dump wrote, and the directory of aws s3 sync.")
    if not dump.exists():
        raise ConfigurationError(f"the dump '{dump}' does not exist", hint="Name what pg_dump wrote with --dump.")
    options = ImportOptions(
        app=app,
        tag=tag,
        created=_moment(created),
        scratch=scratch_address(scratch_database, session),
        client_programs=str(client_programs) if client_programs else None,
        limits=transfer_limits(concurrency),
        temporary=temp_dir,
    )
    place, directories = open_repository_store(repository, encryption, signing), _directories(objects)
    for directory in directories.values():
        _refuse_entangled(place.local_file(MARKER), directory)
    result = import_(place, dump, directories, options=options, listener=session.listener)
    return Result(report.as_document(result), report.as_text(result), ExitStatus.DONE if result.backup.complete else ExitStatus.FINDINGS)


def _directories(given: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in given:
        before, sign, behind = text.partition("=")
        name, path = (before, Path(behind)) if sign and is_store_name(before) else ("main", Path(text))
        if name in found:
            raise ConfigurationError(f"two directories are named {name}", hint="Name each store: --objects name=DIR.")
        if not path.is_dir():
            raise ConfigurationError(f"'{path}' is not a directory", hint="Name the directory of aws s3 sync with --objects.")
        found[name] = path
    return found


def _refuse_entangled(marker: Path | None, directory: Path) -> None:
    if marker is None:
        return
    repository, directory = marker.parent.resolve(), directory.resolve()
    if repository == directory or repository in directory.parents or directory in repository.parents:
        raise ConfigurationError(f"'{directory}' and the repository lie in each other", hint="Name two separate directories.")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"--created {text} is no time", hint="Write it as 2026-11-20T03:00:00Z.") from error
    if moment.astimezone(UTC) > datetime.now(UTC):
        raise ConfigurationError(f"--created {text} is still to come", hint="Name the time at which the dump was begun.")
    return moment.astimezone(UTC)
