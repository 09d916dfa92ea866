"""Workers as processes of this machine: started when there is work, replaced when they die, gone when whoever started them is.

Each worker talks to its starter through one socket. Its end is the end of the worker: when the starter closes it, or is killed, the
worker reads the end of the stream and ends at once. So nothing is left behind whatever happens to the starter.
"""

from __future__ import annotations

import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from lockstep.errors import WorkersFailed
from lockstep.progress import Listener, Note
from lockstep.workers.crew import MOST_ATTEMPTS
from lockstep.workers.serving import BROKEN, DONE, STOP, TASK

TASKS_IN_HAND = 2
"""How many tasks a worker has at once: while the last objects of one are on their way, those of the other keep the line busy."""

SILENT_SECONDS = 60.0
"""A worker shows every few seconds that it lives. One that has not for so long is stopped or stuck, and is ended."""

PATIENCE_SECONDS = 2.0
"""How long a worker has to end by itself when its socket is closed; it takes milliseconds."""


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    in_hand: dict[int, Any] = field(default_factory=dict)
    heard_at: float = field(default_factory=time.monotonic)


class ProcessCrew:
    """At most `count` processes that are started with `command` and the number of a file descriptor behind it.

    `environment` is theirs, secrets included; it is seen by nobody but this user and root.
    """

    def __init__(self, count: int, *, command: Sequence[str], environment: Mapping[str, str], listener: Listener) -> None:
        self._count, self._command, self._environment, self._listener = count, tuple(command), dict(environment), listener
        self._workers: list[_Worker] = []
        self._waiting: deque[tuple[int, Any]] = deque()
        self._attempts: dict[int, int] = {}
        self._given = 0
        self.lost = 0

    @property
    def width(self) -> int:
        """As many as all workers can have in hand, whether they are started or not."""
        return self._count * TASKS_IN_HAND

    def give(self, task: Any) -> None:
        """Hand out a task to the worker that has least in hand, or to a new one."""
        self._given += 1
        self._waiting.append((self._given, task))
        self._hand_out()

    def take(self, seconds: float) -> list[Any]:
        """The reports that have come. A worker that died is replaced as soon as there is work for it."""
        reports = []
        for connection in wait([each.connection for each in self._workers], timeout=seconds):
            worker = next(each for each in self._workers if each.connection is connection)
            try:
                kind, number, content = worker.connection.recv()
            except (EOFError, OSError):
                self._bury(worker, "died")
                continue
            worker.heard_at = time.monotonic()
            if kind == BROKEN:
                raise WorkersFailed(f"a worker failed: {content}", hint="Report this: it is a fault of lockstep.")
            if kind == DONE:
                worker.in_hand.pop(number)
                self._attempts.pop(number, None)
                reports.append(content)
        now = time.monotonic()
        for worker in [each for each in self._workers if now - each.heard_at > SILENT_SECONDS and not each.connection.poll()]:
            self._bury(worker, f"gave no sign of life for {SILENT_SECONDS:.0f} s")
        self._hand_out()
        return reports

    def wind_down(self) -> None:
        """Ask all workers to report what they have; what nobody has begun is forgotten."""
        self._waiting.clear()
        for worker in self._workers:
            with suppress(OSError):
                worker.connection.send((STOP, 0, None))

    def close(self) -> None:
        """Close every socket, and end who is still there a moment later."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.connection.close()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for worker in workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.wait()

    def _hand_out(self) -> None:
        while self._waiting:
            worker = min(self._workers, key=lambda each: len(each.in_hand), default=None)
            if worker is None or (worker.in_hand and len(self._workers) < self._count):
                worker = self._start()
            if len(worker.in_hand) >= TASKS_IN_HAND:
                return
            number, task = self._waiting.popleft()
            worker.in_hand[number] = task
            try:
                worker.connection.send((TASK, number, task))
            except OSError:
                self._bury(worker, "died")

    def _start(self) -> _Worker:
        ours, theirs = Pipe(duplex=True)
        try:
            process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                env=self._environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the result on standard output is the starter's
                start_new_session=True,  # a Ctrl-C at the terminal is the starter's, who winds its workers down
            )
        except OSError as error:
            ours.close()
            raise WorkersFailed(f"a worker cannot be started: {error.strerror}", hint="Ask for fewer with --workers.") from error
        finally:
            theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _bury(self, worker: _Worker, how: str) -> None:
        """Give what a dead worker had in hand to others."""
        self._workers.remove(worker)
        self.lost += 1
        worker.connection.close()
        worker.process.kill()
        status = worker.process.wait()
        self._listener(
            Note(
                f"a worker {how}; what it had in hand is given to another one",
                level="warning",
                fields={"process": worker.process.pid, "status": status, "tasks": len(worker.in_hand)},
            )
        )
        for number, task in worker.in_hand.items():
            self._attempts[number] = self._attempts.get(number, 0) + 1
            if self._attempts[number] >= MOST_ATTEMPTS:
                raise WorkersFailed(
                    f"{MOST_ATTEMPTS} workers died over the same objects, the last one with status {status}",
                    hint="Look into the system's log whether memory ran out, and ask for fewer with --workers.",
                )
            self._waiting.appendleft((number, task))
