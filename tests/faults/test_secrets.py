"""No secret is anywhere to be seen, whatever is run and however it ends, and nobody else may read what is written."""

from __future__ import annotations

import os
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from support.fixture_types import Ran
from support.world import Deployment, World

PASSWORD = "Pg-7f3a/%@:secret"
WRONG_PASSWORD = "Other-5d1c?secret"
WRONG_KEY = "wrongSecretKey0123456789/abcdefgh+jklmno"
TOKEN = "sessionToken9876543210abcdefghij"


@dataclass
class Watched:
    """Everything that runs said, and what everybody on the machine could see of them meanwhile."""

    mark: str = field(default_factory=lambda: f"lockstep-watched-{secrets.token_hex(6)}")
    said: list[str] = field(default_factory=list)
    arguments: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Until it is over, note the arguments of every process that our runs started."""
        while not self.over.wait(0.01):
            for environ in Path("/proc").glob("[0-9]*/environ"):
                try:
                    if self.mark.encode() in environ.read_bytes():
                        self.arguments.add(environ.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:  # over already
                    continue


@contextmanager
def watching() -> Iterator[Watched]:
    watched = Watched()
    thread = threading.Thread(target=watched.look)
    thread.start()
    try:
        yield watched
    finally:
        watched.over.set()
        thread.join()


@pytest.fixture
def lax_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@dataclass
class Operator:
    """Runs commands as somebody who gives every secret by the environment."""

    world: World
    watched: Watched
    source: Deployment
    programs: Path

    def run(self, command: str, *options: str | Path, to: Deployment | None = None, statuses: tuple[int, ...] = (0,), **env: str) -> Ran:
        """Run a command, every other one with JSON, and keep what it said."""
        deployment = to or self.source
        place = f"{self.world.postgres.host}:{self.world.postgres.port}/{deployment.dbname}"
        settings = {
            "LOCKSTEP_DATABASE": f"postgresql://operator:{quote(PASSWORD, safe='')}@{place}",
            "LOCKSTEP_BUCKET": deployment.bucket.url,
            "LOCKSTEP_ENDPOINT_URL": str(deployment.bucket.endpoint_url),
            "LOCKSTEP_CLIENT_PROGRAMS": str(self.programs),
            "LOCKSTEP_REPO2_ENDPOINT_URL": self.world.s3.endpoint_url,
            "LOCKSTEP_REPO2_ACCESS_KEY_ID": self.world.s3.access_key_id,
            "LOCKSTEP_REPO2_SECRET_ACCESS_KEY": self.world.s3.secret_access_key,
            "LOCKSTEP_TEST_MARK": self.watched.mark,
            **env,
        }
        ran = self.world.run(command, *options, "--verbose", "--json" if len(self.watched.said) % 4 else "--no-color", env=settings)
        self.watched.said += [ran.stdout, ran.stderr]
        assert ran.returncode in statuses, ran
        return ran


@pytest.mark.usefixtures("lax_umask")
def test_secrets_are_nowhere_to_be_seen_and_files_are_nobody_elses(world: World) -> None:
    source, target = world.deployment(blocks=30), world.nowhere()
    world.admin(f"CREATE ROLE operator SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    written = world.tmp_path / "written"
    written.mkdir()
    mirror = world.tmp_path / "mirror"
    with watching() as watched:
        operator = Operator(world, watched, source, recorded_programs(world, watched))
        operator.run("check")
        operator.run("backup", "--jobs", "2")
        operator.run("backup", "--format", "plain")
        operator.run("backup", "--workers", "2")
        operator.run("backup", "--dry-run")
        operator.run("verify", "--read-data")
        operator.run("audit", "--report", written / "audit.html", "--list-missing", written / "missing.jsonl")
        operator.run("repair", "--yes")
        operator.run("drill", "--report", written / "drill.html")
        operator.run("copy", mirror)
        operator.run("copy", f"s3://{world.s3.create_bucket()}/mirror")
        operator.run("restore", "latest", "--replace", "--jobs", "2", to=target)
        operator.run("show", "latest")
        operator.run("list")
        operator.run("prune", "--keep-last", "2", "--yes")
        operator.run("unlock")
        fail_in_many_ways(operator, target)
    check_modes(world.repo_path, mirror)
    told = [*watched.said, *watched.arguments]
    assert any("pg_restore" in text for text in watched.arguments)
    hidden = [PASSWORD, WRONG_PASSWORD, WRONG_KEY, TOKEN, world.s3.secret_access_key]
    for secret in {form for each in hidden for form in (each, quote(each, safe=""), quote(each))}:
        assert not [text for text in told if secret in text]
        places = [path for place in (world.repo_path, mirror, written) for path in place.rglob("*") if path.is_file()]
        assert not [path for path in places if secret.encode() in path.read_bytes()]


def fail_in_many_ways(operator: Operator, target: Deployment) -> None:
    """Each of these is refused or fails, and what is said about it is what people paste into tickets."""
    place = f"{operator.world.postgres.host}:1/nowhere"
    wrong = f"postgresql://operator:{quote(WRONG_PASSWORD, safe='')}@{place}"
    failed = (1, 2)
    operator.run("backup", statuses=failed, LOCKSTEP_DATABASE=wrong)
    operator.run("backup", statuses=failed, LOCKSTEP_DATABASE=f"host=127.0.0.1 port=1 dbname=nowhere password='{WRONG_PASSWORD}'")
    operator.run("check", statuses=failed, LOCKSTEP_DATABASE=f"{wrong}?sslmode=nonsense")
    operator.run("backup", statuses=failed, LOCKSTEP_BUCKET="s3://no-such-bucket")
    operator.run("backup", statuses=failed, AWS_SECRET_ACCESS_KEY=WRONG_KEY, AWS_SESSION_TOKEN=TOKEN)
    operator.run("audit", statuses=failed, AWS_SECRET_ACCESS_KEY=WRONG_KEY)
    operator.run("restore", "latest", to=target, statuses=failed)  # somebody is there
    operator.run("copy", "s3://no-such-bucket/mirror", statuses=failed, LOCKSTEP_REPO2_SECRET_ACCESS_KEY=WRONG_KEY)
    operator.run("restore", "no such snapshot", statuses=failed, to=target, LOCKSTEP_DATABASE=wrong)
    env_file = operator.world.tmp_path / "parsec.env"
    env_file.write_text(f"PARSEC_DB={wrong}\nPARSEC_BLOCKSTORE=s3:127.0.0.1\\:1:us-east-1:bucket:key:{WRONG_KEY}\n")
    operator.run("backup", "--parsec-env", env_file, statuses=failed)
    env_file.write_text(f"PARSEC_DB={wrong}\nPARSEC_BLOCKSTORE=s3:bucket:{WRONG_KEY}\n")
    operator.run("backup", "--parsec-env", env_file, statuses=failed)


def recorded_programs(world: World, watched: Watched) -> Path:
    """Client programs that linger long enough for their arguments to be seen."""
    directory = world.tmp_path / "programs"
    directory.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        program = directory / name
        program.write_text(f'#!/bin/sh\nLOCKSTEP_TEST_MARK={watched.mark} sleep 0.05\nexec "{world.postgres.bin_dir / name}" "$@"\n')
        program.chmod(0o755)
    return directory


def check_modes(*repositories: Path) -> None:
    """Files 0600, directories 0700, whatever the umask."""
    for repository in repositories:
        found = {path: stat.S_IMODE(path.stat().st_mode) for path in [repository, *repository.rglob("*")]}
        assert {path: oct(mode) for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}
