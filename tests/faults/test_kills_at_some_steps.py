"""The kills that `make test` tries on each change: those at which most is at stake. `test_kill_at_each_step.py` has all of them."""

from __future__ import annotations

from support.kill_scenarios import backing_up, copying, pruning, restoring, source_of, stop_at_each_step, three_snapshots
from support.kills import Place, a_victim
from support.world import World


def test_a_backup_and_a_restore_that_are_killed_where_it_hurts(world: World) -> None:
    source = source_of(world)
    with a_victim(world) as victim:
        stop_at_each_step(victim, backing_up(source, Place(world.repo_path)), "KILL", only={"journal.flushed", "commit.manifest"})
        stop_at_each_step(victim, restoring(world, source, "--replace"), "KILL", only={"restore.filled", "restore.renamed_aside"})


def test_a_copy_and_a_prune_that_are_killed_where_it_hurts(world: World) -> None:
    three_snapshots(world)
    with a_victim(world) as victim:
        stop_at_each_step(victim, copying(world, Place(world.tmp_path / "mirror")), "KILL", only={"copy.durable"})
        stop_at_each_step(victim, pruning(world, Place(world.repo_path)), "KILL", only={"prune.recorded"})
