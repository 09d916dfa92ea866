"""What the trial of a profile on a live deployment shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SampledReference:
    """A reference that is looked for. `size` is None where the metadata does not say it, and -1 where two rows disagree."""

    store: str
    key: str
    size: int | None


@dataclass(frozen=True, slots=True)
class ProfileTrial:
    """A profile, tried. `sampled` = `present` + `missing` + `mismatched` + `purged`.

    `without_size` references say no size, `purged` ones lost their row during the trial; `examples` are keys that are missing or of another
    size. `detected` is what the profile's own test says of this database, None when it has none.
    """

    profile: str
    description: str
    database: str
    detected: bool | None
    references: int
    referenced_bytes: int
    without_size: int
    sampled: int
    present: int
    missing: int
    mismatched: int
    purged: int
    examples: tuple[str, ...]
    seconds: float

    @property
    def sound(self) -> bool:
        """True when everything of the sample is there with its size."""
        return self.missing == self.mismatched == 0
