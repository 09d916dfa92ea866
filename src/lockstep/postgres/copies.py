"""Rows on their way out of a COPY, a million a second: libpq hands on row by row, and whatever Python does for each of them counts.

psycopg's own Copy makes three objects a row, and rows that wait to be joined make the garbage collector look at all of them again and
again: at a million references that was half of a backup with nothing new. Source: PostgreSQL manual, libpq, "Functions Associated with the
COPY Command" (PQgetCopyData, asynchronous).
"""

from __future__ import annotations

import selectors
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from psycopg import errors
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from lockstep.postgres.sessions import Connection

_BLOCK_BYTES = 512 * 1024
"""What one step hands on: whoever reads it would pay for each step."""


def copied_out(connection: Connection, statement: bytes) -> Generator[bytes, None, int]:
    """What a `COPY … TO STDOUT` gives, in blocks that end at the end of a row; the generator returns how many rows the server sent.

    A generator that is closed before its end cancels the query, and leaves the session usable. Lets psycopg's errors through.
    """
    pgconn = connection.pgconn
    _succeeded(pgconn.exec_(statement), ExecStatus.COPY_OUT, connection)
    with _cancelled_when_closed(connection):
        yield from _blocks(pgconn)
    return _rows_sent(_last_result(pgconn), connection)


def _blocks(pgconn: PGconn) -> Iterator[bytes]:
    take, block = pgconn.get_copy_data, bytearray()
    with selectors.DefaultSelector() as readable:
        readable.register(pgconn.socket, selectors.EVENT_READ)
        while (found := take(1))[0] >= 0:
            if found[0] == 0:
                readable.select()
                pgconn.consume_input()
                continue
            block += found[1]
            if len(block) >= _BLOCK_BYTES:
                yield bytes(block)
                block.clear()
    if block:
        yield bytes(block)


@contextmanager
def _cancelled_when_closed(connection: Connection) -> Iterator[None]:
    try:
        yield
    except GeneratorExit:
        connection.cancel_safe()
        while connection.pgconn.get_copy_data(0)[0] > 0:
            pass
        _last_result(connection.pgconn)
        raise


def _last_result(pgconn: PGconn) -> PGresult | None:
    last = None
    while (found := pgconn.get_result()) is not None:
        last = found
    return last


def _rows_sent(result: PGresult | None, connection: Connection) -> int:
    if result is None:
        raise errors.OperationalError("the server sent no end of the copy")
    _succeeded(result, ExecStatus.COMMAND_OK, connection)
    return result.command_tuples or 0


def _succeeded(result: PGresult, status: ExecStatus, connection: Connection) -> None:
    if result.status != status:
        raise errors.error_from_result(result, connection.info.encoding)
