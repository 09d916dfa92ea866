from __future__ import annotations

import json

from lockstep.repository.seal import is_cut, is_grown, is_sealed, sealed


def test_a_sealed_document_is_json_with_one_field_more() -> None:
    document = {"format": 1, "name": "\u00e9\n", "inner": {"a": [1, 2]}}
    data = sealed(document)
    found = json.loads(data)
    assert list(found) == [*document, "checksum"]
    assert is_sealed(data)
    assert not is_cut(data)


def test_any_changed_cut_or_added_byte_breaks_the_seal() -> None:
    data = sealed({"format": 1, "id": "x"})
    for position in range(len(data)):
        for bit in range(8):
            assert not is_sealed(data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :])
        assert not is_sealed(data[:position])
        assert not is_sealed(data[:position] + b" " + data[position:])
    assert not is_sealed(data + b"\n")
    assert not is_sealed(b"")


def test_what_has_lost_its_end_is_cut() -> None:
    data = sealed({"format": 1})
    assert all(is_cut(data[:length]) for length in range(len(data)))
    assert not is_cut(data + b"more")
    assert is_grown(data + b"more")
    assert not is_grown(data)
    assert not any(is_cut(data[:-place] + b"?" + data[len(data) - place + 1 :]) for place in range(1, 40))
