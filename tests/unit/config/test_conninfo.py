from __future__ import annotations

import pytest

from lockstep.config.conninfo import is_conninfo, passwords_in, public_names_in


@pytest.mark.parametrize(
    ("conninfo", "passwords"),
    [
        ("postgresql://u:p%40ss@h/db", {"p%40ss", "p@ss"}),
        ("postgres://u:pa/ss@h:5432/db", {"pa/ss"}),
        ("postgresql://u@h/db?password=p1&sslpassword=p2", {"p1", "p2"}),
        ("postgresql://u@h/db", set()),
        ("postgresql://h:5432/db", set()),
        ("host=h password=secret user=u", {"secret"}),
        (r"password = 'it\'s' host=h", {"it's"}),
        ("host=h", set()),
        ("", set()),
    ],
)
def test_passwords_are_found_wherever_they_stand(conninfo: str, passwords: set[str]) -> None:
    assert passwords_in(conninfo) == passwords


@pytest.mark.parametrize(
    ("conninfo", "names"),
    [
        ("postgresql://parsec:parsec@a:1,b:2/vlobs", {"parsec", "a", "b", "1", "2", "vlobs"}),
        ("host=h dbname=d user=u password=p", {"h", "d", "u"}),
    ],
)
def test_public_names_are_told_apart(conninfo: str, names: set[str]) -> None:
    assert public_names_in(conninfo) == names


@pytest.mark.parametrize("text", ["", "postgresql://h/d", "postgres:///d?host=/run", "host=h", "service=x dbname='a b'"])
def test_connection_strings_are_recognised(text: str) -> None:
    assert is_conninfo(text)


@pytest.mark.parametrize("text", ["mysql://h/d", "parsec", "/var/run", "http://h?a=b"])
def test_what_is_none_is_not(text: str) -> None:
    assert not is_conninfo(text)
