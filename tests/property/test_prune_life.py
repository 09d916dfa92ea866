"""The life of a repository by chance: backups, stopped ones, overwritten and lost objects, prunes. What is kept can be restored."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lockstep.model.retention import Policy
from lockstep.objects.local import LocalStore
from lockstep.operations.prune import PruneOptions, prune
from lockstep.operations.verify import VerifyOptions, verify
from lockstep.repository.layout import WORK
from support.kept_repository import Keeper

KEYS = ["a", "a/b", "c", "d//e", "f", "g", "h"]
CONTENTS = st.dictionaries(st.sampled_from(KEYS), st.binary(min_size=1, max_size=2), max_size=len(KEYS))
POLICIES = st.builds(Policy, last=st.integers(0, 3), daily=st.integers(0, 4), weekly=st.integers(0, 2)).filter(bool)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("backup"), CONTENTS, st.sets(st.sampled_from(KEYS), max_size=1)),
        st.tuples(st.just("stopped"), CONTENTS, st.just(frozenset[str]())),
        st.tuples(st.just("prune"), POLICIES, st.just(frozenset[str]())),
    ),
    min_size=3,
    max_size=14,
)


PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # making one smaller takes minutes


@settings(max_examples=2, phases=PHASES)
@given(steps=STEPS)
def test_every_kept_snapshot_restores_and_nothing_that_none_needs_stays(steps: list[Any]) -> None:
    live(steps)


@settings(max_examples=20, phases=PHASES)
@given(steps=STEPS)
def test_of_many_lives_too_every_kept_snapshot_restores(steps: list[Any]) -> None:
    live(steps)


def live(steps: list[Any]) -> None:
    """Do the steps to a repository and to a model of it, and hold one against the other after each prune."""
    with tempfile.TemporaryDirectory() as directory:
        tomorrow = datetime.now(UTC) + timedelta(days=1)  # what a stopped backup left is told by when it was written
        root, now = Path(directory) / "repository", datetime(2026, 3, 28, 22, tzinfo=UTC)
        store = LocalStore(root, private=True, temporary=root / WORK)
        keeper = Keeper(store, Path(directory))
        model: dict[str, dict[str, bytes]] = {}
        missed: dict[str, dict[str, bytes]] = {}
        for kind, what, lost in [*steps, ("prune", Policy(last=1), frozenset())]:
            now += timedelta(hours=5)
            if kind == "prune":
                if not model:
                    continue
                result = prune(store, options=PruneOptions(what, grace=timedelta(0)), now=tomorrow, zone=UTC)
                assert set(result.plan.kept) | set(result.plan.removed) == set(model)
                model = {snapshot: objects for snapshot, objects in model.items() if snapshot in result.plan.kept}
                check(keeper, model, missed, now)
            elif kind == "stopped":
                keeper.backup(what, at=now, stop=True)
            else:
                gone = {key: data for key, data in what.items() if key in lost}
                there = {key: data for key, data in what.items() if key not in lost}
                snapshot = keeper.backup(there, at=now, lost=gone)
                model[snapshot] = keeper.restored(snapshot)  # what a stopped backup had copied before it was lost is there too
                assert there.items() <= model[snapshot].items() <= what.items()
                missed[snapshot] = {key: data for key, data in gone.items() if key not in model[snapshot]}


def check(keeper: Keeper, model: dict[str, dict[str, bytes]], missed: dict[str, dict[str, bytes]], now: datetime) -> None:
    with verify(keeper.store, options=VerifyOptions(depth="data"), now=now, zone=UTC) as found:
        assert list(found.findings()) == []
    for snapshot, objects in model.items():
        assert keeper.restored(snapshot) == objects
    # Of what a snapshot misses, another version of the same size may be there, and is left alone.
    named = {each for snapshot, objects in model.items() for each in (*objects.items(), *missed[snapshot].items())}
    assert len(keeper.pool()) <= len(named)
