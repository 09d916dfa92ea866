"""A deployment in Parsec's shape with many objects, on servers of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import obstore
import psycopg
from obstore.store import S3Store

from lockstep.demo.deployment_shape import SCHEMA
from lockstep.objects.embedded import SeaweedFS
from lockstep.postgres.embedded import EmbeddedServer

_FOUNDATION = """
INSERT INTO organization (organization_id, created_on) VALUES ('Bench', now());
INSERT INTO user_ (organization, user_id, profile, created_on) VALUES (1, gen_random_uuid(), 'ADMIN', now());
INSERT INTO device (organization, user_, device_id, certificate, created_on) VALUES (1, 1, gen_random_uuid(), '\\x00', now());
INSERT INTO realm (organization, realm_id, created_on) VALUES (1, gen_random_uuid(), now());
"""
_BLOCK = "COPY block (block_id, realm, author, size, created_on, key_index) FROM STDIN"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A database and a bucket, and what a client of both needs."""

    conninfo: str
    bucket: str
    environment: dict[str, str]
    store: SeaweedFS

    def add(self, first: int, count: int, size: int) -> None:
        """Blocks number `first` and on: the objects first, then the rows."""
        ids = [
            UUID(bytes=hashlib.md5(f"{self.bucket}{number}".encode(), usedforsecurity=False).digest())
            for number in range(first, first + count)
        ]
        client = S3Store(
            self.bucket,
            endpoint=self.store.endpoint_url,
            access_key_id=self.store.access_key_id,
            secret_access_key=self.store.secret_access_key,
            region="us-east-1",
            client_options={"allow_http": True},
        )
        contents = os.urandom(size + count)
        with ThreadPoolExecutor(16) as pool:
            list(
                pool.map(
                    lambda numbered: obstore.put(client, f"Bench/{numbered[1]}", contents[numbered[0] : numbered[0] + size]), enumerate(ids)
                )
            )
        with psycopg.connect(self.conninfo) as connection, connection.cursor().copy(_BLOCK) as copy:
            for block in ids:
                copy.write_row((block, 1, 1, size, "2026-01-01", 1))

    def psql(self, statement: str) -> None:
        """Run a statement."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def servers(directory: Path) -> Iterator[tuple[EmbeddedServer, SeaweedFS]]:
    """A PostgreSQL and an S3 store for the length of the block."""
    (directory / "postgres").mkdir(parents=True, exist_ok=True)
    (directory / "s3").mkdir(exist_ok=True)
    with EmbeddedServer(directory=directory / "postgres") as database, SeaweedFS(directory / "s3") as store:
        yield database, store


def make_deployment(database: EmbeddedServer, store: SeaweedFS, name: str) -> Deployment:
    """An empty deployment with a foundation: one organization, one realm, one author."""
    with psycopg.connect(database.address("postgres").conninfo, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    conninfo = database.address(name).conninfo
    with psycopg.connect(conninfo) as connection:
        connection.execute(SCHEMA.read_bytes())
        connection.execute(_FOUNDATION.encode())
    return Deployment(conninfo, store.create_bucket(f"bench-{name}"), store.environment(), store)
