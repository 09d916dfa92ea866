"""Reads the deployment out of the env files that a Parsec server is started with (`--parsec-env`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.config.blockstore import Blockstore, parse_blockstore
from lockstep.config.env_file import read_env_files, value_of
from lockstep.config.faults import Faults
from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.raid import RaidMode

_SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class ParsecDeployment:
    """What a Parsec server works on. `stores` is in node order; empty when the objects are in the database (`POSTGRESQL`)."""

    database: DatabaseAddress
    stores: tuple[StoreAddress, ...]
    raid: RaidMode | None


def read_parsec_env(paths: Sequence[Path], *, environment: Mapping[str, str]) -> ParsecDeployment:
    """The deployment that the env files describe; files named later win.

    Raises ConfigurationError with all the faults at once; no message holds a value of a file.
    """
    faults = Faults()
    definitions = read_env_files(paths, faults=faults)
    readable = not faults.found
    values: dict[str, str] = {}
    for name, meaning in (("PARSEC_DB", "the database"), ("PARSEC_BLOCKSTORE", "the object store")):
        before = len(faults.found)
        value = value_of(name, definitions, environment=environment, faults=faults)
        if value and "\x00" not in value:
            values[name] = value
        elif readable and len(faults.found) == before:
            faults.add(f"{name} is not set in {_named(paths)}", hint=f"Name the env file that sets {name} ({meaning}) with --parsec-env.")
    database = _database(values["PARSEC_DB"], faults=faults) if "PARSEC_DB" in values else DatabaseAddress()
    blockstore = parse_blockstore(values["PARSEC_BLOCKSTORE"], faults=faults) if "PARSEC_BLOCKSTORE" in values else Blockstore(())
    faults.check()
    return ParsecDeployment(database, blockstore.stores, blockstore.raid)


def _named(paths: Sequence[Path]) -> str:
    return " or ".join(str(path) for path in paths) or "any env file"


def _database(value: str, *, faults: Faults) -> DatabaseAddress:
    value = value.strip()
    if value.upper() == "MOCKED":
        faults.add(
            "PARSEC_DB is MOCKED, which is not supported, because such a server keeps its metadata in memory only",
            hint="Back up a server that keeps its metadata in PostgreSQL.",
        )
    elif not value.startswith(_SCHEMES):
        faults.add("PARSEC_DB is not a postgresql:// URL", hint="Write it as postgresql://user:password@host:port/database.")
    return DatabaseAddress(conninfo=value)
