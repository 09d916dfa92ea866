"""How long lockstep waits for a store that fails, and when it gives up."""

from __future__ import annotations

import random as random_numbers
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from lockstep.errors import StoreBusy, StoreUnreachable

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

    `unreachable`: no connection, no answer, a broken body, 5xx. At most 15.5 s of pauses: a server that is restarted is back by then, and
    an operator who mistyped a host name does not wait for minutes.
    `busy`: 503 and 429, where the service works and asks for patience: at most 55 s of pauses; S3 scales within that time
    or the concurrency has been lowered by then.
    """

    unreachable: Backoff = Backoff(attempts=6, first_delay_seconds=0.5, factor=2, longest_delay_seconds=8)
    busy: Backoff = Backoff(attempts=10, first_delay_seconds=0.5, factor=2, longest_delay_seconds=10)

    def backoff(self, error: StoreUnreachable) -> Backoff:
        """The pauses that fit this failure."""
        return self.busy if isinstance(error, StoreBusy) else self.unreachable


PATIENT = RetryPolicy()
"""What operations use."""

NO_RETRY = RetryPolicy(unreachable=Backoff(1, 0, 1, 0), busy=Backoff(1, 0, 1, 0))
"""Every failure is final: for a first look (`check`), and for tests."""


def retrying(
    call: Callable[[], T],
    *,
    policy: RetryPolicy = PATIENT,
    on_retry: Callable[[StoreUnreachable, float], None] | None = None,
    stop: Stop | None = None,
    sleep: Callable[[float], object] = time.sleep,
    random: Callable[[], float] = random_numbers.random,
) -> T:
    """What `call` returns, after as many attempts as `policy` allows for StoreUnreachable and StoreBusy.

    `on_retry` is told the failure and the pause in seconds before each pause. When `stop` is set before or during a pause, the last
    failure is raised at once; whoever set it knows why. Every other exception of `call` passes through.
    """
    attempt = 1
    while True:
        try:
            return call()
        except StoreUnreachable as error:
            backoff = policy.backoff(error)
            if attempt >= backoff.attempts:
                raise
            delay = backoff.delay_seconds(attempt, random())
            if on_retry is not None:
                on_retry(error, delay)
            if stop is None:
                sleep(delay)
            elif stop.wait(delay):
                raise
            attempt += 1
