"""Work that overlaps: both end well, or neither does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from lockstep.objects.transfer import Stop

Result = TypeVar("Result")


class Task(Generic[Result]):
    """One piece of work in a thread of its own."""

    def __init__(self, work: Callable[[], Result], name: str, failed: Callable[[BaseException], None]) -> None:
        self._work, self._failed = work, failed
        self._result: Result
        self.error: BaseException | None = None
        # Not Thread.join: until Python 3.12 a Ctrl-C inside it makes a thread that still runs count as ended.
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def result(self) -> Result:
        """Wait for the end and return what the work gave, or raise what it raised."""
        self._ended.wait()
        if self.error is not None:
            raise self.error
        return self._result

    def join(self, seconds: float | None) -> None:
        """Wait for the end, at the longest for so long."""
        self._ended.wait(seconds)

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - carried to the thread that asks for the result
            self.error = error
            self._failed(error)
        finally:
            self._ended.set()


class Together:
    """Runs tasks beside the block. When one fails, or the block does, `stop` is requested, and what failed first is raised.

    Tasks must look at `stop`; those that have not ended `patience_seconds` after it are left behind as daemons.
    """

    def __init__(self, stop: Stop, *, patience_seconds: float = 8.0) -> None:
        self._stop, self._patience = stop, patience_seconds
        self._tasks: list[Task[Any]] = []
        self._first: list[BaseException] = []

    def start(self, work: Callable[[], Result], *, name: str) -> Task[Result]:
        """Begin a piece of work."""

        def failed(error: BaseException) -> None:
            self._first.append(error)
            self._stop.set()

        task = Task(work, name, failed)
        self._tasks.append(task)
        return task

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            for task in self._tasks:
                task.join(None)
            if self._first:
                raise self._first[0]
            return
        first = self._first[0] if self._first else error  # what fails from here on only follows from it
        self._stop.set()
        deadline = time.monotonic() + self._patience  # of all of them: whoever pressed Ctrl-C waits no longer for two than for one
        for task in self._tasks:
            task.join(max(0.0, deadline - time.monotonic()))
        if first is not error and not isinstance(error, KeyboardInterrupt):
            raise first from None
