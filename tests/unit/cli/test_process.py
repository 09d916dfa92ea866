from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstep.version import __version__


def started(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    program = "import lockstep.cli.main as m; from support.tiny_command import COMMANDS; m.COMMANDS = COMMANDS; m.main()"
    return subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tests.parent / 'src'}:{tests}")


@pytest.mark.usefixtures("on_path")
def test_a_reader_that_goes_away_is_no_news() -> None:
    process = started("failing", "stdout")
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.stderr is not None
    assert "error" not in process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1


@pytest.mark.usefixtures("on_path")
def test_standard_output_that_is_full_is_an_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        return
    with full.open("w", encoding="utf-8") as stream:
        process = started("failing", "stdout", "--quiet", "--json", stdout=stream.fileno())
        _, error = process.communicate()
    assert process.returncode == 1
    assert error.startswith("error: standard output cannot be written: no space left on device\n")


@pytest.mark.usefixtures("on_path")
def test_help_imports_nothing_heavy_and_is_quick() -> None:
    program = (
        "import sys; import lockstep.cli.main as m; status = m.run(['--help']);"
        "heavy = {'duckdb', 'boto3', 'obstore', 'psycopg', 'pyarrow'} & set(sys.modules); sys.exit(str(heavy) if heavy else status)"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    # 0.3 s alone on two slow cores; the rest is what neighbours may take.
    assert time.monotonic() - begun < 5


@pytest.mark.usefixtures("on_path")
def test_lockstep_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "lockstep", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"lockstep {__version__}\n"
