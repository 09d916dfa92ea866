"""Makes SIGTERM, and SIGHUP of a terminal that is closed, stop a run as Ctrl-C does, and remembers which it was."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class StopSignals:
    """The first signal that asked this process to stop; None while there was none."""

    received: int | None = None

    def handle(self, signal_number: int, _frame: FrameType | None) -> None:
        """Unwind the main thread: context managers end child processes and release locks on the way out."""
        if self.received is None:
            self.received = signal_number
        raise KeyboardInterrupt


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Turn SIGINT, SIGTERM and SIGHUP into KeyboardInterrupt in the main thread; the handlers are put back afterwards.

    A signal that whoever started lockstep has set to be ignored (`nohup`) stays ignored.
    """
    signals = StopSignals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, signals.handle)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
