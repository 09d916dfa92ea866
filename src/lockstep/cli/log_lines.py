"""Tells progress as lines on standard error, for terminals that are none: plain text or JSON."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from lockstep.cli.redaction import Redactor
from lockstep.cli.stages import Stage
from lockstep.progress import Event, Note, StageAdvanced, StageEnded, StageStarted

LogFormat = Literal["text", "json"]
# A line every few seconds shows that work goes on and still fits a day of it on a screen that scrolls.
SECONDS_BETWEEN_LINES = 5.0
_LEVELS = ("debug", "info", "warning", "error")


class LogLines:
    """Listens to progress and writes lines: start and end of each stage, at most one every 5 seconds between, and every note."""

    def __init__(
        self,
        *,
        log_format: LogFormat,
        least: Literal["debug", "info", "warning"],
        redactor: Redactor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._format: LogFormat = log_format
        self._least = _LEVELS.index(least)
        self._redactor = redactor
        self._clock = clock
        self._lock = threading.Lock()
        self._stages: dict[str, Stage] = {}
        self._last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Take an event from any thread."""
        with self._lock:
            self._take(event, self._clock())

    def close(self) -> None:
        """Nothing is left open."""

    def _take(self, event: Event, now: float) -> None:
        match event:
            case Note():
                self._write(event.level, event.message, event.fields)
            case StageStarted():
                self._stages[event.stage] = stage = Stage.of(event, now=now)
                self._last[event.stage] = now
                started = f"{stage.name}: started" if stage.total is None else f"{stage.name}: started, {stage.amount()}"
                self._write("info", started, _fields(stage))
            case StageAdvanced():
                if (known := self._stages.get(event.stage)) is not None:
                    known.advance(event)
                    if now - self._last[event.stage] >= SECONDS_BETWEEN_LINES:
                        self._last[event.stage] = now
                        self._write("info", known.line(now=now), _fields(known))
            case StageEnded():
                if (known := self._stages.pop(event.stage, None)) is not None:
                    self._write("info", known.end_line(now=now), _fields(known) | {"seconds": round(now - known.started, 3)})

    def _write(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        if _LEVELS.index(level) >= self._least:
            write_line(log_line(level, message, fields, log_format=self._format, redactor=self._redactor, now=datetime.now(UTC)))


def log_line(level: str, message: str, fields: Mapping[str, object], *, log_format: LogFormat, redactor: Redactor, now: datetime) -> str:
    """One line of the log, without its line feed. In text the fields of a note are left out: the message says it all."""
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = redactor.redact(message)
    if log_format == "json":
        entry = {"time": stamp, "level": level, "message": message, "fields": redactor.redact_value(dict(fields))}
        return json.dumps(entry, ensure_ascii=False, default=str)
    return f"{stamp} {level}: {message}" if level != "info" else f"{stamp} {message}"


def write_line(line: str) -> None:
    """Write a line to standard error. A reader that has gone away is no reason to stop the work."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _fields(stage: Stage) -> dict[str, object]:
    return {"stage": stage.name, "done": stage.done, "total": stage.total, "unit": stage.unit, "bytes": stage.moved_bytes}
