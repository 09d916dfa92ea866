"""What one store's silence is worth: remembered over its requests, so that a slow store is given more time than a dead connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lockstep.errors import LockstepError, StoreUnreachable
from lockstep.model.silence import RUNGS_SECONDS, decide_silence


class Silence:
    """Shared by all the requests to a store, from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._noting_at = -float(RUNGS_SECONDS[0])

    def seconds(self, size_bytes: int = 0) -> int:
        """How long a request that sends so many bytes may wait."""
        return decide_silence(size_bytes, in_a_row=self._in_a_row)

    def heard(self) -> None:
        """The store answered."""
        self._in_a_row = 0

    def judge(self, error: LockstepError, *, waited_seconds: float) -> LockstepError:
        """The same error, with the time that was waited in vain; many requests that fall silent together count once."""
        if isinstance(error, StoreUnreachable) and error.fault == "silent":
            error.silent_seconds = waited_seconds
            with self._lock:
                if self._clock() - self._noting_at >= RUNGS_SECONDS[0]:
                    self._in_a_row, self._noting_at = self._in_a_row + 1, self._clock()
        return error
