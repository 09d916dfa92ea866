from __future__ import annotations

import pytest

from lockstep.model.objects import ObjectAttributes, is_md5


def test_an_etag_of_32_hexadecimal_digits_has_the_form_of_an_md5() -> None:
    assert is_md5("d41d8cd98f00b204e9800998ecf8427e")


@pytest.mark.parametrize(
    "etag", [None, "", "d41d8cd98f00b204e9800998ecf8427e-1", "D41D8CD98F00B204E9800998ECF8427E", '"' + "0" * 32 + '"', "0" * 31, "0" * 33]
)
def test_every_other_etag_has_not(etag: str | None) -> None:
    assert not is_md5(etag)


def test_attributes_are_true_when_a_plain_put_would_lose_something() -> None:
    assert not ObjectAttributes()
    assert ObjectAttributes(content_type="image/png")
    assert ObjectAttributes(cache_control="no-store")
    assert ObjectAttributes(metadata={"owner": "alice"})
