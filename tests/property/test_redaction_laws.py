"""No text that leaves through the redactor holds a secret that it knows."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from lockstep.cli.redaction import ANYWHERE_LENGTH, MASK, Redactor

SURROGATES: tuple[Literal["Cs"]] = ("Cs",)
# Stars are left out: next to the mask they would make a secret of stars come back.
SECRET = st.text(st.characters(exclude_characters="*", exclude_categories=SURROGATES), min_size=ANYWHERE_LENGTH)


@given(st.lists(SECRET, min_size=1, max_size=4), st.lists(st.text(), max_size=4))
def test_a_known_secret_never_comes_through(secrets: list[str], around: list[str]) -> None:
    text = "".join(piece for pair in zip(around + [""] * len(secrets), secrets, strict=False) for piece in pair)
    shown = Redactor(secrets).redact(text)
    assert not any(secret in shown for secret in secrets)


@given(st.text(st.characters(exclude_characters="*:@=", exclude_categories=SURROGATES)), SECRET)
def test_text_without_secrets_is_left_alone(text: str, secret: str) -> None:
    if secret not in text:
        assert Redactor([secret]).redact(text) == text


@given(st.text(), SECRET)
def test_redacting_twice_changes_nothing(text: str, secret: str) -> None:
    redactor = Redactor([secret])
    once = redactor.redact(text + secret)
    assert MASK in once
    assert redactor.redact(once) == once


@given(st.text(st.characters(exclude_characters="/@:'\" *", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1))
def test_the_password_of_a_url_never_comes_through(password: str) -> None:
    assert Redactor().redact(f"cannot reach postgresql://user:{password}@host/db") == "cannot reach postgresql://user:***@host/db"
