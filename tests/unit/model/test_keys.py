from __future__ import annotations

import pytest

from lockstep.model.keys import can_be_a_file_name, is_store_name


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "Acme/0c0ffee0-1234",
        "a/b/c",
        "...",
        ".hidden",
        "a/..b",
        "..a",
        "with space",
        " ",
        "end ",
        "-rf",
        "~",
        "*",
        "\\",
        "é",
        "e\u0301",
        "🙂/🙃",
        "%2e%2e",
    ],
)
def test_a_plain_key_can_be_a_file_name(key: str) -> None:
    assert can_be_a_file_name(key)


@pytest.mark.parametrize("key", ["", "/", "/a", "a/", "a//b", "//", ".", "..", "./a", "a/.", "../a", "a/../b", "a/.."])
def test_a_key_with_an_empty_or_a_dot_segment_cannot(key: str) -> None:
    assert not can_be_a_file_name(key)


@pytest.mark.parametrize("character", ["\x00", "\n", "\r", "\t", "\x1f", "\x7f", "\x80", "\x9f"])
@pytest.mark.parametrize("key", ["{}", "a{}b", "a/b{}", "{}/b"])
def test_a_key_with_a_control_character_cannot(key: str, character: str) -> None:
    assert not can_be_a_file_name(key.format(character))


def test_a_segment_may_have_255_bytes_and_not_one_more() -> None:
    assert can_be_a_file_name("d/" + "x" * 255 + "/f")
    assert not can_be_a_file_name("d/" + "x" * 256 + "/f")


def test_the_length_of_a_segment_is_counted_in_bytes() -> None:
    assert can_be_a_file_name("é" * 127)
    assert not can_be_a_file_name("é" * 128)


def test_a_key_that_is_not_unicode_cannot() -> None:
    assert not can_be_a_file_name("a/\udcff")


@pytest.mark.parametrize("name", ["main", "0", "node-1", "a_b", "x" * 63])
def test_a_short_lower_case_word_can_name_a_store(name: str) -> None:
    assert is_store_name(name)


@pytest.mark.parametrize("name", ["", "-a", "_a", "Main", "a/b", "..", "a b", "é", "main\n", "x" * 64])
def test_what_could_lead_elsewhere_cannot_name_a_store(name: str) -> None:
    assert not is_store_name(name)
