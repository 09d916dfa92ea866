"""A small database that has a bit of everything a dump must bring back, and how to dump and compare it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql

from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DumpFormat
from lockstep.postgres.archives import check_archive, check_archive_file
from lockstep.postgres.connection import open_database
from lockstep.postgres.dump import dump_to_directory, dump_to_stream
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.postgres.programs import Programs, find_programs

MAJORS = (15, 17, 18)

ServerOf = Callable[[int], EmbeddedServer]
FreshDatabase = Callable[..., DatabaseAddress]

SAMPLE = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE organization (_id serial PRIMARY KEY, organization_id text UNIQUE NOT NULL, mood mood);
CREATE TABLE block (_id bigserial PRIMARY KEY, organization int NOT NULL REFERENCES organization, block_id uuid, size int);
ALTER TABLE block ADD CHECK (size >= 0);
INSERT INTO organization (organization_id, mood) SELECT 'Org' || n || chr(10) || 'é', 'glad' FROM generate_series(1, 3) n;
INSERT INTO block (organization, block_id, size) SELECT 1 + n % 3, gen_random_uuid(), n FROM generate_series(1, 5000) n;
CREATE INDEX ON block (block_id);
CREATE SCHEMA "odd. schema";
CREATE TABLE "odd. schema"."Täble" (a int, b text) PARTITION BY RANGE (a);
CREATE TABLE "odd. schema".low PARTITION OF "odd. schema"."Täble" FOR VALUES FROM (0) TO (10);
INSERT INTO "odd. schema"."Täble" VALUES (1, E'COPY nothing\\nSET transaction_timeout = 0;\\n'), (2, NULL);
CREATE UNLOGGED TABLE hasty AS SELECT 1 AS a;
CREATE VIEW sizes AS SELECT sum(size) FROM block;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
SELECT lo_from_bytea(0, 'large object');
COMMENT ON TABLE block IS 'blocks';
"""

FINGERPRINT = """
SELECT (SELECT md5(string_agg(b::text, '|' ORDER BY _id)) FROM block b),
       (SELECT md5(string_agg(o::text, '|' ORDER BY _id)) FROM organization o),
       (SELECT md5(string_agg(t::text, '|' ORDER BY a)) FROM "odd. schema"."Täble" t), (SELECT count(*) FROM hasty),
       (SELECT last_value FROM block__id_seq), (SELECT count(*) FROM pg_largeobject),
       (SELECT count(*) FROM pg_indexes WHERE tablename = 'block'),
       obj_description('block'::regclass), (SELECT * FROM sizes), twice(21)
"""


def execute(address: DatabaseAddress, statement: str | sql.Composed) -> None:
    """Run statements as the superuser of a test server."""
    with psycopg.connect(address.conninfo, autocommit=True) as connection:
        connection.execute(statement.encode() if isinstance(statement, str) else statement)


def fingerprint(address: DatabaseAddress) -> tuple[object, ...]:
    """What must come back of the sample."""
    with psycopg.connect(address.conninfo) as connection:
        return connection.execute(FINGERPRINT.encode()).fetchall()[0]


def dump(address: DatabaseAddress, into: Path, *, format: DumpFormat, programs: Programs | None = None) -> Path:  # noqa: A002
    """Dump a database as a backup does, checked while it is written; returns the path of the archive."""
    archive = into / f"dump-{format}"
    with open_database(address) as database, database.frozen() as view:
        chosen = programs or find_programs(address, database.server_major)
        if format == "directory":
            dump_to_directory(view, chosen, archive, jobs=2)
            check_archive_file(chosen, archive, format=format)
            return archive
        with (
            dump_to_stream(view, chosen, format=format) as stream,
            check_archive(chosen, format=format) as check,
            archive.open("wb") as file,
        ):
            for chunk in stream.chunks():
                file.write(chunk)
                check.feed(chunk)
    return archive


def as_user(address: DatabaseAddress, user: str, password: str) -> DatabaseAddress:
    """The same database for another user."""
    return replace(address, conninfo=psycopg.conninfo.make_conninfo(address.conninfo, user=user, password=password))
