"""Reads `lockstep.toml`: which file counts, and what its keys mean for each command.

A key at the top is the name of an option with `_` for `-`, and counts for every command that has the option. A table named as a
command counts for that command alone and wins over the top. `[repository]` holds what the repository has of its own, `[repository2]`
what the one has that is copied to. A relative path is relative to the directory of the file, so that a file means the same wherever
lockstep is started; `~` is the home directory.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from lockstep.config.faults import Faults
from lockstep.config.places import expanded, has_scheme
from lockstep.config.repository import REPOSITORY_KEYS

# "place" is a path unless it has a scheme; "profile" is a path if it ends in .toml; "recipient" and
# "verify_key" are paths unless they are public keys.
ValueKind = Literal["flag", "integer", "number", "text", "path", "place", "profile", "recipient", "verify_key"]
FILE_NAME = "lockstep.toml"
_PLACES = ("repository", "repository2")

_SHOWN = {"flag": "true or false", "integer": "a whole number", "number": "a number"}


@dataclass(frozen=True, slots=True)
class OptionKind:
    """What the file may say for an option. `repeatable` options take one value or a list; `named` ones also a table name = value."""

    kind: ValueKind = "text"
    repeatable: bool = False
    named: bool = False


Options = Mapping[str, Mapping[str, OptionKind]]
"""The options of every command, by command and key."""


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What a configuration file says: for each command its options, and the tables of repositories. Empty without a file."""

    path: Path | None = None
    commands: Mapping[str, Mapping[str, object]] = field(default_factory=dict, repr=False)
    repository: Mapping[str, str] = field(default_factory=dict, repr=False)
    repository2: Mapping[str, str] = field(default_factory=dict, repr=False)


def find_file(given: Path | None, *, environment: Mapping[str, str], directory: Path) -> Path | None:
    """The configuration file that counts: the given one, whether it exists or not, else the first that exists of the usual places."""
    if given is not None:
        return expanded(given)
    home = environment.get("HOME")
    user = environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)
    places = [directory / FILE_NAME, *([Path(user, "lockstep", FILE_NAME)] if user else []), Path("/etc/lockstep", FILE_NAME)]
    return next((place for place in places if place.is_file()), None)


def load_file(path: Path, *, options: Options) -> FileSettings:
    """What the file says, checked against the options that there are. Raises ConfigurationError with all the faults at once."""
    faults = Faults()
    document = _document(path, faults=faults)
    reader = _Reader(path, options, faults)
    settings = reader.settings(document)
    faults.check()
    return settings


def _document(path: Path, *, faults: Faults) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        faults.add(f"{path} cannot be read: {(error.strerror or 'it cannot be opened').lower()}", hint="Name another file with --config.")
    except tomllib.TOMLDecodeError as error:
        # The parser's message quotes single characters at most; a value of the file never shows in it.
        faults.add(f"{path} is not TOML: {str(error)[:1].lower()}{str(error)[1:]}", hint="Mend the line; texts stand in double quotes.")
    except ValueError:
        faults.add(f"{path} is not UTF-8 text", hint="Save the file as UTF-8.")
    faults.check()
    return {}


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns the tables of one file into settings."""

    path: Path
    options: Options
    faults: Faults

    def settings(self, document: Mapping[str, object]) -> FileSettings:
        shared: dict[str, object] = {}
        tables: dict[str, Mapping[str, object]] = {}
        for key, value in document.items():
            if key in _PLACES or (key in self.options and isinstance(value, dict)):
                if isinstance(value, dict):
                    tables[key] = value
                else:
                    self._wrong(key, "a table")
            else:
                shared[key] = value
        known = {key: kind for options in self.options.values() for key, kind in options.items()}
        shared = self._values(shared, known, where="", others=(*self.options, *_PLACES))
        commands = {
            command: {key: value for key, value in shared.items() if key in options}
            | self._values(tables.get(command, {}), options, where=f"[{command}] ")
            for command, options in self.options.items()
        }
        texts = dict.fromkeys(REPOSITORY_KEYS, OptionKind()) | {"ca_bundle": OptionKind("path")}
        first, second = (self._values(tables.get(name, {}), texts, where=f"[{name}] ") for name in _PLACES)
        return FileSettings(self.path, commands, _texts(first), _texts(second))

    def _values(
        self, table: Mapping[str, object], kinds: Mapping[str, OptionKind], *, where: str, others: tuple[str, ...] = ()
    ) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in table.items():
            if key not in kinds:
                self._unknown(key, where=where, known=(*kinds, *others))
            elif (read := self._value(value, kinds[key])) is None:
                self._wrong(f"{where}{key}", _expectation(kinds[key]))
            else:
                values[key] = read
        return values

    def _value(self, value: object, kind: OptionKind) -> object | None:
        """The value as the option takes it; None when it is of the wrong type."""
        if not kind.repeatable:
            return self._single(value, kind.kind)
        if isinstance(value, dict) and kind.named:
            return [f"{name}={text}" for name, text in value.items()] if all(isinstance(text, str) for text in value.values()) else None
        items = [self._single(item, kind.kind) for item in (value if isinstance(value, list) else [value])]
        return None if None in items else items

    def _single(self, value: object, kind: ValueKind) -> object | None:
        if kind == "flag":
            return value if isinstance(value, bool) else None
        if kind in ("integer", "number"):
            types = (int,) if kind == "integer" else (int, float)
            return value if isinstance(value, types) and not isinstance(value, bool) else None
        if not isinstance(value, str) or not value:
            return None
        return str(self.path.absolute().parent / expanded(value)) if _is_path(value, kind) else value

    def _unknown(self, key: str, *, where: str, known: tuple[str, ...]) -> None:
        near = get_close_matches(key.replace("-", "_"), known, n=1)
        hint = f"Write {near[0]} instead." if near else f"Use one of {', '.join(sorted(set(known)))}."
        self.faults.add(f"{self.path} has an unknown key {where}{key}", hint=hint)

    def _wrong(self, key: str, expectation: str) -> None:
        self.faults.add(f"{key} in {self.path} is not {expectation}", hint=f"Write {expectation} there.")


def _is_path(value: str, kind: ValueKind) -> bool:
    match kind:
        case "path":
            return True
        case "place":
            return not has_scheme(value)
        case "profile":
            return value.endswith(".toml")
        case "recipient":
            return not value.startswith(("age1", "ssh-"))
        case "verify_key":
            return not value.startswith(("MCowBQYDK2VwAyEA", "ssh-"))
        case _:
            return False


def _expectation(kind: OptionKind) -> str:
    single = _SHOWN.get(kind.kind, "a text")
    return f"{single} or a list of them" if kind.repeatable else single


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}
