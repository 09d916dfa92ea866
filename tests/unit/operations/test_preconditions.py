from __future__ import annotations

from typing import Any, cast

import pytest

from lockstep.errors import PermissionMissing
from lockstep.operations import preconditions
from lockstep.operations.preconditions import refuse_unreadable
from lockstep.postgres.connection import Database
from lockstep.postgres.privileges import ReadingRights

NO_DATABASE = cast("Database", None)
TABLES = tuple(f"table public.t{number}" for number in range(1, 6))


@pytest.fixture
def rights(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the role lacks; that `read_rights` finds it is proven with real servers."""

    def lacking(*unreadable: str, large_objects: tuple[str, ...] = (), filtered: tuple[str, ...] = ()) -> None:
        found = ReadingRights("app", 5, 0, unreadable, large_objects, filtered)
        monkeypatch.setattr(preconditions, "read_rights", lambda _database: found)

    return lacking


@pytest.mark.parametrize(
    ("unreadable", "large_objects", "named"),
    [
        (TABLES[:1], (), "table public.t1"),
        (TABLES[:3], (), "table public.t1, table public.t2, table public.t3"),
        (TABLES, ("4711",), "table public.t1, table public.t2, table public.t3 and 3 more"),
        ((), ("4711",), "large object 4711"),
    ],
)
def test_a_role_that_cannot_read_everything_is_refused_with_some_names_and_the_grant(
    rights: Any, unreadable: tuple[str, ...], large_objects: tuple[str, ...], named: str
) -> None:
    rights(*unreadable, large_objects=large_objects)
    with pytest.raises(PermissionMissing) as caught:
        refuse_unreadable(NO_DATABASE)
    assert caught.value.message == f'the user "app" may not read {named}'
    assert "GRANT pg_read_all_data TO app" in caught.value.hint


def test_a_role_that_can_read_everything_may_go_on(rights: Any) -> None:
    rights()
    refuse_unreadable(NO_DATABASE)
