"""Deployments in Parsec's shape with many objects, on servers of their own; filled once, and kept where the caller wants them kept."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
from bulk_loading import MOST_BYTES, load_objects, put_lacking
from filling import fill_objects

from lockstep.demo.deployment_shape import SCHEMA, plan_foundation
from lockstep.objects.embedded import SeaweedFS
from lockstep.postgres.embedded import EmbeddedServer

CHUNK = 2_000
"""Blocks that are made at a time; each chunk follows from its own number, so a deployment can grow by chunks."""

FEW = 50_000
"""Up to so many objects are put one by one."""

_FAR = 1_000_000
"""The first chunk that days are taken from: behind all that a deployment begins with."""

_ORGANIZATIONS = ("Acme", "Bench", "Example")
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_COPY_BLOCKS = "COPY block (block_id, realm, author, size, created_on, key_index) FROM STDIN"


@dataclass(frozen=True, slots=True)
class Shape:
    """How many objects of which size a deployment has when it is new; `name` is that of its database and of its bucket."""

    name: str
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """A database and a bucket, and what a client of both needs."""

    shape: Shape
    conninfo: str
    bucket: str
    store: SeaweedFS

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which any S3 client finds the store."""
        return self.store.environment()

    def count(self) -> int:
        """How many blocks there are now."""
        with psycopg.connect(self.conninfo) as connection:
            return int(connection.execute("SELECT count(*) FROM block").fetchall()[0][0])

    def grow(self, objects: int) -> None:
        """Add whole chunks of blocks, at least `objects`: the objects first, then the rows."""
        first = self.count() // CHUNK
        numbers = range(first, first - (-objects // CHUNK))

        def chunks() -> Iterator[tuple[int, list[str]]]:
            return ((number, [row.key for row in plan_chunk(number, self.shape.name)]) for number in numbers)

        size = self.shape.size_bytes
        if size <= MOST_BYTES and objects > FEW:
            load_objects(self.store, self.bucket, chunks=chunks(), size_bytes=size, work=self.store.directory)
            put_lacking(self.store, self.bucket, chunks=chunks(), size_bytes=size)
        else:
            fill_objects(self.store.address(self.bucket), list(chunks()), size)
        with psycopg.connect(self.conninfo) as connection, connection.cursor().copy(_COPY_BLOCKS) as copy:
            for number in numbers:
                for row in plan_chunk(number, self.shape.name):
                    copy.write_row((row.block_id, row.realm, row.author, self.shape.size_bytes, row.created_on, 1))

    def live_on(self, day: int, *, new: int, size_bytes: int, gone: int = 0) -> None:
        """At most CHUNK new blocks of the day's own chunk, the objects first, then their rows; then some of the oldest rows go."""
        rows = plan_chunk(_FAR + day, self.shape.name)[:new]
        fill_objects(self.store.address(self.bucket), [(_FAR + day, [row.key for row in rows])], size_bytes)
        with psycopg.connect(self.conninfo) as connection:
            with connection.cursor().copy(_COPY_BLOCKS) as copy:
                for row in rows:
                    copy.write_row((row.block_id, row.realm, row.author, size_bytes, row.created_on, 1))
            connection.execute("DELETE FROM block WHERE _id IN (SELECT _id FROM block ORDER BY _id LIMIT %s)", [gone])


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A row of `block`, and the key of its object."""

    block_id: UUID
    key: str
    realm: int
    author: int
    created_on: datetime


def plan_chunk(number: int, seed: str) -> list[BlockRow]:
    """The blocks of a chunk: random ids, uneven moments, realms in no order, so that a dump is as hard to compress as a real one."""
    chance = random.Random(f"{seed} {number}")
    moment = _EPOCH + timedelta(minutes=12 * number)
    rows = []
    for _ in range(CHUNK):
        realm, block_id = chance.choice(_FOUNDATION.realms), UUID(int=chance.getrandbits(128), version=4)
        moment += timedelta(microseconds=chance.randrange(700_000))
        rows.append(BlockRow(block_id, f"{realm.organization}/{block_id}", realm.number, realm.author, moment))
    return rows


_FOUNDATION = plan_foundation(_ORGANIZATIONS, realms=20, seed=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the servers and everything that is measured lie."""

    directory: Path
    database: EmbeddedServer
    store: SeaweedFS

    @property
    def old(self) -> Path:
        """Where what was measured waits until all is measured, to be deleted then."""
        return self.directory / "old"

    def deployment(self, shape: Shape) -> Deployment:
        """The deployment of a shape, filled unless an earlier run did it."""
        found = Deployment(shape, self.database.address(shape.name).conninfo, f"bench-{shape.name}", self.store)
        filled = self.directory / f"{shape.name}.json"
        if not filled.exists():
            self._make(found)
            filled.write_text(json.dumps({"objects": shape.objects, "size": shape.size_bytes}), encoding="utf-8")
        return found

    def psql(self, statement: str, dbname: str = "postgres") -> None:
        """Run a statement."""
        with psycopg.connect(self.database.address(dbname).conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def empty_bucket(self, name: str) -> str:
        """A bucket with nothing in it; whatever was in one of this name is gone."""
        self.delete_bucket(name)
        return self.store.create_bucket(name)

    def delete_bucket(self, name: str) -> None:
        """Delete a bucket with all that is in it. SeaweedFS does so at one request."""
        client = self.store.client()
        if any(each["Name"] == name for each in client.list_buckets()["Buckets"]):
            client.delete_bucket(Bucket=name)

    def _make(self, deployment: Deployment) -> None:
        name = deployment.shape.name
        self.psql(f'DROP DATABASE IF EXISTS "{name}"')
        self.psql(f'CREATE DATABASE "{name}"')
        self.empty_bucket(deployment.bucket)
        with psycopg.connect(deployment.conninfo) as connection:
            connection.execute(SCHEMA.read_bytes())
            for each in _FOUNDATION.tables:
                values = ", ".join(["%s"] * len(each.columns))
                statement = f"INSERT INTO {each.table} ({', '.join(each.columns)}) VALUES ({values})"
                connection.cursor().executemany(statement.encode(), each.rows)
        deployment.grow(deployment.shape.objects)
        self.psql("VACUUM ANALYZE", name)


@contextmanager
def servers(directory: Path) -> Iterator[Place]:
    """A PostgreSQL and an S3 store for the length of the block; what an earlier run filled in the same directory is there again."""
    (directory / "postgres").mkdir(parents=True, exist_ok=True)
    (directory / "s3").mkdir(exist_ok=True)
    with EmbeddedServer(directory=directory / "postgres") as database, SeaweedFS(directory / "s3") as store:
        place = Place(directory, database, store)
        try:
            yield place
        finally:
            shutil.rmtree(place.old, ignore_errors=True)
