from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lockstep.config.deployment import DeploymentSettings
from lockstep.config.faults import faults_of
from lockstep.config.keeping import KeepingSettings
from lockstep.config.repository import repository_settings
from lockstep.errors import ConfigurationError
from lockstep.model.addresses import StoreAddress
from lockstep.model.keeping import Keeping

LIVE = StoreAddress(
    "s3://live", endpoint_url="http://live", region="r", access_key_id="k", secret_access_key="s", session_token="t", virtual_hosted=True
)
DEPLOYMENT = DeploymentSettings(stores=(LIVE,), s3=LIVE)


def address(repo: str, table: dict[str, str] | None = None, environment: dict[str, str] | None = None) -> StoreAddress:
    return repository_settings(repo, DEPLOYMENT, table=table or {}, environment=environment or {}).address


def messages(repo: str | None, table: dict[str, str] | None = None, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        repository_settings(repo, DEPLOYMENT, table=table or {}, environment=environment or {})
    return [fault.message for fault in faults_of(caught.value)]


def test_a_path_becomes_an_absolute_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/operator")
    assert address("my repo?") == StoreAddress(f"file://{tmp_path}/my%20repo%3F", name="repository")
    assert address("~/r").url == "file:///home/operator/r"
    assert address("file:///srv/r/").url == "file:///srv/r"


def test_a_repository_in_s3_has_the_access_of_the_deployment() -> None:
    assert address("s3://kept/p/") == replace(LIVE, url="s3://kept/p", name="repository")


def test_a_repository_may_have_an_access_of_its_own() -> None:
    table = {"endpoint_url": "http://kept", "access_key_id": "k2", "secret_access_key": "s2", "region": "r2"}
    found = address("s3://kept", table)
    assert (found.endpoint_url, found.access_key_id, found.secret_access_key, found.region) == ("http://kept", "k2", "s2", "r2")
    # The token belongs to the keys of the deployment.
    assert found.session_token is None


def test_variables_win_over_the_file() -> None:
    found = address("s3://kept", {"region": "file"}, {"LOCKSTEP_REPO_REGION": "variable", "LOCKSTEP_REPO_ENDPOINT_URL": "http://v"})
    assert (found.region, found.endpoint_url, found.access_key_id) == ("variable", "http://v", "k")


def test_another_service_gets_nothing_of_s3() -> None:
    assert address("gs://kept") == StoreAddress("gs://kept", name="repository")


def test_a_repository_of_another_service_has_an_endpoint_of_its_own_and_no_keys_of_s3() -> None:
    assert address("az://kept", {"endpoint_url": "http://kept/account"}).endpoint_url == "http://kept/account"
    assert messages("az://kept", {"access_key_id": "k2", "endpoint_url": "kept"}) == [
        "LOCKSTEP_REPO_ACCESS_KEY_ID is for S3, and the repository is at az://kept",
        "the endpoint of the repository is not an http:// or https:// URL",
    ]


def test_half_a_pair_of_keys_is_refused() -> None:
    assert messages("s3://kept", {"access_key_id": "k2"}) == ["the repository has only half of a pair of keys of its own"]


@pytest.mark.parametrize("repo", [None, ""])
def test_a_repository_must_be_named(repo: str | None) -> None:
    assert messages(repo) == ["no repository is named"]


@pytest.mark.parametrize(
    ("repo", "message"), [("ftp://h/d", "--repo begins with ftp://"), ("s3://k:secretpw@b", "--repo holds credentials")]
)
def test_a_place_that_cannot_be_one_is_refused(repo: str, message: str) -> None:
    assert messages(repo) == [message]


@pytest.mark.parametrize("repo", ["s3://live", "s3://live/backups"])
def test_a_repository_inside_the_store_it_keeps_is_refused(repo: str) -> None:
    assert messages(repo) == ["the repository lies inside the store that it is to keep"]


def test_a_bucket_of_the_same_name_elsewhere_is_another_place() -> None:
    assert address("s3://live", {"endpoint_url": "http://kept"}).url == "s3://live"
    assert address("s3://live2").url == "s3://live2"


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    table = {"endpoint_url": "kept", "secret_access_key": "s2", "ca_bundle": str(tmp_path / "none")}
    assert len(messages("s3://live/x", table)) == 3


def test_how_a_bucket_keeps_what_is_written_is_for_commands_that_write() -> None:
    table = {"lock_for": "30d", "storage_class": "STANDARD_IA"}
    asked: Any = {"table": table, "environment": {"LOCKSTEP_REPO_LOCK_MODE": "compliance"}}
    kept = repository_settings("s3://kept", DEPLOYMENT, keeping=KeepingSettings(lock_for="1d"), **asked).address.keeping
    assert kept == Keeping(timedelta(days=1), "compliance", storage_class="STANDARD_IA")
    assert repository_settings("s3://kept", DEPLOYMENT, **asked).address.keeping == Keeping()
    assert repository_settings("/srv/backup", DEPLOYMENT, **asked).address.keeping == Keeping()
    with pytest.raises(ConfigurationError, match="in a bucket of S3"):
        repository_settings("/srv/backup", DEPLOYMENT, keeping=KeepingSettings(), **asked)
