"""The root of the command line: it knows the commands by name and imports one only when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, cast

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from lockstep.cli.composition import Command, composed
from lockstep.cli.file_option import Invocation
from lockstep.cli.options import OUTPUT, OUTPUT_OPTIONS
from lockstep.cli.screen import Result
from lockstep.cli.signatures import option_kinds, signature
from lockstep.config.file import Options
from lockstep.version import __version__

_EPILOG = (
    "Every option has an environment variable LOCKSTEP_<OPTION> and a key in lockstep.toml; flags win over variables, variables over "
    "the file. Exit status: 0 done, 1 failed, 2 wrong usage, 3 done with findings, 4 locked."
)

_BARE = {"--read-data": "100"}
# What would follow such an option is never its value: `verify --read-data latest` names a snapshot.


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """A command by name, the function that it is (`package.module:function`), and one line of help."""

    name: str
    place: str
    summary: str

    def function(self) -> Command:
        """The function behind the command; imports its module."""
        module, _, name = self.place.partition(":")
        return cast(Command, getattr(import_module(module), name))

    def command(self) -> Any:
        """The command as the command line runs it; imports its module."""
        app = typer.Typer(add_completion=False)
        app.command(self.name, epilog=_EPILOG)(composed(self.function()))
        return typer.main.get_command(app)


class Signpost(TyperCommand):
    """Stands for a command in the overview, without the imports that the command itself needs."""

    def __init__(self, place: CommandPlace) -> None:
        super().__init__(place.name, help=place.summary)
        self.place = place


class LazyGroup(TyperGroup):
    """The root of the command line."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that was called, in the place of its signpost."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.place.command() if isinstance(command, Signpost) else command, with_values(rest)


def with_values(arguments: Sequence[str]) -> list[str]:
    """The arguments with the value that an option has when it is given none, for options whose value may only stand behind `=`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*(f"{each}={_BARE[each]}" if each in _BARE else each for each in arguments[:end]), *arguments[end:]]


def command_tree(places: Sequence[CommandPlace]) -> LazyGroup:
    """The root with a signpost for every command, in the order given."""

    def lockstep(**_options: Any) -> None:
        """Back up and restore an application's PostgreSQL database and its objects in S3, as one thing."""

    version = Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, rich_help_panel=OUTPUT, help="Show the version and exit."),
    ]
    lockstep.__signature__ = signature((), {**OUTPUT_OPTIONS, "version": version})  # type: ignore[attr-defined] # see `composed`
    app = typer.Typer(add_completion=True)
    app.callback(cls=LazyGroup, epilog=_EPILOG)(lockstep)
    group = cast(LazyGroup, typer.main.get_command(app))
    for place in places:
        group.add_command(Signpost(place))
    return group


def known_options(places: Sequence[CommandPlace]) -> Options:
    """The keys that a configuration file may hold, for every command; imports all of them."""
    return {place.name: option_kinds(composed(place.function())) for place in places}


def _show_version(ctx: typer.Context, value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value and not ctx.resilient_parsing:
        Invocation.of(ctx).screen.emit(Result({"version": __version__}, f"lockstep {__version__}"))
        raise typer.Exit
