"""What only an S3 service can do, on services that differ: SeaweedFS, moto (versions), rclone (no conditional writes)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from contract.conftest import ask_for_small_pages
from lockstep.errors import BucketNotFound, KeyRefused, ObjectExists, ObjectNotFound, PermissionMissing, StoreUnreachable
from lockstep.model.addresses import StoreAddress
from lockstep.model.objects import ObjectAttributes
from lockstep.objects.open import open_store
from lockstep.objects.store import ObjectStore
from support.servers import MotoServer, RcloneS3, SeaweedFS

MIB = 1 << 20


def keys_of(store: ObjectStore, prefix: str = "") -> list[str]:
    return [found.key for page in store.list(prefix) for found in page]


def versioned(client: Any, bucket: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def uploads_left(server: SeaweedFS | MotoServer, bucket: str) -> list[Any]:
    return list(server.client().list_multipart_uploads(Bucket=bucket).get("Uploads", []))


def test_once_a_service_has_shown_that_it_honours_conditions_one_request_writes_once(bucket: StoreAddress) -> None:
    store = open_store(bucket)
    store.write("first", b"x")
    counts = store.requests.counts()
    assert (counts.head, counts.put) == (1, 2)
    store.write("second", b"x")
    with pytest.raises(ObjectExists):
        store.write("first", b"y")
    counts = store.requests.counts()
    assert (counts.head, counts.put) == (1, 4)


def test_learning_does_not_make_a_second_version(moto_server: MotoServer) -> None:
    name = moto_server.create_bucket()
    versioned(moto_server.client(), name)
    store = open_store(moto_server.address(name))
    store.write("first", b"x")
    assert store.list_versions("first") == []


def test_a_service_that_ignores_conditions_is_found_out_and_nothing_is_overwritten(rclone: RcloneS3) -> None:
    store = open_store(rclone.address(rclone.create_bucket()))
    store.write("first", b"old")
    for key in ("first", "second"):
        if key == "second":
            store.write(key, b"old")
        with pytest.raises(ObjectExists):
            store.write(key, b"new")
        with pytest.raises(ObjectExists):
            store.write_stream(key, (b"x" * MIB for _ in range(20)))
        assert store.read(key).bytes() == b"old"
    store.write_stream("long", (b"x" * MIB for _ in range(40)))
    assert store.head("long")[0].size == 40 * MIB


def test_a_key_that_a_service_refuses_is_refused(rclone: RcloneS3, bucket: StoreAddress) -> None:
    store = open_store(rclone.address(rclone.create_bucket()))
    for key in ("a//b", "k" * 1025):
        with pytest.raises(KeyRefused):
            store.write(key, b"x", overwrite=True)
    for key in ("../up", "x/./y", "k" * 1025):
        with pytest.raises(KeyRefused):
            open_store(bucket).write(key, b"x", overwrite=True)
    for key in ("a\udc80", "a\udc80/"):
        with pytest.raises(KeyRefused):
            store.write(key, b"x", overwrite=True)


def test_older_versions_are_found_newest_first_and_read(moto_server: MotoServer) -> None:
    name = moto_server.create_bucket()
    versioned(moto_server.client(), name)
    store = open_store(moto_server.address(name, prefix="p"))
    for key in ("a", "a//b"):
        for data in (b"1", b"22", b"333"):
            store.write(key, data, overwrite=True)
        store.write(key + "x", b"other")
        versions = store.list_versions(key)
        assert [(info.key, info.size) for _, info in versions] == [(key, 2), (key, 1)]
        assert [store.read(key, version=version).bytes() for version, _ in versions] == [b"22", b"1"]
        store.delete([key])
        with pytest.raises(ObjectNotFound):
            store.read(key)
        versions = store.list_versions(key)
        assert [info.size for _, info in versions] == [3, 2, 1]
        assert store.read(key, version=versions[0][0]).bytes() == b"333"
    assert store.list_versions("absent") == []


def test_more_versions_than_a_page_holds_are_all_found(moto_server: MotoServer) -> None:
    name = moto_server.create_bucket()
    versioned(moto_server.client(), name)
    store = open_store(moto_server.address(name))
    for number in range(8):
        store.write("a", b"x" * number, overwrite=True)
    ask_for_small_pages(store, 3)
    assert [info.size for _, info in store.list_versions("a")] == [6, 5, 4, 3, 2, 1, 0]
    assert store.requests.counts().list == 3


def test_a_torn_stream_leaves_no_upload_behind(s3_server: SeaweedFS, moto_server: MotoServer) -> None:
    class TornError(Exception):
        pass

    def pieces() -> Any:
        for _ in range(40):
            yield b"x" * MIB
        raise TornError

    for server in (s3_server, moto_server):
        name = server.create_bucket()
        with pytest.raises(TornError):
            open_store(server.address(name)).write_stream("a", pieces())
        assert uploads_left(server, name) == []


def test_an_object_that_appears_during_a_stream_is_not_replaced(moto_server: MotoServer, s3_server: SeaweedFS) -> None:
    for server in (moto_server, s3_server):
        name = server.create_bucket()
        store = open_store(server.address(name))
        store.write("known", b"")  # from here on the service is known to honour conditions
        client = server.client()

        def pieces(client: Any = client, name: str = name) -> Any:
            for number in range(40):
                if number == 30:
                    client.put_object(Bucket=name, Key="a", Body=b"theirs")
                yield b"x" * MIB

        with pytest.raises(ObjectExists):
            store.write_stream("a", pieces())
        assert store.read("a").bytes() == b"theirs"
        assert uploads_left(server, name) == []


def test_directory_markers_are_listed_as_what_they_are(moto_server: MotoServer) -> None:
    name = moto_server.create_bucket()
    for key in ("data/", "data/dir/", "data/dir", "data//x", "data/x", "datax", "other"):
        moto_server.client().put_object(Bucket=name, Key=key, Body=key.encode())
    store = open_store(moto_server.address(name, prefix="data"))
    assert keys_of(store) == ["/x", "dir", "dir/", "x"]
    assert keys_of(store, "dir") == ["dir", "dir/"]
    assert keys_of(open_store(moto_server.address(name)), "data") == ["data/", "data//x", "data/dir", "data/dir/", "data/x", "datax"]
    assert store.read("dir/").bytes() == b"data/dir/"
    assert store.read("/x").bytes() == b"data//x"


def test_a_bucket_that_does_not_exist_is_said_so_when_writing(moto_server: MotoServer) -> None:
    store = open_store(moto_server.address("nowhere-at-all"))
    writes: list[Callable[[], object]] = [
        lambda: store.write("a", b""),
        lambda: store.write("a//b", b""),
        lambda: store.write_stream("b", [b"x" * 20 * MIB]),
    ]
    for write in writes:
        with pytest.raises(BucketNotFound, match="nowhere-at-all"):
            write()
    with pytest.raises(BucketNotFound):
        store.delete(["a"])
    with pytest.raises(BucketNotFound):
        store.list_versions("a")


def test_a_bucket_is_created(s3_server: SeaweedFS) -> None:
    store = open_store(s3_server.address(f"made-{secrets.token_hex(4)}"))
    with pytest.raises(BucketNotFound):
        store.check_reachable()
    store.create_bucket()
    store.check_reachable()


def test_metadata_named_like_a_header_survives(moto_server: MotoServer) -> None:
    store = open_store(moto_server.address(moto_server.create_bucket()))
    store.write("a", b"x", attributes=ObjectAttributes(content_type="text/plain", metadata={"content-type": "odd"}))
    assert store.read("a").bytes() == b"x"
    assert store.head("a")[1].content_type == "text/plain"


@pytest.mark.parametrize("odd", ["", "//"])
def test_wrong_keys_are_told_apart(bucket: StoreAddress, odd: str) -> None:
    key = "a" + odd + "b"
    wrong_secret = open_store(replace(bucket, secret_access_key="wrong"))
    wrong_id = open_store(replace(bucket, access_key_id="wrong"))
    for store, code in ((wrong_secret, "SignatureDoesNotMatch"), (wrong_id, "InvalidAccessKeyId")):
        asks: list[Callable[[], object]] = [
            partial(store.read, key),
            partial(store.write, key, b"x", overwrite=True),
            store.check_reachable,
            partial(keys_of, store),
        ]
        for ask in asks:
            with pytest.raises(PermissionMissing, match=code):
                ask()
        with pytest.raises(PermissionMissing, match="403"):
            store.head(key)


@pytest.mark.parametrize("odd", ["", "//"])
@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://127.0.0.1:1", "cannot reach http://127.0.0.1:1: connection refused"),
        ("http://no-such-host.invalid:9000", "cannot reach http://no-such-host.invalid:9000: unknown host"),
    ],
)
def test_a_server_that_cannot_be_reached_is_named(address_at: Callable[[str], StoreAddress], endpoint: str, reason: str, odd: str) -> None:
    store = open_store(address_at(endpoint))
    asks: list[Callable[[], object]] = [
        lambda: store.read("a" + odd + "b"),
        lambda: store.head("a" + odd + "b"),
        lambda: store.write("a" + odd + "b", b"", overwrite=True),
        store.check_reachable,
        lambda: list(store.list()),
    ]
    for ask in asks:
        with pytest.raises(StoreUnreachable) as caught:
            ask()
        assert caught.value.message == reason


def test_https_where_there_is_none_is_said_so(bucket: StoreAddress) -> None:
    assert bucket.endpoint_url is not None
    store = open_store(replace(bucket, endpoint_url=bucket.endpoint_url.replace("http://", "https://")))
    for ask in (lambda: store.read("a"), store.check_reachable):
        with pytest.raises(StoreUnreachable, match="does not speak TLS"):
            ask()


def test_what_the_environment_says_does_not_change_an_explicit_store(bucket: StoreAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_BUCKET": "elsewhere",
        "AWS_BUCKET_NAME": "elsewhere",
        "AWS_ENDPOINT": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:2",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:3",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_ACCESS_KEY_ID": "theirs",
        "AWS_SECRET_ACCESS_KEY": "theirs",
        "AWS_SESSION_TOKEN": "theirs",
        "AWS_REGION": "nowhere-1",
        "AWS_DEFAULT_REGION": "nowhere-2",
        "AWS_PROFILE": "nobody",
        "AWS_S3_EXPRESS": "true",
        "AWS_ALLOW_HTTP": "false",
        "AWS_TIMEOUT": "1ms",
        "AWS_UNSIGNED_PAYLOAD": "true",
        "AWS_REQUEST_PAYER": "requester",
        "AWS_CONDITIONAL_PUT": "disabled",
        "AWS_IMDSV1_FALLBACK": "true",
    }.items():
        monkeypatch.setenv(name, value)
    store = open_store(bucket)
    for key in ("a", "a\tb"):
        store.write(key, b"x")
        with pytest.raises(ObjectExists):
            store.write(key, b"y")
        assert store.read(key).bytes() == b"x"
    assert keys_of(store) == ["a", "a\tb"]


def test_keys_of_the_environment_and_of_a_profile_open_a_store(
    bucket: StoreAddress, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    assert bucket.access_key_id is not None
    assert bucket.secret_access_key is not None
    bare = replace(bucket, access_key_id=None, secret_access_key=None, endpoint_url=None, region=None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(PermissionMissing, match="no S3 credentials were found"):
        open_store(bare)

    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", bucket.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret_access_key)
        patch.setenv("AWS_ENDPOINT_URL", str(bucket.endpoint_url))
        open_store(bare).write("by-environment", b"x")

    (tmp_path / "config").write_text(f"[profile mine]\nregion = eu-west-3\nendpoint_url = {bucket.endpoint_url}\n")
    (tmp_path / "credentials").write_text(
        f"[mine]\naws_access_key_id = {bucket.access_key_id}\naws_secret_access_key = {bucket.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "mine")
    store = open_store(bare)
    store.write("by-profile", b"x")
    store.write("by\tprofile", b"x")
    assert keys_of(store) == ["by\tprofile", "by-environment", "by-profile"]
