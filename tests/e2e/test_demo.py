"""The demo as a stranger meets it: it tells the truth, it can be stopped anywhere, and nothing of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockstep.cli.main import run
from lockstep.demo.size import DemoSize
from lockstep.demo.story import tell
from lockstep.objects.open import open_store
from lockstep.operations import restore as restoring
from lockstep.operations.browse import list_snapshots
from lockstep.postgres.connection import open_database
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.progress import Event, StageStarted
from support.fixture_types import Lockstep

SMALL = DemoSize(
    organizations=2, workspaces_each=2, small_blocks=40, large_blocks=2, vlobs=30, pause_seconds=0.02, files_between=10, files_after=3
)
STEPS = [
    "servers", "fill", "backup", "more files", "second backup", "disaster", "new servers", "restore", "proof", "new file",
]  # fmt: skip

ASTRAY = {
    "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9",
    "AWS_PROFILE": "nobody", "AWS_CA_BUNDLE": "/nowhere", "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "PGSERVICE": "nobody", "PGHOSTADDR": "127.0.0.9", "PGOPTIONS": "-c search_path=nowhere", "PGDATESTYLE": "German",
}  # fmt: skip
"""What a shell may say of other servers and of the way to them."""


@pytest.fixture
def temporary(lockstep_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where everything temporary of the test goes. As root, the server's account can enter it."""
    with tempfile.TemporaryDirectory(prefix="lockstep-test-") as name:
        directory = Path(name).resolve()
        directory.chmod(0o1777)
        lockstep_environment["TMPDIR"] = str(directory)
        monkeypatch.setattr(tempfile, "tempdir", str(directory))
        yield directory


@pytest.fixture
def private_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for temporary files that nobody else can enter, as some systems give one to each account, root included."""
    directory = tmp_path / "tmp"
    directory.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def processes_of(temporary: Path) -> list[str]:
    """The processes that were told of a directory, by argument or environment; none where the system does not show them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if str(temporary).encode() in told:
            found.append(told.decode(errors="replace"))
    return found


def test_demo_loses_both_stores_and_proves_that_nothing_is_lost(lockstep: Lockstep, temporary: Path) -> None:
    ran = lockstep("demo", "--json", env=ASTRAY, timeout_seconds=200)
    assert ran.returncode == 0, ran.stderr
    document = ran.json
    assert document["ok"] is True
    assert document["findings"] == []
    assert [step["name"] for step in document["steps"]] == STEPS
    assert document["rows_compared"] > 4_000
    assert document["objects_compared"] > 2_100
    details = {step["name"]: step["detail"] for step in document["steps"]}
    assert "new of" in details["second backup"]
    assert "no LIST" in details["second backup"]
    assert document["left_out"] >= DemoSize().files_after
    assert document["seconds"] < 120  # 19 s alone on two cores, and 60 are promised; the rest is what neighbours may take
    assert list(temporary.iterdir()) == []
    assert processes_of(temporary) == []


@pytest.mark.parametrize(("moment", "number"), [("starting a PostgreSQL server", signal.SIGTERM), ("objects: started", signal.SIGINT)])
def test_demo_that_is_stopped_leaves_nothing_behind(
    moment: str, number: signal.Signals, temporary: Path, lockstep_environment: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "lockstep", "demo"]
    with subprocess.Popen(command, env=lockstep_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if moment in line:
                process.send_signal(number)
                break
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert output == ""
    assert list(temporary.iterdir()) == []
    assert processes_of(temporary) == []


def test_demo_that_is_stopped_after_the_disaster_leaves_the_directory_as_it_was(tmp_path: Path, temporary: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "comparing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tell(tmp_path / "kept", size=SMALL, listener=stop)
    assert not (tmp_path / "kept").exists()
    assert list(temporary.iterdir()) == []
    assert processes_of(temporary) == []


def test_demo_keeps_a_repository_and_servers_that_can_be_used(temporary: Path) -> None:
    kept = temporary / "new" / "kept"
    result = tell(kept, size=SMALL)
    assert result.ok, result.findings
    assert result.kept is not None
    assert len(list_snapshots(open_store_of(result.kept.repository))) == 2
    assert Path(result.kept.objects, "s3.json").is_file()
    with EmbeddedServer(directory=Path(result.kept.database).parent) as server, open_database(server.address("parsec")) as database:
        assert database.rows("SELECT count(*) > 42 FROM block") == [(True,)]
    assert list(temporary.iterdir()) == [kept.parent]
    assert sorted(each.name for each in kept.iterdir()) == ["postgresql", "repository", "s3"]


def test_demo_does_not_touch_a_directory_that_is_not_empty(tmp_path: Path, lockstep: Lockstep, temporary: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    ran = lockstep("demo", "--json", "--keep", tmp_path / "full")
    assert (ran.returncode, ran.json["error"]["kind"]) == (2, "configuration")
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["mine"]
    assert list(temporary.iterdir()) == []


def test_demo_tells_what_did_not_come_back(
    private_temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lockstep.demo.story.DemoSize", lambda: SMALL)
    monkeypatch.setattr("lockstep.demo.story.restore", damaging(restoring.restore))
    status = run(["demo", "--quiet"])
    told = capsys.readouterr().out
    assert status == 3
    assert "1 object that rows name, and that the bucket does not have" in told
    assert "1 object with other bytes than were written" in told
    assert "1 object in the bucket that no row names" in told
    assert list(private_temporary.iterdir()) == []


def damaging(restore: Callable[..., Any]) -> Callable[..., Any]:
    """A restore after which one object is gone, one is changed, and one is there that does not belong there."""

    def restored(place: Any, manifest: Any, target: Any, **options: Any) -> Any:
        result = restore(place, manifest, target, **options)
        (store,) = target.stores.values()
        first, second, *_ = [info.key for page in store.list() for info in page]
        store.delete([first])
        store.write(second, datetime.now(UTC).isoformat().encode(), overwrite=True)
        store.write("stray", b"nobody's", overwrite=True)
        return result

    return restored


def open_store_of(repository: str) -> Any:
    from lockstep.model.addresses import StoreAddress

    return open_store(StoreAddress(Path(repository).as_uri()))
