"""What an operator can choose for a backup, and when copying comes before the dump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from lockstep.model.cost import PastRun, estimate_duration
from lockstep.model.database import DumpFormat
from lockstep.objects.transfer import TransferLimits
from lockstep.operations.scale_out import ScaleOut
from lockstep.tables import plans

MOMENTS = 5
"""How many moments are frozen at most: another one where a table is to be changed just when its dump begins."""


@dataclass(frozen=True, slots=True)
class CatchUp:
    """When objects are copied before the freeze, so that the snapshot is minutes old at its end however long the copying took."""

    from_objects: int = 50_000
    from_bytes: int = 4 << 30
    """Below both, what is new is copied within minutes: the freeze comes first and the dump overlaps the copying."""
    longest: timedelta = timedelta(minutes=5)
    """Where it is known how fast objects are copied, how long copying after the freeze may take: so old is the snapshot at its end."""
    rounds: int = 5
    """Writers that are faster than the copying must not keep the freeze from coming."""
    after_pause: timedelta = timedelta(days=7)
    """When the newest snapshot is younger, little can be new, and looking beforehand would read all references twice."""

    def is_needed(self, new: plans.NewObjects, *, lacking: int = 0, runs: Sequence[PastRun] = ()) -> bool:
        """True when a round should come before the freeze.

        `lacking` of the new objects were not to be had a moment ago: they keep nothing waiting. `runs` tell how fast objects are copied.
        """
        objects = max(0, new.objects - lacking)
        size_bytes = new.size_bytes * objects // new.objects if new.objects else 0
        seconds = estimate_duration(objects, size_bytes, database_bytes=0, runs=runs).copy_seconds
        if seconds is None or objects == 0:
            return objects > self.from_objects or size_bytes > self.from_bytes
        return seconds > self.longest.total_seconds()


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """What the operator can choose.

    `jobs` needs the format `directory`; `temporary` is where tables are compared; `scale` says who copies when this process does not.
    `server_side_copy`: whether the S3 service may copy by itself (None: where it tells a SHA-256).
    """

    format: DumpFormat = "custom"
    jobs: int = 1
    fail_fast: bool = False
    tag: str | None = None
    limits: TransferLimits = field(default_factory=TransferLimits)
    catch_up: CatchUp = field(default_factory=CatchUp)
    temporary: Path | None = None
    scale: ScaleOut | None = None
    server_side_copy: bool | None = None
