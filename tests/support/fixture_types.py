"""The types of what the fixtures in conftest.py give, for the signatures of tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres.embedded import EmbeddedServer
from support.parsec_shape import Generation

PostgresServers = Callable[[int], EmbeddedServer]


class MakeDatabase(Protocol):
    """Creates a database on the test's server and returns its address; empty, or with the tables of Parsec's shape."""

    def __call__(self, name: str | None = None, *, schema: Generation | None = None) -> DatabaseAddress: ...


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the command line came to."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.stdout)


class Lockstep(Protocol):
    """Runs the command line to its end."""

    def __call__(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout_seconds: float = 120
    ) -> Ran: ...
