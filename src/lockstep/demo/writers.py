"""Users at work: threads that save one file after the other, as Parsec's server stores them, and keep books of it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from lockstep.demo.deployment_shape import Realm, block_rows, plan_blocks, plan_vlobs
from lockstep.demo.filling import put_block
from lockstep.demo.proof import Save
from lockstep.demo.servers import Servers
from lockstep.demo.size import DemoSize
from lockstep.errors import LockstepError
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop
from lockstep.operations.together import Together
from lockstep.postgres.writing import WritingSession, open_writing_session

_SEEDS_OF_A_WRITER = 1_000_000
_LONGEST_WAIT_SECONDS = 60.0  # for a hundred files, which take three seconds


class Writers:
    """The writers and their books. `saves` is in the order in which the server confirmed them, as each writer saw it."""

    def __init__(self, servers: Servers, realms: Sequence[Realm], size: DemoSize, stop: Stop) -> None:
        self._servers, self._realms, self._size, self._stop = servers, realms, size, stop
        self.saves: list[Save] = []

    def write(self, number: int) -> None:
        """Be one writer until the stop."""
        chance = random.Random(number)
        bucket, file = self._servers.open_bucket(), number * _SEEDS_OF_A_WRITER
        with open_writing_session(self._servers.database) as session:
            while not self._stop.wait(self._size.pause_seconds * chance.uniform(0.5, 1.5)):
                file += 1
                self.saves.append(save_file(session, bucket, chance.choice(self._realms), self._size, file=file))

    def wait_for(self, files: int) -> int:
        """Wait until so many more files are saved; returns how many it was. Raises LockstepError when the writers have stopped."""
        before, deadline = len(self.saves), time.monotonic() + _LONGEST_WAIT_SECONDS
        while len(self.saves) < before + files:
            if self._stop.wait(0.02) or time.monotonic() > deadline:
                raise LockstepError("the demo's writers do not get on", hint="Run the demo again when the machine is less busy.")
        return len(self.saves) - before


@contextmanager
def writers_at_work(servers: Servers, realms: Sequence[Realm], size: DemoSize) -> Iterator[Writers]:
    """Writers that write for the length of the block, each in a thread. What stops one of them is raised at the end of the block."""
    stop = Stop()
    writers = Writers(servers, realms, size, stop)
    with Together(stop) as work:
        for number in range(1, size.writers + 1):
            work.start(lambda number=number: writers.write(number), name=f"writer-{number}")  # type: ignore[misc] # mypy: lambda defaults
        try:
            yield writers
        finally:
            stop.set()


def save_file(session: WritingSession, bucket: ObjectStore, realm: Realm, size: DemoSize, *, file: int) -> Save:
    """Save a file in a workspace: the objects of its blocks first, then the rows that name them, in one transaction."""
    now = datetime.now(UTC)
    count = random.Random(file).randint(1, size.file_blocks)
    blocks = plan_blocks([realm], count, size=size.file_block_bytes, seed=file, created_on=now)
    objects = dict(put_block(bucket, block) for block in blocks)
    begun = time.monotonic()
    with session.transaction():
        added = {
            rows.table: session.insert(rows.table, rows.columns, rows.rows)
            for rows in (block_rows(blocks), plan_vlobs([realm], 1, seed=file, created_on=now))
        }
    return Save(begun, time.monotonic(), added, objects)
