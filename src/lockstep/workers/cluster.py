"""Workers of a Dask cluster, on any machines: the only import of dask.distributed.

The cluster is somebody else's: it is neither started nor ended here. Its scheduler gives the tasks of a worker that dies to another one.
Connections are as Dask's own configuration says, TLS included.
Source: dask.distributed's documentation, pages "Client", "Resilience" and "TLS/SSL".
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from lockstep.errors import ConfigurationError, LockstepError, WorkersFailed
from lockstep.progress import Listener, Note
from lockstep.workers.serving import Do

CONNECT_SECONDS = 10.0
"""How long a scheduler has to answer."""

FIRST_WORKER_SECONDS = 30.0
"""How long the first worker is waited for: a cluster that grows when it is needed has none before."""

NOBODY_SECONDS = 120.0
"""How long a run goes on without any worker, in the hope of new ones."""

LOOK_SECONDS = 1.0
"""How often the scheduler is asked who is there."""


class ClusterCrew:
    """The workers of the cluster whose scheduler is at `address`. Raises ConfigurationError without dask.distributed, WorkersFailed."""

    def __init__(self, address: str, do: Do, *, listener: Listener) -> None:
        self._dask = _dask()
        self._address, self._listener = address, listener
        self._run = _Run(do)
        self._futures: set[Any] = set()
        self._threads: dict[str, int] = {}
        self._looked, self._somebody_at = 0.0, time.monotonic()
        self.lost = 0
        try:
            self._client = self._dask.Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="lockstep")
        except (OSError, ValueError, TypeError) as error:  # TimeoutError is an OSError; the others are of addresses that are none
            raise WorkersFailed(
                f"no Dask scheduler answers at '{address}'", hint="Start one with 'dask scheduler', and name its address: tcp://host:8786."
            ) from error
        try:
            self._client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
        except OSError as error:
            self.close()
            raise WorkersFailed(
                f"the Dask cluster at '{address}' has no workers", hint=f"Start one with 'dask worker {address}'."
            ) from error

    @property
    def width(self) -> int:
        """One task for each thread of each worker, and one more for each worker, so that none waits for the next."""
        self._look()
        return sum(self._threads.values()) + len(self._threads)

    def give(self, task: Any) -> None:
        """Hand a task to the scheduler."""
        self._futures.add(self._client.submit(self._run, task, key=f"lockstep-{uuid.uuid4().hex}", pure=False))

    def take(self, seconds: float) -> list[Any]:
        """The reports that have come."""
        self._look()
        if not self._futures:
            threading.Event().wait(seconds)
            return []
        try:
            with self._client.as_current():
                done = self._dask.wait(self._futures, timeout=seconds, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return []
        except (OSError, self._dask.CancelledError) as error:
            raise self._gone() from error
        self._futures -= done
        return [self._report(future) for future in done]

    def wind_down(self) -> None:
        """Forget what nobody has begun. Who is at work reports when the time of its task is up."""
        waiting = [future for future in self._futures if future.status == "pending"]
        running = {key for keys in self._asked(self._client.processing, {}).values() for key in keys}
        dropped = [future for future in waiting if future.key not in running]
        self._futures -= set(dropped)
        with suppress(OSError):
            self._client.cancel(dropped)

    def close(self) -> None:
        """Leave the cluster; it forgets what it had for us."""
        self._futures.clear()
        with suppress(OSError):
            self._client.close(timeout=2)

    def _report(self, future: Any) -> Any:
        if future.status == "finished":
            return future.result()
        if future.status in {"cancelled", "lost"}:
            raise self._gone()
        error = future.exception()
        if isinstance(error, self._dask.KilledWorker):
            raise WorkersFailed(
                f"too many workers of the Dask cluster at '{self._address}' died over the same objects",
                hint="Look into the logs of the workers whether memory ran out.",
            ) from error
        raise WorkersFailed(
            f"a worker of the Dask cluster at '{self._address}' failed: {type(error).__name__}: {error}",
            hint="Install the same lockstep, with its extra 'dask', on every worker.",
        ) from error

    def _look(self) -> None:
        """Ask who is there, now and then; tell of those who are not any more."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        there = dict(self._asked(self._client.nthreads, self._threads))
        for worker in self._threads.keys() - there.keys():
            self.lost += 1
            self._listener(
                Note("a worker has left the cluster; another one does what it had in hand", level="warning", fields={"worker": worker})
            )
        self._threads = there
        if there:
            self._somebody_at = now
        elif now - self._somebody_at > NOBODY_SECONDS:
            raise WorkersFailed(
                f"the Dask cluster at '{self._address}' has no workers any more", hint="Run the same command again: it resumes."
            )

    def _asked(self, ask: Callable[[], Any], otherwise: Any) -> Any:
        if self._client.status == "closed":
            raise self._gone()
        try:
            return ask()
        except OSError:  # the next look tells more
            return otherwise

    def _gone(self) -> LockstepError:
        return WorkersFailed(f"the Dask scheduler at '{self._address}' is gone", hint="Run the same command again: it resumes.")


class _Run:
    """A task as Dask calls it."""

    def __init__(self, do: Do) -> None:
        self._do = do

    def __call__(self, task: Any) -> Any:
        """Do it; nobody can ask for an early end but the clock in the task."""
        return self._do(task, threading.Event())


def _dask() -> Any:
    try:
        found = importlib.import_module("distributed")
    except ImportError as error:
        raise ConfigurationError(
            "dask.distributed is not installed", hint="Install it with: pip install 'lockstep-backup[dask]'."
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what an operator should read, lockstep says
    return found
