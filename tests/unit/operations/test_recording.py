from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime

import pytest

from lockstep.model.snapshots import SnapshotId
from lockstep.operations.recording import save_references
from lockstep.progress import SILENT
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges, Fold, save_bridges
from lockstep.repository.draft import Draft
from lockstep.repository.history import CUT_EVERY, History
from lockstep.repository.manifest import DatabaseRecord, DumpRecord, Manifest, ObjectCounts, ProfileRecord
from lockstep.repository.repository import Repository
from lockstep.tables import references
from lockstep.tables.engine import Tables

NOW = datetime(2026, 11, 22, 12, 40, tzinfo=UTC)
RUN = SnapshotId("20261122T124000Z-1a2b3c4d")


class Held:
    def check(self) -> None:
        pass


def chain_of(repository: Repository, tables: Tables, length: int) -> Manifest:
    """Snapshots that follow one another, each with one more reference; returns the newest."""
    newest: Manifest | None = None
    for number in range(length):
        snapshot = SnapshotId(f"20260101T00{number:04}Z-00000000")
        change = f"SELECT 'main' AS store, 'key-{number}' AS key, 1::BIGINT AS size, '+' AS change"
        made = tables.directory / f"{number}.parquet"
        tables.run(f"COPY ({change}) TO '{made}' (FORMAT parquet)")
        draft = Draft(repository, snapshot, Held())
        draft.save_file("references.parquet", made)
        newest = Manifest(
            repository=repository.id,
            snapshot=snapshot,
            created=NOW,
            complete=True,
            parent=newest.snapshot if newest else None,
            chain_length=number,
            database=DatabaseRecord(
                name="a", server_version="18.6", server_major=18, encoding="UTF8", collate="C", ctype="C", locale_provider="libc", owner="a"
            ),
            dump=DumpRecord(format="custom", size_bytes=1, pg_dump_major=18, seconds=1),
            profile=ProfileRecord(name="a"),
            stores={"main": "s3://bucket"},
            objects=ObjectCounts(**dict.fromkeys(ObjectCounts.model_fields, 0)),
            files=tuple(draft.files),
        )
        draft.commit(newest)
    assert newest is not None
    return newest


def load(tables: Tables, *keys: str) -> None:
    def blocks() -> Generator[bytes, None, int]:
        for key in keys:
            yield f"main,{key},1,,\n".encode()
        return len(keys)

    references.load(tables, blocks())


def saved(repository: Repository, tables: Tables, newest: Manifest | None) -> tuple[int, list[tuple[str, str]]]:
    """The length that the next snapshot's chain has before it, and what its file of references says."""
    draft = Draft(repository, RUN, Held())
    length = save_references(draft, History(newest, None, (), ()), tables, listener=SILENT)
    copy = repository.local_copy(draft.files[0], tables.directory)
    return length, list(tables.rows("SELECT key, change FROM read_parquet($1) ORDER BY key", [str(copy)]))


@pytest.mark.parametrize("repository", ["memory"], indirect=True)
@pytest.mark.parametrize(("links", "following"), [(1, 1), (CUT_EVERY - 1, CUT_EVERY - 1), (CUT_EVERY, 0)])
def test_a_chain_is_cut_after_a_number_of_snapshots(repository: Repository, tables: Tables, links: int, following: int) -> None:
    newest = chain_of(repository, tables, links)
    load(tables, *(f"key-{number}" for number in range(1, links)), "new")
    length, found = saved(repository, tables, newest)
    assert length == following
    changes = [("key-0", "-"), ("new", "+")]
    assert found == (changes if following else sorted([*((f"key-{number}", "+") for number in range(1, links)), ("new", "+")]))


@pytest.mark.parametrize("repository", ["memory"], indirect=True)
def test_a_first_snapshot_has_a_full_list(repository: Repository, tables: Tables) -> None:
    load(tables, "a")
    assert saved(repository, tables, None) == (0, [("a", "+")])


def test_what_was_folded_shortens_the_chain(repository: Repository, tables: Tables) -> None:
    newest = chain_of(repository, tables, 5)
    folded, made = layout.folded_path(SnapshotId(newest.snapshot), 1), tables.directory / "folded.parquet"
    load(tables, *(f"key-{number}" for number in range(5)))
    references.save_full(tables, made)
    repository.store.write(folded, made.read_bytes())
    fold = Fold(references=repository.describe(folded))
    save_bridges(repository.store, Bridges(repository=repository.id, number=1, written=NOW, folds={newest.snapshot: fold}))
    load(tables, *(f"key-{number}" for number in range(4)), "new")
    assert saved(repository, tables, newest) == (1, [("key-4", "-"), ("new", "+")])
