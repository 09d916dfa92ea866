from __future__ import annotations

from typing import Any

import pytest
from typer.core import TyperArgument, TyperOption

from lockstep.cli.command_tree import CommandPlace, command_tree, known_options
from lockstep.cli.main import COMMANDS
from lockstep.config.file import OptionKind
from support.tiny_command import COMMANDS as SMALL_COMMANDS

ALL = (*COMMANDS, *SMALL_COMMANDS)

# Flags that mean something else here than the same flag elsewhere: a variable or a key that is set for the others must not reach them.
NAMED_APART = {("drill", "database"): "scratch_database", ("repair", "repository"): "in_repository"}


def options_of(command: Any) -> list[TyperOption]:
    return [parameter for parameter in command.params if isinstance(parameter, TyperOption)]


def flag(option: TyperOption) -> str:
    return next(name for name in option.opts if name.startswith("--"))


@pytest.mark.parametrize("place", ALL, ids=lambda place: place.name)
def test_every_option_has_a_variable_a_key_and_help(place: CommandPlace) -> None:
    keys = known_options([place])[place.name]
    for option in options_of(place.command()):
        name = flag(option).removeprefix("--").replace("-", "_")
        name = NAMED_APART.get((place.name, name), name)
        assert option.envvar == f"LOCKSTEP_{name.upper()}"
        assert option.name.rstrip("_") == name, "the parameter must be named as the option"
        assert name in keys or name == "config"
        assert option.help, f"{flag(option)} has no help"


def test_every_option_of_the_root_has_a_variable() -> None:
    unnamed = {flag(option) for option in options_of(command_tree(ALL)) if not option.envvar}
    assert unnamed == {"--install-completion", "--show-completion"}


@pytest.mark.parametrize("place", ALL, ids=lambda place: place.name)
def test_the_summary_is_the_first_line_of_the_docstring(place: CommandPlace) -> None:
    assert (place.function().__doc__ or "").splitlines()[0] == place.summary


@pytest.mark.parametrize("place", ALL, ids=lambda place: place.name)
def test_every_argument_has_help(place: CommandPlace) -> None:
    assert all(argument.help for argument in place.command().params if isinstance(argument, TyperArgument))


def test_the_file_knows_what_each_option_takes() -> None:
    kinds = known_options(SMALL_COMMANDS)["tiny"]
    assert kinds["jobs"] == OptionKind("integer")
    assert kinds["format"] == OptionKind("text")
    assert kinds["quiet"] == OptionKind("flag")
    assert kinds["list_missing"] == OptionKind("path")
    assert kinds["repo"] == OptionKind("place")
    assert kinds["app"] == OptionKind("profile")
    assert kinds["parsec_env"] == OptionKind("path", repeatable=True)
    assert kinds["bucket"] == OptionKind("text", repeatable=True, named=True)
    assert "snapshot" not in kinds
