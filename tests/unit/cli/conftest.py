"""A command line of small commands, in an environment that says nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockstep.cli.main import run
from support.tiny_command import COMMANDS, Said, Say


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("LOCKSTEP_", "AWS_", "PG")) or name in {"NO_COLOR", "FORCE_COLOR"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def said(*arguments: str) -> Said:
        status = run(arguments, commands=COMMANDS)
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return said
