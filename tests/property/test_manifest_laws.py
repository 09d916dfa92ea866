from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import RepositoryInvalid
from lockstep.repository.manifest import (
    DatabaseRecord,
    DumpRecord,
    FileEntry,
    Manifest,
    ObjectCounts,
    Previous,
    ProfileRecord,
    manifest_from_bytes,
    manifest_schema,
)

ID = "20261122T124000Z-1a2b3c4d"
PATH = f"snapshots/{ID}/manifest.json"
VALIDATOR = jsonschema.Draft202012Validator(manifest_schema())

IDS = st.from_regex(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", fullmatch=True)
SHA256 = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
COUNTS = st.integers(0, 2**63 - 1)
TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=8)
SECONDS = st.floats(0, 1e9)
NAMES = st.from_regex(r"[a-z0-9]{1,5}(/[a-z0-9.]{1,5}x)?", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

MANIFESTS = st.builds(
    Manifest,
    repository=TEXT,
    snapshot=st.just(ID),
    created=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive by contract
    complete=st.booleans(),
    tag=st.none() | TEXT,
    parent=st.none() | IDS,
    chain_length=st.integers(0, 1000),
    previous=st.none() | st.builds(Previous, snapshot=IDS, sha256=SHA256),
    database=st.builds(
        DatabaseRecord,
        name=TEXT,
        server_version=TEXT,
        server_major=COUNTS,
        encoding=TEXT,
        collate=TEXT,
        ctype=TEXT,
        locale_provider=st.sampled_from(["libc", "icu", "builtin"]),
        locale=st.none() | TEXT,
        owner=TEXT,
        extensions=st.dictionaries(TEXT, TEXT, max_size=2),
        roles=st.lists(TEXT, max_size=2).map(tuple),
        size_bytes=COUNTS,
        rows=st.dictionaries(TEXT, COUNTS, max_size=2),
    ),
    dump=st.builds(
        DumpRecord, format=st.sampled_from(["custom", "directory", "plain"]), size_bytes=COUNTS, pg_dump_major=COUNTS, seconds=SECONDS
    ),
    profile=st.builds(ProfileRecord, name=TEXT, query=st.none() | TEXT),
    stores=st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True), TEXT, max_size=2),
    objects=st.builds(ObjectCounts, **dict.fromkeys(ObjectCounts.model_fields, COUNTS)),
    files=st.lists(st.builds(FileEntry, path=NAMES.map(lambda name: f"snapshots/{ID}/{name}"), size=COUNTS, sha256=SHA256), max_size=3).map(
        tuple
    ),
    inventory=st.lists(st.builds(FileEntry, path=NAMES.map(lambda name: f"inventory/{name}"), size=COUNTS, sha256=SHA256), max_size=3).map(
        tuple
    ),
    tools=st.dictionaries(TEXT, TEXT, max_size=2),
    seconds=SECONDS,
)


@settings(max_examples=25)
@given(MANIFESTS)
def test_every_manifest_comes_back_as_it_went_and_obeys_the_published_schema(manifest: Manifest) -> None:
    data = manifest.as_bytes()
    assert manifest_from_bytes(data, path=PATH) == manifest
    VALIDATOR.validate(json.loads(data))


@given(st.binary(max_size=60))
def test_no_bytes_whatever_are_more_than_refused(data: bytes) -> None:
    refused_or_sound(data)


@settings(max_examples=50)
@given(manifest=MANIFESTS, data=st.data())
def test_a_manifest_with_anything_in_any_field_is_sound_or_refused(manifest: Manifest, data: st.DataObject) -> None:
    document = json.loads(manifest.as_bytes())
    document[data.draw(st.sampled_from(sorted(document)))] = data.draw(JSON)
    refused_or_sound(json.dumps(document).encode())


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["snapshots", ID, "inventory", "..", ".", "", "a", "\n", "manifest.json"]), max_size=6).map("/".join))
def test_no_file_of_a_manifest_is_outside_its_snapshot(path: str) -> None:
    document = json.loads(PLAIN.as_bytes())
    document["files"] = [{"path": path, "size": 1, "sha256": "ab" * 32}]
    refused_or_sound(json.dumps(document).encode())


def refused_or_sound(data: bytes) -> None:
    try:
        manifest = manifest_from_bytes(data, path=PATH)
    except RepositoryInvalid:
        return
    assert manifest.snapshot == ID
    assert manifest.created.tzinfo is not None
    for entry in manifest.files:
        assert entry.path.startswith(f"snapshots/{ID}/")
        assert not {"..", ".", ""} & set(entry.path.split("/"))
    for entry in manifest.inventory:
        assert not {"..", ".", ""} & set(entry.path.split("/"))
    assert manifest.dump_files() == tuple(entry for entry in manifest.files if entry.path.split("/")[2].startswith("database"))


def _plain() -> Manifest:
    fields: dict[str, Any] = {
        "repository": "r",
        "snapshot": ID,
        "created": datetime(2026, 11, 22, tzinfo=UTC),
        "complete": True,
        "database": DatabaseRecord(
            name="a", server_version="18.6", server_major=18, encoding="UTF8", collate="C", ctype="C", locale_provider="libc", owner="a"
        ),
        "dump": DumpRecord(format="custom", size_bytes=1, pg_dump_major=18, seconds=1),
        "profile": ProfileRecord(name="a"),
        "stores": {"main": "s3://bucket"},
        "objects": ObjectCounts(**dict.fromkeys(ObjectCounts.model_fields, 0)),
        "files": (),
    }
    return Manifest(**fields)


PLAIN = _plain()
