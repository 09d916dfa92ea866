"""Whatever stands in an env file, reading it gives a deployment or a ConfigurationError."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lockstep.config.blockstore import join_parts, parse_blockstore, split_parts
from lockstep.config.env_file import parse_env_file, value_of
from lockstep.config.faults import Faults
from lockstep.config.parsec_env import read_parsec_env
from lockstep.errors import ConfigurationError

# Text without whitespace, which ends an entry of the list, and without what cannot stand in an environment.
PART = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1)
FRAGMENTS = st.sampled_from(
    [
        "PARSEC_DB",
        "PARSEC_BLOCKSTORE",
        "=",
        "export ",
        "'",
        '"',
        "$",
        "${",
        "}",
        ":-",
        ":?",
        "\\",
        "\n",
        "\r\n",
        " #",
        "s3:",
        "raid1:0:",
        "A",
        ":",
        "$$",
    ]
)
ENV_TEXT = st.one_of(st.text(), st.lists(st.one_of(FRAGMENTS, st.text(max_size=3))).map("".join))


@given(st.lists(PART, min_size=1))
def test_parts_come_back_from_their_escaped_form(parts: list[str]) -> None:
    assert split_parts(join_parts(parts)) == parts


@given(region=PART, bucket=PART.filter(lambda text: not set(text) & set("/?#@")), key=PART, secret=PART)
def test_every_part_of_a_store_comes_back(region: str, bucket: str, key: str, secret: str) -> None:
    faults = Faults()
    (store,) = parse_blockstore(join_parts(["s3", "http://host:9000", region, bucket, key, secret]), faults=faults).stores
    assert faults.found == []
    assert (store.endpoint_url, store.region, store.url) == ("http://host:9000", region, f"s3://{bucket}")
    assert (store.access_key_id, store.secret_access_key) == (key, secret)


@given(PART.filter(lambda text: "'" not in text and "\\" not in text))
def test_a_single_quoted_value_is_taken_as_it_is(value: str) -> None:
    faults = Faults()
    assert value_of("X", parse_env_file(f"X='{value}'\n", name="e", faults=faults), environment={}, faults=faults) == value
    assert faults.found == []


@given(PART)
def test_a_double_quoted_value_comes_back_from_its_escaped_form(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    faults = Faults()
    assert value_of("X", parse_env_file(f'export X="{escaped}"\n', name="e", faults=faults), environment={}, faults=faults) == value
    assert faults.found == []


@given(ENV_TEXT)
def test_no_text_makes_reading_fail_in_another_way(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "a.env")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with suppress(ConfigurationError):
            read_parsec_env([path], environment={"A": "1"})


@given(st.one_of(st.text(), st.lists(st.one_of(FRAGMENTS, PART)).map("".join)))
def test_no_blockstore_makes_reading_fail(value: str) -> None:
    parse_blockstore(value, faults=Faults())


@given(st.text(st.characters(codec="ascii", categories=("Lu", "Ll", "Nd")), min_size=12), st.integers(min_value=0, max_value=9))
def test_no_message_holds_a_secret(secret: str, position: int) -> None:
    parts = ["s3", "http://h:1", "r", "b", "k", secret]
    parts[position % 6 : position % 6] = [secret] * (position % 3)
    faults = Faults()
    parse_blockstore(join_parts(parts), faults=faults)
    assert secret not in " ".join(fault.message + fault.hint for fault in faults.found)
