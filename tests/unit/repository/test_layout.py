from __future__ import annotations

import pytest

from lockstep.model.snapshots import SnapshotId
from lockstep.repository import layout

ID = SnapshotId("20261122T124000Z-1a2b3c4d")
SHA256 = "ab" + "0" * 62


def test_every_file_of_a_repository_has_the_place_that_the_format_says() -> None:
    assert layout.MARKER == "lockstep.json"
    assert layout.HEAD == "head.json"
    assert layout.snapshot_directory(ID) == f"snapshots/{ID}/"
    assert layout.manifest_path(ID) == f"snapshots/{ID}/manifest.json"
    assert layout.segment_path(ID, 3) == f"inventory/{ID}-3.parquet"
    assert layout.own_path("main", "Acme/1") == "objects/main/Acme/1"
    assert layout.odd_path(SHA256) == f"odd/ab/{SHA256}"


def test_a_manifests_path_tells_its_snapshot() -> None:
    assert layout.snapshot_of_manifest(layout.manifest_path(ID)) == ID


@pytest.mark.parametrize(
    "path",
    [
        f"snapshots/{ID}/manifest.json.tmp",
        f"snapshots/{ID}/x/manifest.json",
        "snapshots/x/manifest.json",
        f"other/{ID}/manifest.json",
        f"snapshots/{ID}",
        "",
    ],
)
def test_no_other_path_makes_a_snapshot(path: str) -> None:
    assert layout.snapshot_of_manifest(path) is None


def test_a_segments_path_tells_its_run() -> None:
    assert layout.is_segment(layout.segment_path(ID, 12))
    assert layout.run_of_segment(layout.segment_path(ID, 12)) == ID


@pytest.mark.parametrize(
    "path",
    [
        f"inventory/{ID}.parquet",
        f"inventory/{ID}-x.parquet",
        f"inventory/{ID}-1.parquet.tmp",
        f"x/{ID}-1.parquet",
        f"inventory/../{ID}-1.parquet",
    ],
)
def test_no_other_path_is_a_segment(path: str) -> None:
    assert not layout.is_segment(path)
    assert layout.run_of_segment(path) is None


def test_an_odd_path_is_recognised() -> None:
    assert layout.is_odd_path(layout.odd_path(SHA256))


@pytest.mark.parametrize(
    "path",
    [
        f"odd/cd/{SHA256}",
        f"odd/ab/{SHA256}/..",
        f"odd/ab/{SHA256[:-1]}",
        f"odd/ab/../{SHA256}",
        f"odd/AB/{SHA256.upper()}",
        f"odd/ab/{SHA256}\n",
        "lockstep.json",
    ],
)
def test_what_only_resembles_an_odd_path_is_none(path: str) -> None:
    assert not layout.is_odd_path(path)
