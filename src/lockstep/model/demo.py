"""What `lockstep demo` reports: the steps of the story, what was compared, and what was found to differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One step of the story: its name, what happened, and how long it took."""

    name: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class KeptPlaces:
    """The paths of what `--keep` left: the repository, the data directory of PostgreSQL, and the directory of the S3 store."""

    repository: str
    database: str
    objects: str


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The whole story. `findings` are sentences about what is not as it was, empty when everything came back.

    `left_out` files were saved after the moment of the restored snapshot, so no backup has them.
    """

    steps: tuple[DemoStep, ...]
    rows_compared: int
    objects_compared: int
    seconds: float
    left_out: int = 0
    findings: tuple[str, ...] = ()
    kept: KeptPlaces | None = None

    @property
    def ok(self) -> bool:
        """True when every row and every object came back as it was."""
        return not self.findings
