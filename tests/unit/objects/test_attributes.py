from __future__ import annotations

import pytest

from lockstep.errors import KeyRefused
from lockstep.model.objects import ObjectAttributes
from lockstep.objects import attributes

FULL = ObjectAttributes("text/plain", "gzip", "inline", "fr", "no-cache", {"colour": "blue"})


def test_attributes_survive_both_spellings() -> None:
    assert attributes.from_obstore(attributes.as_obstore(FULL) or {}) == FULL
    assert attributes.from_boto(attributes.as_boto(FULL)) == FULL
    assert attributes.as_obstore(ObjectAttributes(content_type="a/b")) == {"Content-Type": "a/b"}


def test_nothing_stays_nothing() -> None:
    for nothing in (None, ObjectAttributes()):
        assert attributes.as_obstore(nothing) is None
        assert attributes.as_boto(nothing) == {}
    assert attributes.from_obstore({}) == attributes.from_boto({}) == ObjectAttributes()


def test_a_storage_class_is_no_metadata() -> None:
    assert attributes.from_obstore({"Storage-Class": "GLACIER"}) == ObjectAttributes()


@pytest.mark.parametrize("metadata", [{"naïve": "x"}, {"a b": "x"}, {"": "x"}, {"a": "é"}, {"a": "x\r\ny"}])
def test_what_no_header_can_carry_is_refused(metadata: dict[str, str]) -> None:
    for spell in (attributes.as_obstore, attributes.as_boto):
        with pytest.raises(KeyRefused):
            spell(ObjectAttributes(metadata=metadata))


def test_metadata_named_like_a_header_takes_the_second_road() -> None:
    assert attributes.needs_second_road(ObjectAttributes(metadata={"content-type": "x"}))
    assert not attributes.needs_second_road(FULL)
    assert not attributes.needs_second_road(None)
