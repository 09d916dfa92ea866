"""A store that fails one request in ten, in every way there is: a backup and a restore end whole and equal, and say what they overcame."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from support.fixture_types import Ran
from support.s3_faults import KINDS, Faults
from support.s3_proxy import S3Proxy
from support.world import Deployment, World, same

BLOCKS = 150

INVISIBLE = {"latency", "list_stops_early", "list_repeats", "not_there"}
"""What needs no second request, or is true where it is said: an empty bucket has no objects."""

Property = Callable[[str, object], None]


def behind(proxy: S3Proxy, deployment: Deployment) -> Deployment:
    return replace(deployment, bucket=replace(deployment.bucket, endpoint_url=proxy.endpoint_url))


def run(world: World, command: str, *arguments: str, env: dict[str, str]) -> Ran:
    return world.lockstep(command, "--repo", world.repo, *arguments, "--json", env={**world.keys, **env}, timeout_seconds=280)


def check_told(ran: Ran, faults: Faults) -> None:
    """What was injected is in the result, and the log has it."""
    told = ran.json["faults"]
    if faults.counts.total() > 5 and set(faults.kinds) - INVISIBLE:
        assert told, (faults.counts, ran)
        assert " warning: " in ran.stderr
    assert ran.json.get("requests", {"retried": 0})["retried"] + ran.json["repository_requests"]["retried"] == sum(told.values())


@pytest.mark.parametrize("where", ["bucket", "repository"])
@pytest.mark.parametrize("kind", [*KINDS, "all"])
def test_one_request_in_ten_fails_and_nothing_is_lost(world: World, kind: str, where: str, record_property: Property) -> None:
    kinds = [each for each in KINDS if not each.startswith("list_")] if kind == "all" else [kind]
    rate = 0.5 if kind.startswith("list_") else 0.1
    source, target = world.deployment(blocks=BLOCKS, size=(1, 6000)), world.nowhere()
    world.repo = f"s3://{world.s3.create_bucket()}/backups" if where == "repository" else world.repo
    with S3Proxy(world.s3.endpoint_url) as proxy:
        env = {"LOCKSTEP_REPO_ENDPOINT_URL": proxy.endpoint_url} if where == "repository" else {}
        commands = (
            ("backup", *(behind(proxy, source) if where == "bucket" else source).options),
            ("restore", "latest", *(behind(proxy, target) if where == "bucket" else target).options),
            ("verify", "--read-data"),
        )
        for number, command in enumerate(commands, start=1):
            faults = Faults(kinds, rate, seed=number)
            faults.attach(proxy)
            proxy.counts.clear()
            ran = run(world, *command, env=env)
            assert ran.returncode == 0, (ran.stdout, ran.stderr)
            told = {"kind": kind, "where": where, "command": command[0], "rate": rate, "exit": ran.returncode}
            told |= {"requests": proxy.counts.total(), "injected": faults.counts.total(), "overcome": sum(ran.json["faults"].values())}
            record_property("store faults", json.dumps(told))
            check_told(ran, faults)
    same(source, target)
    honest = run(world, "verify", "--read-data", env={"LOCKSTEP_REPO_ENDPOINT_URL": world.s3.endpoint_url})
    assert honest.returncode == 0, honest
