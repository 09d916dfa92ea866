from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.config.faults import faults_of
from lockstep.config.file import FileSettings, OptionKind, find_file, load_file
from lockstep.errors import ConfigurationError

OPTIONS = {
    "backup": {
        "database": OptionKind(),
        "bucket": OptionKind(repeatable=True, named=True),
        "parsec_env": OptionKind("path", repeatable=True),
        "repo": OptionKind("place"),
        "app": OptionKind("profile"),
        "jobs": OptionKind("integer"),
        "quiet": OptionKind("flag"),
        "share": OptionKind("number"),
    },
    "list": {"repo": OptionKind("place"), "quiet": OptionKind("flag")},
}


def load(tmp_path: Path, text: str) -> FileSettings:
    path = tmp_path / "lockstep.toml"
    path.write_text(text, encoding="utf-8")
    return load_file(path, options=OPTIONS)


def messages(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    return [(fault.message.replace(str(tmp_path), "DIR"), fault.hint) for fault in faults_of(caught.value)]


def test_a_key_counts_for_every_command_that_has_the_option(tmp_path: Path) -> None:
    settings = load(tmp_path, 'database = "host=h"\nquiet = true\njobs = 3\nshare = 1\n')
    assert settings.commands == {"backup": {"database": "host=h", "quiet": True, "jobs": 3, "share": 1}, "list": {"quiet": True}}


def test_the_table_of_a_command_wins_over_the_top(tmp_path: Path) -> None:
    settings = load(tmp_path, "quiet = true\n[list]\nquiet = false\n[backup]\njobs = 2\n")
    assert settings.commands == {"backup": {"quiet": True, "jobs": 2}, "list": {"quiet": False}}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"s3://a"', ["s3://a"]),
        ('["x=s3://a", "y=s3://b"]', ["x=s3://a", "y=s3://b"]),
        ('{ node0 = "s3://a", node1 = "s3://b" }', ["node0=s3://a", "node1=s3://b"]),
    ],
)
def test_stores_may_be_a_text_a_list_or_a_table(tmp_path: Path, written: str, read: list[str]) -> None:
    assert load(tmp_path, f"bucket = {written}\n").commands["backup"] == {"bucket": read}


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ('repo = "data/repo"', "DIR/data/repo"),
        ('repo = "/srv/repo"', "/srv/repo"),
        ('repo = "s3://b/p"', "s3://b/p"),
        ('repo = "~/repo"', "/home/operator/repo"),
        ('app = "mine.toml"', "DIR/mine.toml"),
        ('app = "parsec"', "parsec"),
        ('parsec_env = "server.env"', ["DIR/server.env"]),
    ],
)
def test_relative_paths_begin_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, read: object) -> None:
    monkeypatch.setenv("HOME", "/home/operator")
    (value,) = load(tmp_path, line).commands["backup"].values()
    shown = [item.replace(str(tmp_path), "DIR") for item in value] if isinstance(value, list) else str(value).replace(str(tmp_path), "DIR")
    assert shown == read


def test_the_repository_has_a_table_of_its_own(tmp_path: Path) -> None:
    settings = load(tmp_path, '[repository]\nregion = "r"\nca_bundle = "ca.pem"\nsecret_access_key = "s3cretkey"\n')
    assert settings.repository == {"region": "r", "ca_bundle": str(tmp_path / "ca.pem"), "secret_access_key": "s3cretkey"}
    assert "s3cretkey" not in repr(settings)


def test_everything_that_is_wrong_is_said_at_once_with_what_was_meant(tmp_path: Path) -> None:
    text = 'databse = "x"\nquiet = "yes"\njobs = true\nrepository = 1\n[backup]\nparsec-env = "a"\n[repository]\nregoin = "r"\n'
    text = text.replace("repository = 1\n", "")
    assert messages(tmp_path, text) == [
        ("DIR/lockstep.toml has an unknown key databse", "Write database instead."),
        ("quiet in DIR/lockstep.toml is not true or false", "Write true or false there."),
        ("jobs in DIR/lockstep.toml is not a whole number", "Write a whole number there."),
        ("DIR/lockstep.toml has an unknown key [backup] parsec-env", "Write parsec_env instead."),
        ("DIR/lockstep.toml has an unknown key [repository] regoin", "Write region instead."),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[bakcup]\njobs = 1", "DIR/lockstep.toml has an unknown key bakcup"),
        ('repository = "x"', "repository in DIR/lockstep.toml is not a table"),
        ("bucket = [1]", "bucket in DIR/lockstep.toml is not a text or a list of them"),
        ("database = 1", "database in DIR/lockstep.toml is not a text"),
        ("[repository]\nregion = 1", "[repository] region in DIR/lockstep.toml is not a text"),
    ],
)
def test_a_wrong_key_or_type_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert [found for found, _ in messages(tmp_path, text)] == [message]


def test_what_is_no_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    ((message, _),) = messages(tmp_path, 'a = 1\nsecret_access_key = "s3cretkey\n')
    assert message.startswith("DIR/lockstep.toml is not TOML: ")
    assert "line 2" in message
    assert "s3cretkey" not in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read: no such file or directory"):
        load_file(tmp_path / "none.toml", options=OPTIONS)
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe9"')
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load_file(tmp_path / "latin.toml", options=OPTIONS)


def test_the_file_is_looked_for_in_the_usual_places_in_order(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path / "home")}

    def found() -> Path | None:
        return find_file(None, environment=environment, directory=tmp_path / "here")

    assert found() is None
    for directory in ("xdg/lockstep", "here"):
        place = tmp_path / directory / "lockstep.toml"
        place.parent.mkdir(parents=True)
        place.touch()
        assert found() == place
    assert find_file(tmp_path / "given", environment=environment, directory=tmp_path) == tmp_path / "given"


def test_without_xdg_config_home_the_home_directory_counts(tmp_path: Path) -> None:
    place = tmp_path / ".config/lockstep/lockstep.toml"
    place.parent.mkdir(parents=True)
    place.touch()
    assert find_file(None, environment={"HOME": str(tmp_path)}, directory=tmp_path) == place
