"""A deployment is backed up, lost and restored, in every form that a backup can have; every row, sequence and byte is compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from support.parsec_shape import Generation, read_objects
from support.servers import MotoServer
from support.world import Deployment, World, open_world, same

ORGANIZATIONS = ("Acme", "Müller-Söhne", "株式会社テスト", "Ελλάδα_1")
ON_18 = pytest.mark.parametrize("postgres_server", [18], indirect=True)

ODD_KEYS = (
    "a",
    "a/b",
    "x//y",
    "../up",
    "./dot",
    "folder/",
    "dir/../x",
    "/abs",
    "a b/ c",
    "x/.",
    "n" * 300,
    "with space+plus%25",
    "ünïcödé/ключ",
    "e\u0301",
    "é",
)


@pytest.mark.parametrize(
    ("format_", "options"),
    [("custom", ()), ("directory", ("--jobs", "2")), ("plain", ("--format", "plain"))],
    ids=["custom", "directory", "plain"],
)
def test_what_was_backed_up_comes_back_row_for_row_and_byte_for_byte(world: World, format_: str, options: tuple[str, ...]) -> None:
    generation: Generation = "before_0014" if format_ == "plain" else "current"
    doubled = 0 if generation == "before_0014" else 5
    source = world.deployment(organizations=ORGANIZATIONS, blocks=60, size=(1, 3000), generation=generation, doubled=doubled)
    ran = world.backup(source, *options, "--tag", "before the move")
    assert ran.returncode == 0, ran
    made = ran.json
    assert made["complete"] is True
    assert made["parent"] is None
    assert made["database"]["format"] == format_
    assert made["database"]["name"] == source.dbname
    objects = source.objects()
    assert made["objects"]["referenced"] == made["objects"]["new"] == 60  # objects, though some have two rows
    assert made["objects"]["copied_bytes"] == made["objects"]["referenced_bytes"] == sum(map(len, objects.values()))
    assert made["objects"]["missing"] == made["objects"]["mismatched"] == made["objects"]["reused"] == 0
    assert made["requests"] | {"head": 0, "retried": 0} == {"list": 0, "get": 60, "head": 0, "put": 0, "retried": 0}
    [listed] = world.snapshots()
    assert listed["snapshot"] == made["snapshot"]
    assert listed["created"] == made["created"]
    assert (listed["complete"], listed["tag"], listed["missing"]) == (True, "before the move", 0)

    target = world.nowhere()
    ran = world.restore(target, *(("--jobs", "2") if format_ != "plain" else ()))
    assert ran.returncode == 0, ran
    restored = ran.json
    assert restored["snapshot"] == made["snapshot"]
    assert restored["consistent"] is True
    assert restored["database"] == {"name": target.dbname, "replaced": None, "seconds": restored["database"]["seconds"]}
    assert restored["objects"] | {"seconds": 0} == {
        "uploaded": 60, "uploaded_bytes": made["objects"]["copied_bytes"], "already_there": 0,
        "different": 0, "missing": 0, "missing_sample": [], "seconds": 0,
    }  # fmt: skip
    same(source, target)
    assert modes(world.repo_path) == {"0o700", "0o600"}


@ON_18
def test_both_stores_are_found_in_the_env_files_of_a_parsec_server(world: World) -> None:
    source, target = world.deployment(organizations=("Ångström",), blocks=12), world.nowhere()
    first = write(world.tmp_path / "secrets.env", f"""
        # keys
        DB_PASS={quote(str(conninfo_to_dict(world.postgres.address().conninfo)["password"]))}
        export S3_KEY={world.s3.access_key_id}
        S3_SECRET='{world.s3.secret_access_key}'
    """)  # fmt: skip

    def server_env(deployment: Deployment) -> Path:
        endpoint = world.s3.endpoint_url.replace(":", "\\:")
        return write(world.tmp_path / f"{deployment.dbname}.env", f"""
            PARSEC_DB=postgresql://postgres:${{DB_PASS}}@{world.postgres.host}:{world.postgres.port}/{deployment.dbname}
            PARSEC_BLOCKSTORE=s3:{endpoint}:us-east-1:{deployment.bucket_name}:$S3_KEY:${{S3_SECRET}}
            PARSEC_SOMETHING_ELSE="a b"
        """)  # fmt: skip

    def files_of(deployment: Deployment) -> list[str | Path]:
        return ["--parsec-env", first, "--parsec-env", server_env(deployment)]

    no_keys = dict.fromkeys(world.keys, "")
    ran = world.run("backup", *files_of(source), "--json", env=no_keys)
    assert ran.returncode == 0, ran
    assert ran.json["objects"]["new"] == 12
    ran = world.run("restore", "latest", *files_of(target), "--json", "--yes", env=no_keys)
    assert ran.returncode == 0, ran
    same(source, target)
    assert world.s3.secret_access_key not in ran.stderr + ran.stdout


@ON_18
def test_a_server_that_keeps_its_objects_in_the_database_needs_no_bucket(world: World) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    source.execute("CREATE TABLE block_data (_id serial PRIMARY KEY, organization_id text, block_id uuid, data bytea)")
    source.execute("INSERT INTO block_data (data) SELECT decode(repeat(md5(n::text), 9), 'hex') FROM generate_series(1, 50) n")

    def env_file(deployment: Deployment) -> Path:
        known = conninfo_to_dict(deployment.database.conninfo)
        url = f"postgresql://{known['user']}:{quote(str(known['password']))}@{known['host']}:{known['port']}/{deployment.dbname}"
        return write(world.tmp_path / f"{deployment.dbname}.env", f"PARSEC_DB={url}\nPARSEC_BLOCKSTORE=POSTGRESQL\n")

    ran = world.run("backup", "--parsec-env", env_file(source), "--json")
    assert ran.returncode == 0, ran
    assert ran.json["complete"] is True
    assert ran.json["objects"]["referenced"] == 0
    ran = world.run("restore", "latest", "--parsec-env", env_file(target), "--json")
    assert ran.returncode == 0, ran
    assert ran.json["consistent"] is True
    assert target.tables() == source.tables()


@ON_18
def test_a_profile_of_ones_own_names_two_stores_and_checksums(world: World) -> None:
    database, target_database = world.new_database(), world.nowhere().database
    here, there = world.new_bucket(), world.new_bucket()
    client = world.s3.client()
    for bucket, count in ((here, 4), (there, 3)):
        for number in range(count):
            client.put_object(
                Bucket=bucket.url[5:], Key=f"photos/{number}.jpg", Body=f"photo {bucket.url} {number}".encode(),
                ContentType="image/jpeg", Metadata={"taken-by": f"camera-{number}"}, CacheControl="max-age=60",
            )  # fmt: skip
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("CREATE TABLE photo (place text, path text, bytes int, etag text, digest bytea)")
        for name, bucket in (("hot", here), ("cold", there)):
            for key, data in read_objects(bucket).items():
                connection.execute("INSERT INTO photo VALUES (%s, %s, %s, md5(%s), sha256(%s))", [name, key, len(data), data, data])
    profile = write(world.tmp_path / "photos.toml", """
        name = "photos"
        references = "SELECT place AS store, path AS key, bytes AS size, etag, digest AS sha256 FROM photo;"
    """)  # fmt: skip
    access = ["--endpoint-url", world.s3.endpoint_url]
    ran = world.run(
        "backup", "--database", database.conninfo, "--bucket", f"hot={here.url}", "--bucket", f"cold={there.url}", *access,
        "--app", profile, "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran
    assert (ran.json["objects"]["referenced"], ran.json["complete"]) == (7, True)
    assert ran.json["requests"]["list"] == 0

    new_here, new_there = world.new_bucket(), world.new_bucket()
    ran = world.run(
        "restore", "latest", "--database", target_database.conninfo, "--bucket", f"cold={new_there.url}", "--bucket", f"hot={new_here.url}",
        *access, "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran
    assert (read_objects(new_here), read_objects(new_there)) == (read_objects(here), read_objects(there))
    head = client.head_object(Bucket=new_here.url[5:], Key="photos/2.jpg")
    assert (head["ContentType"], head["Metadata"], head.get("CacheControl")) == ("image/jpeg", {"taken-by": "camera-2"}, "max-age=60")
    with psycopg.connect(database.conninfo) as old, psycopg.connect(target_database.conninfo) as new:
        query = "SELECT * FROM photo ORDER BY 1, 2"
        assert new.execute(query).fetchall() == old.execute(query).fetchall()


@ON_18
def test_an_object_with_another_checksum_than_the_metadata_says_is_a_finding(world: World) -> None:
    database, bucket = world.new_database(), world.new_bucket()
    client = world.s3.client()
    for key in ("right", "wrong-md5", "wrong-sha"):
        client.put_object(Bucket=bucket.url[5:], Key=key, Body=b"bytes")
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("CREATE TABLE file (path text, bytes int, etag text, sha text)")
        connection.execute("INSERT INTO file VALUES ('right', 5, md5('bytes'), encode(sha256('bytes'), 'hex'))")
        connection.execute(
            "INSERT INTO file VALUES ('wrong-md5', 5, md5('other'), NULL), ('wrong-sha', 5, NULL, encode(sha256('other'), 'hex'))"
        )
    profile = write(world.tmp_path / "files.toml", """
        name = "files"
        references = "SELECT path AS key, bytes AS size, etag, sha AS sha256 FROM file"
    """)  # fmt: skip
    ran = world.backup(Deployment(database, bucket), "--app", str(profile))
    assert ran.returncode == 3, ran
    assert (ran.json["complete"], ran.json["objects"]["mismatched"], ran.json["objects"]["new"]) == (False, 2, 1)
    listed = world.run("show", "latest", "--missing", "--json").json["missing"]
    assert [each["key"] for each in listed] == ["wrong-md5", "wrong-sha"]


@ON_18
def test_every_object_of_a_bucket_comes_back_when_no_query_says_which(world: World, moto_server: MotoServer, tmp_path: Path) -> None:
    with open_world(world.lockstep, world.environment, world.postgres, moto_server, tmp_path) as odd:
        source = Deployment(odd.new_database(), odd.new_bucket())
        source.execute("CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
        client = moto_server.client()
        for number, key in enumerate(ODD_KEYS):
            client.put_object(
                Bucket=source.bucket_name, Key=key, Body=key.encode() * number, ContentType="text/x-odd", Metadata={"n": str(number)}
            )
        ran = odd.backup(source, "--app", "bucket")
        assert ran.returncode == 0, ran
        assert (ran.json["objects"]["referenced"], ran.json["complete"]) == (len(ODD_KEYS), True)
        assert ran.json["requests"]["list"] > 0
        again = odd.backup(source, "--app", "bucket")
        assert again.returncode == 0, again
        assert (again.json["objects"]["new"], again.json["requests"]["get"]) == (0, 0)
        assert all(path.is_relative_to(odd.repo_path) for path in odd.repo_path.rglob("*"))
        assert not (odd.repo_path / "up").exists()
        target = odd.nowhere()
        ran = odd.restore(target)
        assert ran.returncode == 0, ran
        assert ran.json["objects"]["uploaded"] == len(ODD_KEYS)
        assert contents(moto_server, target) == contents(moto_server, source)
        assert target.tables() == source.tables()


@ON_18
def test_an_object_that_was_deleted_comes_from_an_older_version_or_an_older_key(
    world: World, moto_server: MotoServer, tmp_path: Path
) -> None:
    with open_world(world.lockstep, world.environment, world.postgres, moto_server, tmp_path) as versioned:
        bucket = versioned.new_bucket()
        client = moto_server.client()
        client.put_bucket_versioning(Bucket=bucket.url[5:], VersioningConfiguration={"Status": "Enabled"})
        source = replace(versioned.deployment(blocks=6), bucket=bucket)
        for key, data in source.filled.objects.items():
            client.put_object(Bucket=source.bucket_name, Key=key, Body=data)
        deleted, renamed = source.filled.keys[:2]
        client.delete_object(Bucket=source.bucket_name, Key=deleted)
        for version in client.list_object_versions(Bucket=source.bucket_name, Prefix=renamed)["Versions"]:
            client.delete_object(Bucket=source.bucket_name, Key=renamed, VersionId=version["VersionId"])
        client.put_object(Bucket=source.bucket_name, Key=renamed.replace("-", "") if "/" not in renamed else hex_key(renamed),
                          Body=source.filled.objects[renamed])  # fmt: skip
        ran = versioned.backup(source)
        assert ran.returncode == 0, ran
        assert (ran.json["complete"], ran.json["objects"]["new"], ran.json["objects"]["missing"]) == (True, 6, 0)
        target = versioned.nowhere()
        assert versioned.restore(target).returncode == 0
        assert target.objects() == source.filled.objects


@ON_18
def test_a_store_below_a_prefix_of_a_bucket_is_kept_apart_from_the_rest(world: World) -> None:
    bucket = world.s3.address(world.s3.create_bucket(), prefix="prod/blocks")
    source = replace(world.deployment(blocks=5), bucket=bucket)
    client = world.s3.client()
    for key, data in source.filled.objects.items():
        client.put_object(Bucket=source.bucket_name, Key=f"prod/blocks/{key}", Body=data)
    client.put_object(Bucket=source.bucket_name, Key="prod/blocks-of-others", Body=b"not ours")
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    assert ran.json["objects"]["new"] == 5
    target = replace(world.nowhere(), bucket=world.s3.address(world.s3.create_bucket(), prefix="elsewhere"))
    ran = world.restore(target)
    assert ran.returncode == 0, ran
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=target.bucket_name)["Contents"]]
    assert sorted(keys, key=str.encode) == [f"elsewhere/{key}" for key in source.filled.keys]


@ON_18
def test_an_empty_deployment_is_a_snapshot_too(world: World) -> None:
    source, target = world.deployment(blocks=0), world.nowhere()
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    assert (ran.json["complete"], ran.json["objects"]["referenced"]) == (True, 0)
    assert world.restore(target).returncode == 0
    same(source, target)


def write(path: Path, text: str) -> Path:
    path.write_text("\n".join(line.strip() for line in text.strip().splitlines()) + "\n", encoding="utf-8")
    return path


def hex_key(key: str) -> str:
    organization, _, block = key.partition("/")
    return f"{organization}/{block.replace('-', '')}"


def contents(server: MotoServer, deployment: Deployment) -> dict[str, tuple[bytes, str, dict[str, str]]]:
    """Every object with its content type and user metadata, read with boto3, which can address every key."""
    client = server.client()
    found: dict[str, Any] = {}
    for item in client.list_objects_v2(Bucket=deployment.bucket_name)["Contents"]:
        got = client.get_object(Bucket=deployment.bucket_name, Key=item["Key"])
        found[item["Key"]] = (got["Body"].read(), got["ContentType"], got["Metadata"])
    return found


def modes(root: Path) -> set[str]:
    return {oct(path.stat().st_mode & 0o777) for path in [root, *root.rglob("*")]}
