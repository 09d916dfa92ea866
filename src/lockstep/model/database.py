"""What must be known of a database to make it again elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DumpFormat = Literal["custom", "directory", "plain"]
LocaleProvider = Literal["libc", "icu", "builtin"]


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """A database as its server describes it.

    `server_version` is as the server prints it ("16.10"), `server_major` its major number; `locale` is the ICU or builtin locale,
    None with libc; `extensions` maps name to version; `roles` are all the roles that own something or are granted something in it
    (sorted, without predefined ones), `owners` those of them that own something inside it; `size_bytes` is the size on the server's disk;
    `in_recovery` is true on a standby.
    """

    name: str
    server_version: str
    server_major: int
    encoding: str
    collate: str
    ctype: str
    locale_provider: LocaleProvider
    owner: str
    size_bytes: int
    locale: str | None = None
    collation_version: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    in_recovery: bool = False
