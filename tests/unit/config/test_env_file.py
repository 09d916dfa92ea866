from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.config.env_file import Definition, parse_env_file, read_env_files, value_of
from lockstep.config.faults import Faults


def resolved(text: str, name: str = "X", *, environment: dict[str, str] | None = None) -> str | None:
    faults = Faults()
    value = value_of(name, parse_env_file(text, name="a.env", faults=faults), environment=environment or {}, faults=faults)
    assert faults.found == []
    return value


def faults_in(text: str, name: str = "X", *, environment: dict[str, str] | None = None) -> list[str]:
    faults = Faults()
    assert value_of(name, parse_env_file(text, name="a.env", faults=faults), environment=environment or {}, faults=faults) is None
    return [fault.message for fault in faults.found]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X=a", "a"),
        ("export X=a", "a"),
        ("  X = a b  ", "a b"),
        ("X=", ""),
        ("X=a # comment", "a"),
        ("X=a#no-comment", "a#no-comment"),
        ("X=# comment", ""),
        ("X='a # b'", "a # b"),
        ("X='a $Y ${Z}'", "a $Y ${Z}"),
        (r"X='it\'s'", "it's"),
        ('X="a # b" # comment', "a # b"),
        (r'X="a\\b\"c\$d\:e"', r"a\b" + '"c$d' + r"\:e"),
        (r"X=a\:b\\c", r"a\:b\\c"),
        ("X=a$$b$", "a$b$"),
        ("X=a$1", "a$1"),
        ("\ufeffY=1\r\nX=a\r\n", "a"),
        ("# X=b\n\nX=a", "a"),
        ("X=a\nX=b", "b"),
        ("X='two\nlines'\nY=1", "two\nlines"),
    ],
)
def test_a_value_is_read_as_docker_compose_reads_it(line: str, value: str) -> None:
    assert resolved(line.removeprefix("\ufeff")) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Y=1\nX=a$Y", "a1"),
        ("Y=1\nX=${Y}b", "1b"),
        ("X=$Y\nY=below", "below"),
        ("Y=above\nX=$Y\nY=below", "above"),
        ("X=${Y:-default}", "default"),
        ("Y=\nX=${Y:-default}", "default"),
        ("Y=\nX=${Y-default}", ""),
        ("X=${Y:-${Z:-inner}}", "inner"),
        ("Y=1\nX=${Y:+given}", "given"),
        ("X=${Y:+given}", ""),
        ("X=first\nX=$X-second", "first-second"),
        ('Y=1\nX="a ${Y} b"', "a 1 b"),
    ],
)
def test_a_reference_is_resolved(text: str, value: str) -> None:
    assert resolved(text) == value


def test_the_process_environment_wins_over_definitions_in_a_reference() -> None:
    assert resolved("Y=file\nX=$Y", environment={"Y": "process"}) == "process"


def test_the_file_wins_over_the_process_environment_for_the_variable_itself() -> None:
    assert resolved("X=file", environment={"X": "process"}) == "file"


def test_a_name_without_a_value_takes_it_from_the_process_environment() -> None:
    assert resolved("X", environment={"X": "process"}) == "process"
    assert resolved("X") is None


def test_an_undefined_reference_is_named() -> None:
    assert faults_in("X=$DB_PASSWORD") == ["X refers to DB_PASSWORD, which no env file and no environment variable defines"]


def test_a_dollar_sign_inside_a_password_does_not_show_what_follows_it() -> None:
    assert faults_in("X=se$cretword") == ["X refers to a variable, which no env file and no environment variable defines"]


def test_a_reference_that_must_be_given_is_a_fault_without_its_message() -> None:
    assert faults_in("X=${NO_SUCH:?secret text}") == ["X refers to NO_SUCH, which no env file and no environment variable defines"]


def test_an_undefined_reference_in_a_value_that_nobody_needs_is_no_fault() -> None:
    assert resolved("OTHER=$NOWHERE\nX=a") == "a"


@pytest.mark.parametrize("text", ["X=$X", "X=$Y\nY=$X", "X=${Y:-$X}\nY=${X}"])
def test_a_variable_that_refers_to_itself_is_a_fault(text: str) -> None:
    assert "itself" in faults_in(text)[0]


def test_nesting_without_end_is_a_fault() -> None:
    assert faults_in("X=" + "${Y:-" * 500 + "}" * 500) == ["X cannot be resolved: its references are nested too deeply"]


def test_a_value_that_doubles_itself_is_a_fault() -> None:
    text = "A0=" + "a" * 100 + "\n" + "".join(f"A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 30)) + "X=$A29"
    assert faults_in(text) == ["X cannot be resolved: it is longer than 65536 characters"]


def test_references_to_nothing_that_double_themselves_take_no_time() -> None:
    text = "A0=\n" + "".join(f"A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 30)) + "X=$A29"
    assert resolved(text) == ""


@pytest.mark.parametrize("text", ["X=${", "X=${}", "X=${Y!}", "X=${Y:-a"])
def test_a_malformed_reference_is_a_fault(text: str) -> None:
    assert len(faults_in(text)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nwhat is this", "line 2 of a.env is not KEY=value"),
        ("A=1\n\nB='s3cret", "the quote around B on line 3 of a.env is never closed"),
        ("B='s3cret'more", "text follows the closing quote of B on line 1 of a.env"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named_without_its_text(text: str, message: str) -> None:
    faults = Faults()
    parse_env_file(text, name="a.env", faults=faults)
    assert [fault.message for fault in faults.found] == [message]


def test_lines_after_a_faulty_one_still_count() -> None:
    faults = Faults()
    assert parse_env_file("???\nX=a", name="a.env", faults=faults) == [Definition("X", "a", "", "line 2 of a.env")]


def test_every_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "latin.env").write_bytes(b"X=\xe9")
    (tmp_path / "good.env").write_text("X=a", encoding="utf-8")
    faults = Faults()
    found = read_env_files([tmp_path / "none.env", tmp_path / "latin.env", tmp_path / "good.env"], faults=faults)
    assert [definition.name for definition in found] == ["X"]
    assert [fault.message for fault in faults.found] == [
        f"env file {tmp_path}/none.env cannot be read: no such file or directory",
        f"env file {tmp_path}/latin.env cannot be read: it is not UTF-8 text",
    ]
