"""Kill workers, and the one that they work for: what is done counts, what is not is done by others, and nobody is left behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from support.s3_proxy import Answer, S3Proxy
from support.waiting import is_alive, wait_for, words_of
from support.world import Deployment, World, children_of, same


def slowed(source: Deployment, proxy: S3Proxy, *, seconds: float) -> Deployment:
    """The deployment behind a store that takes its time for each object."""

    def answering(method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
        if method == "GET":
            time.sleep(seconds)
        return ask()

    proxy.answering = answering
    return replace(source, bucket=replace(source.bucket, endpoint_url=proxy.endpoint_url))


def workers_of(pid: int) -> list[int]:
    return [child for child in children_of(pid) if "lockstep.cli.worker" in words_of(child)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_what_a_dead_worker_had_in_hand_is_copied_by_another_one(world: World, number: signal.Signals) -> None:
    source = world.deployment(blocks=400, size=60)
    with S3Proxy(world.s3.endpoint_url) as proxy:
        slow = slowed(source, proxy, seconds=0.1)
        with world.started("backup", *slow.options, "--json", "--workers", "2", "--concurrency", "16") as process:
            wait_for(lambda: len(workers_of(process.pid)) == 2 and proxy.counts["GET"] > 60)
            killed = workers_of(process.pid)[0]
            assert world.s3.secret_access_key not in words_of(killed)
            os.kill(killed, number)
            wait_for(lambda: not is_alive(killed))
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        document = json.loads(stdout)
        assert (document["complete"], document["objects"]["new"], document["workers"]["lost"]) == (True, 400, 1)
        assert "a worker died" in stderr
        assert 400 <= proxy.counts["GET"] <= 400 + 250  # what the dead one had done and not reported was copied again, not the rest
    assert world.run("verify", "--read-data").returncode == 0
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    same(source, target)
    assert not [name for name in world.files() if name.startswith("locks/")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nobody_is_left_behind_when_the_run_is_ended(world: World, number: signal.Signals) -> None:
    source = world.deployment(blocks=400, size=60)
    with S3Proxy(world.s3.endpoint_url) as proxy:
        slow = slowed(source, proxy, seconds=0.2)
        with world.started("backup", *slow.options, "--json", "--workers", "3", "--concurrency", "12") as process:
            wait_for(lambda: len(workers_of(process.pid)) == 3 and proxy.counts["GET"] > 40)
            family = children_of(process.pid)
            process.send_signal(number)
            process.communicate(timeout=20)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
        wait_for(lambda: not any(is_alive(pid) for pid in family), seconds=3)
        done = proxy.counts["GET"]
        proxy.counts.clear()
        proxy.answering = lambda _method, _path, ask: ask()
        assert world.snapshots() == []
        ran = world.backup(slow, "--workers", "2")
        assert (ran.returncode, ran.json["complete"], ran.json["objects"]["referenced"]) == (0, True, 400)
        if number != signal.SIGKILL:
            assert proxy.counts["GET"] <= 400 - done // 2  # what was done by then was journalled
    assert world.run("verify", "--read-data").returncode == 0


def test_objects_that_kill_every_worker_end_the_run_with_a_reason(world: World) -> None:
    source = world.deployment(blocks=40)
    with S3Proxy(world.s3.endpoint_url) as proxy:
        slow = slowed(source, proxy, seconds=0.5)
        with world.started("backup", *slow.options, "--json", "--workers", "1") as process:
            for _ in range(3):
                wait_for(lambda: bool(workers_of(process.pid)) or process.poll() is not None)
                for pid in workers_of(process.pid):
                    os.kill(pid, signal.SIGKILL)
                    while is_alive(pid):
                        time.sleep(0.02)
            stdout, _ = process.communicate(timeout=30)
        assert process.returncode == 1
        assert json.loads(stdout)["error"]["kind"] == "workers_failed"
    assert world.snapshots() == []
    assert world.backup(source).returncode == 0


def test_what_a_dead_worker_was_bringing_back_is_brought_back_by_another_one(world: World) -> None:
    source, target = world.deployment(blocks=400, size=60), world.nowhere()
    assert world.backup(source).returncode == 0
    with S3Proxy(world.s3.endpoint_url) as proxy:

        def answering(method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
            if method == "PUT":
                time.sleep(0.1)
            return ask()

        proxy.answering = answering
        slow = replace(target, bucket=replace(target.bucket, endpoint_url=proxy.endpoint_url))
        with world.started("restore", "latest", *slow.options, "--json", "--workers", "2", "--concurrency", "16") as process:
            wait_for(lambda: len(workers_of(process.pid)) == 2 and proxy.counts["PUT"] > 60)
            os.kill(workers_of(process.pid)[0], signal.SIGKILL)
            stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    objects = json.loads(stdout)["objects"]
    assert (objects["uploaded"] + objects["already_there"], objects["missing"]) == (400, 0)
    assert "a worker died" in stderr
    same(source, target)


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
def test_what_a_dead_worker_was_reading_is_read_by_another_one(world: World) -> None:
    source = world.deployment(blocks=400, size=60)
    world.repo = f"{world.new_bucket().url}/place"
    assert world.backup(source).returncode == 0
    with S3Proxy(world.s3.endpoint_url) as proxy:
        reads = Counter[str]()

        def answering(method: str, path: str, ask: Callable[[], Answer]) -> Answer:
            if method == "GET" and "/objects/" in path:
                reads["objects"] += 1
                time.sleep(0.1)
            return ask()

        proxy.answering = answering
        env = {"LOCKSTEP_REPO_ENDPOINT_URL": proxy.endpoint_url}
        with world.started("verify", "--read-data", "--json", "--workers", "2", "--concurrency", "16", env=env) as process:
            wait_for(lambda: len(workers_of(process.pid)) == 2 and reads["objects"] > 60)
            os.kill(workers_of(process.pid)[0], signal.SIGKILL)
            stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    document = json.loads(stdout)
    assert (document["ok"], document["checked"]["objects_read"], document["workers"]["lost"]) == (True, 400, 1)
    assert "a worker died" in stderr
    assert 400 < reads["objects"] <= 400 + 250


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nobody_is_left_behind_and_nothing_is_proved_when_a_reading_is_ended(world: World, number: signal.Signals) -> None:
    source = world.deployment(blocks=400, size=60)
    world.repo = f"{world.new_bucket().url}/place"
    assert world.backup(source).returncode == 0
    env = {"LOCKSTEP_REPO_ENDPOINT_URL": world.s3.endpoint_url}
    with S3Proxy(world.s3.endpoint_url) as proxy:
        slowed(source, proxy, seconds=0.1)
        slow = {"LOCKSTEP_REPO_ENDPOINT_URL": proxy.endpoint_url}
        with world.started("verify", "--read-data", "--json", "--workers", "2", "--concurrency", "8", env=slow) as process:
            wait_for(lambda: len(workers_of(process.pid)) == 2 and proxy.counts["GET"] > 60)
            family = children_of(process.pid)
            process.send_signal(number)
            process.communicate(timeout=20)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
        wait_for(lambda: not any(is_alive(pid) for pid in family), seconds=3)
    assert world.run("list", "--json", env=env).json["snapshots"][0]["verified_data"] is None
    ran = world.run("verify", "--read-data", "--json", "--workers", "2", env=env)
    assert (ran.returncode, ran.json["checked"]["objects_read"]) == (0, 400), ran
    assert world.run("list", "--json", env=env).json["snapshots"][0]["verified_data"]
