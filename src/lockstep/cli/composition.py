"""Makes a command of the command line out of a plain function.

The function says what it needs by the types of its parameters: a `Session` (how to talk to the person), a `DeploymentSettings`, a
`RepositorySettings` (or, when it can do without, a `RepositoryIfNamed`), a `SecondSettings` (of its argument `repo2`), an
`EncryptionSettings`, a `SigningSettings`, a `KeepingSettings` (of the repository that is written to: its address has them then).
Each brings its options with it. Every other parameter is an option or an argument of the command's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import typer

from lockstep.cli.file_option import Invocation, from_command_line, source_rank
from lockstep.cli.options import (
    DEPLOYMENT_OPTIONS,
    ENCRYPTION_OPTIONS,
    KEEPING_OPTIONS,
    OUTPUT_OPTIONS,
    REPOSITORY_OPTIONS,
    SIGNING_OPTIONS,
)
from lockstep.cli.screen import OutputOptions, Result, Screen
from lockstep.cli.settings import given_settings
from lockstep.cli.signatures import parameters_of, signature
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.encryption import EncryptionSettings, SigningSettings
from lockstep.config.keeping import KeepingSettings
from lockstep.config.repository import RepositoryIfNamed, RepositorySettings, SecondSettings
from lockstep.progress import Listener


class Command(Protocol):
    """A function that is a command: options in, result out."""

    __name__: str

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        """Run the command."""


@dataclass(frozen=True, slots=True)
class Session:
    """How a command talks to the person: `listener` is for the operation's progress, `screen` for all the rest."""

    screen: Screen
    listener: Listener

    @property
    def output(self) -> OutputOptions:
        """The output options, wherever they came from."""
        return self.screen.output


GROUPS: Mapping[type, Mapping[str, Any]] = {
    DeploymentSettings: DEPLOYMENT_OPTIONS,
    RepositorySettings: REPOSITORY_OPTIONS,
    SecondSettings: {},
    EncryptionSettings: ENCRYPTION_OPTIONS,
    SigningSettings: SIGNING_OPTIONS,
    KeepingSettings: KEEPING_OPTIONS,
    RepositoryIfNamed: REPOSITORY_OPTIONS,
    Session: {},
}


def composed(function: Command) -> Callable[..., int]:
    """The function as typer takes it: with the options of everything that it needs.

    Called, it builds the settings, runs the function with progress shown, writes the result and returns the exit status.
    """
    parameters = parameters_of(function)
    needed = {parameter.name: parameter.annotation for parameter in parameters if parameter.annotation in GROUPS}
    own = [parameter for parameter in parameters if parameter.name not in needed]
    kinds = [kind for kind in GROUPS if kind in needed.values()]

    def command(ctx: typer.Context, **values: Any) -> int:
        invocation = Invocation.of(ctx)
        screen = invocation.screen
        screen.output = output_options(ctx, values)
        ranks = {name: source_rank(ctx, name) for name in values}
        settings = given_settings(kinds, values, ranks=ranks, file=invocation.file, redactor=screen.redactor)
        arguments = {parameter.name: values[parameter.name] for parameter in own}
        with screen.listening() as listener:
            settings[Session] = Session(screen, listener)
            result = function(**{name: settings[kind] for name, kind in needed.items()}, **arguments)
        screen.emit(result)
        return int(result.status)

    shared = {name: annotation for kind in kinds for name, annotation in GROUPS[kind].items()} | dict(OUTPUT_OPTIONS)
    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__signature__ = signature(own, shared)  # type: ignore[attr-defined] # functions may have one; typeshed does not say so
    return command


def output_options(ctx: typer.Context, values: Mapping[str, Any]) -> OutputOptions:
    """The output options. They may stand before or behind the command; those behind win."""
    before = ctx.parent

    def value(name: str) -> Any:
        if before is not None and from_command_line(before, name) and not from_command_line(ctx, name):
            return before.params[name]
        return values[name]

    colour = not value("no_color") and not os.environ.get("NO_COLOR")
    quiet = value("quiet") and not value("verbose")
    return OutputOptions(json=value("json_"), quiet=quiet, verbose=value("verbose"), log_format=value("log_format"), colour=colour)
