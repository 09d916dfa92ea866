"""What an operator has when things go wrong: servers, a deployment, the command line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lockstep.postgres.embedded import EmbeddedServer
from support.fixture_types import Lockstep, PostgresServers
from support.servers import SeaweedFS
from support.slow_disk import NoSlowDisk, SlowDisk, made_slow_disk
from support.world import World, open_world


@pytest.fixture(scope="session")
def postgres_server(postgres_servers: PostgresServers) -> EmbeddedServer:
    """One major is enough for what goes wrong around the server."""
    return postgres_servers(18)


@pytest.fixture
def world(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_server: EmbeddedServer, s3_server: SeaweedFS, tmp_path: Path
) -> Iterator[World]:
    with open_world(lockstep, lockstep_environment, postgres_server, s3_server, tmp_path) as made:
        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MiB; needs the right to mount one."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.fixture
def slow_disk(tmp_path: Path) -> Iterator[SlowDisk]:
    """A disk that the kernel throttles as a test asks; skips where none can be made."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(made_slow_disk(tmp_path))
        except NoSlowDisk as lack:
            pytest.skip(str(lack))
        yield disk
