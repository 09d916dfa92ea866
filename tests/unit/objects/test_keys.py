from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.objects.keys import (
    file_name_fault,
    has_control_character,
    is_inside,
    needs_second_road,
    spans_in_directory_order,
    spans_in_key_order,
)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        "//",
        ".",
        "..",
        "./a",
        "a/.",
        "a/./b",
        "../a",
        "a/..",
        "a/../b",
        "a\nb",
        "a\tb",
        "\x00",
        "a\x1f",
        "\x7f",
    ],
)
def test_keys_that_obstore_cannot_address_take_the_second_road(key: str) -> None:
    assert needs_second_road(key)


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "a/b",
        ".a",
        "a.",
        "...",
        "a/.b",
        "a/b.",
        "..a/b",
        "é",
        "🙂",
        "a b",
        "%41",
        "?",
        "#",
        "\x80",
        "\x85",
        "\u2028",
        "\u00a0/x",
        "a/...b/c",
    ],
)
def test_other_keys_take_the_fast_road(key: str) -> None:
    assert not needs_second_road(key)


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])))
def test_control_characters_are_those_of_ascii(text: str) -> None:
    assert has_control_character(text) == any(ord(character) < 0x20 or ord(character) == 0x7F for character in text)


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../up", "a/../../up", "a/..", "..", "a/./b", "a//b", "a/", "a\0b"])
def test_a_key_that_could_leave_its_directory_is_not_inside(key: str) -> None:
    assert not is_inside(key)
    assert file_name_fault(key) is not None


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("a\nb", "control"),
        ("k" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"),
        ("a/" + "é" * 128 + "/b", "255 bytes"),
        ("a\udc80", "Unicode"),
        ("", "empty"),
        ("a//b", "segment"),
    ],
)
def test_what_no_file_can_be_named_is_explained(key: str, fault: str) -> None:
    assert fault in (file_name_fault(key) or "")


@pytest.mark.parametrize("key", ["a", "k" * 255, "é" * 127, "/".join("abcdefgh" * 10), "x" * 200 + "/" + "y" * 200, " ", "a\\b", "*"])
def test_every_other_key_can_be_a_file_name(key: str) -> None:
    assert file_name_fault(key) is None


NAMES = st.text("a!-0", min_size=1, max_size=2)
KEYS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def walk(keys: set[str], prefix: str, start_after: str | None) -> list[str]:
    """What SeaweedFS lists: a walk over directories; a start names a place in it, and nothing comes of a start outside the prefix."""
    if start_after is not None and not start_after.startswith(prefix):
        return []
    found = sorted((key for key in keys if key.startswith(prefix)), key=lambda key: key.split("/"))
    if start_after is None:
        return found
    start = start_after.split("/")
    inside = start_after if start_after.endswith("/") else start_after + "/"
    return [key for key in found if key.split("/") > start and (start_after.endswith("/") or not key.startswith(inside))]


@settings(max_examples=1000)
@given(st.sets(KEYS, max_size=30), st.none() | KEYS, st.none() | KEYS, st.sampled_from(["", "a", "a/", "a-", "a/0", "0/", "a/!/"]))
def test_the_stretches_of_a_walk_hold_each_key_of_the_range_once(keys: set[str], after: str | None, until: str | None, prefix: str) -> None:
    found = []
    for span in spans_in_directory_order(prefix, after, until):
        for key in walk(keys, prefix, span.start_after):
            if span.is_over(key):
                break
            if (after is None or key > after) and (until is None or key <= until):
                found.append(key)
    expected = [key for key in keys if key.startswith(prefix) and (after is None or key > after) and (until is None or key <= until)]
    assert sorted(found) == sorted(expected)


@given(st.sets(KEYS, max_size=30), st.none() | KEYS, st.none() | KEYS, st.sampled_from(["", "a", "a/", "a-"]))
def test_the_stretch_of_an_ordered_listing_holds_the_range(keys: set[str], after: str | None, until: str | None, prefix: str) -> None:
    found = []
    for span in spans_in_key_order(prefix, after, until):
        for key in sorted(key for key in keys if key.startswith(prefix) and (span.start_after is None or key > span.start_after)):
            if span.is_over(key):
                break
            found.append(key)
    wanted = [key for key in found if after is None or key > after]
    expected = [key for key in keys if key.startswith(prefix) and (after is None or key > after) and (until is None or key <= until)]
    assert sorted(wanted) == sorted(expected)


def test_shards_of_one_directory_cost_no_request_more() -> None:
    assert len(spans_in_directory_order("", "Acme/3", "Acme/5")) == 1
