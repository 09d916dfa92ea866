"""The manifest: what a snapshot is made of, written last, and the JSON Schema that others may rely on."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from lockstep.errors import RepositoryInvalid
from lockstep.model.database import DatabaseFacts, DumpFormat, LocaleProvider
from lockstep.model.keys import can_be_a_file_name
from lockstep.repository.layout import ENCRYPTED, FORMAT
from lockstep.repository.seal import seal

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Id = Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$")]
Store = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Record(BaseModel):
    """A value of a stored JSON file; unknown fields are ignored, so that a newer lockstep may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PlainRecord(Record):
    """What is in an encrypted file. Without `sha256` where somebody could guess the contents and would see that he is right."""

    size: Count
    sha256: Sha256 | None = None


class FileEntry(Record):
    """A file of the repository, by its path from the repository's root. Size and SHA-256 are those of the bytes as they lie there."""

    path: str
    size: Count
    sha256: Sha256
    plain: PlainRecord | None = None

    @property
    def encrypted(self) -> bool:
        """True when an identity is needed to read it."""
        return self.path.endswith(ENCRYPTED)

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if not can_be_a_file_name(path) or not path.startswith(("snapshots/", "inventory/")):
            raise ValueError("leads outside its place")
        return path


class DatabaseRecord(Record):
    """The database as it was: enough to make it again, and to prove that it is the same. `rows` counts every table's rows."""

    name: str
    server_version: str
    server_major: int
    encoding: str
    collate: str
    ctype: str
    locale_provider: LocaleProvider
    locale: str | None = None
    collation_version: str | None = None
    owner: str
    extensions: dict[str, str] = {}
    roles: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    size_bytes: Count = 0
    rows: dict[str, Count] = {}

    def facts(self) -> DatabaseFacts:
        """The same as a plain value, without the row counts."""
        return DatabaseFacts(**self.model_dump(exclude={"rows"}))


class DumpRecord(Record):
    """How the dump was made. `size_bytes` is the sum of its files; `pg_dump_major` decides which pg_restore can read it."""

    format: DumpFormat
    size_bytes: Count
    pg_dump_major: int
    seconds: float


class ProfileRecord(Record):
    """How the references were asked for. `query` is None when the references are what a listing of the stores showed."""

    name: str
    query: str | None = None


class EncryptionRecord(Record):
    """To whom the snapshot's dump and its list of what is missing are encrypted, and whether the objects that it added are."""

    recipients: tuple[str, ...]
    objects: bool = False


class ObjectCounts(Record):
    """The objects of the snapshot; each referenced one is new, reused, missing or mismatched.

    `seconds` is what copying the new ones took; None in manifests that were written before it was recorded. `hashed_by_service`: so many
    objects that the run copied have the SHA-256 that their S3 service told when it copied them; all others were read and hashed.
    """

    referenced: Count
    referenced_bytes: Count
    new: Count
    copied_bytes: Count
    reused: Count
    missing: Count
    mismatched: Count
    seconds: float | None = None
    hashed_by_service: Count = 0


class ImportRecord(Record):
    """Where a snapshot came from that lockstep did not take itself. `late`: it is older than a snapshot that was there already."""

    dump: str
    late: bool = False


class Previous(Record):
    """The manifest before this one, by content, so that history cannot be rewritten unseen."""

    snapshot: Id
    sha256: Sha256


class Manifest(Record):
    """A snapshot. It never holds a secret. `signed_by` is the public key of the signature beside it."""

    format: Literal[1] = 1
    repository: str
    snapshot: Id
    created: AwareDatetime
    complete: bool
    tag: str | None = None
    parent: Id | None = None
    chain_length: Annotated[int, Field(ge=0, le=1000)] = 0
    previous: Previous | None = None
    database: DatabaseRecord
    dump: DumpRecord
    profile: ProfileRecord
    stores: dict[Store, str]
    objects: ObjectCounts
    encryption: EncryptionRecord | None = None
    files: tuple[FileEntry, ...]
    inventory: tuple[FileEntry, ...] = ()
    tools: dict[str, str] = {}
    seconds: float = 0.0
    imported: ImportRecord | None = None
    signed_by: str | None = None

    @property
    def late(self) -> bool:
        """True for an import of what was older than a snapshot that was there already: it sorts last, and is not the latest."""
        return self.imported is not None and self.imported.late

    def file(self, name: str) -> FileEntry | None:
        """The file of the snapshot's own directory with this name, encrypted or not, or None."""
        path = f"snapshots/{self.snapshot}/{name}"
        return next((entry for entry in self.files if entry.path.removesuffix(ENCRYPTED) == path), None)

    def dump_files(self) -> tuple[FileEntry, ...]:
        """The files that make up the dump: one, or those of a directory."""
        return tuple(entry for entry in self.files if entry.path.split("/")[2].startswith("database"))

    def as_bytes(self) -> bytes:
        """The file as it is stored: indented, for people, and sealed; ends with a newline."""
        return seal(self.model_dump_json(indent=2))


def manifest_from_bytes(data: bytes, *, path: str) -> Manifest:
    """Read a manifest. Raises RepositoryInvalid when it is of a newer format, of another snapshot, or not a manifest."""
    try:
        document = json.loads(data)
        _check_format(document, path)
        manifest = Manifest.model_validate_json(data)
    except (ValidationError, ValueError, RecursionError) as error:
        raise RepositoryInvalid(
            f"'{path}' is not a manifest: {_first(error)}", hint="Run 'lockstep verify' to see what else is damaged."
        ) from error
    own = f"snapshots/{manifest.snapshot}/"
    if path != f"{own}manifest.json" or not all(entry.path.startswith(own) for entry in manifest.files):
        raise RepositoryInvalid(f"'{path}' speaks of another snapshot", hint="Run 'lockstep verify' to see what else was changed.")
    return manifest


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of `manifest.json`, as published in `docs/reference/manifest.schema.json`."""
    schema = Manifest.model_json_schema(mode="serialization")
    schema["properties"]["checksum"] = {
        "title": "Checksum",
        "description": "SHA-256 of all bytes of the file before the comma in front of this field",
        "pattern": "^[0-9a-f]{64}$",
        "type": "string",
    }
    return schema


def _check_format(document: object, path: str) -> None:
    found = document.get("format") if isinstance(document, dict) else None
    if not isinstance(found, int):
        raise ValueError("format: is not a number")  # noqa: TRY004 - of the document, not of the program
    if found > FORMAT:
        raise RepositoryInvalid(
            f"'{path}' has format {found}, and this lockstep reads formats up to {FORMAT}", hint="Use a newer lockstep for this repository."
        )


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
    return str(error)
