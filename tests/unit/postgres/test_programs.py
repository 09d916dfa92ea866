"""The right client programs are chosen, and Debian's chooser is not mistaken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.errors import ClientToolFailed, ConfigurationError
from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres import places
from lockstep.postgres.programs import Programs, choose_programs, find_programs


def programs(major: int, place: str = "a") -> Programs:
    return Programs(Path(f"/{place}/{major}"), major, f"{major}.1")


@pytest.mark.parametrize(
    ("here", "server", "at_least", "chosen"),
    [
        ([15, 17, 18], 15, None, 15),
        ([15, 17, 18], 16, None, 17),
        ([18, 17, 15], 16, None, 17),
        ([15, 17], 18, None, None),
        ([], 15, None, None),
        ([15, 17, 18], 15, 17, 17),
        ([15, 16], 15, 17, None),
        ([15, 17], 15, 12, 15),
    ],
)
def test_the_servers_own_programs_go_before_newer_ones_and_older_ones_never(
    here: list[int], server: int, at_least: int | None, chosen: int | None
) -> None:
    found = choose_programs(map(programs, here), server, at_least=at_least)
    assert (found.major if found else None) == chosen


def test_of_one_version_the_first_place_wins() -> None:
    assert choose_programs([programs(16, "distribution"), programs(16, "wheel")], 16) == programs(16, "distribution")


def test_without_fitting_programs_the_error_names_what_is_here_and_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.postgres.programs.installed_programs", lambda: [programs(15)])
    with pytest.raises(ClientToolFailed, match=r"PostgreSQL 99 or newer are here.*found: 15\.1 in /a/15") as raised:
        find_programs(DatabaseAddress(), 99)
    assert "apt-get install postgresql-client-99" in raised.value.hint


def test_a_directory_that_the_operator_insists_on_must_have_them_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no working pg_dump"):
        find_programs(DatabaseAddress(client_programs=str(tmp_path)), 15)


def test_programs_that_the_operator_insists_on_must_not_be_older_than_the_server(tmp_path: Path) -> None:
    fake_programs(tmp_path, "15.2")
    assert find_programs(DatabaseAddress(client_programs=str(tmp_path)), 15) == Programs(tmp_path, 15, "15.2")
    with pytest.raises(ClientToolFailed, match="the server has version 17"):
        find_programs(DatabaseAddress(client_programs=str(tmp_path)), 17)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", (15, "15.20")),
        ("pg_restore (PostgreSQL) 17.10", (17, "17.10")),
        ("postgres (PostgreSQL) 18.6", (18, "18.6")),
        ("psql (PostgreSQL) 19beta1", (19, "19beta1")),
        ("something else 1.0", None),
        ("", None),
    ],
)
def test_versions_are_read_from_what_the_programs_print(text: str, version: tuple[int, str] | None) -> None:
    assert places.parse_version(text) == version


def test_debians_chooser_is_passed_over_and_links_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pg_wrapper").write_text("#!/bin/sh\n")
    (tmp_path / "pg_wrapper").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pg_dump").symlink_to(tmp_path / "pg_wrapper")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert places.path_directory() is None
    (tmp_path / "cellar").mkdir()
    fake_programs(tmp_path / "cellar", "16.4")
    (tmp_path / "bin" / "pg_dump").unlink()
    (tmp_path / "bin" / "pg_dump").symlink_to(tmp_path / "cellar" / "pg_dump")
    assert places.path_directory() == tmp_path / "cellar"


def fake_programs(directory: Path, version: str) -> None:
    for name in ("pg_dump", "pg_restore", "psql"):
        (directory / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (directory / name).chmod(0o755)
