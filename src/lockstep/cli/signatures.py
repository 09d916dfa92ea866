"""Reads and makes the signatures that typer builds commands from: which options there are, with which variable and key."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from typer.models import OptionInfo, ParameterInfo

from lockstep.config.file import OptionKind, ValueKind

_SIMPLE: Mapping[type, ValueKind] = {bool: "flag", int: "integer", float: "number", Path: "path"}
_SPECIAL: Mapping[str, ValueKind] = {"repo": "place", "app": "profile", "recipient": "recipient", "verify_key": "verify_key"}
# Options whose list may stand in the file as a table of names and values.
_NAMED = ("bucket",)
# No key: what names the file itself.
_NOT_IN_FILE = ("ctx", "config", "version")


def parameters_of(function: Any) -> list[inspect.Parameter]:
    """The parameters of a function with their annotations evaluated."""
    return list(inspect.signature(function, eval_str=True).parameters.values())


def signature(own: Iterable[inspect.Parameter], shared: Mapping[str, Any]) -> inspect.Signature:
    """A context, then a command's own parameters, then shared options; every option with its environment variable."""
    parameters = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for parameter in own:
        annotation = _with_variable(parameter.name, parameter.annotation)
        parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    for name, annotation in shared.items():
        default = False if get_args(annotation)[0] is bool else None
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_with_variable(name, annotation))
        )
    return inspect.Signature(parameters)


def option_kinds(function: Any) -> dict[str, OptionKind]:
    """The keys that the configuration file may hold for a command with such a signature, with what each may say."""
    parameters = [parameter for parameter in parameters_of(function) if parameter.name not in _NOT_IN_FILE]
    return {
        option_name(parameter.name): _kind(parameter) for parameter in parameters if isinstance(_info(parameter.annotation), OptionInfo)
    }


def option_name(parameter_name: str) -> str:
    """The key of an option in the file; in capitals, behind LOCKSTEP_, its environment variable."""
    return parameter_name.rstrip("_")


def _with_variable(name: str, annotation: Any) -> Any:
    info = _info(annotation)
    if not isinstance(info, OptionInfo):
        return annotation
    info = copy(info)
    info.envvar = f"LOCKSTEP_{option_name(name).upper()}"
    # The rule is said once, below the options; thirty repetitions of it would hide them.
    info.show_envvar = False
    if _base(annotation) is bool:
        info.metavar = ""
    return Annotated[_base(annotation), info]


def _base(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _info(annotation: Any) -> ParameterInfo | None:
    """What typer was told of a parameter; an option of which it was told nothing is one all the same."""
    if annotation is typer.Context:
        return None
    extras = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, ParameterInfo)), None) or typer.Option()


def _kind(parameter: inspect.Parameter) -> OptionKind:
    base = _base(parameter.annotation)
    alternatives = [base] if get_origin(base) is list else [base, *get_args(base)]
    listed = next((kind for kind in alternatives if get_origin(kind) is list), None)
    singles = get_args(listed) if listed is not None else alternatives
    kind: ValueKind = next((_SIMPLE[single] for single in singles if single in _SIMPLE), "text")
    return OptionKind(_SPECIAL.get(parameter.name, kind), repeatable=listed is not None, named=parameter.name in _NAMED)
