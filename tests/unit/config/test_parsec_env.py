from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.config.parsec_env import ParsecDeployment, read_parsec_env
from lockstep.errors import ConfigurationError

DATABASE = "postgresql://parsec:p%40ss@db:5432/parsec"
STORE = r"s3:http\://minio\:9000:us-east-1:parsec:minio:minio-secret"


def read(tmp_path: Path, *texts: str, environment: dict[str, str] | None = None) -> ParsecDeployment:
    paths = [tmp_path / f"{number}.env" for number, _ in enumerate(texts)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return read_parsec_env(paths, environment=environment or {})


@pytest.mark.parametrize(
    "line",
    [
        r"PARSEC_BLOCKSTORE=s3:http\://minio\:9000:us-east-1:parsec:minio:minio-secret",
        r"export PARSEC_BLOCKSTORE='s3:http\://minio\:9000:us-east-1:parsec:minio:minio-secret'",
        r'export PARSEC_BLOCKSTORE="s3:http\\://minio\\:9000:us-east-1:parsec:minio:minio-secret"',
        r'PARSEC_BLOCKSTORE="s3:http\://minio\:9000:us-east-1:parsec:minio:minio-secret"  # MinIO',
        r"PARSEC_BLOCKSTORE=s3:http\\://minio\\:9000:us-east-1:parsec:minio:minio-secret",
    ],
)
def test_every_spelling_of_the_same_store_is_understood(tmp_path: Path, line: str) -> None:
    deployment = read(tmp_path, f"PARSEC_DB={DATABASE}\n{line}\n")
    (store,) = deployment.stores
    assert (store.endpoint_url, store.region, store.url) == ("http://minio:9000", "us-east-1", "s3://parsec")
    assert (store.access_key_id, store.secret_access_key) == ("minio", "minio-secret")
    assert deployment.database.conninfo == DATABASE
    assert deployment.raid is None


def test_variables_refer_to_each_other_across_files_in_any_order(tmp_path: Path) -> None:
    deployment = read(
        tmp_path,
        "PARSEC_DB=postgresql://${POSTGRES_USER}:${POSTGRES_PASSWORD}@${HOST:-db}/parsec\n",
        "POSTGRES_USER=parsec\nPOSTGRES_PASSWORD=$SHARED\nPARSEC_BLOCKSTORE=POSTGRESQL\n",
        "SHARED='pa$s'\n",
    )
    assert deployment.database.conninfo == "postgresql://parsec:pa$s@db/parsec"
    assert deployment.stores == ()


def test_a_later_file_wins(tmp_path: Path) -> None:
    deployment = read(tmp_path, f"PARSEC_DB={DATABASE}\nPARSEC_BLOCKSTORE=MOCKED\n", "PARSEC_BLOCKSTORE=POSTGRESQL\n")
    assert deployment.stores == ()


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, "PARSEC_DB=$PG_URL\nPARSEC_BLOCKSTORE=swift:a:b\nwhat is this\n")
    assert caught.value.message == (
        f"line 3 of {tmp_path}/0.env is not KEY=value; "
        "PARSEC_DB refers to PG_URL, which no env file and no environment variable defines; "
        "PARSEC_BLOCKSTORE is a swift store, which is not supported, because lockstep speaks S3 to object stores"
    )


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("A=1\n", ["PARSEC_DB", "PARSEC_BLOCKSTORE"]),
        ("PARSEC_DB=postgresql://h/d\nPARSEC_BLOCKSTORE=\n", ["PARSEC_BLOCKSTORE"]),
    ],
)
def test_a_variable_that_is_not_set_is_named_with_the_files(tmp_path: Path, text: str, missing: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert caught.value.message == "; ".join(f"{name} is not set in {tmp_path}/0.env" for name in missing)


def test_an_unreadable_file_is_the_only_thing_said_about_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_parsec_env([tmp_path / "none.env"], environment={})
    assert caught.value.message == f"env file {tmp_path}/none.env cannot be read: no such file or directory"


@pytest.mark.parametrize(
    ("value", "said"), [("MOCKED", "not supported, because"), ("mysql://u:secretpw@h/d", "is not a postgresql:// URL")]
)
def test_a_database_that_is_no_postgresql_is_refused(tmp_path: Path, value: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, f"PARSEC_DB={value}\nPARSEC_BLOCKSTORE=POSTGRESQL\n")
    assert said in caught.value.message
    assert "secretpw" not in caught.value.message


def test_no_secret_shows_in_the_value(tmp_path: Path) -> None:
    shown = repr(read(tmp_path, f"PARSEC_DB={DATABASE}\nPARSEC_BLOCKSTORE={STORE}\n"))
    assert "p%40ss" not in shown
    assert "minio-secret" not in shown
