"""Kills lockstep at the steps that its code names (`lockstep.steps`), and looks at what is left."""

from __future__ import annotations

import ast
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lockstep import steps
from lockstep.errors import BucketNotFound, RepositoryNotFound
from lockstep.model.addresses import StoreAddress
from lockstep.objects.open import open_store
from lockstep.objects.store import ObjectStore
from lockstep.operations.browse import list_snapshots
from lockstep.repository.manifest import Manifest
from support.fixture_types import Ran
from support.sound_repository import local_store, verified
from support.world import World

SOURCE = Path(steps.__file__).parent

SOON_SECONDS = 10
"""How long a stop by a signal may take, and what a killed run started may live on."""


def steps_in_the_code() -> set[str]:
    """The names of all steps: every call of `step` in the source."""
    calls = (node for path in SOURCE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {
        str(node.args[0].value)
        for node in calls
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "step" and isinstance(node.args[0], ast.Constant)
    }


@dataclass(frozen=True)
class Place:
    """Where a repository is or is to be: a directory, or a bucket."""

    at: Path | StoreAddress

    @property
    def repo(self) -> str:
        """What `--repo` is given."""
        return str(self.at) if isinstance(self.at, Path) else self.at.url

    @cached_property
    def store(self) -> ObjectStore:
        return local_store(self.at) if isinstance(self.at, Path) else open_store(self.at, private=True)

    def files(self) -> list[str]:
        """Everything that lies there, also what is never listed."""
        if isinstance(self.at, Path):
            return [path.relative_to(self.at).as_posix() for path in self.at.rglob("*") if path.is_file()]
        return [info.key for page in self.store.list() for info in page]

    def become(self, model: Path | None) -> None:
        """Be a copy of another repository; with None, be empty."""
        if isinstance(self.at, Path):
            shutil.rmtree(self.at, ignore_errors=True)
            if model is not None:
                shutil.copytree(model, self.at)
            return
        self.store.delete(self.files())
        for path in model.rglob("*") if model is not None else ():
            if path.is_file():
                self.store.write(path.relative_to(str(model)).as_posix(), path.read_bytes())

    def sound(self) -> int:
        """Assert that every listed snapshot verifies to the last byte; how many there are."""
        try:
            found = verified(self.store).findings
        except (RepositoryNotFound, BucketNotFound):  # killed before it was made
            return 0
        assert found == (), found
        return len(self.listed())

    def listed(self) -> list[Manifest]:
        """The snapshots; none where a run was killed before it made the repository."""
        try:
            return list_snapshots(self.store)
        except (RepositoryNotFound, BucketNotFound):
            return []

    def tidy(self, *, locks: bool, files: bool) -> None:
        """Assert that no file is there without its name, none of a snapshot that is none (where `files` matter) and no lock (likewise)."""
        found = self.files()
        # What a reader of the repository was just naming, the next writer takes away.
        assert [name for name in found if name.startswith("locks/") and (locks or not name.startswith("locks/work/"))] == []
        made = {name.split("/")[1] for name in found if name.startswith("snapshots/")}
        listed = {each.snapshot for each in self.listed()}
        assert made == listed if files else made >= listed


@dataclass(slots=True)
class Victim:
    """Runs of the command line that are to be stopped, with a directory for temporary files and a mark of their own."""

    world: World
    temporary: Path
    mark: str

    def run(self, command: str, *arguments: str | Path, repo: str, at: str = "", timeout: float = 120) -> tuple[Ran, list[str]]:
        """Run a command, with signals at steps; what it came to, and the steps that it reached, each once, in order."""
        record = self.world.tmp_path / f"steps-{secrets.token_hex(4)}"
        settings = {**self.settings, steps.RECORD: str(record), steps.INTERRUPT: at}
        with subprocess.Popen(
            [sys.executable, "-m", "lockstep", command, "--repo", repo, *map(str, arguments)],
            env={**self.world.environment, **self.world.keys, **settings},
            cwd=self.world.tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        reached = record.read_text().split() if record.exists() else []
        record.unlink(missing_ok=True)
        return Ran(process.returncode, out, err), list(dict.fromkeys(reached))

    @property
    def settings(self) -> dict[str, str]:
        """The environment of its runs, beside the world's."""
        endpoints = {f"LOCKSTEP_{each}_ENDPOINT_URL": self.world.s3.endpoint_url for each in ("REPO", "REPO2")}
        return {"TMPDIR": str(self.temporary), "LOCKSTEP_TEST_MARK": self.mark, **endpoints}

    def survivors(self) -> list[str]:
        """The processes that belong to runs of this victim and are still there."""
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                marked = self.mark.encode() in environ.read_bytes() or self.mark.encode() in environ.with_name("cmdline").read_bytes()
                state = environ.with_name("stat").read_text().rpartition(")")[2].split()[0]
                command = environ.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if marked and state != "Z":
                found.append(command)
        return found

    def nothing_survives(self) -> None:
        """Wait until nothing that a run started is there any more."""
        deadline = time.monotonic() + SOON_SECONDS
        while found := self.survivors():
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def nothing_is_left(self, *places: Place, locks: bool = True, files: bool = True) -> None:
        """No process, no temporary file, no lock, nothing half-made in the repositories (where `files` matter)."""
        self.nothing_survives()
        left = sorted(path.relative_to(self.temporary).as_posix() for path in self.temporary.rglob("*"))
        assert left == [], left
        for place in places:
            place.tidy(locks=locks, files=files)


@contextmanager
def a_victim(world: World) -> Iterator[Victim]:
    """Everybody may enter its directory for temporary files, as the account must that a throw-away server runs as."""
    mark = f"lockstep-victim-{secrets.token_hex(6)}"
    temporary = Path(tempfile.mkdtemp(prefix=mark))
    temporary.chmod(0o755)
    try:
        yield Victim(world, temporary, mark)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def status_of(signal_name: str) -> int:
    """What `Popen.returncode` is after a signal that nobody handles, and after one that lockstep handles."""
    number = signal.Signals[f"SIG{signal_name}"]
    return -number if signal_name == "KILL" else 128 + number
