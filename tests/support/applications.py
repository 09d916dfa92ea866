"""Databases and buckets in the shape of the applications whose profiles come with lockstep: the columns that the profiles use, no more."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

SECONDS = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Application:
    """`fill` makes the tables with some rows and returns the objects that they name; `orphans` lie in the bucket beside these."""

    name: str
    fill: Callable[[psycopg.Connection], Mapping[str, bytes]]
    orphans: Mapping[str, bytes]
    sizeless: int
    labels: Mapping[str, Mapping[str, str]]
    """What the profile's explain query must say of the object with this beginning of its key."""


def fill_mattermost(connection: psycopg.Connection) -> dict[str, bytes]:
    connection.execute("""
        CREATE TABLE fileinfo (
            id varchar(26) PRIMARY KEY, creatorid varchar(26), postid varchar(26), createat bigint, deleteat bigint,
            path varchar(512), thumbnailpath varchar(512), previewpath varchar(512), name varchar(256), size bigint
        );
        CREATE TABLE emoji (id varchar(26) PRIMARY KEY, createat bigint, deleteat bigint, creatorid varchar(26), name varchar(64));
    """)
    objects: dict[str, bytes] = {}

    def add(number: int, name: str, *, picture: bool, deleted: int = 0) -> None:
        place = f"20231114/teams/team/channels/channel/users/user{number}/file{number}/"
        thumbnail, preview = (f"{place}{name}_thumb.jpg", f"{place}{name}_preview.jpg") if picture else ("", "")
        data = f"file {number}".encode() * (number + 1)
        objects.update({key: data + key.encode() for key in (thumbnail, preview) if key} | {place + name: data})
        connection.execute(
            "INSERT INTO fileinfo VALUES (%s, %s, 'post', %s, %s, %s, %s, %s, %s, %s)",
            [f"file{number}", f"user{number}", SECONDS * 1000, deleted, place + name, thumbnail, preview, name, len(data)],
        )

    for number in range(6):
        add(number, f"report {number} 100%ü.pdf", picture=False)
    add(6, "photo.jpg", picture=True)
    add(7, "of a deleted post.txt", picture=False, deleted=SECONDS * 1000)
    connection.execute(
        "INSERT INTO fileinfo SELECT 'copy', 'user9', '', createat, 0, path, '', '', name, size FROM fileinfo WHERE id = 'file1'"
    )
    connection.execute("INSERT INTO emoji VALUES ('emoji1', 0, 0, 'user1', 'parrot'), ('emoji2', 0, 5, 'user1', 'deleted')")
    return {**objects, "emoji/emoji1/image": b"a parrot"}


def fill_gitea(connection: psycopg.Connection) -> dict[str, bytes]:
    connection.execute("""
        CREATE TABLE repository (id bigint PRIMARY KEY, owner_name varchar(255), name varchar(255), avatar varchar(64));
        CREATE TABLE "user" (id bigint PRIMARY KEY, name varchar(255), avatar varchar(2048), use_custom_avatar boolean);
        CREATE TABLE lfs_meta_object (
            id bigserial PRIMARY KEY, oid varchar(255), size bigint, repository_id bigint, created_unix bigint
        );
        CREATE TABLE attachment (
            id bigserial PRIMARY KEY, uuid varchar(40), repo_id bigint, release_id bigint, size bigint, created_unix bigint
        );
        CREATE TABLE package_blob (id bigserial PRIMARY KEY, size bigint, hash_sha256 char(64), created_unix bigint);
        CREATE TABLE action_task (
            id bigserial PRIMARY KEY, repo_id bigint, log_filename varchar(255), log_in_storage boolean, log_expired boolean, created bigint
        );
        CREATE TABLE action_artifact (
            id bigserial PRIMARY KEY, repo_id bigint, storage_path varchar(255), file_size bigint, file_compressed_size bigint,
            status bigint, created_unix bigint
        );
        INSERT INTO repository VALUES (1, 'org', 'site', ''), (2, 'fork', 'site', '2-abc');
        INSERT INTO "user" VALUES (1, 'with a picture', 'c0ffee', true), (2, 'of a service', 'decade', false), (3, 'none', '', true);
    """)
    objects = {"avatars/c0ffee": b"face", "repo-avatars/2-abc": b"logo"}
    for number in range(5):
        data = f"large file {number}".encode() * 50
        oid = hashlib.sha256(data).hexdigest()
        objects[f"lfs/{oid[:2]}/{oid[2:4]}/{oid[4:]}"] = data
        for repository in (1, 2)[: 1 + number % 2]:
            insert(connection, "lfs_meta_object", oid=oid, size=len(data), repository_id=repository, created_unix=SECONDS)
    for number in range(4):
        name, data = str(uuid.UUID(int=number << 100 | 7)), f"attachment {number}".encode()
        objects[f"attachments/{name[0]}/{name[1]}/{name}"] = data
        insert(connection, "attachment", uuid=name, repo_id=1, release_id=0, size=len(data), created_unix=SECONDS)
    package = b"package"
    digest = hashlib.sha256(package).hexdigest()
    objects[f"packages/{digest[:2]}/{digest[2:4]}/{digest}"] = package
    insert(connection, "package_blob", size=len(package), hash_sha256=digest, created_unix=SECONDS)
    for name, in_storage, expired in (("org/site/1/1.log", True, None), ("org/site/2/2.log", False, False), ("o/s/3.log.zst", True, True)):
        insert(connection, "action_task", repo_id=1, log_filename=name, log_in_storage=in_storage, log_expired=expired, created=SECONDS)
    objects["actions_log/org/site/1/1.log"] = b"it was built"
    objects["actions_artifacts/7/1/99.chunk.gz"] = b"compressed"
    for path, status in (("7/1/99.chunk.gz", 2), ("7/2/98.chunk", 4), ("", 1)):
        sizes = {"file_size": 1000, "file_compressed_size": 10}
        insert(connection, "action_artifact", repo_id=1, storage_path=path, status=status, created_unix=SECONDS, **sizes)
    return objects


def fill_forgejo(connection: psycopg.Connection) -> dict[str, bytes]:
    """As Gitea, and with attachments that are links."""
    objects = fill_gitea(connection)
    connection.execute("ALTER TABLE attachment ADD external_url varchar(255)")
    link = {"uuid": str(uuid.UUID(int=99)), "external_url": "https://example.org/x"}
    insert(connection, "attachment", repo_id=1, release_id=1, size=0, created_unix=SECONDS, **link)
    return objects


def fill_outline(connection: psycopg.Connection) -> dict[str, bytes]:
    connection.execute("""
        CREATE TYPE enum_file_operations_type AS ENUM ('import', 'export');
        CREATE TYPE enum_file_operations_state AS ENUM ('creating', 'uploading', 'complete', 'error', 'expired');
        CREATE TABLE teams (id uuid PRIMARY KEY, name varchar(255));
        CREATE TABLE attachments (
            id uuid PRIMARY KEY, "teamId" uuid, "documentId" uuid, key varchar(4096), size bigint, acl varchar(255), "createdAt" timestamptz
        );
        CREATE TABLE file_operations (
            id serial PRIMARY KEY, "teamId" uuid, type enum_file_operations_type, state enum_file_operations_state, key varchar(255),
            size bigint, "createdAt" timestamptz, "deletedAt" timestamptz
        );
    """)
    team, objects = uuid.UUID(int=1), {}
    insert(connection, "teams", id=team, name="Wiki")
    for number in range(6):
        key, data = f"uploads/{uuid.UUID(int=2)}/{uuid.UUID(int=10 + number)}/Anlage ü {number}.png", f"picture {number}".encode()
        objects[key] = data
        values = {"id": uuid.UUID(int=10 + number), "teamId": team, "key": key, "size": len(data), "acl": "private"}
        insert(connection, "attachments", **values, createdAt="2026-01-02 03:04:05Z")
    an_import = next(iter(objects))
    export = f"uploads/{team}/{uuid.UUID(int=50)}/wiki-export.markdown.zip"
    for kind, state, key, size in (
        ("export", "complete", export, 6), ("export", "expired", "uploads/gone", 9), ("export", "creating", "uploads/soon", 0),
        ("import", "complete", an_import, len(objects[an_import])),
    ):  # fmt: skip
        values = {"teamId": team, "type": kind, "state": state, "key": key, "size": size}
        insert(connection, "file_operations", **values, createdAt="2026-01-02 03:04:05Z")
    return {**objects, export: b"export"}


def insert(connection: psycopg.Connection, table: str, **values: object) -> None:
    """Insert a row by column names."""
    names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, values))
    places = psycopg.sql.SQL(", ").join([psycopg.sql.Placeholder()] * len(values))
    statement = psycopg.sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(psycopg.sql.Identifier(table), names, places)
    connection.execute(statement, list(values.values()))


MATTERMOST = Application(
    "mattermost", fill_mattermost, {"users/user1/profile.png": b"face", "emoji/emoji2/image_deleted": b"gone"}, 3,
    {
        "20231114/teams/team/channels/channel/users/user2/": {"kind": "file", "month": "2023-11"},
        "20231114/teams/team/channels/channel/users/user6/file6/photo.jpg_thumb": {"kind": "thumbnail", "month": "2023-11"},
        "emoji/": {"kind": "emoji", "month": "1970-01"},
    },
)  # fmt: skip
_GITEA_LABELS = {
    "attachments/": {"kind": "attachment", "repository": "org/site"},
    "packages/": {"kind": "package", "repository": "-"},
    "avatars/": {"kind": "avatars", "repository": "-"},
    "actions_log/": {"kind": "log", "repository": "org/site"},
    "actions_artifacts/": {"kind": "artifact", "repository": "org/site"},
}
GITEA = Application("gitea", fill_gitea, {"repo-archive/1/ab/abc.zip": b"made again"}, 3, _GITEA_LABELS)
FORGEJO = Application("gitea", fill_forgejo, {"repo-archive/1/ab/abc.zip": b"made again"}, 3, _GITEA_LABELS)
OUTLINE = Application(
    "outline", fill_outline, {"avatars/user/picture": b"without a row"}, 0,
    {"uploads/00000000-0000-0000-0000-000000000001/": {"team": "Wiki", "kind": "export"}},
)  # fmt: skip
