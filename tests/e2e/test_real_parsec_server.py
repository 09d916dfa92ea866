"""A real Parsec server: it fills its own database and bucket, both are lost, and it goes on working on what lockstep restored.

Skipped where no Python 3.12 is found, the only one that the server runs on.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from lockstep.model.addresses import StoreAddress
from lockstep.postgres.embedded import EmbeddedServer
from support.fixture_types import Lockstep
from support.parsec_environment import ParsecEnvironment, find_python, parsec_environment
from support.parsec_server import DatabaseLogin, ParsecServer, write_env_file
from support.parsec_shape import read_objects, sequence_values, table_rows
from support.servers import SeaweedFS

FIRST_BLOCKS = 180
NEW_BLOCKS = 40


@pytest.fixture(scope="session")
def environment() -> ParsecEnvironment:
    python = find_python()
    if python is None:
        pytest.skip("no Python 3.12 was found, on which alone the Parsec server runs")
    return parsec_environment(python)


@pytest.fixture
def login(postgres_server: EmbeddedServer) -> Iterator[DatabaseLogin]:
    """A database and its owner, a role that may create databases and is no superuser. Its password needs escapes in a URL."""
    name = f"parsec_{secrets.token_hex(4)}"
    login = DatabaseLogin(postgres_server.host, postgres_server.port, name, "p@ss:w/rd é%", name)
    role = sql.Identifier(name)
    with psycopg.connect(postgres_server.address().conninfo, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(role, login.password))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(role, role))
    yield login
    with psycopg.connect(postgres_server.address().conninfo, autocommit=True) as admin:
        left = admin.execute("SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s", [name]).fetchall()
        for (database,) in left:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
        admin.execute(sql.SQL("DROP ROLE {}").format(role))


def test_parsec_server_goes_on_working_on_what_was_restored_after_both_stores_were_lost(
    environment: ParsecEnvironment,
    login: DatabaseLogin,
    bucket: StoreAddress,
    s3_server: SeaweedFS,
    postgres_server: EmbeddedServer,
    lockstep: Lockstep,
    tmp_path: Path,
) -> None:
    env_file = write_env_file(tmp_path / "parsec.env", login, bucket=bucket)
    server = ParsecServer(environment, env_file, directory=tmp_path)
    state, repository = tmp_path / "state.json", tmp_path / "repository"
    deployment = ("--parsec-env", env_file, "--repo", repository, "--json")

    server.migrate()
    with server.running() as url:
        server.client("populate", state, url=url, blocks=FIRST_BLOCKS)
        first = lockstep("backup", *deployment)
        assert first.returncode == 0, first.stderr
        server.client("add", state, url=url, blocks=NEW_BLOCKS)
        second = lockstep("backup", *deployment)

    assert first.json["complete"] is True
    assert first.json["objects"]["referenced"] == first.json["objects"]["new"] == FIRST_BLOCKS
    assert second.returncode == 0, second.stderr
    assert second.json["complete"] is True
    assert second.json["parent"] == first.json["snapshot"]
    objects = second.json["objects"]
    assert (objects["referenced"], objects["new"], objects["reused"]) == (FIRST_BLOCKS + NEW_BLOCKS, NEW_BLOCKS, FIRST_BLOCKS)
    requests = second.json["requests"]
    assert (requests["list"], requests["get"]) == (0, NEW_BLOCKS)
    assert requests["head"] <= 1, "the bucket may be asked about, an object that is there already may not"

    with psycopg.connect(login.url) as connection:
        rows, sequences = table_rows(connection), sequence_values(connection)
    contents = read_objects(bucket)
    assert set(contents) == _keys(state)
    _lose_both(postgres_server, s3_server, login=login, bucket=bucket)

    restored = lockstep("restore", "latest", *deployment, "--yes")

    assert restored.returncode == 0, restored.stderr
    assert restored.json["consistent"] is True
    assert restored.json["objects"]["uploaded"] == FIRST_BLOCKS + NEW_BLOCKS
    with psycopg.connect(login.url) as connection:
        assert table_rows(connection) == rows
        assert sequence_values(connection) == sequences
    assert read_objects(bucket) == contents

    with server.running() as url:  # it does not start on a schema that is not its own
        # With sequences set back it would answer that a new block is there already, and lose it.
        server.client("go-on", state, url=url, blocks=NEW_BLOCKS)


def _keys(state: Path) -> set[str]:
    """The objects' keys by the client's own account, made the way the server's documentation says."""
    organizations = json.loads(state.read_text(encoding="utf-8"))
    return {
        f"{organization['name']}/{block[:8]}-{block[8:12]}-{block[12:16]}-{block[16:20]}-{block[20:]}"
        for organization in organizations
        for block in organization["blocks"]
    }


def _lose_both(postgres_server: EmbeddedServer, s3_server: SeaweedFS, *, login: DatabaseLogin, bucket: StoreAddress) -> None:
    """Drop the database; delete the bucket with everything in it, and make an empty one of the same name."""
    with psycopg.connect(postgres_server.address().conninfo, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(login.dbname)))
    client, name = s3_server.client(), bucket.url.removeprefix("s3://")
    keys = [item["Key"] for page in client.get_paginator("list_objects_v2").paginate(Bucket=name) for item in page["Contents"]]
    for key in keys:
        client.delete_object(Bucket=name, Key=key)
    client.delete_bucket(Bucket=name)
    client.create_bucket(Bucket=name)
    assert not read_objects(bucket)
