from __future__ import annotations

import sys

import pytest

from lockstep.cli.redaction import Redactor, redacted_stderr


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("hunter2222", "xhunter2222x", "x***x"),
        ("hunter2", "is hunter2, not hunter2s", "is ***, not hunter2s"),
        ("sk", "the disk asks sk", "the disk asks sk"),
        ("sk", "secret_access_key='sk'", "secret_access_key='***'"),
        ("sk", "http://ak:sk@host", "http://ak:***@host"),
        ("a.c+d", "a.c+d abc+d", "*** abc+d"),
    ],
)
def test_a_secret_is_taken_out_where_it_stands_for_itself(secret: str, text: str, shown: str) -> None:
    assert Redactor([secret]).redact(text) == shown


def test_a_password_that_equals_a_public_name_goes_only_where_a_password_stands() -> None:
    redactor = Redactor(["parsec-cloud"], public=["parsec-cloud"])
    assert redactor.redact("database parsec-cloud, password=parsec-cloud") == "database parsec-cloud, password=***"
    assert redactor.redact("postgresql://parsec-cloud:parsec-cloud@h") == "postgresql://parsec-cloud:***@h"


def test_the_longest_of_overlapping_secrets_goes_first() -> None:
    assert Redactor(["long-secret", "long-secret-and-longer"]).redact("long-secret-and-longer") == "***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:unknown@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("host=h password=unknown user=u", "host=h password=*** user=u"),
        (r"password='un\'known' user=u", "password=*** user=u"),
        ("http://host:9000/path", "http://host:9000/path"),
        ("mail a:b@c", "mail a:b@c"),
    ],
)
def test_passwords_that_nobody_named_go_too(text: str, shown: str) -> None:
    assert Redactor().redact(text) == shown


def test_texts_inside_values_are_redacted() -> None:
    value = {"a": ["hunter2222", 1, None], "b": {"c": "x hunter2222"}}
    assert Redactor(["hunter2222"]).redact_value(value) == {"a": ["***", 1, None], "b": {"c": "x ***"}}


def test_whoever_writes_to_standard_error_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    with redacted_stderr(Redactor(["hunter2222"])):
        sys.stderr.write("a hunter2222\n")
        sys.stderr.writelines(["hunter2222", "\n"])
        sys.stderr.flush()
    assert sys.stderr is before
    assert capsys.readouterr().err == "a ***\n***\n"
