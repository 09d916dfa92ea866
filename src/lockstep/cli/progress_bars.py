"""Shows progress on a terminal as live bars, one a stage, with the notes above them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from lockstep.cli.redaction import Redactor
from lockstep.cli.stages import Stage
from lockstep.progress import Event, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.report.units import as_duration

# Bars are redrawn this often; events come thousands a second and only change the numbers in between.
REDRAWS_PER_SECOND = 5
SECONDS_BETWEEN_UPDATES = 0.1


class ProgressBars:
    """Listens to progress and draws bars. They appear with the first stage and stay, finished, when the last has ended."""

    def __init__(self, console: Console, *, verbose: bool, redactor: Redactor, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._verbose = verbose
        self._redactor = redactor
        self._clock = clock
        self._lock = threading.Lock()
        self._stages: dict[str, tuple[Stage, TaskID]] = {}
        self._updated: dict[str, float] = {}
        self._progress: Progress | None = None

    def __call__(self, event: Event) -> None:
        """Take an event from any thread."""
        with self._lock:
            self._take(event, self._clock())

    def close(self) -> None:
        """Leave the bars as they are and give the terminal back."""
        with self._lock:
            self._stop()

    def _take(self, event: Event, now: float) -> None:
        match event:
            case Note():
                self._show(event)
            case StageStarted():
                self._start(Stage.of(event, now=now))
            case StageAdvanced():
                if event.stage in self._stages:
                    self._stages[event.stage][0].advance(event)
                    if now - self._updated[event.stage] >= SECONDS_BETWEEN_UPDATES:
                        self._update(event.stage, now)
            case StageEnded():
                if event.stage in self._stages:
                    self._end(event.stage, now)

    def _start(self, stage: Stage) -> None:
        if self._progress is None:
            self._progress = _bars(self._console)
            self._progress.start()
        task = self._progress.add_task(stage.name, total=stage.total, figures="")
        self._stages[stage.name] = (stage, task)
        self._update(stage.name, stage.started)

    def _update(self, name: str, now: float) -> None:
        stage, task = self._stages[name]
        self._updated[name] = now
        left = stage.seconds_left(now=now)
        figures = [stage.amount(), stage.pace(now=now), "" if left is None else f"{as_duration(left)} left"]
        if self._progress is not None:
            text = "  ".join(figure for figure in figures if figure)
            self._progress.update(task, completed=stage.done, total=stage.known_total, figures=text)

    def _end(self, name: str, now: float) -> None:
        stage, task = self._stages.pop(name)
        figures = [stage.amount() if stage.done or stage.size_bytes else "", stage.pace(now=now), f"in {as_duration(now - stage.started)}"]
        if self._progress is not None:
            text = "  ".join(figure for figure in figures if figure)
            self._progress.update(task, completed=1, total=1, figures=text)
        if not self._stages:
            self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._stages.clear()

    def _show(self, note: Note) -> None:
        if note.level == "debug" and not self._verbose:
            return
        style = {"debug": "dim", "info": "", "warning": "yellow"}[note.level]
        prefix = "warning: " if note.level == "warning" else ""
        self._console.print(Text(prefix + self._redactor.redact(note.message), style=style), soft_wrap=True)


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[figures]}", markup=False),
        console=console,
        refresh_per_second=REDRAWS_PER_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    )
