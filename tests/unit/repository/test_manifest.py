from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lockstep.errors import RepositoryInvalid
from lockstep.model.database import DatabaseFacts
from lockstep.repository.manifest import FileEntry, Manifest, Previous, manifest_from_bytes, manifest_schema

ID = "20261122T124000Z-1a2b3c4d"
PATH = f"snapshots/{ID}/manifest.json"
SHA256 = "ab" * 32
SCHEMA = Path(__file__).parents[3] / "docs" / "reference" / "manifest.schema.json"


@pytest.fixture
def manifest(make_manifest: Any) -> Manifest:
    """A manifest in which nothing is left out."""
    made: Manifest = make_manifest(
        None,
        ID,
        complete=False,
        tag="before the upgrade",
        parent="20261121T124000Z-00000000",
        chain_length=3,
        previous=Previous(snapshot="20261121T124000Z-00000000", sha256=SHA256),
        files=tuple(
            FileEntry(path=f"snapshots/{ID}/{name}", size=1, sha256=SHA256)
            for name in ("database.dump", "references.parquet", "missing.parquet")
        ),
        inventory=(FileEntry(path=f"inventory/{ID}-0.parquet", size=1, sha256=SHA256),),
        tools={"lockstep": "0.1.0"},
        seconds=1.5,
    )
    return made


def changed(manifest: Manifest, **fields: object) -> bytes:
    return json.dumps({**json.loads(manifest.as_bytes()), **fields}).encode()


def test_a_manifest_comes_back_as_it_went(manifest: Manifest) -> None:
    assert manifest_from_bytes(manifest.as_bytes(), path=PATH) == manifest


def test_a_manifest_is_text_that_a_person_can_read(manifest: Manifest) -> None:
    text = manifest.as_bytes().decode()
    assert text.startswith('{\n  "format": 1,\n')
    assert text.endswith("}\n")
    assert '"created": "2026-11-22T12:40:00Z"' in text


def test_the_files_of_a_dump_are_those_that_begin_with_database(make_manifest: Any) -> None:
    files = [
        FileEntry(path=f"snapshots/{ID}/{name}", size=1, sha256=SHA256)
        for name in ("database/toc.dat", "database/1.dat", "references.parquet")
    ]
    manifest: Manifest = make_manifest(None, ID, files=tuple(files))
    assert list(manifest.dump_files()) == files[:2]
    assert manifest.file("references.parquet") == files[2]
    assert manifest.file("missing.parquet") is None


def test_the_database_is_told_as_facts(manifest: Manifest) -> None:
    facts = manifest.database.facts()
    assert isinstance(facts, DatabaseFacts)
    assert (facts.name, facts.server_major, facts.extensions) == ("app", 18, {"citext": "1.8"})


def test_fields_that_a_later_minor_version_adds_are_no_obstacle(manifest: Manifest) -> None:
    assert manifest_from_bytes(changed(manifest, new_field={"a": 1}), path=PATH) == manifest


@pytest.mark.parametrize("number", [2, 99])
def test_a_newer_format_is_refused_politely_whatever_else_it_says(number: int) -> None:
    with pytest.raises(RepositoryInvalid, match=f"has format {number}, and this lockstep reads formats up to 1") as caught:
        manifest_from_bytes(json.dumps({"format": number, "everything": "is different"}).encode(), path=PATH)
    assert caught.value.hint == "Use a newer lockstep for this repository."


@pytest.mark.parametrize("found", [0, -1, "1", 1.5, None, [1]])
def test_a_format_that_never_was_is_no_manifest(manifest: Manifest, found: object) -> None:
    with pytest.raises(RepositoryInvalid, match="is not a manifest"):
        manifest_from_bytes(changed(manifest, format=found), path=PATH)


def test_without_a_format_it_is_no_manifest(manifest: Manifest) -> None:
    document = json.loads(manifest.as_bytes())
    del document["format"]
    with pytest.raises(RepositoryInvalid, match="is not a manifest"):
        manifest_from_bytes(json.dumps(document).encode(), path=PATH)


def test_a_manifest_at_the_place_of_another_snapshot_is_refused(manifest: Manifest) -> None:
    with pytest.raises(RepositoryInvalid, match="speaks of another snapshot"):
        manifest_from_bytes(manifest.as_bytes(), path="snapshots/20261122T124000Z-1a2b3c4e/manifest.json")


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "/etc/passwd",
        f"snapshots/{ID}/../20261121T124000Z-00000000/database.dump",
        f"snapshots/{ID}/./database.dump",
        f"snapshots/{ID}//database.dump",
        f"snapshots/{ID}/",
        f"snapshots/{ID}",
        "snapshots/20261121T124000Z-00000000/database.dump",
        "objects/main/Acme/1",
        "lockstep.json",
        f"snapshots/{ID}/a\nb",
        f"snapshots/{ID}/a\0b",
        "",
    ],
)
def test_a_file_outside_the_snapshots_own_directory_is_refused(manifest: Manifest, path: str) -> None:
    with pytest.raises(RepositoryInvalid):
        manifest_from_bytes(changed(manifest, files=[{"path": path, "size": 1, "sha256": SHA256}]), path=PATH)


@pytest.mark.parametrize(
    "path",
    ["../inventory/x.parquet", "/inventory/x.parquet", "inventory/../lockstep.json", "objects/main/a", "odd/ab/x", "locks/writer.lock"],
)
def test_a_segment_outside_the_inventory_is_refused(manifest: Manifest, path: str) -> None:
    with pytest.raises(RepositoryInvalid):
        manifest_from_bytes(changed(manifest, inventory=[{"path": path, "size": 1, "sha256": SHA256}]), path=PATH)


@pytest.mark.parametrize(
    "fields",
    [
        {"complete": "perhaps"},
        {"created": "yesterday"},
        {"created": "2026-11-22T12:40:00"},
        {"snapshot": "../x"},
        {"snapshot": "20261122T124000Z-1a2b3c4d\n"},
        {"parent": "../x"},
        {"chain_length": -1},
        {"chain_length": 10**9},
        {"files": [{"path": f"snapshots/{ID}/database.dump", "size": -1, "sha256": SHA256}]},
        {"files": [{"path": f"snapshots/{ID}/database.dump", "size": 1, "sha256": "AB" * 32}]},
        {"files": [{"path": f"snapshots/{ID}/database.dump", "size": 1, "sha256": SHA256 + "\n"}]},
        {"files": "everything"},
        {"dump": {"format": "tar", "size_bytes": 1, "pg_dump_major": 18, "seconds": 1}},
        {"objects": {}},
        {"stores": {"../../x": "s3://bucket"}},
        {"previous": {"snapshot": ID, "sha256": "short"}},
    ],
)
def test_an_absurd_value_is_refused(manifest: Manifest, fields: dict[str, object]) -> None:
    with pytest.raises(RepositoryInvalid, match="is not a manifest"):
        manifest_from_bytes(changed(manifest, **fields), path=PATH)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"\xff\xfe",
        b"\x00" * 100,
        b"[" * 200_000,
        b'{"format":' * 100_000,
        b'{"format": 1' + b"0" * 10_000 + b"}",
        b'{"format": NaN}',
    ],
    ids=lambda data: data[:12].decode("latin-1"),
)
def test_whatever_else_lies_there_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(RepositoryInvalid):
        manifest_from_bytes(data, path=PATH)


def test_the_published_schema_is_the_current_one() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == manifest_schema(), "run scripts/write_manifest_schema.py"


def test_the_published_schema_accepts_a_real_manifest_and_refuses_a_wrong_one(manifest: Manifest) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(manifest.as_bytes()), schema)
    for wrong in ({"format": 2}, {"snapshot": "../x"}, {"chain_length": -1}, {"files": None}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**json.loads(manifest.as_bytes()), **wrong}, schema)
