from __future__ import annotations

import pytest

from lockstep.config.blockstore import Blockstore, join_parts, parse_blockstore, split_parts
from lockstep.config.faults import Faults
from lockstep.model.addresses import StoreAddress


def parsed(value: str) -> Blockstore:
    faults = Faults()
    blockstore = parse_blockstore(value, faults=faults)
    assert faults.found == []
    return blockstore


def faults_in(value: str) -> list[str]:
    faults = Faults()
    parse_blockstore(value, faults=faults)
    return [fault.message for fault in faults.found]


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (r"http\://minio\:9000", "http://minio:9000"),
        (r"https\://s3.example.com", "https://s3.example.com"),
        (r"minio\:9000", "https://minio:9000"),
        ("s3.example.com", "https://s3.example.com"),
        ("", None),
        # As in an unquoted line that somebody escaped for a shell.
        (r"http\\://minio\\:9000", "http://minio:9000"),
    ],
)
def test_an_endpoint_is_read_with_its_escapes_and_https_by_default(endpoint: str, url: str | None) -> None:
    (store,) = parsed(f"s3:{endpoint}:region:bucket:key:secret").stores
    assert store.endpoint_url == url


def test_a_store_has_all_its_parts() -> None:
    assert parsed("s3:h:eu-west-3:blocks:AKIA:a/b+c=d") == Blockstore(
        (
            StoreAddress(
                url="s3://blocks",
                endpoint_url="https://h",
                region="eu-west-3",
                access_key_id="AKIA",
                secret_access_key="a/b+c=d",
            ),
        )
    )


def test_empty_parts_are_left_to_the_standard_chain() -> None:
    (store,) = parsed("s3:::blocks::").stores
    assert store == StoreAddress(url="s3://blocks")


@pytest.mark.parametrize("value", ["POSTGRESQL", "postgresql"])
def test_objects_in_the_database_need_no_store(value: str) -> None:
    assert parsed(value) == Blockstore(())


def test_raid_nodes_are_put_in_order() -> None:
    blockstore = parsed("raid1:1:s3:h1:r:b1:k:s   RAID1:0:s3:h0:r:b0:k:s")
    assert blockstore.raid == "raid1"
    assert [(store.name, store.url) for store in blockstore.stores] == [("node0", "s3://b0"), ("node1", "s3://b1")]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("swift:url:tenant:container:user:secretpw", "PARSEC_BLOCKSTORE is a swift store, which is not supported, because "),
        ("MOCKED", "PARSEC_BLOCKSTORE is MOCKED, which is not supported, because "),
        ("raid0:0:POSTGRESQL", "PARSEC_BLOCKSTORE is not supported, because a RAID node inside the database"),
        ("secretpw:b", "part 1 (the kind) of PARSEC_BLOCKSTORE is not s3, "),
        ("s3:http://h:9000:r:b:secretpw:s", "PARSEC_BLOCKSTORE has 8 parts between colons instead of 6"),
        ("s3:h:r:b:secretpw", "PARSEC_BLOCKSTORE has 5 parts between colons instead of 6"),
        ("s3:h:r::secretpw:s", "part 4 (the bucket) of PARSEC_BLOCKSTORE is not a bucket name"),
        ("s3:h:r:b:secretpw:", "part 6 (the secret) of PARSEC_BLOCKSTORE is empty"),
        ("s3:h:r:b::secretpw", "part 5 (the key) of PARSEC_BLOCKSTORE is empty"),
        (r"s3:ftp\://secretpw:r:b:k:s", "part 2 (the endpoint) of PARSEC_BLOCKSTORE is not an http or https URL"),
        (r"s3:http\://u\:secretpw@h:r:b:k:s", "part 2 (the endpoint) of PARSEC_BLOCKSTORE is not an http or https URL"),
        (r"s3:h\:99999:r:b:k:secretpw", "part 2 (the endpoint) of PARSEC_BLOCKSTORE is not an http or https URL"),
        ("raid1:x:s3:h:r:b:k:secretpw", "part 2 (the node) of PARSEC_BLOCKSTORE is not a number"),
        ("raid1:0:raid1:0:s3:h:r:b:k:secretpw", "PARSEC_BLOCKSTORE puts one RAID into another"),
        ("raid1:0:s3:h:r:b:k:s raid0:1:s3:h:r:c:k:s", "PARSEC_BLOCKSTORE mixes RAID modes"),
        ("s3:h:r:b:k:s s3:h:r:c:k:secretpw", "PARSEC_BLOCKSTORE names 2 stores without a RAID mode"),
        ("raid1:0:s3:h:r:b:k:s raid1:2:s3:h:r:c:k:s", "the nodes of PARSEC_BLOCKSTORE are not 0 to 1, each once"),
        ("raid1:0:s3:h:r:b:k:s raid1:0:s3:h:r:c:k:s", "the nodes of PARSEC_BLOCKSTORE are not 0 to 1, each once"),
        ("raid5:0:s3:h:r:b:k:s raid5:1:s3:h:r:c:k:s", "PARSEC_BLOCKSTORE has 2 nodes for raid5, which needs 3"),
        ("   ", "PARSEC_BLOCKSTORE is empty"),
    ],
)
def test_a_fault_names_the_part_and_never_its_text(value: str, message: str) -> None:
    (found,) = faults_in(value)
    assert found.startswith(message)
    assert "secretpw" not in found


def test_all_the_stores_with_faults_are_named() -> None:
    assert len(faults_in("raid1:0:swift:x raid1:1:s3:h")) == 2


@pytest.mark.parametrize("parts", [["a", "b:c", "d\\e"], ["", ""], ["\\", ":", "\\:"], ["a\\:b"]])
def test_joined_parts_come_apart_again(parts: list[str]) -> None:
    assert split_parts(join_parts(parts)) == parts


def test_a_backslash_before_any_other_character_is_kept() -> None:
    assert split_parts(r"a\b:c") == ["a\\b", "c"]
