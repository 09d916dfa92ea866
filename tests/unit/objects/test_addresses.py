from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.errors import ConfigurationError
from lockstep.model.addresses import StoreAddress
from lockstep.objects.addresses import BucketUrl, S3Settings, parse_url, read_s3_settings
from lockstep.objects.local import LocalStore
from lockstep.objects.open import open_store

NO_CONFIG = {"AWS_CONFIG_FILE": "/dev/null"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket", BucketUrl("s3", "bucket", "")),
        ("s3://bucket/", BucketUrl("s3", "bucket", "")),
        ("s3://bucket/a", BucketUrl("s3", "bucket", "a/")),
        ("s3://bucket/a/b/", BucketUrl("s3", "bucket", "a/b/")),
        ("s3://bucket/a%20b?c#d", BucketUrl("s3", "bucket", "a%20b?c#d/")),
        ("gs://bucket/a", BucketUrl("gs", "bucket", "a/")),
        ("az://container", BucketUrl("az", "container", "")),
        ("file:///srv/my%20objects", Path("/srv/my objects")),
        ("file://localhost/srv", Path("/srv")),
    ],
)
def test_a_url_names_a_bucket_or_a_directory(url: str, expected: object) -> None:
    assert parse_url(url) == expected


def test_a_url_is_shown_as_it_was_written() -> None:
    assert str(parse_url("s3://bucket/a/")) == "s3://bucket/a"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket",
        "/srv",
        "s3:/bucket",
        "s3://",
        "s3:///key",
        "http://host/bucket",
        "file://srv",
        "file:srv",
        "s3://id:secret@bucket",
        "s3://b\n",
    ],
)
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(StoreAddress(url))
    assert "secret" not in caught.value.message


def settings(*, environ: dict[str, str] | None = None, **address: object) -> S3Settings:
    url = BucketUrl("s3", "bucket", "")
    return read_s3_settings(url, StoreAddress("s3://bucket", **address), environ=NO_CONFIG | (environ or {}))  # type: ignore[arg-type]


def test_without_settings_it_is_aws() -> None:
    found = settings()
    assert (found.endpoint_url, found.region) == ("https://s3.us-east-1.amazonaws.com", "us-east-1")
    assert found.is_amazon
    assert settings(region="cn-north-1").endpoint_url == "https://s3.cn-north-1.amazonaws.com.cn"


def test_the_address_wins_over_the_environment_and_the_environment_over_the_profile(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nregion = r-default\n[profile mine]\nregion = r-mine\nendpoint_url = http://mine\n")
    file = {"AWS_CONFIG_FILE": str(config)}
    assert settings(environ=file).region == "r-default"
    mine = file | {"AWS_PROFILE": "mine"}
    assert (settings(environ=mine).region, settings(environ=mine).endpoint_url) == ("r-mine", "http://mine")
    general = mine | {"AWS_DEFAULT_REGION": "r-env", "AWS_ENDPOINT_URL": "http://env"}
    assert (settings(environ=general).region, settings(environ=general).endpoint_url) == ("r-env", "http://env")
    special = general | {"AWS_REGION": "r-env2", "AWS_ENDPOINT_URL_S3": "http://env-s3"}
    assert (settings(environ=special).region, settings(environ=special).endpoint_url) == ("r-env2", "http://env-s3")
    explicit = settings(environ=special, region="r", endpoint_url="http://explicit")
    assert (explicit.region, explicit.endpoint_url) == ("r", "http://explicit")


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("s3.example:9000", "https://s3.example:9000"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
        ("https://x.example/storage/v1/s3", "https://x.example/storage/v1/s3"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_an_endpoint_without_scheme_gets_https(endpoint: str, expected: str) -> None:
    assert settings(endpoint_url=endpoint).endpoint_url == expected


@pytest.mark.parametrize(
    "endpoint",
    ["ftp://x", "http://", "http://x:port", "http://x:0", "http://x y", "http://me:secret@x", "http://x?secret", "http://x#y", "http://[x"],
)
def test_an_endpoint_that_is_none_is_refused_and_not_repeated(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint") as caught:
        settings(endpoint_url=endpoint)
    assert "secret" not in caught.value.message


def test_the_bucket_is_in_the_host_when_it_is_virtual_hosted() -> None:
    found = settings(endpoint_url="http://s3.example:9000", virtual_hosted=True)
    assert found.bucket_endpoint == "http://bucket.s3.example:9000"
    assert settings(endpoint_url="http://s3.example:9000").bucket_endpoint == "http://s3.example:9000"


def test_a_ca_bundle_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        settings(ca_bundle=str(tmp_path / "absent.pem"))
    (tmp_path / "ca.pem").write_text("no certificate\n")
    with pytest.raises(ConfigurationError, match="holds no PEM certificates"):
        settings(ca_bundle=str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigurationError, match="holds no PEM certificates"):
        settings(environ={"AWS_CA_BUNDLE": str(tmp_path / "ca.pem")})


def test_a_broken_aws_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("region = before any section\n")
    with pytest.raises(ConfigurationError, match="config cannot be read"):
        settings(environ={"AWS_CONFIG_FILE": str(tmp_path / "config")})


def test_opening_a_store_touches_nothing(tmp_path: Path) -> None:
    store = open_store(StoreAddress((tmp_path / "absent").as_uri()))
    assert isinstance(store, LocalStore)
    assert store.url == (tmp_path / "absent").as_uri()
    assert list(tmp_path.iterdir()) == []
    open_store(StoreAddress("s3://bucket", endpoint_url="http://127.0.0.1:1", access_key_id="a", secret_access_key="b"))
    open_store(StoreAddress("gs://bucket"))
