"""A year of snapshots, pruned again and again by chance: what is kept can be restored, and nothing is there that it does not need."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.model.inventory import InventoryEntry
from lockstep.model.objects import ObjectInfo
from lockstep.model.retention import Candidate, Policy, Span, Verdict, decide_retention
from lockstep.model.snapshots import SnapshotId
from lockstep.tables import inventory, prunes, references
from lockstep.tables.engine import TableLimits, Tables

POLICIES = st.builds(
    Policy,
    last=st.integers(0, 4),
    hourly=st.integers(0, 3),
    daily=st.integers(0, 20),
    weekly=st.integers(0, 10),
    monthly=st.integers(0, 12),
    yearly=st.integers(0, 3),
    within=st.one_of(st.none(), st.builds(Span, st.integers(0, 3), st.integers(0, 60), st.integers(0, 48))),
    tags=st.sampled_from([(), ("release",)]),
).filter(bool)
ZONES = st.sampled_from([ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Auckland"), ZoneInfo("America/St_Johns")])


@st.composite
def years(draw: st.DrawFn) -> list[Candidate]:
    """A snapshot a day, about; some days have none or several, some snapshots are incomplete, some have a tag."""
    begin = datetime(2026, 1, 1, 1, tzinfo=UTC)
    steps = draw(st.lists(st.sampled_from([1, 5, 23, 24, 24, 24, 25, 24 * 9]), min_size=1, max_size=365))
    bad = draw(st.sets(st.integers(0, len(steps) - 1), max_size=40))
    tagged = draw(st.sets(st.integers(0, len(steps) - 1), max_size=5))
    found, moment = [], begin
    for number, hours in enumerate(steps):
        moment += timedelta(hours=hours)
        name = SnapshotId(f"{moment:%Y%m%dT%H%M%SZ}-{number:08x}")
        found.append(Candidate(name, moment, number not in bad, "release" if number in tagged else None))
    return found


@settings(max_examples=60)
@given(year=years(), policy=POLICIES, zone=ZONES)
def test_every_reason_is_right_and_no_period_is_without_its_newest_complete_snapshot(
    year: list[Candidate], policy: Policy, zone: ZoneInfo
) -> None:
    verdicts = decide_retention(year, policy, zone=zone)
    by_id = {each.snapshot: each for each in verdicts}
    good = [each for each in year if each.complete]
    assert [each.snapshot for each in verdicts] == [each.snapshot for each in year]
    assert all(each.reasons for each in verdicts)
    if good:
        assert by_id[good[-1].snapshot].kept
    for each in year:
        if policy.tags and each.tag in policy.tags:
            assert by_id[each.snapshot].kept
    for rule, period in (
        ("hourly", lambda moment: moment.strftime("%Y-%m-%d %H %z")),
        ("daily", lambda moment: moment.strftime("%Y-%m-%d")),
        ("weekly", lambda moment: moment.isocalendar()[:2]),
        ("monthly", lambda moment: (moment.year, moment.month)),
        ("yearly", lambda moment: moment.year),
        ("last", lambda moment: moment),
    ):
        newest = {period(each.created.astimezone(zone)): each for each in good}  # the later one of a period wins
        for each in list(newest.values())[::-1][: getattr(policy, rule)]:
            assert any(reason.startswith(rule) for reason in by_id[each.snapshot].reasons), (rule, each)
            assert by_id[each.snapshot].kept
    assert decide_retention([each for each in year if by_id[each.snapshot].kept], policy, zone=zone) == [
        Verdict(each.snapshot, each.created, each.complete, each.tag, kept=True, reasons=each.reasons) for each in verdicts if each.kept
    ]


@dataclass(slots=True)
class Model:
    """What a repository is, in memory: which keys each snapshot references, and when each was stored."""

    tables: Tables
    held: dict[str, int] = field(default_factory=dict)
    chain: list[tuple[SnapshotId, frozenset[str], Path]] = field(default_factory=list)

    def needed(self, kept: Sequence[bool]) -> set[str]:
        return set().union(*(keys for (_, keys, _), stays in zip(self.chain, kept, strict=True) if stays))


@settings(max_examples=15)
@given(days=st.lists(st.frozensets(st.sampled_from([f"k{number}" for number in range(12)])), min_size=1, max_size=12), data=st.data())
def test_objects_stay_while_a_kept_snapshot_needs_them_and_no_longer(days: list[frozenset[str]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tables = Tables(Path(directory), limits=TableLimits(threads=1))
        model = Model(tables)
        segments: dict[str, Path] = {}
        for number, keys in enumerate(days):
            snapshot = SnapshotId(f"20260101T0000{number:02}Z-00000000")
            new = sorted(keys - model.held.keys())
            model.held |= dict.fromkeys(new, number)
            path = Path(directory) / f"references-{number}.parquet"
            save_references(model, keys, path)
            model.chain.append((snapshot, keys, path))
            inventory.create(tables, [])
            tables.run("DELETE FROM journal")
            inventory.add_entries(tables, [InventoryEntry("main", key, 1, "0" * 64, None, None, None) for key in new])
            segments[f"inventory/{snapshot}-0.parquet"] = Path(directory) / f"segment-{number}.parquet"
            inventory.save_segment(tables, segments[f"inventory/{snapshot}-0.parquet"], snapshot=snapshot)
        kept = [data.draw(st.booleans()) for _ in days[:-1]] + [True]
        prunes.begin(tables, segments)
        prunes.add_needed(tables, [(snapshot, path) for snapshot, _, path in model.chain], kept)
        prunes.add_listed(tables, [ObjectInfo(f"objects/main/{key}", 1) for key in [*model.held, "stray"]])
        assert prunes.decide(tables, kept=[each for (each, _, _), stays in zip(model.chain, kept, strict=True) if stays], spared=[]) == 0
        gone = {path.removeprefix("objects/main/") for batch in prunes.doomed_paths(tables, at_once=7) for path in batch}
        assert model.held.keys() - gone == model.needed(kept)
        assert "stray" in gone
        assert sum(prunes.count_dropped(tables).values()) == len(gone) - 1
        check_folds(model, kept)
        gathered = Path(directory) / "gathered.parquet"
        rows = prunes.save_gathered(tables, gathered, list(segments))
        assert rows == len(model.needed(kept))
        tables.close()


def save_references(model: Model, keys: frozenset[str], path: Path) -> None:
    values = ", ".join(f"('main', '{key}', 1::BIGINT, NULL::VARCHAR, NULL::VARCHAR)" for key in sorted(keys))
    source = f"(VALUES {values})" if keys else "(SELECT 'main', 'x', 1::BIGINT, NULL::VARCHAR, NULL::VARCHAR LIMIT 0)"
    model.tables.run(f"CREATE OR REPLACE TABLE references_now AS SELECT * FROM {source} AS t(store, key, size, etag, sha256)")
    if not model.chain:
        references.save_full(model.tables, path)
    else:
        references.replay(model.tables, [file for _, _, file in model.chain], into="before")
        references.save_changes(model.tables, path, since="before")


def check_folds(model: Model, kept: Sequence[bool]) -> None:
    """The references of each kept snapshot are the same when all that was removed before it is folded into one file."""
    for place, (_, keys, _) in enumerate(model.chain):
        base = max((each for each in range(place) if kept[each]), default=None)
        if not kept[place] or base is None:
            continue
        folded = model.tables.directory / f"folded-{place}.parquet"
        prunes.save_folded(model.tables, folded, [file for _, _, file in model.chain[base + 1 : place + 1]])
        references.replay(model.tables, [*(file for _, _, file in model.chain[: base + 1]), folded], into="replayed")
        assert {row[0] for row in model.tables.rows("SELECT key FROM replayed")} == keys
