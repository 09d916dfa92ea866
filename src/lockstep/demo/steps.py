"""Keeps the story's steps: says what begins, takes the time, and keeps what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lockstep.model.demo import DemoStep
from lockstep.progress import Listener, Note


@dataclass(slots=True)
class Step:
    """A step under way; `detail` is what became of it."""

    detail: str = ""


@dataclass(slots=True)
class Steps:
    """The steps so far."""

    listener: Listener
    done: list[DemoStep] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, announcement: str) -> Iterator[Step]:
        """Announce a step, and note it with its time when the block ends well."""
        self.listener(Note(f"{len(self.done) + 1}. {announcement}", fields={"step": name}))
        step, started = Step(), time.monotonic()
        yield step
        self.done.append(DemoStep(name, step.detail, round(time.monotonic() - started, 3)))
