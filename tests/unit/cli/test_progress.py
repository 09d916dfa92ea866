from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from threading import Thread

import pytest
from rich.console import Console

from lockstep.cli.log_lines import LogFormat, LogLines, log_line
from lockstep.cli.progress_bars import ProgressBars
from lockstep.cli.redaction import Redactor
from lockstep.cli.stages import Stage
from lockstep.progress import Note, StageAdvanced, StageEnded, StageStarted


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def messages(text: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in text.splitlines()]


def listener(clock: Clock, *, log_format: LogFormat = "text") -> LogLines:
    return LogLines(log_format=log_format, least="info", redactor=Redactor(["hunter2222"]), clock=clock)


def test_lines_tell_start_end_and_something_every_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = listener(clock)
    lines(StageStarted("objects", 20_000, "objects"))
    for _ in range(12):
        clock.now += 1
        lines(StageAdvanced("objects", done=1_000, size_bytes=4_096_000))
    lines(StageEnded("objects"))
    assert messages(capsys.readouterr().err) == [
        "objects: started, 0 of 20,000 objects (0 %)",
        "objects: 5,000 of 20,000 objects (25 %), 19.5 MiB, 3.91 MiB/s, 15 s left",
        "objects: 10,000 of 20,000 objects (50 %), 39.1 MiB, 3.91 MiB/s, 10 s left",
        "objects: 12,000 of 20,000 objects (60 %), 46.9 MiB, in 12 s, 3.91 MiB/s",
    ]


def test_stages_have_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = listener(clock)
    lines(StageStarted("database"))
    lines(StageStarted("objects", unit="objects"))
    clock.now += 6
    lines(StageAdvanced("database", done=6 << 20))
    lines(StageAdvanced("objects", done=6))
    clock.now += 1
    lines(StageAdvanced("database", done=1 << 20, total=14 << 20))
    lines(StageEnded("database"))
    lines(StageAdvanced("nobody began this", done=1))
    assert messages(capsys.readouterr().err) == [
        "database: started",
        "objects: started",
        "database: 6.00 MiB, 1.00 MiB/s",
        "objects: 6 objects, 1/s",
        "database: 7.00 MiB of 14.0 MiB (50 %), in 7.0 s, 1.00 MiB/s",
    ]


def test_an_estimate_that_was_passed_is_no_total() -> None:
    stage = Stage("database", "bytes", total=100, started=0.0, done=200)
    assert stage.line(now=10.0) == "database: 200 B, 20 B/s"


def test_notes_are_told_from_the_level_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    lines = listener(Clock())
    for level in ("debug", "info", "warning"):
        lines(Note(f"{level} hunter2222", level))
    assert messages(capsys.readouterr().err) == ["info ***", "warning: warning ***"]


def test_json_lines_carry_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    lines = listener(Clock(), log_format="json")
    lines(Note('a "note" of hunter2222', "warning", {"key": "hunter2222", "n": 1}))
    lines(StageStarted("objects", 2, "objects"))
    note, started = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (note["level"], note["message"], note["fields"]) == ("warning", 'a "note" of ***', {"key": "***", "n": 1})
    assert started["fields"] == {"stage": "objects", "done": 0, "total": 2, "unit": "objects", "bytes": 0}


@pytest.mark.parametrize(("level", "line"), [("info", "2026-11-22T12:40:00Z m"), ("warning", "2026-11-22T12:40:00Z warning: m")])
def test_a_line_begins_with_its_time_in_utc(level: str, line: str) -> None:
    now = datetime(2026, 11, 22, 12, 40, tzinfo=UTC)
    assert log_line(level, "m", {}, log_format="text", redactor=Redactor(), now=now) == line


def test_bars_show_every_stage_and_notes_above_them() -> None:
    stream = io.StringIO()
    clock = Clock()
    bars = ProgressBars(Console(file=stream, force_terminal=True, width=120), verbose=False, redactor=Redactor(["hunter2222"]), clock=clock)
    bars(Note("before [bold]anything[/] hunter2222"))
    bars(Note("not asked for", "debug"))
    bars(StageStarted("database"))
    bars(StageStarted("objects", 200, "objects"))
    clock.now += 10
    bars(StageAdvanced("database", done=10 << 20))
    bars(StageAdvanced("objects", done=50, size_bytes=5 << 20))
    bars(Note("took a moment", "warning"))
    bars(StageEnded("database"))
    bars(StageAdvanced("objects", done=150, size_bytes=15 << 20))
    bars(StageEnded("objects"))
    bars.close()
    shown = stream.getvalue()
    assert "before [bold]anything[/] ***" in shown
    assert "not asked for" not in shown
    assert "warning: took a moment" in shown
    assert "10.0 MiB  1.00 MiB/s  in 10 s" in shown
    assert "200 of 200 objects (100 %), 20.0 MiB  2.00 MiB/s  in 10 s" in shown


def test_bars_take_events_from_many_threads_and_stop_when_closed() -> None:
    stream = io.StringIO()
    bars = ProgressBars(Console(file=stream, force_terminal=True, width=120), verbose=False, redactor=Redactor())
    bars(StageStarted("objects", 4_000, "objects"))

    def work() -> None:
        for _ in range(1_000):
            bars(StageAdvanced("objects", done=1))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bars(StageEnded("objects"))
    assert "4,000 of 4,000 objects" in stream.getvalue()
    bars.close()
    written = len(stream.getvalue())
    bars(StageAdvanced("objects", done=1))
    assert len(stream.getvalue()) == written
