from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import cast

import pytest

from lockstep.errors import DatabaseFailed, LockstepError, RepositoryInvalid
from lockstep.tables import references, restores
from lockstep.tables.engine import Tables
from lockstep.tables.references import ReferenceCounts

Row = tuple[str, str, int | None, str | None, str | None]


def rows(tables: Tables, table: str = "references_now") -> list[Row]:
    return [cast("Row", row) for row in tables.rows(f"SELECT store, key, size, etag, sha256 FROM {table} ORDER BY store, key")]


def sizes(tables: Tables, table: str) -> dict[str, int | None]:
    return dict(tables.rows(f"SELECT key, size FROM {table}"))


def csv(blocks: Iterable[bytes], rows: int) -> Generator[bytes, None, int]:
    yield from blocks
    return rows


def load(tables: Tables, **named: int | None) -> None:
    references.load(tables, csv([f"main,{key},{'' if size is None else size},,\n".encode() for key, size in named.items()], len(named)))


def test_every_column_is_loaded(tables: Tables) -> None:
    counts = references.load(tables, csv([b"main,a,1,e1,s1\n", b"other,a,2,,\n"], 2))
    assert counts == ReferenceCounts(objects=2, size_bytes=3)
    assert rows(tables) == [("main", "a", 1, "e1", "s1"), ("other", "a", 2, None, None)]


@pytest.mark.parametrize(
    ("columns", "line", "row"),
    [
        (("key", "size"), b'"a,b",1\n', ("it's", "a,b", 1, None, None)),
        (("store", "key", "size"), b"disk,a,\n", ("disk", "a", None, None, None)),
        (("key", "size", "sha256"), b"a,1,aa\n", ("it's", "a", 1, None, "aa")),
        (("key", "size", "etag"), b"a,1,e\n", ("it's", "a", 1, "e", None)),
    ],
)
def test_columns_that_are_the_same_in_every_row_need_not_travel(tables: Tables, columns: Sequence[str], line: bytes, row: Row) -> None:
    references.load(tables, csv([line], 1), columns=columns, store="it's")
    assert rows(tables) == [row]


def test_nothing_is_loaded_from_nothing(tables: Tables) -> None:
    assert references.load(tables, csv([], 0)) == ReferenceCounts(0, 0)
    assert references.load(tables, csv([b""], 0)) == ReferenceCounts(0, 0)
    assert rows(tables) == []


@pytest.mark.parametrize(
    "key",
    [
        "a,b",
        'say "hi"',
        '"',
        '""',
        "a\nb",
        "\n",
        "a\r\nb",
        "\r",
        "é/🙂",
        "\ufeffbom",
        " lead",
        "end ",
        "NULL",
        "\\N",
        "\\.",
        "#no comment",
        "'q'",
        "a\tb",
    ],
)
def test_a_key_is_loaded_to_the_letter(tables: Tables, key: str) -> None:
    quoted = '"' + key.replace('"', '""') + '"'
    references.load(tables, csv([f"main,first,1,,\nmain,{quoted},2,,\nmain,last,3,,\n".encode()], 3))
    assert sizes(tables, "references_now") == {"first": 1, key: 2, "last": 3}


def test_a_row_without_a_key_names_nothing_and_an_empty_key_is_a_key(tables: Tables) -> None:
    assert references.load(tables, csv([b'main,,1,,\nmain,"",2,,\n'], 1)) == ReferenceCounts(1, 2)
    assert rows(tables) == [("main", "", 2, None, None)]


def test_an_empty_text_is_not_taken_for_null(tables: Tables) -> None:
    references.load(tables, csv([b'main,a,,"",\n'], 1))
    assert rows(tables) == [("main", "a", None, "", None)]


def test_a_block_may_end_anywhere(tables: Tables) -> None:
    whole = '"main","a,""é\nb",12,,\nmain,c,3,,\n'.encode()
    references.load(tables, csv((whole[position : position + 1] for position in range(len(whole))), 2))
    assert sizes(tables, "references_now") == {'a,"é\nb': 12, "c": 3}


def test_the_last_row_need_not_end_with_a_newline(tables: Tables) -> None:
    references.load(tables, csv([b"main,a,1,,\nmain,b,2,,"], 2))
    assert sizes(tables, "references_now") == {"a": 1, "b": 2}


def test_many_blocks_of_awkward_keys_all_arrive(tables: Tables) -> None:
    named = {f'{number}\n"{number}",\r': number for number in range(40_000)}

    blocks = (f'main,"{key.replace(chr(34), chr(34) * 2)}",{size},,\n'.encode() for key, size in named.items())
    assert references.load(tables, csv(blocks, len(named))).objects == len(named)
    assert sizes(tables, "references_now") == named


def test_two_rows_of_one_object_are_one_reference(tables: Tables) -> None:
    assert references.load(tables, csv([b"main,a,5,,\nmain,b,1,,\nmain,a,5,,\n"], 3)) == ReferenceCounts(2, 6)
    assert sizes(tables, "references_now") == {"a": 5, "b": 1}


def test_one_key_in_two_stores_is_two_objects(tables: Tables) -> None:
    assert references.load(tables, csv([b"main,a,5,,\nother,a,6,,\n"], 2)) == ReferenceCounts(2, 11)


def test_rows_that_disagree_about_a_size_can_equal_no_object(tables: Tables) -> None:
    assert references.load(tables, csv([b"main,a,5,,\nmain,a,6,,\nmain,b,1,,\n"], 3)) == ReferenceCounts(2, 1)
    assert sizes(tables, "references_now") == {"a": -1, "b": 1}


def test_a_row_that_knows_the_size_speaks_for_one_that_does_not(tables: Tables) -> None:
    references.load(tables, csv([b"main,a,,,\nmain,a,6,,\nmain,b,,,\nmain,b,,,\n"], 4))
    assert sizes(tables, "references_now") == {"a": 6, "b": None}


def test_loading_again_replaces_what_was_loaded(tables: Tables) -> None:
    load(tables, a=1, b=2)
    load(tables, c=3)
    assert sizes(tables, "references_now") == {"c": 3}


@pytest.mark.parametrize(("rows_sent", "rows_counted"), [(2, 3), (3, 2), (0, 1)])
def test_a_reference_that_gets_lost_on_the_way_is_missed(tables: Tables, rows_sent: int, rows_counted: int) -> None:
    with pytest.raises(LockstepError, match=f"of {rows_counted} references {rows_sent} arrived"):
        references.load(tables, csv([f"main,{number},1,,\n".encode() for number in range(rows_sent)], rows_counted))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("before", [0, 1, 200_000])
def test_an_error_of_the_feeding_generator_is_raised_and_nothing_hangs(tables: Tables, before: int) -> None:
    def blocks() -> Generator[bytes, None, int]:
        for number in range(before):
            yield f"main,{number},1,,\n".encode()
        raise DatabaseFailed("the server went away", hint="Start it.")

    with pytest.raises(DatabaseFailed, match="the server went away"):
        references.load(tables, blocks())
    assert not [thread for thread in threading.enumerate() if thread.name == "references"]
    load(tables, a=1)  # nothing is left in the way of another attempt
    assert sizes(tables, "references_now") == {"a": 1}


@pytest.mark.timeout(20)
def test_a_row_that_cannot_be_read_ends_the_feeding_and_nothing_hangs(tables: Tables) -> None:
    def blocks() -> Generator[bytes, None, int]:
        yield b"main,a,not a number,,\n"
        for number in range(400_000):
            yield f"main,{number},1,,\n".encode()
        return 400_001

    with pytest.raises(RepositoryInvalid):
        references.load(tables, blocks())
    assert not [thread for thread in threading.enumerate() if thread.name == "references"]


@pytest.mark.timeout(20)
def test_a_reader_that_fails_before_it_opens_the_pipe_does_not_leave_the_feeder_waiting(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RepositoryInvalid("cannot be read", hint="Look.")

    monkeypatch.setattr(tables, "run", fails)
    for _ in range(50):
        with pytest.raises(RepositoryInvalid):
            references.load(tables, csv([b"main,a,1,,\n"], 1))
    assert not [thread for thread in threading.enumerate() if thread.name == "references"]


def test_a_chain_of_one_is_its_full_list(tables: Tables, tmp_path: Path) -> None:
    load(tables, a=1, b=None)
    references.save_full(tables, tmp_path / "full.parquet")
    references.replay(tables, [tmp_path / "full.parquet"], into="named")
    assert sizes(tables, "named") == {"a": 1, "b": None}


def test_changes_hold_only_what_changed(tables: Tables, tmp_path: Path) -> None:
    load(tables, a=1, b=2, c=3, d=None)
    references.save_full(tables, tmp_path / "it's full.parquet")
    references.replay(tables, [tmp_path / "it's full.parquet"], into="before")
    load(tables, a=1, b=22, d=None, e=5)
    references.save_changes(tables, tmp_path / "it's changed.parquet", since="before")
    found = list(tables.rows("SELECT key, size, change FROM read_parquet($1)", [str(tmp_path / "it's changed.parquet")]))
    assert found == [("b", 22, "+"), ("c", 3, "-"), ("e", 5, "+")]


def test_a_size_that_becomes_known_or_unknown_is_a_change(tables: Tables, tmp_path: Path) -> None:
    load(tables, a=None, b=2)
    references.save_full(tables, tmp_path / "0.parquet")
    references.replay(tables, [tmp_path / "0.parquet"], into="before")
    load(tables, a=1, b=None)
    references.save_changes(tables, tmp_path / "1.parquet", since="before")
    references.replay(tables, [tmp_path / "0.parquet", tmp_path / "1.parquet"], into="named")
    assert sizes(tables, "named") == {"a": 1, "b": None}


def test_the_later_change_counts(tables: Tables, tmp_path: Path) -> None:
    files = []
    for number, named in enumerate(({"a": 1}, {}, {"a": 2}, {}, {"a": 3, "b": 1})):
        load(tables, **named)
        files.append(tmp_path / f"{number}.parquet")
        if number == 0:
            references.save_full(tables, files[-1])
        else:
            references.replay(tables, files[:-1], into="before")
            references.save_changes(tables, files[-1], since="before")
    replayed = []
    for length in range(1, 6):
        references.replay(tables, files[:length], into="named")
        replayed.append(sizes(tables, "named"))
    assert replayed == [{"a": 1}, {}, {"a": 2}, {}, {"a": 3, "b": 1}]


def test_a_damaged_file_of_a_chain_is_the_repositorys_fault(tables: Tables, tmp_path: Path) -> None:
    (tmp_path / "full.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(RepositoryInvalid, match="a table cannot be read"):
        references.replay(tables, [tmp_path / "full.parquet"], into="named")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"a": 1, "b": None}, True),
        ({"b": None, "a": 1}, True),
        ({"a": 1}, False),
        ({"a": 1, "b": None, "c": 1}, False),
        ({"a": 2, "b": None}, False),
        ({"a": 1, "b": 0}, False),
    ],
)
def test_references_are_the_same_when_objects_and_sizes_are(tables: Tables, other: dict[str, int | None], *, same: bool) -> None:
    load(tables, a=1, b=None)
    tables.run("CREATE TABLE left_side AS FROM references_now")
    load(tables, **other)
    assert restores.same_references(tables, "left_side", "references_now") is same
    assert restores.same_references(tables, "references_now", "left_side") is same


def test_one_key_of_two_stores_is_not_the_same_reference(tables: Tables) -> None:
    references.load(tables, csv([b"main,a,1,,\n"], 1))
    tables.run("CREATE TABLE left_side AS FROM references_now")
    references.load(tables, csv([b"other,a,1,,\n"], 1))
    assert not restores.same_references(tables, "left_side", "references_now")
