"""Resolves `$NAME`, `${NAME}`, `${NAME:-default}` and their kin in the values of env files.

Source: https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/ (interpolation syntax).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

# A connection string or a list of stores is a few hundred characters; values that double themselves must not fill the memory.
MAX_VALUE_LENGTH = 65_536
# References within references: real files have two or three. Bounded so that no file can exhaust the stack.
MAX_DEPTH = 40

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$"}


class Defined(Protocol):
    """What this module needs of a definition."""

    @property
    def name(self) -> str:
        """The variable."""

    @property
    def raw(self) -> str | None:
        """The text between the quotes; None takes the process environment's value."""

    @property
    def quote(self) -> str:
        """The quote character, or an empty text."""


class UndefinedReference(Exception):
    """A value refers to a variable that is not defined anywhere."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Unexpandable(Exception):
    """A value cannot be resolved; the text says why and holds no value."""


class Expansion:
    """The values of a list of definitions, resolved on demand."""

    def __init__(self, definitions: Sequence[Defined], environment: Mapping[str, str]) -> None:
        self._definitions = definitions
        self._environment = environment
        self._open: list[int] = []
        self._known: dict[int, str] = {}
        self._depth = 0

    def value(self, index: int) -> str:
        """The value of one definition. Raises UndefinedReference and Unexpandable."""
        definition = self._definitions[index]
        if definition.raw is None:
            return self._inherited(definition.name)
        if definition.quote == "'":
            return definition.raw.replace("\\'", "'")
        if index in self._open:
            raise Unexpandable(f"{definition.name} refers to itself")
        if index not in self._known:
            self._open.append(index)
            self._known[index] = self._expanded(definition.raw, at=index, escapes=definition.quote == '"')
            self._open.pop()
        return self._known[index]

    def _inherited(self, name: str) -> str:
        if name not in self._environment:
            raise UndefinedReference(name)
        return self._environment[name]

    def _referenced(self, name: str, *, at: int) -> str | None:
        """The value a reference stands for: the environment's, else that of the nearest definition above, else below."""
        if name in self._environment:
            return self._environment[name]
        count = len(self._definitions)
        for index in (*range(at - 1, -1, -1), *range(count - 1, at, -1)):
            if self._definitions[index].name == name:
                return self.value(index)
        if self._definitions[at].name == name:
            raise Unexpandable(f"{name} refers to itself")
        return None

    def _expanded(self, raw: str, *, at: int, escapes: bool) -> str:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unexpandable("its references are nested too deeply")
        pieces: list[str] = []
        length = position = 0
        while position < len(raw):
            piece, position = self._piece(raw, position, at=at, escapes=escapes)
            pieces.append(piece)
            length += len(piece)
            if length > MAX_VALUE_LENGTH:
                raise Unexpandable(f"it is longer than {MAX_VALUE_LENGTH} characters")
        self._depth -= 1
        return "".join(pieces)

    def _piece(self, raw: str, position: int, *, at: int, escapes: bool) -> tuple[str, int]:
        """The text that the characters at `position` stand for, and where the next ones begin."""
        character, following = raw[position], raw[position + 1 : position + 2]
        if escapes and character == "\\" and following in _ESCAPES:
            return _ESCAPES[following], position + 2
        if character != "$":
            return character, position + 1
        if following == "$":
            return "$", position + 2
        if following == "{":
            end = _closing_brace(raw, position + 2)
            return self._braced(raw[position + 2 : end], at=at, escapes=escapes), end + 1
        if name := _NAME.match(raw, position + 1):
            value = self._referenced(name[0], at=at)
            if value is None:
                raise UndefinedReference(name[0])
            return value, name.end()
        return "$", position + 1

    def _braced(self, inner: str, *, at: int, escapes: bool) -> str:
        """What `${inner}` stands for."""
        name = _NAME.match(inner)
        if name is None:
            raise Unexpandable("a ${…} in it does not begin with a name")
        value = self._referenced(name[0], at=at)
        rest = inner[name.end() :]
        if not rest:
            if value is None:
                raise UndefinedReference(name[0])
            return value
        operator = _OPERATOR.match(rest)
        if operator is None:
            raise Unexpandable(f"the reference to {name[0]} in it has an unknown form")
        given = bool(value) if operator[0].startswith(":") else value is not None
        if operator[0].endswith("?") and not given:
            raise UndefinedReference(name[0])
        if given == operator[0].endswith("+"):
            return self._expanded(rest[operator.end() :], at=at, escapes=escapes)
        return "" if operator[0].endswith("+") else value or ""


def _closing_brace(raw: str, position: int) -> int:
    depth = 1
    for index in range(position, len(raw)):
        if raw.startswith("${", index):
            depth += 1
        elif raw[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise Unexpandable("a ${ in it is never closed")
