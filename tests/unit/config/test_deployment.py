from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.config.deployment import DeploymentOptions, DeploymentSettings, deployment_settings
from lockstep.config.faults import faults_of
from lockstep.errors import ConfigurationError
from lockstep.model.addresses import DatabaseAddress, StoreAddress


def messages(options: DeploymentOptions, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        deployment_settings(options, environment=environment or {})
    return [fault.message for fault in faults_of(caught.value)]


def test_a_deployment_is_a_database_and_a_store() -> None:
    options = DeploymentOptions(database="host=h", bucket=("s3://b/p/",), endpoint_url="http://h:1", virtual_hosted=True, app="parsec")
    store = StoreAddress("s3://b/p", endpoint_url="http://h:1", virtual_hosted=True)
    assert deployment_settings(options, environment={}) == DeploymentSettings(DatabaseAddress("host=h"), (store,), "parsec", s3=store)


def test_stores_may_have_names() -> None:
    settings = deployment_settings(DeploymentOptions(bucket=("node0=s3://a", "n_1=gs://b/x=y", "s3://c/p=q")), environment={})
    assert [(store.name, store.url) for store in settings.stores] == [("node0", "s3://a"), ("n_1", "gs://b/x=y"), ("main", "s3://c/p=q")]


def test_nothing_given_is_nothing_named() -> None:
    settings = deployment_settings(DeploymentOptions(), environment={})
    assert settings == DeploymentSettings()
    with pytest.raises(ConfigurationError, match="no database is named; no object store is named"):
        settings.needed()


@pytest.mark.parametrize("name", ["PGDATABASE", "PGHOST", "PGSERVICE"])
def test_the_variables_of_libpq_name_a_database(name: str) -> None:
    assert deployment_settings(DeploymentOptions(), environment={name: "x"}).needed_database() == DatabaseAddress("")


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({"AWS_ENDPOINT_URL": "http://a"}, "http://a"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://s3"}, "http://s3"),
    ],
)
def test_the_variables_of_aws_are_the_default_endpoint(environment: dict[str, str], endpoint: str) -> None:
    options = DeploymentOptions(bucket=("s3://b", "other=gs://c"))
    first, second = deployment_settings(options, environment=environment).stores
    assert (first.endpoint_url, second.endpoint_url) == (endpoint, None)
    given = DeploymentOptions(bucket=("s3://b",), endpoint_url="http://given")
    assert deployment_settings(given, environment=environment).stores[0].endpoint_url == "http://given"


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").touch()
    (tmp_path / "bin").mkdir()
    options = DeploymentOptions(
        database="", bucket=("s3://b",), ca_bundle=Path("ca.pem"), client_programs=Path("~/bin"), app="~/profile.toml"
    )
    settings = deployment_settings(options, environment={})
    assert settings.stores[0].ca_bundle == str(tmp_path / "ca.pem")
    assert settings.needed_database().client_programs == str(tmp_path / "bin")
    assert settings.app == str(tmp_path / "profile.toml")


@pytest.mark.parametrize(
    ("bucket", "message"),
    [
        ("/data", "--bucket is not a URL"),
        ("bucket", "--bucket is not a URL"),
        ("http://h/b", "--bucket begins with http://"),
        ("s3://", "--bucket names no bucket"),
        ("s3://key:secretpw@b", "--bucket holds credentials"),
        ("file://data", "--bucket names no absolute directory"),
        ("Main=s3://b", "the name before = in --bucket is not lower-case letters, digits, _ and -"),
    ],
)
def test_a_store_that_is_misnamed_is_refused(bucket: str, message: str) -> None:
    assert messages(DeploymentOptions(bucket=(bucket,))) == [message]


def test_two_stores_may_share_neither_name_nor_place() -> None:
    assert messages(DeploymentOptions(bucket=("s3://a", "s3://b"))) == ["two stores are named main"]
    assert messages(DeploymentOptions(bucket=("x=s3://a", "y=s3://a"))) == ["s3://a is named twice"]


@pytest.mark.parametrize("url", ["localhost:9000", "ftp://h", "http://", "http://h:99999", "http://["])
def test_an_endpoint_that_is_no_url_is_refused(url: str) -> None:
    assert messages(DeploymentOptions(endpoint_url=url)) == ["--endpoint-url is not an http:// or https:// URL"]


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    options = DeploymentOptions(
        database="mysql://u:secretpw@h", bucket=("b",), endpoint_url="h", ca_bundle=tmp_path / "none", client_programs=tmp_path / "none"
    )
    found = messages(options)
    assert len(found) == 5
    assert "secretpw" not in " ".join(found)


def test_parsec_env_excludes_what_it_replaces(tmp_path: Path) -> None:
    options = DeploymentOptions(database="", bucket=("s3://b",), endpoint_url="http://h", parsec_env=(tmp_path / "none",))
    assert messages(options) == [
        "--parsec-env and --bucket are both given",
        "--parsec-env and --endpoint-url are both given",
        f"env file {tmp_path}/none cannot be read: no such file or directory",
    ]


def test_a_parsec_deployment_is_taken_over(tmp_path: Path) -> None:
    env = tmp_path / "a.env"
    env.write_text("PARSEC_DB=postgresql://h/d\nPARSEC_BLOCKSTORE=raid1:0:s3:h:r:a:k:s raid1:1:s3:h:r:b:k:s\n", encoding="utf-8")
    (tmp_path / "ca.pem").touch()
    settings = deployment_settings(DeploymentOptions(parsec_env=(env,), ca_bundle=tmp_path / "ca.pem"), environment={})
    assert settings.raid == "raid1"
    assert {store.ca_bundle for store in settings.stores} == {str(tmp_path / "ca.pem")}
    assert settings.needed()[0].conninfo == "postgresql://h/d"


def test_objects_inside_the_database_are_no_missing_store(tmp_path: Path) -> None:
    env = tmp_path / "a.env"
    env.write_text("PARSEC_DB=postgresql://h/d\nPARSEC_BLOCKSTORE=POSTGRESQL\n", encoding="utf-8")
    settings = deployment_settings(DeploymentOptions(parsec_env=(env,)), environment={})
    assert settings.objects_in_database
    assert settings.needed_stores() == ()
