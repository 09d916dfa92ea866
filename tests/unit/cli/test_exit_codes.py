from __future__ import annotations

import inspect

import pytest

from lockstep import errors
from lockstep.cli.exit_codes import STATUS, ExitStatus, exit_status

ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.LockstepError)]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_has_an_exit_status_on_purpose(kind: type[errors.LockstepError]) -> None:
    assert kind in STATUS or kind is errors.Cancelled, f"put {kind.__name__} into STATUS"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.LockstepError("m", hint="h"), 1),
        (errors.ConfigurationError("m", hint="h"), 2),
        (errors.RepositoryLocked("m", hint="h"), 4),
        (errors.StoreBusy("m", hint="h"), 1),
        (errors.Cancelled(2), 130),
        (errors.Cancelled(15), 143),
    ],
)
def test_the_status_of_an_error_is_that_of_the_contract(error: errors.LockstepError, status: int) -> None:
    assert exit_status(error) == status


def test_a_class_derived_later_has_the_status_of_its_parent() -> None:
    class Narrower(errors.ConfigurationError):
        pass

    assert exit_status(Narrower("m", hint="h")) == ExitStatus.USAGE


def test_every_kind_of_error_has_a_name_of_its_own() -> None:
    kinds = [kind.kind for kind in ERRORS]
    assert len(set(kinds)) == len(kinds)
