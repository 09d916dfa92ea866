"""How an operation tells a listener what it does, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage of the work begins. `total` is in `unit`; None while it is not known."""

    stage: str
    total: int | None = None
    unit: Literal["bytes", "objects", "steps"] = "bytes"


@dataclass(frozen=True, slots=True)
class StageAdvanced:
    """`done` more units of the stage are finished; `size_bytes` more bytes have moved. A new `total` replaces the old one."""

    stage: str
    done: int = 0
    size_bytes: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class StageEnded:
    """The stage is over."""

    stage: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the operator should read. `fields` are machine-readable details without secrets."""

    message: str
    level: Literal["debug", "info", "warning"] = "info"
    fields: dict[str, object] = field(default_factory=dict)


Event: TypeAlias = StageStarted | StageAdvanced | StageEnded | Note
Listener: TypeAlias = Callable[[Event], None]
"""Called from several threads at once; must not raise and must not block."""


def SILENT(event: Event) -> None:  # noqa: N802 - a constant that happens to be callable
    """Listen to nothing."""
