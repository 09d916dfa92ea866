"""What an operator has who comes back to an old repository: servers and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fixture_types import Lockstep, PostgresServers
from support.servers import SeaweedFS
from support.world import World, open_world


@pytest.fixture
def world(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_servers: PostgresServers, s3_server: SeaweedFS, tmp_path: Path
) -> Iterator[World]:
    with open_world(lockstep, lockstep_environment, postgres_servers(18), s3_server, tmp_path) as made:
        yield made
