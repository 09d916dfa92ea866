"""A backup that locks is killed at each of its steps with locks: what was locked stays so, and the next run locks the rest."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from support.fixture_types import Ran
from support.kill_scenarios import REACHES, told
from support.kills import Place, a_victim, status_of
from support.parsec_shape import add_blocks
from support.world import Deployment, World

KILLS = ("locks.begun", "object.copied", "locks.set", "locks.set#9", "locks.extended", "commit.manifest", "commit.head", "locks.closed")

NEEDED = ("manifest.json", "references.parquet")


def locks_of(client: Any, bucket: str) -> dict[str, datetime | None]:
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket, Prefix="r/").get("Contents", [])]
    return {key: client.head_object(Bucket=bucket, Key=key).get("ObjectLockRetainUntilDate") for key in keys}


def changed(source: Deployment, seed: int) -> None:
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 1, size=(1, 900), seed=seed)


def test_a_backup_that_locks_is_killed_at_each_step(world: World) -> None:
    source, client, bucket = world.deployment(blocks=12, size=(1, 900)), world.s3.client(), f"killed-{secrets.token_hex(4)}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    place = Place(world.s3.address(bucket, prefix="r"))
    assert {step.partition("#")[0] for step in KILLS} >= REACHES["backup with locks"]
    with a_victim(world) as victim:

        def backup(hours: int, at: str = "") -> Ran:
            return victim.run("backup", *source.options, "--json", "--lock-for", f"{hours}h", repo=place.repo, at=at)[0]

        assert backup(1).returncode == 0
        for seed, kill in enumerate(KILLS, start=1):
            with told(f"killed at {kill}"):
                hours = 2**seed  # so that all that is needed is due each time
                changed(source, seed)
                before = locks_of(client, bucket)
                assert backup(hours, at=f"{kill}:KILL").returncode == status_of("KILL")
                victim.nothing_survives()
                place.sound()
                after = locks_of(client, bucket)
                assert [key for key, until in before.items() if until and key in after and (after[key] or until) < until] == []
                started = datetime.now(UTC)
                ran = backup(hours)
                assert (ran.returncode, ran.json["complete"]) == (0, True), ran
                assert place.sound() >= seed + 1
                found = locks_of(client, bucket)
                needed = {key for key in found if key.startswith(("r/objects/", "r/inventory/")) or key.endswith(NEEDED)}
                assert sum(key.startswith("r/objects/") for key in needed) == 12 + seed
                assert {key for key in needed if (found[key] or started) < started + timedelta(hours=hours)} == set()
