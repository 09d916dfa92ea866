"""The commands that are measured: lockstep, and the tools that a person would use instead, each at its best settings."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
CORES = os.cpu_count() or 1

RCLONE = ("--transfers=64", "--checkers=64", "--fast-list", "--s3-no-head-object", "--s3-no-head", "--no-update-modtime", "--size-only")
"""What rclone's manual names for many small objects; of 16, 32, 64 and 128 transfers 64 were fastest here."""

S5CMD = ("--numworkers=64", "--log=error")
"""Its default of 256 workers was slower here."""


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Way:
    """A way to do something: `command` is run by a shell after `before`, which is not measured.

    `left` counts what is there afterwards, and must be `expected`: a tool that ends early, or elsewhere, measures nothing.
    `slow` ways run in the first round alone. A `floor` does only a part of the work: nobody can be faster. `seconds_in` reads the seconds
    from the output of a command that measures by itself.
    """

    name: str
    settings: str
    command: str
    before: Callable[[], None] = field(default=_nothing)
    slow: bool = False
    floor: bool = False
    seconds_in: Callable[[str], float] | None = None
    left: Callable[[], int] | None = None
    expected: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """What a command works on: a database, a bucket, and the programs of PostgreSQL."""

    conninfo: str
    bucket: str
    endpoint_url: str
    programs: Path

    @property
    def deployment(self) -> list[str]:
        """How lockstep is told of it."""
        return ["--database", self.conninfo, "--bucket", f"s3://{self.bucket}"]

    @property
    def rclone(self) -> str:
        """How rclone is told of the bucket."""
        return f":s3,provider=Other,env_auth=true,endpoint='{self.endpoint_url}':{self.bucket}"

    def dump(self, target: Path) -> str:
        """pg_dump -Fc at its defaults."""
        return shlex.join([str(self.programs / "pg_dump"), "-Fc", "-f", str(target), "-d", self.conninfo])

    def load(self, dump: Path, *, jobs: int, to: str) -> str:
        """pg_restore, with jobs where there is more than one."""
        return shlex.join([str(self.programs / "pg_restore"), *([f"-j{jobs}"] if jobs > 1 else []), "-d", to, str(dump)])


def lockstep(command: str, *words: str) -> str:
    """A command of lockstep as it is installed beside this Python."""
    return shlex.join([str(BIN / "lockstep"), command, "--quiet", "--json", *words])


def aws(*words: str) -> str:
    """A command of the AWS CLI."""
    return shlex.join([str(BIN / "aws"), "s3", *words])


def rclone(*words: str) -> str:
    """A command of rclone."""
    return shlex.join([str(BIN / "rclone"), *words, "--quiet"])


def s5cmd(*words: str) -> str:
    """A command of s5cmd, which does not know AWS_ENDPOINT_URL."""
    return f'{shlex.quote(str(BIN / "s5cmd"))} --endpoint-url "$AWS_ENDPOINT_URL" {shlex.join([*S5CMD, *words])}'


def backups(side: Side, target: Callable[[str], Path], *, before: Callable[[str], Callable[[], None]], slow: bool) -> list[Way]:
    """Database and objects into targets of their own: lockstep and the three others, and the database alone.

    `target` gives the place of each by its name, `before` what is done there first. With `slow` the slowest two run once.
    """
    dumps = {name: side.dump(target(f"{name}.dump")) for name in ("aws", "rclone", "s5cmd", "bare")}
    s3 = f"s3://{side.bucket}"
    return [
        Way("lockstep", "defaults", lockstep("backup", *side.deployment, "--repo", str(target("lockstep"))), before("lockstep")),
        Way("pg_dump -Fc alone", "defaults", dumps["bare"], floor=True),
        Way(
            "rclone",
            f"pg_dump -Fc; rclone sync {' '.join(RCLONE)}",
            f"{dumps['rclone']} && {rclone('sync', side.rclone, str(target('rclone')), *RCLONE)}",
            before("rclone"),
        ),
        Way(
            "s5cmd",
            f"pg_dump -Fc; s5cmd {' '.join(S5CMD)} sync --size-only",
            f"{dumps['s5cmd']} && {s5cmd('sync', '--size-only', f'{s3}/*', str(target('s5cmd')) + '/')}",
            before("s5cmd"),
            slow=slow,
        ),
        Way(
            "manual procedure",
            "pg_dump -Fc; aws s3 sync, defaults",
            f"{dumps['aws']} && {aws('sync', '--only-show-errors', s3, str(target('aws')))}",
            before("aws"),
            slow=True,
        ),
    ]
