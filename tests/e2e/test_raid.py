"""Parsec's RAID blockstores on real buckets: backed up with a node lost, audited node by node, restored, healed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.model.raid import RaidMode
from support.fixture_types import Ran
from support.parsec_shape import put_objects
from support.raid import Raid, on_raid
from support.servers import SeaweedFS
from support.world import Deployment, World, error_of

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

MODES: tuple[RaidMode, ...] = ("raid0", "raid1", "raid5")


@pytest.fixture
def other_server(tmp_path: Path) -> Iterator[SeaweedFS]:
    """A store that the test may stop."""
    with SeaweedFS(tmp_path / "other-server") as server:
        yield server


def run(world: World, command: str, source: Deployment, raid: Raid, *arguments: str) -> Ran:
    options = raid.options(source.database, world.tmp_path)
    if command == "audit":
        return world.lockstep(command, *options, "--json", *arguments)
    return world.lockstep(command, "--repo", world.repo, *options, "--json", *arguments)


def nodes_of(audited: Ran) -> list[tuple[int, int, int]]:
    return [(node["missing"], node["mismatched"], node["orphans"]) for node in audited.json["nodes"]]


def empty_raid(world: World, mode: RaidMode, nodes: int) -> Raid:
    return Raid(mode, tuple(world.new_bucket() for _ in range(nodes)))


@pytest.mark.parametrize("mode", MODES)
def test_a_raid_is_backed_up_lost_and_restored_and_each_node_is_as_it_was(world: World, mode: RaidMode) -> None:
    source, raid = on_raid(world, mode, blocks=40, size=(0, 3_000) if mode == "raid5" else (1, 3_000))
    before = raid.held()
    backed_up = run(world, "backup", source, raid)
    assert backed_up.returncode == 0, backed_up
    assert (backed_up.json["objects"]["new"], backed_up.json["complete"], backed_up.json["degraded"]) == (40, True, [])
    again = run(world, "backup", source, raid)
    assert (again.json["objects"]["reused"], again.json["requests"]["get"], again.json["requests"]["list"]) == (40, 0, 0)

    target = world.nowhere()
    elsewhere = empty_raid(world, mode, 3)
    restored = run(world, "restore", target, elsewhere, "latest", "--yes")
    assert restored.returncode == 0, restored
    assert (restored.json["objects"]["uploaded"], restored.json["consistent"]) == (40, True)
    assert elsewhere.held() == before
    resumed = run(world, "restore", target, elsewhere, "latest", "--only", "objects")
    assert (resumed.json["objects"]["uploaded"], resumed.json["objects"]["already_there"]) == (0, 40)
    audited = run(world, "audit", target, elsewhere)
    assert audited.returncode == 0, audited
    assert nodes_of(audited) == [(0, 0, 0)] * 3


def test_a_raid5_is_restored_into_one_bucket_and_one_bucket_into_a_raid(world: World) -> None:
    source, raid = on_raid(world, "raid5", nodes=4, blocks=12, size=(1, 900))
    assert run(world, "backup", source, raid).returncode == 0
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    assert target.objects() == source.filled.objects
    for mode in MODES:
        back = empty_raid(world, mode, 3)
        restored = run(world, "restore", target, back, "latest", "--only", "objects")
        assert restored.returncode == 0, restored
        assert back.held() == back.layout(source.filled.objects)


@pytest.mark.parametrize("mode", MODES)
def test_a_node_that_is_stopped_is_survived_and_told_by_raid1_and_raid5_and_an_error_for_raid0(
    world: World, other_server: SeaweedFS, mode: RaidMode
) -> None:
    last = other_server.address(other_server.create_bucket())
    source, raid = on_raid(world, mode, last=last, blocks=15)
    other_server.__exit__()
    ran = run(world, "backup", source, raid)
    audited = run(world, "audit", source, raid)
    if mode == "raid0":
        for failed in (ran, audited):
            assert "raid0 node 2" in error_of(failed, kind="store_unreachable")
        assert not world.files()
        return
    assert ran.returncode == 0, ran
    assert (ran.json["objects"]["new"], ran.json["complete"]) == (15, True)
    [sentence] = ran.json["degraded"]
    assert sentence.startswith(f"{mode} node 2 ({last.url}): cannot reach ")
    assert ran.stderr.count("node 2") == 1
    assert audited.returncode == 3, audited
    assert audited.json["consistent"] is True
    assert nodes_of(audited) == [(0, 0, 0)] * 3
    assert [node["unreachable"] is None for node in audited.json["nodes"]] == [True, True, False]

    target = world.nowhere()
    assert world.restore(target).returncode == 0
    assert target.objects() == source.filled.objects
    refused = run(world, "restore", target, raid, "latest", "--only", "objects", "--yes")
    assert f"{mode} node 2" in error_of(refused, kind="store_unreachable")


@pytest.mark.parametrize("mode", ["raid1", "raid5"])
def test_objects_that_one_node_lacks_or_holds_cut_are_backed_up_audited_and_healed(world: World, mode: RaidMode) -> None:
    source, raid = on_raid(world, mode, blocks=30, size=(20, 500))
    whole = raid.held()
    keys = source.filled.keys
    raid.lose(0, keys[:3])
    raid.lose(1, keys[3:5])
    put_objects(raid.nodes[0], [(keys[6], b"cut"), ("Acme/orphan", b"nobody's")])
    audited = run(world, "audit", source, raid)
    assert audited.returncode == 3, audited
    assert (audited.json["consistent"], audited.json["missing"]["count"]) == (True, 0)
    assert nodes_of(audited) == [(3, 1, 1), (2, 0, 0), (0, 0, 0)]

    backed_up = run(world, "backup", source, raid)
    assert backed_up.returncode == 0, backed_up
    assert (backed_up.json["complete"], backed_up.json["objects"]["new"]) == (True, 30)
    told = " ".join(backed_up.json["degraded"])
    assert f"{mode} node 0 ({raid.nodes[0].url}): 3 objects missing" in told
    assert "1 object damaged" in told

    planned = run(world, "repair", source, raid, "--dry-run")
    assert planned.json["restorable"] == 6
    repaired = run(world, "repair", source, raid, "--yes")
    assert repaired.returncode == 0, repaired
    assert (repaired.json["restored"], repaired.json["still_missing"]) == (6, 0)
    raid.lose(0, ["Acme/orphan"])
    assert raid.held() == whole
    assert run(world, "audit", source, raid).returncode == 0
