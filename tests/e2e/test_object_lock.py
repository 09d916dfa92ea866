"""A repository in a bucket with Object Lock: what is locked until when, what a thief can do to it, and what it refuses."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.parsec_shape import add_blocks
from support.servers import MotoServer
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

DAYS = timedelta(days=30)


class Locked:
    """A world whose repository lies in a bucket of its own on moto, with what moto knows of it."""

    def __init__(self, world: World, moto: MotoServer, *, lock: bool = True) -> None:
        self.client, self.bucket, self.prefix = moto.client(), f"locked-{secrets.token_hex(4)}", "r/"
        self.client.create_bucket(Bucket=self.bucket, ObjectLockEnabledForBucket=lock)
        world.repo = f"s3://{self.bucket}/r"
        self.access = {
            "LOCKSTEP_REPO_ENDPOINT_URL": moto.endpoint_url,
            "LOCKSTEP_REPO_ACCESS_KEY_ID": moto.access_key_id,
            "LOCKSTEP_REPO_SECRET_ACCESS_KEY": moto.secret_access_key,
        }
        self.world = world
        world.environment = {**world.environment, **self.access}

    def run(self, command: str, *arguments: str, **env: str) -> Any:
        return self.world.run(command, *arguments, "--json", env={**self.access, **env})

    def backup(self, source: Deployment, *arguments: str) -> Any:
        ran = self.run("backup", *source.options, *arguments)
        assert ran.returncode == 0, ran
        return ran.json

    def files(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return [each["Key"].removeprefix(self.prefix) for page in pages for each in page.get("Contents", [])]

    def locks(self) -> dict[str, datetime | None]:
        """Until when each file that is to be seen is locked."""
        return {path: self.head(path).get("ObjectLockRetainUntilDate") for path in self.files()}

    def head(self, path: str) -> Any:
        return self.client.head_object(Bucket=self.bucket, Key=self.prefix + path)


@pytest.fixture
def locked(world: World, moto_server: MotoServer) -> Iterator[Locked]:
    yield Locked(world, moto_server)


def test_all_that_a_snapshot_needs_is_locked_and_the_rest_is_not(locked: Locked) -> None:
    source, before = locked.world.deployment(blocks=12, size=(1, 900)), datetime.now(UTC)
    made = locked.backup(source, "--lock-for", "30d")
    assert (made["locked"]["mode"], made["locked"]["extended"]) == ("governance", 0)
    assert datetime.fromisoformat(made["locked"]["until"]) >= before + DAYS - timedelta(seconds=1)
    locks = locked.locks()
    loose = {path for path, until in locks.items() if until is None}
    assert {path.partition("/")[0] for path in loose} <= {"locks", "object-lock.json"}, loose
    assert {until >= before + DAYS for until in locks.values() if until} == {True}
    assert {until <= datetime.now(UTC) + 1.5 * DAYS for until in locks.values() if until} == {True}
    assert sum(path.startswith("objects/") for path in locks) == 12
    assert {locked.head(path)["ObjectLockMode"] for path in locks.keys() - loose} == {"GOVERNANCE"}
    target = locked.world.nowhere()
    assert locked.run("restore", "latest", *target.options).returncode == 0
    same(source, target)


def test_what_a_newer_snapshot_needs_is_locked_for_longer_and_the_rest_is_not(locked: Locked) -> None:
    source = locked.world.deployment(blocks=12, size=(1, 900))
    locked.backup(source, "--lock-for", "1h")
    first = locked.locks()
    with source.connect() as connection:
        connection.execute("DELETE FROM block WHERE _id IN (SELECT _id FROM block ORDER BY _id LIMIT 3)")
        add_blocks(connection, source.bucket, source.filled, 2, size=(1, 900), seed=1)
    before = datetime.now(UTC)
    made = locked.backup(source, "--lock-for", "30d")
    second = locked.locks()
    objects = {path for path in first if path.startswith("objects/")}
    left = {path for path in objects if second[path] == first[path]}
    assert len(left) == 3
    dump = f"snapshots/{min(path.split('/')[1] for path in first if path.startswith('snapshots/'))}/database.dump"
    assert {path for path, until in second.items() if until and until < before + DAYS} == {*left, dump}
    assert made["locked"]["extended"] >= 9
    again = locked.backup(source, "--lock-for", "30d")
    assert again["locked"]["extended"] == 0
    assert again["repository_requests"]["put"] < 20
