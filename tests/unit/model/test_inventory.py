from __future__ import annotations

import json

import pytest

from lockstep.model.inventory import MISMATCHED, attributes_as_text, attributes_from_text
from lockstep.model.objects import ObjectAttributes

FULL = ObjectAttributes(
    content_type="text/plain; charset=utf-8",
    content_encoding="gzip",
    content_disposition='attachment; filename="a,b.txt"',
    content_language="de",
    cache_control="max-age=1",
    metadata={"name": "Jürgen", "empty": "", "b": "2", "a": "1"},
)


def test_attributes_come_back_as_they_went() -> None:
    assert attributes_from_text(attributes_as_text(FULL)) == FULL


def test_no_attributes_are_no_text() -> None:
    assert attributes_as_text(ObjectAttributes()) is None
    assert attributes_from_text(None) == ObjectAttributes()


def test_only_what_is_set_is_written() -> None:
    assert json.loads(attributes_as_text(ObjectAttributes(content_type="image/png")) or "") == {"content_type": "image/png"}


def test_the_same_attributes_give_the_same_text_whatever_their_order() -> None:
    one = attributes_as_text(ObjectAttributes(metadata={"a": "1", "b": "2"}))
    assert one == attributes_as_text(ObjectAttributes(metadata={"b": "2", "a": "1"}))


@pytest.mark.parametrize("text", ["{", "[1]", '{"unknown": 1}', "nonsense"])
def test_a_text_of_somebody_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        attributes_from_text(text)


def test_what_is_there_but_different_is_told_apart_from_what_is_not_there() -> None:
    assert {"wrong_size", "wrong_checksum"} == MISMATCHED
