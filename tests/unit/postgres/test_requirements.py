"""What a target lacks is told in sentences; what it has is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep.model.database import DatabaseFacts
from lockstep.postgres.requirements import missing_on_target
from lockstep.postgres.target import TargetState, plain_locale

FACTS = DatabaseFacts(
    name="parsec",
    server_version="16.10",
    server_major=16,
    encoding="UTF8",
    collate="en_US.UTF-8",
    ctype="en_US.UTF-8",
    locale_provider="libc",
    owner="parsec",
    size_bytes=1,
    extensions={"plpgsql": "1.0"},
    roles=("parsec", "reader"),
)
TARGET = TargetState(
    name="parsec",
    exists=False,
    empty=False,
    owner=None,
    sessions=0,
    server_version="16.3",
    server_major=16,
    user="admin",
    superuser=True,
    may_create=True,
    leftovers=(),
    extensions=frozenset({"plpgsql", "citext"}),
    roles=frozenset({"admin", "parsec", "reader"}),
    settable_roles=frozenset({"admin", "parsec", "reader"}),
    locales=frozenset({"c", "posix", "en_us.utf8"}),
    icu=True,
)


def messages(facts: DatabaseFacts, target: TargetState, *, keep_owners: bool = True, in_place: bool = False) -> list[str]:
    return [lack.message for lack in missing_on_target(facts, target, keep_owners=keep_owners, in_place=in_place)]


def test_nothing_is_missing_where_all_is_there() -> None:
    assert messages(FACTS, TARGET) == []


@pytest.mark.parametrize(
    ("facts", "target", "says"),
    [
        (replace(FACTS, collate="de_DE.UTF-8"), TARGET, 'the locale "de_DE.UTF-8" of the database is not installed'),
        (replace(FACTS, locale_provider="icu", locale="de"), replace(TARGET, icu=False), 'ICU locale "de"'),
        (replace(FACTS, locale_provider="icu", locale="de"), replace(TARGET, server_major=14, server_version="14.9"), "has no ICU"),
        (replace(FACTS, locale_provider="builtin", locale="C.UTF-8"), TARGET, 'the builtin locale "C.UTF-8"'),
        (replace(FACTS, locale_provider="builtin", locale="PG_UNICODE_FAST"), replace(TARGET, server_major=17), "PG_UNICODE_FAST"),
        (replace(FACTS, extensions={"postgis": "3"}), TARGET, 'the extension "postgis" is not installed'),
        (replace(FACTS, roles=("gone",)), TARGET, 'the role "gone" does not exist'),
        (FACTS, replace(TARGET, settable_roles=frozenset({"admin"})), 'may not make a database for the role "parsec"'),
        (
            replace(FACTS, owners=("reader",)),
            replace(TARGET, settable_roles=frozenset({"parsec"})),
            'may not make objects for the role "reader"',
        ),
        (FACTS, replace(TARGET, may_create=False), "may not create databases"),
    ],
)
def test_each_lack_is_one_sentence(facts: DatabaseFacts, target: TargetState, says: str) -> None:
    found = messages(facts, target)
    assert len(found) == 1
    assert says in found[0]


def test_roles_do_not_matter_when_owners_are_left_out() -> None:
    assert messages(replace(FACTS, roles=("gone",)), replace(TARGET, settable_roles=frozenset()), keep_owners=False) == []


def test_locale_and_createdb_do_not_matter_in_place() -> None:
    assert messages(replace(FACTS, collate="de_DE.UTF-8"), replace(TARGET, may_create=False), in_place=True) == []


def test_builtin_locales_are_there_from_17_on() -> None:
    assert messages(replace(FACTS, locale_provider="builtin", locale="C.UTF-8"), replace(TARGET, server_major=17)) == []


def test_spellings_of_a_locale_are_one() -> None:
    assert plain_locale("en_US.UTF-8") == plain_locale("en_US.utf8") == "en_us.utf8"
    assert plain_locale("C") == "c"
