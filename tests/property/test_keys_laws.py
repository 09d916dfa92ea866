from __future__ import annotations

from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from lockstep.model.keys import can_be_a_file_name, is_store_name

KEYS = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="a./\\\x00\x7f\x85\udc80é", max_size=12),
    st.lists(st.sampled_from(["", ".", "..", "a", "b" * 255, "b" * 256, "é" * 128, "a\n"]), max_size=4).map("/".join),
)


@given(KEYS)
def test_a_file_name_never_leads_out_of_its_directory(key: str) -> None:
    if can_be_a_file_name(key):
        path = PurePosixPath("/place") / key
        assert str(path) == f"/place/{key}"
        assert ".." not in path.parts
        assert all(len(part.encode()) <= 255 for part in path.parts)


@given(KEYS)
def test_a_file_name_survives_the_way_to_the_file_system_and_back(key: str) -> None:
    if can_be_a_file_name(key):
        assert key.encode("utf-8").decode("utf-8") == key
        assert "\0" not in key


@given(st.lists(KEYS, min_size=1, max_size=4))
def test_a_key_is_a_file_name_exactly_if_each_of_its_segments_is(keys: list[str]) -> None:
    assert can_be_a_file_name("/".join(keys)) == all(can_be_a_file_name(key) for key in keys)


@given(st.text(max_size=70))
def test_a_store_name_is_always_a_file_name(name: str) -> None:
    if is_store_name(name):
        assert can_be_a_file_name(name)
        assert "/" not in name
