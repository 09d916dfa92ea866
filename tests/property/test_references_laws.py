from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.tables import references
from lockstep.tables.engine import TableLimits, Tables

References = Mapping[tuple[str, str], int | None]

KEYS = st.one_of(
    st.sampled_from(["a", "b", "a/b", "", "é", '"', ",", "\n", "\r", "a\r\nb", "'", "\\N"]),
    st.text(alphabet=st.characters(codec="utf-8"), max_size=8),
)
STORES = st.sampled_from(["main", "node-1"])
SIZES = st.one_of(st.none(), st.integers(-1, 3), st.integers(0, 2**62))
SETS = st.dictionaries(st.tuples(STORES, KEYS), SIZES, max_size=8)


@settings(max_examples=25)
@given(named=SETS, cut=st.integers(1, 7))
def test_what_is_written_as_csv_is_loaded_as_it_was(named: References, cut: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tables = Tables(Path(directory), limits=TableLimits(threads=1))
        load(tables, named, cut=cut)
        assert read(tables, "references_now") == named
        tables.close()


@settings(max_examples=15)
@given(history=st.lists(SETS, min_size=1, max_size=5))
def test_replaying_a_chain_gives_each_of_its_sets_exactly(history: list[References]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tables, files = Tables(Path(directory), limits=TableLimits(threads=1)), []
        for number, named in enumerate(history):
            load(tables, named)
            files.append(Path(directory) / f"{number}.parquet")
            if number == 0:
                references.save_full(tables, files[-1])
            else:
                references.replay(tables, files[:-1], into="before")
                references.save_changes(tables, files[-1], since="before")
        for number, named in enumerate(history):
            references.replay(tables, files[: number + 1], into="named")
            assert read(tables, "named") == named
        tables.close()


@settings(max_examples=15)
@given(before=SETS, after=SETS)
def test_changes_name_each_object_at_most_once_and_nothing_that_stayed(before: References, after: References) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tables, full, changed = (
            Tables(Path(directory), limits=TableLimits(threads=1)),
            Path(directory) / "0.parquet",
            Path(directory) / "1.parquet",
        )
        load(tables, before)
        references.save_full(tables, full)
        references.replay(tables, [full], into="before")
        load(tables, after)
        references.save_changes(tables, changed, since="before")
        found = list(tables.rows("SELECT store, key, size, change FROM read_parquet($1)", [str(changed)]))
        added = {(store, key): size for store, key, size, change in found if change == "+"}
        gone = {(store, key) for store, key, _, change in found if change == "-"}
        assert len(found) == len(added) + len(gone)
        assert added == {name: size for name, size in after.items() if name not in before or before[name] != size}
        assert gone == before.keys() - after.keys()
        tables.close()


def load(tables: Tables, named: References, *, cut: int = 1000) -> None:
    whole = "".join(f"{store},{quoted(key)},{'' if size is None else size},,\n" for (store, key), size in named.items()).encode()

    def blocks() -> Generator[bytes, None, int]:
        for start in range(0, len(whole), cut):
            yield whole[start : start + cut]
        return len(named)

    references.load(tables, blocks())


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def read(tables: Tables, table: str) -> dict[tuple[str, str], int | None]:
    return {(store, key): size for store, key, size in tables.rows(f"SELECT store, key, size FROM {table}")}
