"""What the text of a dump says of the database that it was made from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockstep.errors import ClientToolFailed
from lockstep.postgres.dump_text import read_dump_text, wall_time

TEXT = r'''--
-- PostgreSQL database dump
--

-- Dumped from database version 15.20 (Debian 15.20-0+deb12u1)
-- Dumped by pg_dump version 17.10

-- Started on 2026-11-20 03:00:00 UTC

SET client_encoding = 'LATIN1';
CREATE DATABASE "my app" WITH TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE_PROVIDER = libc LOCALE = 'de_DE';
ALTER DATABASE "my app" OWNER TO owner;
CREATE TABLE public.note (text text);
ALTER TABLE public.note OWNER TO "Note ""keeper""";
ALTER TABLE public.more OWNER TO pg_database_owner;
COPY public.note (text) FROM stdin;
GRANT SELECT ON TABLE public.note TO nobody_at_all;
-- Dumped from database version 9.6.1
\.

GRANT SELECT ON TABLE public.note TO reader;
CREATE POLICY p ON public.note TO first, "second one" USING (true);
ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA public GRANT SELECT ON TABLES TO taker;
'''


def test_versions_settings_and_roles_are_found_and_rows_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    path.write_text(TEXT, encoding="utf-8")
    found = read_dump_text(path)
    assert (found.server_version, found.server_major, found.pg_dump_major) == ("15.20", 15, 17)
    assert (found.dbname, found.main_owner, found.encoding) == ("my app", "owner", "LATIN1")
    assert found.settings["LOCALE"] == "de_DE"
    assert found.roles == {"owner", 'Note "keeper"', "reader", "first", "second one", "maker", "taker"}
    assert found.started == datetime(2026, 11, 20, 3, tzinfo=UTC)


def test_without_an_owner_of_the_database_it_is_who_owns_most(tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    lines = [line for line in TEXT.splitlines(keepends=True) if not line.startswith("ALTER DATABASE")]
    path.write_text("".join(lines) + "ALTER TABLE a OWNER TO one;\nALTER TABLE b OWNER TO one;\n", encoding="utf-8")
    assert read_dump_text(path).main_owner == "one"


@pytest.mark.parametrize("text", ["", "SELECT 1;\n", "-- Dumped by pg_dump version 17.10\n"])
def test_what_is_no_dump_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dump.sql"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClientToolFailed, match="is no dump of pg_dump"):
        read_dump_text(path)


def test_a_moment_without_a_zone_is_of_this_machine() -> None:
    assert wall_time("2026-11-20 03:00:00", "") == datetime(2026, 11, 20, 3).astimezone(UTC)
    assert wall_time("nonsense", "UTC") is None
