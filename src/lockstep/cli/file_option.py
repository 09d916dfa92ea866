"""Gives `lockstep.toml` its place in the precedence flag > environment > file > default: it fills click's own map of defaults."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from lockstep.cli.screen import Screen
from lockstep.cli.signatures import option_name
from lockstep.config.file import FileSettings, Options, find_file, load_file

# What wins over what, the weakest first: the names are those of click's ParameterSource.
_SOURCES = ("DEFAULT", "DEFAULT_MAP", "ENVIRONMENT", "COMMANDLINE")


@dataclass(slots=True)
class Invocation:
    """What one run of the command line carries from its start to its command (`ctx.obj`)."""

    screen: Screen
    known_options: Callable[[], Options]
    file: FileSettings = field(default_factory=FileSettings)

    @staticmethod
    def of(ctx: typer.Context) -> Invocation:
        """The invocation that a context belongs to."""
        invocation = ctx.find_object(Invocation)
        if invocation is None:
            raise RuntimeError("a command runs under the root of the command line only")
        return invocation


def use_file(ctx: typer.Context, value: Path | None) -> Path | None:
    """Read the configuration file before the command's other options are looked at. Raises ConfigurationError.

    `--config` may stand before or behind the command. Only a command reads the file, and only the one that counts.
    """
    if ctx.parent is None or ctx.resilient_parsing:
        return value
    if not from_command_line(ctx, "config"):
        value = ctx.parent.params.get("config") or value
    path = find_file(value, environment=os.environ, directory=Path.cwd())
    if path is not None and ctx.info_name is not None:
        invocation = Invocation.of(ctx)
        invocation.file = load_file(path, options=invocation.known_options())
        names = {option_name(parameter.name): parameter.name for parameter in ctx.command.params}
        ctx.default_map = {names[key]: value for key, value in invocation.file.commands[ctx.info_name].items()}
    return value


def from_command_line(ctx: Any, name: str) -> bool:
    """True when a parameter was given as a flag. `ctx` may be of the class of contexts that typer does not publish."""
    return source_rank(ctx, name) == _SOURCES.index("COMMANDLINE")


def source_rank(ctx: Any, name: str) -> int:
    """How strong the source of a parameter's value is: 0 for the default, 3 for a flag."""
    source = ctx.get_parameter_source(name)
    return _SOURCES.index(source.name) if source is not None and source.name in _SOURCES else 0
