"""The commands that are measured: lockstep, and the tools that a person would use instead, each at its best settings."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from deployments import Deployment

BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to back up: `command` is run by a shell; `settings` says in words what was set."""

    name: str
    settings: str
    command: str


def lockstep(deployment: Deployment, target: Path) -> Peer:
    """One command does it."""
    words = [sys.executable, "-m", "lockstep", "backup", "--quiet", "--json", "--database", deployment.conninfo]
    words += ["--bucket", f"s3://{deployment.bucket}", "--repo", str(target / "lockstep")]
    return Peer("lockstep", "defaults", shlex.join(words))


def manual(deployment: Deployment, target: Path, *, pg_dump: str) -> Peer:
    """What Parsec's manual says: pg_dump, then aws s3 sync."""
    sync = shlex.join([str(BIN / "aws"), "s3", "sync", "--only-show-errors", f"s3://{deployment.bucket}", str(target / "manual")])
    return Peer("manual procedure", "pg_dump -Fc; aws s3 sync, defaults", f"{_dump(deployment, target, pg_dump, 'manual')} && {sync}")


def rclone(deployment: Deployment, target: Path, *, pg_dump: str) -> Peer:
    """The sync of rclone, with the options that its manual names for many small objects."""
    remote = f":s3,provider=Other,env_auth=true,endpoint='{deployment.store.endpoint_url}':{deployment.bucket}"
    options = ["--transfers=64", "--checkers=64", "--fast-list", "--s3-no-head-object", "--no-update-modtime", "--size-only", "--quiet"]
    sync = shlex.join([str(BIN / "rclone"), "sync", remote, str(target / "rclone"), *options])
    return Peer("rclone", " ".join(options), f"{_dump(deployment, target, pg_dump, 'rclone')} && {sync}")


def s5cmd(deployment: Deployment, target: Path, *, pg_dump: str) -> Peer:
    """The sync of s5cmd, with its own default of 256 workers, or fewer."""
    words = [
        str(BIN / "s5cmd"),
        "--numworkers=64",
        "--log=error",
        "sync",
        "--size-only",
        f"s3://{deployment.bucket}/*",
        f"{target / 's5cmd'}/",
    ]
    return Peer("s5cmd", "--numworkers=64 sync --size-only", f"{_dump(deployment, target, pg_dump, 's5cmd')} && {shlex.join(words)}")


def bare_dump(deployment: Deployment, target: Path, *, pg_dump: str) -> Peer:
    """The floor of everything: the database alone, at pg_dump's defaults."""
    return Peer("pg_dump -Fc alone", "defaults", _dump(deployment, target, pg_dump, "bare"))


def _dump(deployment: Deployment, target: Path, pg_dump: str, name: str) -> str:
    make = shlex.join(["mkdir", "-p", str(target / name)])
    return f"{make} && {shlex.join([pg_dump, '-Fc', '-f', str(target / f'{name}.dump'), '-d', deployment.conninfo])}"
