"""A Dask cluster of separate processes on the loopback address, one of which is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.cluster import Cluster
from support.parsec_shape import delete_objects
from support.raid import url_of
from support.s3_proxy import Answer, S3Proxy
from support.waiting import wait_for
from support.world import Deployment, World, error_of, same


@pytest.fixture
def cluster(world: World, tmp_path: Path) -> Iterator[Cluster]:
    directory = tmp_path / "cluster"
    directory.mkdir()
    with Cluster(directory, world.environment) as made:
        yield made


def keys_of(source: Deployment) -> dict[str, str]:
    """What the workers of a Parsec deployment with one bucket need in their environment."""
    name = "LOCKSTEP_STORE_MAIN"
    return {f"{name}_ACCESS_KEY_ID": str(source.bucket.access_key_id), f"{name}_SECRET_ACCESS_KEY": str(source.bucket.secret_access_key)}


def parsec_options(world: World, source: Deployment) -> list[str]:
    """An env file as a Parsec server has it: the only place where the run itself finds keys."""
    endpoint, access = (
        str(source.bucket.endpoint_url).replace(":", r"\:"),
        f"{source.bucket.access_key_id}:{source.bucket.secret_access_key}",
    )
    path = world.tmp_path / "parsec.env"
    path.write_text(
        f"PARSEC_DB={url_of(source.database)}\nPARSEC_BLOCKSTORE=s3:{endpoint}:us-east-1:{source.bucket_name}:{access}\n", encoding="utf-8"
    )
    return ["--parsec-env", str(path)]


@pytest.mark.parametrize("place", ["directory", "object store"])
def test_a_cluster_copies_all_although_one_of_its_workers_is_killed(world: World, cluster: Cluster, place: str) -> None:
    source, target = world.deployment(blocks=600, size=60), world.nowhere()
    world.repo = world.repo if place == "directory" else f"{world.new_bucket().url}/place"
    with S3Proxy(world.s3.endpoint_url) as proxy:

        def answering(method: str, path: str, ask: Callable[[], Answer]) -> Answer:
            if method == "GET" and source.bucket_name in path:
                time.sleep(0.1)
            return ask()

        proxy.answering = answering
        slow = replace(source, bucket=replace(source.bucket, endpoint_url=proxy.endpoint_url))
        workers = [cluster.start_worker(keys_of(source)) for _ in range(3)]
        nothing = {name: "" for name in world.keys if name != "AWS_REGION"}
        with world.started(
            "backup", *parsec_options(world, slow), "--json", "--dask", cluster.address, "--concurrency", "24", env=nothing
        ) as process:
            wait_for(lambda: proxy.counts["GET"] > 150 or process.poll() is not None, seconds=60)
            os.kill(workers[0], signal.SIGKILL)
            stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, f"{stderr}\n{cluster.log()}"
    document = json.loads(stdout)
    assert (document["complete"], document["objects"]["new"], document["workers"]["lost"]) == (True, 600, 1)
    assert document["workers"]["count"] >= 2
    assert document["requests"]["get"] >= 600
    assert "a worker has left the cluster" in stderr
    assert str(source.bucket.secret_access_key) not in cluster.log() + stderr
    assert world.run("verify", "--read-data", env={"LOCKSTEP_REPO_ENDPOINT_URL": world.s3.endpoint_url}).returncode == 0
    restored = world.restore(target, "--dask", cluster.address)
    assert restored.returncode == 0, restored
    assert (restored.json["objects"]["uploaded"], restored.json["consistent"]) == (600, True)
    same(source, target)


def test_a_cluster_reads_a_repository_although_one_of_its_workers_is_killed(world: World, cluster: Cluster) -> None:
    source = world.deployment(blocks=400, size=60)
    world.repo = f"{world.new_bucket().url}/place"
    assert world.backup(source).returncode == 0
    delete_objects(world.s3.address(world.repo.split("/")[2]), [f"place/objects/main/{source.filled.keys[0]}"])
    own = {"LOCKSTEP_REPO_ACCESS_KEY_ID": world.s3.access_key_id, "LOCKSTEP_REPO_SECRET_ACCESS_KEY": world.s3.secret_access_key}
    workers = [cluster.start_worker(own) for _ in range(2)]
    with S3Proxy(world.s3.endpoint_url) as proxy:
        reads = Counter[str]()

        def answering(method: str, path: str, ask: Callable[[], Answer]) -> Answer:
            if method == "GET" and "/objects/" in path:
                reads["objects"] += 1
                time.sleep(0.2)
            return ask()

        proxy.answering = answering
        env = {"LOCKSTEP_REPO_ENDPOINT_URL": proxy.endpoint_url}
        with world.started("verify", "--read-data", "--json", "--dask", cluster.address, "--concurrency", "16", env=env) as process:
            wait_for(lambda: reads["objects"] > 60 or process.poll() is not None, seconds=60)
            os.kill(workers[0], signal.SIGKILL)
            stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 3, f"{stderr}\n{cluster.log()}"
    document = json.loads(stdout)
    assert [each["kind"] for each in document["findings"]] == ["missing"]
    assert (document["checked"]["objects_read"], document["workers"]["lost"]) == (400, 1)
    assert str(world.s3.secret_access_key) not in cluster.log() + stderr


def test_keys_do_not_travel_and_a_worker_without_any_says_so(world: World, cluster: Cluster) -> None:
    source = world.deployment(blocks=30)
    cluster.start_worker({})
    ran = world.lockstep("backup", "--repo", world.repo, *parsec_options(world, source), "--json", "--dask", cluster.address)
    assert "no S3 credentials were found" in error_of(ran, kind="permission_missing")
    assert world.snapshots() == []


def test_a_cluster_that_cannot_be_had_is_said_so_before_anything_is_written(world: World, cluster: Cluster, tmp_path: Path) -> None:
    source = world.deployment(blocks=3)
    assert "dask scheduler" in error_of(world.backup(source, "--dask", "tcp://127.0.0.1:9"), kind="workers_failed")
    assert "dask scheduler" in error_of(world.backup(source, "--dask", "nonsense://x"), kind="workers_failed")
    assert "both given" in error_of(world.backup(source, "--dask", cluster.address, "--workers", "2"), status=2)
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "distributed.py").write_text("raise ImportError('it is not here')")
    without = {"PYTHONPATH": f"{tmp_path / 'without'}{os.pathsep}{world.environment['PYTHONPATH']}"}
    assert "lockstep-backup[dask]" in error_of(world.backup(source, "--dask", cluster.address, env=without), status=2)
    assert not world.repo_path.exists()
