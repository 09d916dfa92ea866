"""The servers and the shape that the other integration tests stand on."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from lockstep.model.addresses import StoreAddress
from support.fixture_types import MakeDatabase
from support.parsec_shape import Generation, add_blocks, fill, read_objects, table_rows
from support.servers import MotoServer, RcloneS3, SeaweedFS

REFERENCES: dict[Generation, str] = {
    "current": """
        SELECT DISTINCT organization.organization_id || '/' || block.block_id, block.size
        FROM block JOIN realm ON realm._id = block.realm JOIN organization ON organization._id = realm.organization""",
    "before_0014": """
        SELECT DISTINCT organization.organization_id || '/' || block.block_id, block.size
        FROM block JOIN organization ON organization._id = block.organization""",
}


@pytest.mark.parametrize("generation", ["current", "before_0014"])
def test_filled_deployment_has_an_object_of_the_right_size_for_every_row(
    make_database: MakeDatabase, bucket: StoreAddress, generation: Generation
) -> None:
    doubled = 3 if generation == "current" else 0
    with psycopg.connect(make_database(schema=generation).conninfo) as connection:
        filled = fill(connection, bucket, organizations=4, realms=2, blocks=30, size=(0, 500), doubled=doubled, generation=generation)
        filled = add_blocks(connection, bucket, filled, 5)
        referenced: dict[str, int] = dict(connection.execute(REFERENCES[generation]).fetchall())
        rows = table_rows(connection)
    stored = read_objects(bucket)
    assert stored == filled.objects
    assert referenced == {key: len(data) for key, data in stored.items()}
    assert len(rows["block"]) == 35 + doubled
    assert not all(key.isascii() for key in referenced)


def test_same_seed_gives_the_same_rows(make_database: MakeDatabase, bucket: StoreAddress) -> None:
    seen = []
    for _ in range(2):
        with psycopg.connect(make_database(schema="current").conninfo) as connection:
            fill(connection, bucket, blocks=4, seed=7)
            seen.append(table_rows(connection))
    assert seen[0] == seen[1]
    assert all(seen[0].values())


def test_seaweedfs_keeps_its_objects_over_a_kill(tmp_path: Path) -> None:
    with SeaweedFS(tmp_path / "store") as server:
        bucket = server.create_bucket()
        server.client().put_object(Bucket=bucket, Key="kept", Body=b"bytes")
        endpoint_url = server.endpoint_url
        server.stop()
        server.start()
        assert server.endpoint_url == endpoint_url
        assert server.client().get_object(Bucket=bucket, Key="kept")["Body"].read() == b"bytes"
    assert server.pid is None


def test_moto_and_rclone_answer_as_s3(moto_server: MotoServer, tmp_path: Path) -> None:
    with RcloneS3(tmp_path / "served") as rclone:
        for server in (moto_server, rclone):
            client = server.client()
            bucket = server.create_bucket()
            client.put_object(Bucket=bucket, Key="a/ß", Body=b"bytes")
            assert client.get_object(Bucket=bucket, Key="a/ß")["Body"].read() == b"bytes"
