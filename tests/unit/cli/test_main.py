from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockstep.version import __version__
from support.tiny_command import Say

DEPLOYMENT = ("--database", "postgresql://parsec:hunter22@h/d", "--bucket", "s3://b", "--endpoint-url", "http://h:1", "--repo", "kept")


def test_the_result_is_text_for_people_and_one_object_for_programs(say: Say, tmp_path: Path) -> None:
    said = say("tiny", *DEPLOYMENT, "--jobs", "2", "snap")
    assert (said.status, said.out) == (0, "snapshot snap, jobs 2, format custom\n")
    document = say("tiny", *DEPLOYMENT, "--json").document
    assert (document["snapshot"], document["jobs"], document["format"]) == ("latest", None, "custom")
    assert document["stores"][0]["endpoint_url"] == "http://h:1"
    assert document["repository"]["url"] == f"file://{tmp_path}/kept"


def test_lines_may_be_written_as_they_come(say: Say) -> None:
    assert say("reader", "--repo", "r").out == "line 0\nline 1\nline 2\n"


def test_output_options_may_stand_before_or_behind_the_command(say: Say) -> None:
    for arguments in (("--json", "tiny", *DEPLOYMENT), ("tiny", "--json", *DEPLOYMENT)):
        assert say(*arguments).document["output"]["json"] is True
    both = say("--log-format", "text", "--json", "--no-color", "tiny", *DEPLOYMENT, "--log-format", "json").document["output"]
    assert both == {"json": True, "quiet": False, "verbose": False, "log_format": "json", "colour": False}


def test_verbose_wins_over_quiet(say: Say) -> None:
    output = say("--quiet", "tiny", *DEPLOYMENT, "--json", "--verbose").document["output"]
    assert (output["quiet"], output["verbose"]) == (False, True)


def test_no_color_is_a_variable_too(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "anything")
    assert say("tiny", *DEPLOYMENT, "--json").document["output"]["colour"] is False


def test_the_order_is_flag_then_variable_then_file_then_default(say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def found(*arguments: str) -> tuple[object, object]:
        document = say("tiny", *DEPLOYMENT, "--json", *arguments).document
        return document["jobs"], document["format"]

    assert found() == (None, "custom")
    (tmp_path / "lockstep.toml").write_text('format = "plain"\n[tiny]\njobs = 1\n', encoding="utf-8")
    assert found() == (1, "plain")
    monkeypatch.setenv("LOCKSTEP_JOBS", "2")
    monkeypatch.setenv("LOCKSTEP_FORMAT", "directory")
    assert found() == (2, "directory")
    assert found("--jobs", "3") == (3, "directory")


def test_a_deployment_may_be_told_by_the_environment_alone(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DATABASE": "host=h", "BUCKET": "x=s3://a y=s3://b", "REPO": "s3://r", "REPO_REGION": "eu", "JSON": "1"}.items():
        monkeypatch.setenv(f"LOCKSTEP_{name}", value)
    document = say("tiny").document
    assert [store["name"] for store in document["stores"]] == ["x", "y"]
    assert document["repository"]["region"] == "eu"


def test_a_deployment_may_be_told_by_the_file_alone(say: Say, tmp_path: Path) -> None:
    text = 'json = true\nrepo = "s3://r"\n[tiny]\nbucket = {x = "s3://a"}\nlist_missing = "m"\n[repository]\nregion = "eu"\n'
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/my.toml").write_text(text, encoding="utf-8")
    for arguments in (("--config", "sub/my.toml", "tiny"), ("tiny", "--config", "sub/my.toml")):
        document = say(*arguments).document
        assert document["stores"][0]["name"] == "x"
        assert document["repository"]["region"] == "eu"
        assert document["list_missing"] == str(tmp_path / "sub/m")


def test_a_file_that_is_named_wins_over_one_that_is_found(say: Say, tmp_path: Path) -> None:
    (tmp_path / "lockstep.toml").write_text("this is no TOML", encoding="utf-8")
    (tmp_path / "good.toml").write_text("[tiny]\njobs = 5\n", encoding="utf-8")
    assert say("tiny", *DEPLOYMENT, "--json", "--config", "good.toml").document["jobs"] == 5
    assert say("tiny", *DEPLOYMENT, "--json").status == 2


def test_a_file_with_faults_is_refused(say: Say, tmp_path: Path) -> None:
    (tmp_path / "lockstep.toml").write_text("jbos = 1\n[failing]\njobs = 1\n", encoding="utf-8")
    said = say("reader", "--json", "--repo", "r")
    assert said.status == 2
    assert said.document["error"]["kind"] == "configuration"
    assert said.document["error"]["hint"] == "Write jobs instead."
    assert "unknown key jbos; " in said.document["error"]["message"]


def test_all_that_is_wrong_with_the_options_is_said_at_once(say: Say) -> None:
    said = say("tiny", "--json", "--database", "mysql://u:hunter22@h", "--bucket", "b")
    assert said.status == 2
    message = said.document["error"]["message"]
    assert message == "--database is neither a postgresql:// URI nor key=value pairs; --bucket is not a URL; no repository is named"
    assert "hunter22" not in said.out + said.err


def test_env_files_of_parsec_lose_against_a_stronger_source(say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "p.env").write_text("PARSEC_DB=postgresql://h/parsec\nPARSEC_BLOCKSTORE=s3:h:r:parsec:k:s\n", encoding="utf-8")
    (tmp_path / "lockstep.toml").write_text('parsec_env = "p.env"\nrepo = "r"\n', encoding="utf-8")
    assert say("tiny", "--json").document["database"] == "postgresql://h/parsec"
    assert say("tiny", "--json", "--database", "host=other").document["stores"] == []
    monkeypatch.setenv("LOCKSTEP_DATABASE", "host=variable")
    assert say("tiny", "--json").document["database"] == "host=variable"
    assert say("tiny", "--json", "--parsec-env", "p.env").document["database"] == "postgresql://h/parsec"
    assert say("tiny", "--parsec-env", "p.env", "--database", "host=h").status == 2


def test_an_error_is_told_with_its_hint(say: Say) -> None:
    said = say("failing", "DatabaseUnreachable")
    assert (said.status, said.out) == (1, "")
    assert said.err.splitlines()[-2:] == ["error: the thing did not work", "hint: Do something else."]
    said = say("failing", "RepositoryLocked", "--json")
    assert said.status == 4
    assert said.document == {"error": {"kind": "repository_locked", "message": "the thing did not work", "hint": "Do something else."}}
    assert "error: the thing did not work" in said.err


def test_findings_are_a_result_with_a_status_of_their_own(say: Say) -> None:
    said = say("failing", "findings", "--json")
    assert (said.status, said.document) == (3, {"ok": False})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--json",), "missing command"),
        (("--json", "tinny"), "no such command 'tinny'. Did you mean 'tiny'?"),
        (("tiny", "--json", "--nonsense"), "no such option: --nonsense"),
        (("tiny", "--json", "--jobs", "many"), "invalid value for '--jobs': "),
        (("tiny", "--json", "--jobs", "0"), "invalid value for '--jobs': "),
        (("tiny", "--json", "a", "b"), "got unexpected extra argument"),
        (("failing", "--json"), "missing argument"),
    ],
)
def test_wrong_usage_is_exit_2_and_one_json_object(say: Say, arguments: tuple[str, ...], message: str) -> None:
    said = say(*arguments)
    assert said.status == 2
    error = said.document["error"]
    assert (error["kind"], error["message"][: len(message)]) == ("usage", message)
    assert error["hint"].startswith("Run lockstep")


def test_no_arguments_at_all_is_wrong_usage(say: Say) -> None:
    said = say()
    assert (said.status, said.out) == (2, "")
    assert "no command is given" in said.err


def test_a_secret_in_a_misplaced_argument_is_not_repeated(say: Say) -> None:
    for argument in ("postgresql://u:hunter22@h/d", "host=h password=hunter22"):
        said = say("tiny", "--json", "snap", argument)
        assert said.status == 2
        assert "hunter22" not in said.out + said.err


@pytest.mark.parametrize("how", ["ValueError", "BrokenPipeError"])
def test_an_unforeseen_error_is_told_as_internal(say: Say, how: str) -> None:
    said = say("failing", how, "--json", "--text", "postgresql://u:hunter22@h broke")
    assert said.status == 1
    assert said.document["error"]["kind"] == "internal"
    assert said.document["error"]["message"].startswith(how)
    assert "Traceback" not in said.err
    said = say("failing", how, "--verbose", "--text", "postgresql://u:hunter22@h broke")
    assert "Traceback" in said.err
    assert "hunter22" not in said.err


def test_secrets_of_the_environment_never_show(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2222")
    said = say("failing", "StoreUnreachable", "--json", "--text", "signed with hunter2222")
    assert said.document["error"]["message"] == "signed with ***"
    assert "hunter2222" not in said.err


def test_log_lines_may_be_json(say: Say) -> None:
    said = say("failing", "DiskFailed", "--log-format", "json")
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "objects: started, 0 of 10 objects (0 %)"),
        ("error", "the thing did not work"),
    ]
    assert lines[1]["fields"] == {"kind": "disk_failed", "hint": "Do something else."}


def test_quiet_leaves_warnings_and_errors(say: Say) -> None:
    assert say("failing", "DiskFailed", "--quiet").err == "error: the thing did not work\nhint: Do something else.\n"


@pytest.mark.parametrize(("how", "status"), [("SIGTERM", 143), ("SIGINT", 130), ("Cancelled", 143)])
def test_a_signal_stops_with_its_own_status_and_no_json(say: Say, how: str, status: int) -> None:
    said = say("failing", how, "--json")
    assert (said.status, said.out) == (status, "")
    assert said.err.splitlines()[-1] == "stopped: the repository is sound, and the next run resumes"


def test_the_version_is_shown(say: Say) -> None:
    assert say("--version").out == f"lockstep {__version__}\n"
    assert say("--json", "--version").document == {"version": __version__}


def test_help_lists_the_commands_and_groups_the_options(say: Say) -> None:
    said = say("--help")
    assert said.status == 0
    assert "Show what was given." in said.out
    help_of_tiny = say("tiny", "--help").out
    for panel in ("Deployment", "Repository", "Output"):
        assert f"─ {panel} ─" in help_of_tiny
