"""How long lockstep waits for a store that fails, and when it gives up."""

from __future__ import annotations

import random as random_numbers
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from lockstep.errors import StoreBusy, StoreUnreachable
from lockstep.objects.store import RequestCounter

T = TypeVar("T")


class Stop(Protocol):
    """What `threading.Event` offers to whoever must be woken early."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, and return True as soon as the stop is asked for."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponentially growing pauses with full jitter.

    `attempts` counts the first one too. The longest that all pauses together can last follows from the four numbers:
    `longest_total_seconds`; on average they last half of it.
    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter keeps many clients from returning in step).
    """

    attempts: int
    first_delay_seconds: float
    factor: float
    longest_delay_seconds: float

    def delay_seconds(self, attempt: int, jitter: float) -> float:
        """The pause after the failed `attempt` (1 is the first); `jitter` is a number from 0 to 1."""
        return jitter * min(self.longest_delay_seconds, self.first_delay_seconds * self.factor ** (attempt - 1))

    @property
    def longest_total_seconds(self) -> float:
        """The sum of all pauses when no luck shortens any."""
        return sum(self.delay_seconds(attempt, 1.0) for attempt in range(1, self.attempts))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient lockstep is with each kind of failure.

    `unreachable`: no answer, a broken body, 5xx. At most 27.5 s of pauses: a server that is restarted is back by then, and ten attempts
    are more than chance uses up where one request in ten fails (a thousand million requests until one of them has failed ten times).
    `busy`: 503 and 429, where the service works and asks for patience: at most 55 s of pauses; S3 scales within that time
    or the concurrency has been lowered by then.
    `refused`: no connection at all; None: as `unreachable`.
    `silent_seconds`: how long one request may wait in vain over all its attempts, so that a store that takes requests and never answers
    ends a run within three minutes.
    """

    unreachable: Backoff = Backoff(attempts=10, first_delay_seconds=0.5, factor=2, longest_delay_seconds=4)
    busy: Backoff = Backoff(attempts=10, first_delay_seconds=0.5, factor=2, longest_delay_seconds=10)
    refused: Backoff | None = None
    silent_seconds: float = 120.0

    def backoff(self, error: StoreUnreachable) -> Backoff:
        """The pauses that fit this failure."""
        if self.refused is not None and error.fault == "unreachable":
            return self.refused
        return self.busy if isinstance(error, StoreBusy) else self.unreachable


PATIENT = RetryPolicy()
"""What operations use."""

NO_RETRY = RetryPolicy(unreachable=Backoff(1, 0, 1, 0), busy=Backoff(1, 0, 1, 0))
"""Every failure is final: for tests."""

FIRST_LOOK = RetryPolicy(refused=Backoff(1, 0, 1, 0))
"""For the first request of a run: who mistyped a host's name does not wait, and a service that fails now and then is no reason to end."""


class Attempts:
    """The attempts at one thing: after each failure a pause, or the end of patience.

    `on_retry` is told the failure and the pause in seconds before each pause. When `stop` is set before or during a pause, the last
    failure is raised at once; whoever set it knows why.
    """

    def __init__(
        self,
        *,
        policy: RetryPolicy = PATIENT,
        on_retry: Callable[[StoreUnreachable, float], None] | None = None,
        stop: Stop | None = None,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        self._policy, self._on_retry, self._stop, self._sleep, self._random = policy, on_retry, stop, sleep, random
        self._failed = 0
        self._silent_seconds = 0.0

    def pause(self, error: StoreUnreachable) -> None:
        """Wait for the next attempt after this failure; raise it when there is to be none."""
        self._failed += 1
        self._silent_seconds += error.silent_seconds
        backoff = self._policy.backoff(error)
        is_dead = self._failed > 1 and self._silent_seconds >= self._policy.silent_seconds
        if self._failed >= backoff.attempts or is_dead:
            raise error
        delay = backoff.delay_seconds(self._failed, self._random())
        if self._on_retry is not None:
            self._on_retry(error, delay)
        if self._stop is None:
            self._sleep(delay)
        elif self._stop.wait(delay):
            raise error

    def forget(self) -> None:
        """Something went on: what failed before counts no more."""
        self._failed, self._silent_seconds = 0, 0.0


def retrying(
    call: Callable[[], T],
    *,
    policy: RetryPolicy = PATIENT,
    on_retry: Callable[[StoreUnreachable, float], None] | None = None,
    stop: Stop | None = None,
    sleep: Callable[[float], object] = time.sleep,
    random: Callable[[], float] = random_numbers.random,
) -> T:
    """What `call` returns, after as many attempts as `policy` allows for StoreUnreachable and StoreBusy; see `Attempts`.

    Every other exception of `call` passes through.
    """
    attempts = Attempts(policy=policy, on_retry=on_retry, stop=stop, sleep=sleep, random=random)
    while True:
        try:
            return call()
        except StoreUnreachable as error:
            attempts.pause(error)


def noting(
    requests: RequestCounter, and_then: Callable[[StoreUnreachable], object] | None = None
) -> Callable[[StoreUnreachable, float], None]:
    """An `on_retry` that counts what is sent again where its requests are counted, and tells `and_then` of it."""

    def on_retry(error: StoreUnreachable, _delay: float) -> None:
        requests.add_fault(error.fault, error.message)
        if and_then is not None:
            and_then(error)

    return on_retry
