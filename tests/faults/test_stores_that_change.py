"""A store that changes its mind in the middle of a run: access is refused, keys expire, it goes away for a while or for good."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.postgres.embedded import EmbeddedServer
from support.fixture_types import Lockstep, Ran
from support.s3_proxy import Answer, S3Proxy
from support.servers import MotoServer, SeaweedFS
from support.waiting import wait_for
from support.world import Deployment, World, error_of, open_world, same

XML = {"Content-Type": "application/xml"}
FORBIDDEN = Answer(403, XML, b"<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>")
EXPIRED = Answer(400, XML, b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>")

Property = Callable[[str, object], None]


def behind(proxy: S3Proxy, deployment: Deployment) -> Deployment:
    return replace(deployment, bucket=replace(deployment.bucket, endpoint_url=proxy.endpoint_url))


@pytest.mark.parametrize("where", ["bucket", "repository"])
def test_access_that_is_refused_in_the_middle_ends_a_run_with_one_sentence_and_the_next_one_resumes(world: World, where: str) -> None:
    source, target = world.deployment(blocks=200, size=60), world.nowhere()
    world.repo = f"s3://{world.s3.create_bucket()}/backups" if where == "repository" else world.repo
    allowed = 60
    with S3Proxy(world.s3.endpoint_url) as proxy:

        def answering(method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
            return FORBIDDEN if method in {"GET", "PUT"} and proxy.counts["GET"] + proxy.counts["PUT"] > allowed else ask()

        env = {"LOCKSTEP_REPO_ENDPOINT_URL": proxy.endpoint_url} if where == "repository" else {}
        direct = {"LOCKSTEP_REPO_ENDPOINT_URL": world.s3.endpoint_url}
        for command, deployment in (("backup", source), ("restore", target)):
            databases, arguments = world.databases(), ["latest"] if command == "restore" else []
            proxy.counts.clear()
            proxy.answering = answering
            options = (behind(proxy, deployment) if where == "bucket" else deployment).options
            told = error_of(world.run(command, *arguments, *options, "--json", env=env), kind="permission_missing")
            assert "refuses access" in told
            assert world.databases() == databases
            assert len(world.run("list", "--json", env=direct).json["snapshots"]) == (command == "restore")
            ran = world.run(command, *arguments, *deployment.options, "--json", env=direct)
            assert ran.returncode == 0, ran
    assert world.run("verify", "--read-data", env=direct).returncode == 0
    same(source, target)


@pytest.fixture
def moto_world(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_server: EmbeddedServer, moto_server: MotoServer, tmp_path: Path
) -> Iterator[World]:
    """A world whose store takes all keys: who may do what is said by a proxy before it."""
    with open_world(lockstep, lockstep_environment, postgres_server, moto_server, tmp_path) as made:
        yield made


@pytest.mark.parametrize("renewed", [True, False])
def test_keys_that_expire_in_the_middle_are_asked_for_again(moto_world: World, record_property: Property, *, renewed: bool) -> None:
    """By the chain of the AWS SDK: a program in ~/.aws/config gives keys, others each time that it is asked."""
    world = moto_world
    source = world.deployment(blocks=200, size=60)
    asked = a_program_that_gives_keys(world, new_ones=renewed)
    with S3Proxy(world.s3.endpoint_url) as proxy:

        def answering(_method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
            return EXPIRED if proxy.counts["GET"] > 60 and asked() < 2 + (not renewed) * 100 else ask()

        proxy.answering = answering
        nothing = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
        ran = world.backup(behind(proxy, source), env=nothing)
    if not renewed:
        assert "ExpiredToken" in error_of(ran, kind="permission_missing")
        return
    assert (ran.returncode, ran.json["complete"]) == (0, True), ran
    assert asked() == 2
    assert sum(ran.json["faults"].values()) > 0
    told = {"kind": "keys expire", "where": "bucket", "command": "backup", "rate": 0.0, "exit": ran.returncode}
    overcome = sum(ran.json["faults"].values())
    record_property("store faults", json.dumps({**told, "requests": proxy.counts.total(), "injected": overcome, "overcome": overcome}))


def a_program_that_gives_keys(world: World, *, new_ones: bool) -> Callable[[], int]:
    """Write ~/.aws/config with it; what is given tells how often it was asked."""
    program, calls = world.tmp_path / "keys", world.tmp_path / "calls"
    token = '"token-$(wc -l < "$calls" | tr -d " ")"' if new_ones else '"token"'
    program.write_text(
        f"#!/bin/sh\ncalls='{calls}'\necho asked >> \"$calls\"\ncat <<END\n"
        f'{{"Version": 1, "AccessKeyId": "{world.s3.access_key_id}", "SecretAccessKey": "{world.s3.secret_access_key}",'
        f' "SessionToken": {token}}}\nEND\n',
        encoding="utf-8",
    )
    program.chmod(0o700)
    config = Path(world.environment["HOME"]) / ".aws" / "config"
    config.parent.mkdir()
    config.write_text(f"[default]\nregion = us-east-1\ncredential_process = {program}\n", encoding="utf-8")
    return lambda: len(calls.read_text().splitlines()) if calls.exists() else 0


def test_a_store_that_is_restarted_in_the_middle_is_waited_for(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_server: EmbeddedServer, tmp_path: Path
) -> None:
    with SeaweedFS(tmp_path / "store") as store, open_world(lockstep, lockstep_environment, postgres_server, store, tmp_path) as world:
        source, target = world.deployment(blocks=300, size=100), world.nowhere()
        with S3Proxy(store.endpoint_url) as proxy:
            away, endpoint = False, proxy.endpoint_url

            def answering(_method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
                time.sleep(0.05)
                return Answer(502, {}, b"", how="reset_before_headers") if away else ask()

            proxy.answering = answering
            for command, deployment, kind in (("backup", source, "GET"), ("restore", target, "PUT")):
                options = replace(deployment, bucket=replace(deployment.bucket, endpoint_url=endpoint)).options
                proxy.counts.clear()
                with world.started(command, *(["latest"] if command == "restore" else []), *options, "--json") as process:
                    wait_for(lambda kind=kind: proxy.counts[kind] > 30)  # type: ignore[misc]
                    away = True
                    time.sleep(6)
                    away = False
                    out, err = process.communicate(timeout=120)
                ran = Ran(process.returncode, out, err)
                assert ran.returncode == 0, ran
                assert sum(ran.json["faults"].values()) > 0
                assert "warning" in ran.stderr
        assert world.run("verify", "--read-data").returncode == 0
        same(source, target)
