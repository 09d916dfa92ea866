"""A prune that is killed at any moment has changed nothing, or what it changed is sound; the next one ends it."""

from __future__ import annotations

import random
import shutil
import subprocess
import time

from support.parsec_shape import add_blocks
from support.world import World, same

KILLS = 12

NUMBERED = ("bridges/", "gathered", "/references-")
"""What a prune writes has a number in its name, which chance gives."""


def test_a_prune_is_killed_again_and_again_and_the_next_one_ends_it(world: World) -> None:
    source, chance = world.deployment(blocks=400, size=(1, 200)), random.Random(11)
    ids = [world.backup(source).json["snapshot"]]
    for seed in range(1, 5):
        with source.connect() as connection:
            connection.execute("DELETE FROM block WHERE _id IN (SELECT _id FROM block ORDER BY _id LIMIT 60)")
            add_blocks(connection, source.bucket, source.filled, 40, size=(1, 200), seed=seed)
        ids.append(world.backup(source).json["snapshot"])
    whole = world.tmp_path / "whole"
    shutil.copytree(world.repo_path, whole)
    command = ("--keep-last", "2", "--yes", "--json")
    started = time.monotonic()
    assert world.run("prune", *command).returncode == 0
    takes = time.monotonic() - started
    after = world.files()
    killed = 0
    for _ in range(KILLS):
        shutil.rmtree(world.repo_path)
        shutil.copytree(whole, world.repo_path)
        with world.started("prune", *command) as process:
            try:
                process.wait(timeout=chance.uniform(0.3, 1.05) * takes)
            except subprocess.TimeoutExpired:
                killed += 1
                process.kill()
                process.wait()
        assert [each["snapshot"] for each in world.snapshots()] in (ids, ids[3:])
        proven = world.run("verify", "--read-data", "--json")
        assert (proven.returncode, proven.json["findings"]) == (0, []), proven
        ended = world.run("prune", *command)
        assert ended.returncode == 0, ended
        assert ended.json["kept"] == ids[3:]
        assert tidy(world.files()) == tidy(after)
    assert killed > KILLS / 3
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    same(source, target, keys=[each["key"] for each in world.run("show", "latest", "--objects", "--json").json["objects"]])


def tidy(files: dict[str, int]) -> set[str]:
    """The files of the repository by name, without what verifications note; of what prunes number, only that there is one."""
    digits = str.maketrans("", "", "0123456789")
    names = (path for path in files if not path.startswith("verifications/"))
    return {path.translate(digits) if any(each in path for each in NUMBERED) else path for path in names}
