"""Fills a database in the shape of Parsec's and its bucket, in the server's order: the object first, then the row that names it.

The shape itself (tables, rows, contents) is the demo's, `lockstep.demo.deployment_shape`; the shape from before schema migration 0014
is derived from it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import obstore
import psycopg
from obstore.store import S3Store
from psycopg import sql

from lockstep.demo.deployment_shape import (
    SCHEMA,
    Block,
    Foundation,
    Realm,
    Rows,
    block_rows,
    organization_names,
    plan_blocks,
    plan_foundation,
    plan_vlobs,
)
from lockstep.model.addresses import StoreAddress

Generation = Literal["current", "before_0014"]

_BACK_BEFORE_0014 = """
DROP INDEX block_of_live_rows;
ALTER TABLE block DROP CONSTRAINT block_realm_block_id_key;
ALTER TABLE block ADD COLUMN organization integer NOT NULL REFERENCES organization (_id);
ALTER TABLE block ADD CONSTRAINT block_organization_block_id_key UNIQUE (organization, block_id);
ALTER TABLE block DROP COLUMN key_index;
"""


@dataclass(frozen=True, slots=True)
class Filled:
    """What was put into a database and its bucket. `blocks` has one entry an object."""

    generation: Generation
    realms: tuple[Realm, ...]
    blocks: tuple[Block, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The objects' keys, sorted by their UTF-8 bytes."""
        return tuple(sorted((block.key for block in self.blocks), key=str.encode))

    @property
    def objects(self) -> dict[str, bytes]:
        """Every object, key to bytes."""
        return {block.key: block.contents() for block in self.blocks}

    def __add__(self, more: Filled) -> Filled:
        return replace(self, blocks=self.blocks + more.blocks)


def create_schema(connection: psycopg.Connection, generation: Generation = "current") -> None:
    """Create the tables in an empty database."""
    connection.execute(SCHEMA.read_text(encoding="utf-8").encode())
    if generation == "before_0014":
        connection.execute(_BACK_BEFORE_0014)
    connection.commit()


def fill(
    connection: psycopg.Connection,
    bucket: StoreAddress,
    *,
    organizations: int | Sequence[str] = 2,
    realms: int = 2,
    blocks: int = 20,
    size: int | tuple[int, int] = 64,
    doubled: int = 0,
    vlobs: int = 12,
    seed: int = 0,
    generation: Generation = "current",
) -> Filled:
    """Organizations, `realms` workspaces in each, and `blocks` blocks in all, with their objects, in an empty database with the schema.

    `doubled` blocks get a second row in another workspace of their organization: two rows, one object (not before 0014).
    """
    names = organization_names(organizations) if isinstance(organizations, int) else tuple(organizations)
    foundation = plan_foundation(names, realms=realms, seed=seed)
    _write_foundation(connection, foundation, generation)
    _copy(connection, plan_vlobs(foundation.realms, vlobs, seed=seed))
    filled = Filled(generation, foundation.realms, ())
    filled = add_blocks(connection, bucket, filled, blocks, size=size, seed=seed)
    if doubled:
        _copy(connection, block_rows(_second_rows(filled, doubled)))
    connection.commit()
    return filled


def add_blocks(
    connection: psycopg.Connection, bucket: StoreAddress, filled: Filled, count: int, *, size: int | tuple[int, int] = 64, seed: int = 1
) -> Filled:
    """`count` more blocks, objects first, then the rows in one transaction. Another `seed` gives other blocks."""
    blocks = plan_blocks(filled.realms, count, size=size, seed=seed, created_on=datetime(2026, 6, 1, tzinfo=UTC))
    put_objects(bucket, ((block.key, block.contents()) for block in blocks))
    _copy(connection, _rows_of(blocks, filled.generation))
    connection.commit()
    return filled + Filled(filled.generation, filled.realms, blocks)


def put_objects(bucket: StoreAddress, objects: Iterable[tuple[str, bytes]]) -> None:
    """Put plain objects, many at a time. Keys that obstore cannot address (`a//b`, `a/`) need boto3."""
    store = _store(bucket)
    with ThreadPoolExecutor(max_workers=8) as pool:
        for future in [pool.submit(obstore.put, store, key, data, use_multipart=False) for key, data in objects]:
            future.result()


def delete_objects(bucket: StoreAddress, keys: Sequence[str]) -> None:
    """Take objects away behind the database's back."""
    obstore.delete(_store(bucket), list(keys))


def read_objects(bucket: StoreAddress) -> dict[str, bytes]:
    """Everything in a bucket, key to bytes."""
    store = _store(bucket)
    keys = [item["path"] for page in obstore.list(store) for item in page]
    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(keys, pool.map(lambda key: bytes(obstore.get(store, key).bytes()), keys), strict=True))


def table_rows(connection: psycopg.Connection) -> dict[str, list[str]]:
    """Every row of every table as text, sorted: two databases with the same value hold the same rows."""
    tables = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1")
    return {
        name: sorted(row[0] for row in connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))))
        for (name,) in tables.fetchall()
    }


def sequence_values(connection: psycopg.Connection) -> dict[str, int | None]:
    """The last value of every sequence: what the next serial number follows from."""
    return dict(connection.execute("SELECT sequencename::text, last_value FROM pg_sequences ORDER BY 1").fetchall())


def _store(bucket: StoreAddress) -> S3Store:
    name, _, prefix = bucket.url.removeprefix("s3://").partition("/")
    return S3Store(
        name,
        prefix=prefix or None,
        endpoint=bucket.endpoint_url,
        region=bucket.region,
        access_key_id=bucket.access_key_id,
        secret_access_key=bucket.secret_access_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def _write_foundation(connection: psycopg.Connection, foundation: Foundation, generation: Generation) -> None:
    for rows in foundation.tables:
        kept = rows.rows[:13] if rows.table == "migration" and generation == "before_0014" else rows.rows
        _copy(connection, replace(rows, rows=kept))
        advance = sql.SQL("SELECT setval(pg_get_serial_sequence({}, '_id'), (SELECT max(_id) FROM {}))")
        connection.execute(advance.format(rows.table, sql.Identifier(rows.table)))
    connection.execute("UPDATE user_ SET certifier = device._id FROM device WHERE device.user_ = user_._id")


def _second_rows(filled: Filled, count: int) -> list[Block]:
    """The first `count` blocks again, each in another workspace of its organization."""
    return [
        replace(block, realm=next(r for r in filled.realms if r.organization == block.realm.organization and r != block.realm))
        for block in filled.blocks[:count]
    ]


def _rows_of(blocks: Sequence[Block], generation: Generation) -> Rows:
    rows = block_rows(blocks)
    if generation == "current":
        return rows
    return Rows(
        "block",
        (*rows.columns[:-1], "organization"),
        tuple((*row[:-1], block.realm.organization_number) for row, block in zip(rows.rows, blocks, strict=True)),
    )


def _copy(connection: psycopg.Connection, rows: Rows) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(rows.table), columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows.rows:
            copy.write_row(row)
