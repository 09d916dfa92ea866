"""Makes the demo's deployment: the tables, what is in them before the first block, and the first few thousand blocks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

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
from lockstep.demo.proof import Contents
from lockstep.demo.servers import DATABASE, Servers
from lockstep.demo.size import DemoSize
from lockstep.model.objects import ObjectAttributes
from lockstep.objects.retry import retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, in_parallel
from lockstep.postgres.writing import WritingSession, create_database, open_writing_session
from lockstep.progress import Listener, StageAdvanced, StageEnded, StageStarted

STAGE = "filling"
SEED = 1
_THREADS = 8
_CERTIFY = "UPDATE user_ SET certifier = device._id FROM device WHERE device.user_ = user_._id"
_ATTRIBUTES = ObjectAttributes(content_type="application/octet-stream")


@dataclass(frozen=True, slots=True)
class Filled:
    """What was put into the deployment; `realms` are the workspaces that files are saved to."""

    contents: Contents
    realms: tuple[Realm, ...]
    size_bytes: int


def fill(servers: Servers, size: DemoSize, *, listener: Listener) -> Filled:
    """Make the database and fill both stores, the object always before the row that names it. Returns what was written, by the books."""
    create_database(servers.server, DATABASE)
    foundation = plan_foundation(organization_names(size.organizations), realms=size.workspaces_each, seed=SEED)
    blocks = plan_blocks(foundation.realms, size.small_blocks, size=size.small_bytes, seed=SEED)
    blocks += plan_blocks(foundation.realms, size.large_blocks, size=size.large_bytes, seed=SEED + 1)
    with open_writing_session(servers.database) as session:
        session.run_script(SCHEMA.read_text(encoding="utf-8"))
        _write_foundation(session, foundation)
        _copy(session, plan_vlobs(foundation.realms, size.vlobs, seed=SEED))
        objects = _put_all(servers.open_bucket(), blocks, listener)
        _copy(session, block_rows(blocks))
        contents = Contents(session.rows_as_text(), frozenset(objects), objects)
    return Filled(contents, foundation.realms, sum(block.size for block in blocks))


def put_block(bucket: ObjectStore, block: Block) -> tuple[str, str]:
    """Store a block's object as Parsec's server does, by one plain PUT; returns its key and its SHA-256."""
    data = block.contents()
    retrying(lambda: bucket.write(block.key, data, attributes=_ATTRIBUTES, overwrite=True))
    return block.key, hashlib.sha256(data).hexdigest()


def _put_all(bucket: ObjectStore, blocks: tuple[Block, ...], listener: Listener) -> dict[str, str]:
    objects: dict[str, str] = {}

    def put(block: Block) -> tuple[str, str]:
        named = put_block(bucket, block)
        listener(StageAdvanced(STAGE, done=1, size_bytes=block.size))
        return named

    listener(StageStarted(STAGE, total=len(blocks), unit="objects"))
    for done in in_parallel(blocks, put, threads=_THREADS, stop=Stop()):
        objects.update(done)
    listener(StageEnded(STAGE))
    return objects


def _write_foundation(session: WritingSession, foundation: Foundation) -> None:
    for rows in foundation.tables:
        _copy(session, rows)
        session.advance_serial(rows.table, "_id")
    session.run_script(_CERTIFY)


def _copy(session: WritingSession, rows: Rows) -> None:
    session.copy_in(rows.table, rows.columns, rows.rows)
