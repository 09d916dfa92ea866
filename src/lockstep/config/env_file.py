r"""Reads env files as docker compose does: quotes, comments, `export`, and references to other variables.

Decisions where the dialects differ:

- A reference is looked up in the process environment first, then in the definitions above it, then in those below it, across all the
  files in the order in which they are named. So the order of files and lines matters only where a variable is defined twice.
- A variable that is defined twice has its last value.
- Unquoted and single-quoted text keeps its backslashes. In double quotes `\\`, `\"`, `\$`, `\n`, `\r` and `\t` are escapes and
  every other backslash is kept, as in a shell.
- A name without `=` takes its value from the process environment.
- Nothing is expanded until it is asked for: a reference to an undefined variable is a fault only in a value that is needed.

Source: https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/ (env file syntax, interpolation).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.config.faults import Faults
from lockstep.config.interpolation import Expansion, UndefinedReference, Unexpandable
from lockstep.config.places import expanded

_DEFINITION = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(?:(?P<equals>=)[ \t]*|(?=#|\n|$))")
_IGNORED = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|$)")
_SINGLE_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_CONVENTIONAL_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|[A-Z]{1,3}")
_COMMENT = re.compile(r"(?:^|[ \t]+)#.*")


@dataclass(frozen=True, slots=True)
class Definition:
    """`name` as one line of one file defines it. `raw` is the text between the quotes, if any; None takes the process environment's."""

    name: str
    raw: str | None
    quote: str
    place: str


def read_env_files(paths: Sequence[Path], *, faults: Faults) -> list[Definition]:
    """The definitions of all the files, in order. What cannot be read or understood is added to `faults`, the rest is returned."""
    definitions: list[Definition] = []
    for path in paths:
        try:
            text = expanded(path).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            reason = (error.strerror or "cannot be opened").lower() if isinstance(error, OSError) else "it is not UTF-8 text"
            faults.add(
                f"env file {path} cannot be read: {reason}", hint="Name the env files that the Parsec server itself is started with."
            )
        else:
            definitions += parse_env_file(text, name=str(path), faults=faults)
    return definitions


def parse_env_file(text: str, *, name: str, faults: Faults) -> list[Definition]:
    """The definitions of one file's text, in order. A line that is no definition is added to `faults` without its text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    definitions: list[Definition] = []
    position = 0
    while position < len(text):
        if ignored := _IGNORED.match(text, position):
            position = ignored.end()
            continue
        place = f"line {text.count(chr(10), 0, position) + 1} of {name}"
        definition, position = _definition_at(text, position, place=place, faults=faults)
        if definition is not None:
            definitions.append(definition)
    return definitions


def value_of(name: str, definitions: Sequence[Definition], *, environment: Mapping[str, str], faults: Faults) -> str | None:
    """The value of a variable with all references resolved; None when it is not defined, or when that added to `faults`."""
    definitions = [definition for definition in definitions if definition.raw is not None or definition.name in environment]
    index = next((at for at in range(len(definitions) - 1, -1, -1) if definitions[at].name == name), None)
    if index is None:
        return None
    try:
        return Expansion(definitions, environment).value(index)
    except UndefinedReference as error:
        # A dollar sign inside a password looks like a reference: only what is written as names of variables are is shown.
        shown = error.name if _CONVENTIONAL_NAME.fullmatch(error.name) else "a variable"
        faults.add(
            f"{name} refers to {shown}, which no env file and no environment variable defines",
            hint=f"Name the env file that defines {shown} with another --parsec-env, or write $$ where a dollar sign is meant.",
        )
    except Unexpandable as error:
        faults.add(f"{name} cannot be resolved: {error}", hint="Simplify the references between the variables of the env files.")
    return None


def _definition_at(text: str, position: int, *, place: str, faults: Faults) -> tuple[Definition | None, int]:
    """The definition that begins at `position`, and where the next line begins."""
    start = _DEFINITION.match(text, position)
    if start is None:
        faults.add(f"{place} is not KEY=value", hint="Write one KEY=value a line; begin comments with #.")
        return None, _next_line(text, position)
    name = start["name"]
    if start["equals"] is None:
        return Definition(name, None, "", place), _next_line(text, position)
    opening = text[start.end() : start.end() + 1]
    if opening in ("'", '"') and opening:
        quoted = (_SINGLE_QUOTED if opening == "'" else _DOUBLE_QUOTED).match(text, start.end())
        if quoted is None:
            faults.add(f"the quote around {name} on {place} is never closed", hint="Close the quote.")
            return None, _next_line(text, position)
        rest = _IGNORED.match(text, quoted.end())
        if rest is None:
            faults.add(f"text follows the closing quote of {name} on {place}", hint="Put the whole value into one pair of quotes.")
            return None, _next_line(text, quoted.end())
        return Definition(name, quoted[1], opening, place), rest.end()
    bare = _BARE.match(text, start.end())
    raw = bare[0] if bare else ""
    return Definition(name, _COMMENT.sub("", raw, count=1).strip(), "", place), _next_line(text, start.end())


def _next_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1
