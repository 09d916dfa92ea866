"""The virtual environment in which the real Parsec server is installed: made once, kept in the user's cache directory.

The server needs one Python, 3.12, whatever Python the tests run on. Nothing of it comes into the checkout.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REQUIREMENT = "parsec-cloud==3.9.3"
_VERSION = "3.12"
_INSTALL_SECONDS = 240.0  # a slow index; usually it takes 15
# What the caller's shell has set for the tests' own environment must not reach the other one.
_FOREIGN = (
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
    "PIP_REQUIRE_VIRTUALENV",
    "__PYVENV_LAUNCHER__",
)


@dataclass(frozen=True, slots=True)
class ParsecEnvironment:
    """An environment with the server in it."""

    directory: Path

    @property
    def python(self) -> Path:
        """The Python that can import the server."""
        return self.directory / "bin" / "python"


def find_python() -> Path | None:
    """A Python 3.12 that can make virtual environments, or None. It is asked, since a version manager's shim may name one it has not."""
    return next((candidate for candidate in _candidates() if _can_make_environments(candidate)), None)


def parsec_environment(python: Path) -> ParsecEnvironment:
    """The environment, made if it is not there yet. Of several who ask at once, one makes it and the others wait.

    Raises RuntimeError when it cannot be made; then nothing is left behind.
    """
    cache = _cache_directory()
    final = cache / f"{REQUIREMENT.replace('==', '-')}-{sys.platform}-{os.uname().machine}"
    with _locked(cache / "lock"):
        if not _works(final):
            for leftover in (final, *cache.glob("building-*")):
                shutil.rmtree(leftover, ignore_errors=True)
            building = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
            try:
                _build(python, building)
                building.rename(final)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return ParsecEnvironment(final)


def _candidates() -> Iterator[Path]:
    name = f"python{_VERSION}"
    directories = [Path(entry) for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry]
    home = Path.home()
    for pattern in (f".pyenv/versions/{_VERSION}*/bin", f".local/share/uv/python/cpython-{_VERSION}*/bin"):
        directories += sorted(home.glob(pattern), reverse=True)
    directories += [Path("/usr/bin"), Path("/usr/local/bin"), Path("/opt/homebrew/bin"), Path(f"/opt/python{_VERSION}/bin")]
    if sys.version_info[:2] == (3, 12):
        yield Path(sys.executable)
    yield from (directory / name for directory in directories if (directory / name).is_file())


def _can_make_environments(python: Path) -> bool:
    question = "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 12))"
    try:
        return subprocess.run([python, "-c", question], env=_environment(), capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        base = str(Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache"))
    cache = Path(base) / "lockstep-tests"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    return cache


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also by a kill
        yield


def _works(directory: Path) -> bool:
    """True when the environment is there and its Python, which lies outside it, still is."""
    try:
        question = "import importlib.metadata as m; print('parsec-cloud==' + m.version('parsec-cloud'))"
        done = subprocess.run(
            [directory / "bin" / "python", "-c", question], env=_environment(), capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return done.stdout.strip() == REQUIREMENT


def _build(python: Path, directory: Path) -> None:
    _run(python, "-m", "venv", directory)
    pip = (
        directory / "bin" / "python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
    )  # the script beside it knows another path
    _run(*pip, "install", "--quiet", "--only-binary=:all:", REQUIREMENT)


def _run(*arguments: str | Path) -> None:
    done = subprocess.run(arguments, env=_environment(), capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{arguments[-1]} cannot be made or installed with {arguments[0]}:\n{done.stderr[-2000:]}")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN}
