from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.model.raid import BrokenStripe, chunk_bytes, home_of, join_object, solve_stripe, split_object

OBJECTS = st.binary(max_size=700)
NODES = st.integers(min_value=3, max_value=8)


@given(OBJECTS, NODES)
def test_an_object_that_was_split_is_joined_from_all_and_from_any_chunks_but_one(data: bytes, nodes: int) -> None:
    chunks = split_object(data, nodes)
    assert join_object(chunks) == data
    for lacking in range(nodes):
        assert join_object([None if number == lacking else chunk for number, chunk in enumerate(chunks)]) == data


@given(OBJECTS, NODES)
def test_every_node_holds_as_much_and_no_chunk_is_longer_than_it_must_be(data: bytes, nodes: int) -> None:
    chunks = split_object(data, nodes)
    length = chunk_bytes(len(data), nodes)
    assert [len(chunk) for chunk in chunks] == [length] * nodes
    assert len(data) + 4 <= length * (nodes - 1) < len(data) + 4 + nodes - 1


@given(OBJECTS, NODES)
def test_the_chunks_in_a_row_are_the_length_the_object_and_zeros(data: bytes, nodes: int) -> None:
    whole = b"".join(split_object(data, nodes)[:-1])
    assert whole[:4] == len(data).to_bytes(4, "big")
    assert whole[4 : 4 + len(data)] == data
    assert set(whole[4 + len(data) :]) <= {0}


@given(OBJECTS, NODES)
def test_the_exclusive_or_of_all_chunks_and_the_parity_is_nothing(data: bytes, nodes: int) -> None:
    for place in zip(*split_object(data, nodes), strict=True):
        total = 0
        for byte in place:
            total ^= byte
        assert total == 0


@given(OBJECTS, NODES, st.data())
def test_of_two_lacking_chunks_no_object_is_made(data: bytes, nodes: int, choice: st.DataObject) -> None:
    gone = choice.draw(st.lists(st.integers(0, nodes - 1), min_size=2, max_size=nodes, unique=True))
    with pytest.raises(BrokenStripe):
        join_object([None if number in gone else chunk for number, chunk in enumerate(split_object(data, nodes))])


@given(OBJECTS, NODES, st.data())
def test_a_chunk_that_was_altered_gives_the_object_or_nothing_but_never_another_one(data: bytes, nodes: int, choice: st.DataObject) -> None:
    chunks: list[bytes | None] = list(split_object(data, nodes))
    number = choice.draw(st.integers(0, nodes - 1))
    altered = choice.draw(st.binary(max_size=chunk_bytes(len(data), nodes) + 3))
    right, chunks[number] = chunks[number], altered
    try:
        found, wrong = solve_stripe(chunks, size=len(data))
    except BrokenStripe:
        assert altered != right
    else:
        assert found == data
        assert wrong == (None if altered == right else number)


@given(OBJECTS, NODES, st.data())
def test_a_chunk_of_another_length_is_always_found_out(data: bytes, nodes: int, choice: st.DataObject) -> None:
    chunks: list[bytes | None] = list(split_object(data, nodes))
    number = choice.draw(st.integers(0, nodes - 1))
    chunks[number] = choice.draw(st.binary(max_size=900).filter(lambda other: len(other) != chunk_bytes(len(data), nodes)))
    assert solve_stripe(chunks) == (data, number)


@given(st.uuids(), st.text(max_size=8), st.integers(1, 9))
def test_an_object_has_one_home_with_hyphens_and_without(block: uuid.UUID, organization: str, nodes: int) -> None:
    assert home_of(f"{organization}/{block}", nodes) == home_of(f"{organization}/{block.hex}", nodes) == block.int % nodes


@pytest.mark.parametrize("key", ["", "Acme/", "Acme/1", "Acme/" + "0" * 31, "Acme/" + "g" * 32, "Acme/" + "٣" * 32, "0" * 32 + "/x"])
def test_a_key_without_a_block_id_has_no_home(key: str) -> None:
    assert home_of(key, 3) is None
