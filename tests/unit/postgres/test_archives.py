"""What an archive needs, and whether text ends as a dump ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import ClientToolFailed
from lockstep.postgres.archives import PlainEnd, archive_version, oldest_reader, read_archive_reader
from lockstep.postgres.restore import without_new_setting

END = b"--\n-- PostgreSQL database dump complete\n--\n\n"


@pytest.mark.parametrize(("version", "major"), [((1, 13), 12), ((1, 14), 12), ((1, 15), 16), ((1, 16), 17)])
def test_an_archive_needs_the_pg_restore_that_came_with_its_version(version: tuple[int, int], major: int) -> None:
    assert oldest_reader(version) == major


def test_an_archive_from_the_future_is_refused() -> None:
    with pytest.raises(ClientToolFailed, match=r"version 1\.99, which this lockstep does not know"):
        oldest_reader((1, 99))


def test_the_version_is_in_the_first_bytes(tmp_path: Path) -> None:
    assert archive_version(b"PGDMP\x01\x0e\x00\x04") == (1, 14)
    assert archive_version(b"--\n-- PostgreSQL database dump") is None
    assert archive_version(b"PGDMP") is None
    (tmp_path / "toc.dat").write_bytes(b"PGDMP\x01\x10\x00\x04")
    assert read_archive_reader(tmp_path, format="directory") == 17
    assert read_archive_reader(tmp_path / "any", format="plain") is None
    (tmp_path / "other").write_bytes(b"hello")
    with pytest.raises(ClientToolFailed, match="does not begin as an archive"):
        read_archive_reader(tmp_path / "other", format="custom")


@pytest.mark.parametrize("after", [b"", b"\\unrestrict aBcDeF\n\n", b"-- more\n"])
@given(st.integers(1, 9000))
def test_complete_text_is_recognised_however_it_is_cut_into_pieces(after: bytes, size: int) -> None:
    text = b"SELECT 1;\n" * 1000 + b"\n" + END + after
    end = PlainEnd()
    for at in range(0, len(text), size):
        end.feed(text[at : at + size])
    assert end.complete


@pytest.mark.parametrize("text", [b"", b"SELECT 1;\n", b"\n" + END[:30], b"\n" + END + b"DROP TABLE t;\n"])
def test_text_that_broke_off_or_goes_on_is_not_complete(text: bytes) -> None:
    end = PlainEnd()
    end.feed(text)
    assert not end.complete


SETTINGS = b"--\n-- PostgreSQL database dump\n--\n\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\nSET client_encoding = 'UTF8';\n\n"


@given(st.integers(1, 100))
def test_only_the_setting_in_the_preamble_is_dropped(size: int) -> None:
    data = b"COPY public.t (a) FROM stdin;\nSET transaction_timeout = 0;\n\\.\n" + b"x" * 100_000
    text = SETTINGS + data
    pieces = [text[at : at + size] for at in range(0, 5000, size)]
    pieces.append(text[len(b"".join(pieces)) :])
    assert b"".join(without_new_setting(pieces)) == SETTINGS.replace(b"SET transaction_timeout = 0;\n", b"") + data


def test_text_without_the_setting_is_not_touched() -> None:
    text = SETTINGS.replace(b"SET transaction_timeout = 0;\n", b"")
    assert b"".join(without_new_setting([text])) == text
    assert b"".join(without_new_setting([])) == b""
