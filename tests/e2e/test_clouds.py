"""A repository and a deployment's store in Google's or Microsoft's service, by what speaks as these do (support/clouds.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import obstore
import pytest
from obstore.store import AzureStore, GCSStore

from support.clouds import Azurite, GoogleXml, find_azurite
from support.fixture_types import Lockstep, PostgresServers
from support.parsec_shape import add_blocks
from support.servers import MotoServer, SeaweedFS
from support.waiting import wait_for
from support.world import World, error_of, open_world, same


@dataclass(frozen=True, slots=True)
class Cloud:
    """One bucket or container, and the world whose repository is in it."""

    world: World
    service: GoogleXml | Azurite
    bucket: str

    @property
    def url(self) -> str:
        return f"{self.service.scheme}://{self.bucket}"

    def store(self, prefix: str) -> AzureStore | GCSStore:
        if isinstance(self.service, Azurite):
            said = self.service.variables
            return AzureStore(
                self.bucket,
                prefix=prefix,
                config={
                    "account_name": said["AZURE_STORAGE_ACCOUNT_NAME"],
                    "account_key": said["AZURE_STORAGE_ACCOUNT_KEY"],
                    "endpoint": said["AZURE_STORAGE_ENDPOINT"],
                },
                client_options={"allow_http": True},
            )
        said = self.service.variables
        config = {"base_url": said["GOOGLE_BASE_URL"], "bearer_token": said["GOOGLE_BEARER_TOKEN"]}
        return GCSStore(self.bucket, prefix=prefix, config=config, client_options={"allow_http": True})  # type: ignore[arg-type]

    def files(self) -> list[str]:
        return sorted(meta["path"] for page in obstore.list(self.store("kept")) for meta in page)


@pytest.fixture(params=["google", "azure"])
def cloud(
    request: pytest.FixtureRequest,
    lockstep: Lockstep,
    lockstep_environment: dict[str, str],
    postgres_servers: PostgresServers,
    s3_server: SeaweedFS,
    moto_server: MotoServer,
    tmp_path: Path,
) -> Iterator[Cloud]:
    program = find_azurite()
    if request.param == "azure" and program is None:
        pytest.skip("Azurite is not installed (npm install azurite; then AZURITE=…/node_modules/.bin/azurite-blob)")
    service = Azurite(program, tmp_path) if request.param == "azure" and program else GoogleXml(moto_server)
    with service, open_world(lockstep, lockstep_environment, postgres_servers(18), s3_server, tmp_path) as world:
        lockstep_environment.update(service.variables)
        made = Cloud(world, service, service.create_bucket())
        world.repo = f"{made.url}/kept"
        yield made


def test_a_repository_there_is_as_good_as_any(cloud: Cloud) -> None:
    world = cloud.world
    source, target = world.deployment(blocks=30, size=(1, 2000)), world.nowhere()
    assert world.run("list", "--json").json["error"]["kind"] == "repository_not_found"
    first = world.backup(source)
    assert (first.returncode, first.json["complete"], first.json["objects"]["new"]) == (0, True, 30), first
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 3, seed=9)
    again = world.backup(source)
    assert (again.returncode, again.json["objects"]["new"], again.json["requests"]["list"]) == (0, 3, 0), again
    assert [each["snapshot"] for each in world.snapshots()] == [first.json["snapshot"], again.json["snapshot"]]
    for command in (("verify", "--read-data"), ("drill",)):
        assert world.run(*command, "--json").json["ok"] is True
    restored = world.restore(target)
    assert (restored.returncode, restored.json["consistent"]) == (0, True), restored
    same(source, target)
    mirror = world.tmp_path / "mirror"
    assert world.run("copy", mirror, "--json").json["ok"] is True
    back = f"{cloud.url}/back"
    assert world.run("copy", back, "--json", repo=str(mirror)).json["ok"] is True
    pruned = world.run("prune", "--keep-last", "1", "--yes", "--json")
    assert pruned.json["removed"] == [first.json["snapshot"]], pruned
    for repo in (world.repo, back):
        assert world.run("verify", "--read-data", "--json", repo=repo).json["ok"] is True
    assert not [path for path in cloud.files() if path.startswith("locks/")]


def test_one_writer_at_a_time_and_a_killed_one_is_taken_over(cloud: Cloud) -> None:
    world = cloud.world
    source = world.deployment(blocks=5)
    blocker = source.connect()
    blocker.execute("LOCK TABLE vlob_atom IN ACCESS EXCLUSIVE MODE")
    with world.started("backup", *source.options) as process:
        wait_for(lambda: "locks/writer.json" in cloud.files())
        assert str(process.pid) in error_of(world.backup(source), status=4, kind="repository_locked")
        process.kill()
        process.wait()
    blocker.close()
    ran = world.backup(source)
    assert (ran.returncode, ran.json["complete"]) == (0, True), ran
    assert "took over" in ran.stderr
    assert not [path for path in cloud.files() if path.startswith("locks/")]


def test_a_store_of_a_deployment_there_is_backed_up_audited_and_repaired(cloud: Cloud) -> None:
    world = cloud.world
    source = world.deployment(blocks=12, size=50)
    live = cloud.store("live")
    for key, data in source.objects().items():
        obstore.put(live, key, data, use_multipart=False)
    options = ("--database", source.database.conninfo, "--bucket", f"{cloud.url}/live")
    made = world.run("backup", *options, "--json")
    assert (made.returncode, made.json["objects"]["new"]) == (0, 12), made
    lost, changed = source.filled.keys[:2]
    obstore.delete(live, [lost])
    obstore.put(live, changed, b"short", use_multipart=False)
    found = world.lockstep("audit", *options, "--json")
    assert (found.returncode, found.json["missing"]["sample"], found.json["mismatched"]["sample"]) == (3, [lost], [changed])
    assert world.run("repair", *options, "--yes", "--json").json["restored"] == 2
    assert world.lockstep("audit", *options, "--json").json["consistent"] is True


def test_what_is_not_there_is_named(cloud: Cloud) -> None:
    world, nowhere = cloud.world, f"{cloud.service.scheme}://nowhere-at-all/x"
    source = world.deployment(blocks=2)
    error_of(world.run("list", "--json", repo=nowhere), kind="repository_not_found")  # as in every other kind of store
    for ran in (
        world.run("backup", *source.options, "--json", repo=nowhere),
        world.lockstep("audit", "--database", source.database.conninfo, "--bucket", nowhere, "--json"),
    ):
        told = error_of(ran, kind="bucket_not_found")
        assert "nowhere-at-all" in told
        assert cloud.service.endpoint_url in told
    checked = world.run("check", *source.options, "--probe", "--json")
    assert checked.returncode == 0, checked
    [once] = [each for each in checked.json["checks"] if each["name"] == "probe.conditional_put"]
    assert "made under the condition that there is none" in once["detail"]
