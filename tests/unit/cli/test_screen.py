from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from lockstep.cli.screen import OutputOptions, Result, Screen, as_json, json_pieces


@dataclass(frozen=True)
class Thing:
    name: str
    password: str = field(default="hunter22", repr=False)


def test_values_have_their_form_in_json() -> None:
    zone = timezone(timedelta(hours=2))
    value = {"at": datetime(2026, 11, 22, 14, 40, tzinfo=zone), "path": Path("/a"), "set": {"b", "a"}, "thing": Thing("x")}
    assert json.loads(as_json(value)) == {"at": "2026-11-22T12:40:00Z", "path": "/a", "set": ["a", "b"], "thing": {"name": "x"}}


def test_what_has_no_form_in_json_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        as_json(object())
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json(float("nan"))


@pytest.mark.parametrize("items", [[], [1], [1, {"a": "é\n"}]])
def test_iterators_become_lists_item_by_item(items: list[object]) -> None:
    assert json.loads("".join(json_pieces({"n": 1, "items": iter(items), "z": None}))) == {"n": 1, "items": items, "z": None}


def test_an_error_after_a_result_was_begun_adds_no_second_object(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(OutputOptions(json=True))
    screen.emit(Result({"at": datetime(2026, 1, 1, tzinfo=UTC)}, ""))
    screen.show_error("failed", "too late", hint="Look.")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"at": "2026-01-01T00:00:00Z"}
    assert captured.err == "error: too late\nhint: Look.\n"


def test_an_empty_text_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().emit(Result({}, ""))
    assert capsys.readouterr().out == ""
