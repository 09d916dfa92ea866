"""Servers of three versions, and databases of a test's own on them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres.embedded import EmbeddedServer, available_servers
from support.fixture_types import PostgresServers
from support.postgres_samples import MAJORS, FreshDatabase, ServerOf, execute


@pytest.fixture(scope="session")
def server_of(postgres_servers: PostgresServers) -> ServerOf:
    """The session's server of a version; a version that is not installed skips the test and says so."""

    def server(major: int) -> EmbeddedServer:
        if major not in available_servers():
            pytest.skip(f"PostgreSQL {major} is not installed here")
        return postgres_servers(major)

    return server


@pytest.fixture(scope="session", params=(MAJORS[0], MAJORS[-1]), ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest, server_of: ServerOf) -> EmbeddedServer:
    """The oldest and the newest of the servers in turn; the matrix and what differs between versions ask for more."""
    return server_of(request.param)


@pytest.fixture
def fresh_database() -> Iterator[FreshDatabase]:
    """Makes databases of the test's own on any server, and drops them and all that restores made of them."""
    made: list[tuple[EmbeddedServer, str]] = []

    def make(server: EmbeddedServer, *statements: str) -> DatabaseAddress:
        name = f"test_{secrets.token_hex(4)}"
        execute(server.address(), sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        made.append((server, name))
        for statement in statements:
            execute(server.address(name), statement)
        return server.address(name)

    yield make
    for server, name in made:
        with psycopg.connect(server.address().conninfo, autocommit=True) as connection:
            names = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{name}%",)).fetchall()
            for (each,) in names:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(each)))
