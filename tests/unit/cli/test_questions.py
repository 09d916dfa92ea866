from __future__ import annotations

import io
import sys

import pytest

from lockstep.cli.composition import Session
from lockstep.cli.questions import confirm
from lockstep.cli.screen import OutputOptions, Screen
from lockstep.errors import ConfigurationError
from lockstep.progress import SILENT


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def session(*, json: bool = False) -> Session:
    return Session(Screen(OutputOptions(json=json)), SILENT)


@pytest.mark.parametrize(("answer", "agreed"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_person_is_asked(answer: str, agreed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert confirm("Go ahead?", yes=False, session=session()) is agreed
    captured = capsys.readouterr()
    assert "Go ahead?" in captured.err
    assert captured.out == ""


def test_yes_asks_nobody() -> None:
    assert confirm("Go ahead?", yes=True, session=session(json=True))


@pytest.mark.parametrize("json", [True, False])
def test_where_nobody_can_be_asked_nothing_goes_ahead(json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n") if json else io.StringIO("y\n"))
    with pytest.raises(ConfigurationError, match="nobody is there to confirm"):
        confirm("Go ahead?", yes=False, session=session(json=json))
