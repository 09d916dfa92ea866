"""Connection strings are read as libpq reads them, and shown without their secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lockstep.errors import ConfigurationError
from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres.addresses import database_name, parameters, shown, where, with_database


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSERVICE", "PGSERVICEFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("conninfo", "text"),
    [
        ("postgresql://u:secret@db.example:5433/parsec", "postgresql://u:***@db.example:5433/parsec"),
        ("postgres://u:s%40cret@db.example/parsec?sslmode=require", "postgresql://u:***@db.example/parsec?sslmode=require"),
        ("postgresql://u@h/d?password=secret&sslpassword=secret", "postgresql://u:***@h/d?sslpassword=***"),
        ("postgresql://u:secret@h1:1,h2:2/d", "postgresql://u:***@h1:1,h2:2/d"),
        ("postgresql://u:secret@[::1]:5432/d", "postgresql://u:***@[::1]:5432/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql://%2Frun%2Fpostgresql/d"),
        ("host=h dbname=d user=u password=secret", "host=h dbname=d user=u password=***"),
        ("host=h password='se cret' sslpassword=secret", "host=h password=*** sslpassword=***"),
        ("host=h password=se cret", "(unreadable database address)"),
        ("postgresql://u:se@cret@h/d", "(unreadable database address)"),
    ],
)
def test_an_address_is_shown_without_its_secrets(conninfo: str, text: str) -> None:
    assert shown(DatabaseAddress(conninfo)) == text
    assert "cret" not in repr(DatabaseAddress(conninfo))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=8))
def test_no_password_shows_whatever_is_in_it(password: str) -> None:
    address = DatabaseAddress(make_conninfo("", host="h", dbname="d", password=f"<{password}>"))
    assert f"<{password}>" not in shown(address)
    assert parameters(address)["password"] == f"<{password}>"


def test_what_is_shown_can_be_used_but_for_the_password() -> None:
    address = DatabaseAddress("postgresql://us%2Fer:secret@h1:1,[::1]:2/da%3Fta?application_name=a%26b&sslmode=disable")
    again = conninfo_to_dict(shown(address))
    assert {**again, "password": "secret"} == conninfo_to_dict(address.conninfo)


@pytest.mark.parametrize(
    ("conninfo", "says"),
    [
        ("host=h passwrod=secret", 'did you mean "password"?'),
        ("host=h password=se cret", "a value with spaces that is not quoted"),
        ("host=h password='secret", "a quote that does not end"),
        ("postgresql://u:secret%zz@h/d", "percent-encoded"),
        ("postgresql://u:se/cret@h/d", "bare @ or /"),
    ],
)
def test_a_malformed_address_is_explained_without_quoting_it(conninfo: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parameters(DatabaseAddress(conninfo))
    assert says in raised.value.message
    assert "cret" not in raised.value.message
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_the_database_is_that_of_the_address_the_variable_or_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_name(DatabaseAddress("host=h user=anna")) == "anna"
    monkeypatch.setenv("PGDATABASE", "from_variable")
    assert database_name(DatabaseAddress("host=h user=anna")) == "from_variable"
    assert database_name(DatabaseAddress("postgresql://anna@h/own")) == "own"
    monkeypatch.delenv("PGDATABASE")
    assert database_name(DatabaseAddress("service=somewhere user=anna")) is None


def test_another_database_of_the_same_server_keeps_everything_else() -> None:
    address = with_database(DatabaseAddress("postgresql://u:pw@h:1/d?sslmode=require", client_programs="/x"), "it's")
    assert parameters(address) == {"user": "u", "password": "pw", "host": "h", "port": "1", "dbname": "it's", "sslmode": "require"}
    assert address.client_programs == "/x"


def test_a_place_is_named_with_server_database_and_user() -> None:
    assert where({"host": "db.example", "port": "5433", "dbname": "parsec", "user": "backup"}) == (
        'db.example:5433, database "parsec", user "backup"'
    )
    assert where({}) == "the local socket:5432"
