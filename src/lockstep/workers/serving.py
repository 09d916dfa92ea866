"""The worker's side of a socket to whoever started it: tasks come in, each is done in a thread, its report goes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

TASK, STOP = "task", "stop"
"""What a worker is told."""

DONE, BROKEN, ALIVE = "done", "broken", "alive"
"""What a worker tells: a report, that a task failed as none should, that it lives."""

ALIVE_SECONDS = 5.0
"""How often a worker shows that it lives."""

Do = Callable[[Any, threading.Event], Any]
"""Does a task and returns its report; ends early when the event is set."""


def serve(connection: Connection, do: Do) -> None:
    """Do what comes in, until the socket's other end is closed. Tasks that are in hand then are left to the process's end."""
    stop, sending = threading.Event(), threading.Lock()

    def tell(kind: str, number: int, content: object) -> None:
        with sending, suppress(OSError):  # nobody listens any more: the end of the stream comes next
            connection.send((kind, number, content))

    def run(number: int, task: object) -> None:
        try:
            tell(DONE, number, do(task, stop))
        except BaseException as error:  # noqa: BLE001 - carried to the process that gave the task
            tell(BROKEN, number, f"{type(error).__name__}: {error}")

    def show_life() -> None:
        while True:
            time.sleep(ALIVE_SECONDS)
            tell(ALIVE, 0, None)

    threading.Thread(target=show_life, name="alive", daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            kind, number, task = connection.recv()
            if kind == STOP:
                stop.set()
            else:
                threading.Thread(target=run, args=(number, task), name="task", daemon=True).start()
