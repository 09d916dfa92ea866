"""Laws of encrypting as bytes pass, for all bytes and all ways to cut them."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from itertools import pairwise

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.encryption.identities import Identities
from lockstep.encryption.streams import decrypted, encrypt, encrypted
from lockstep.errors import IdentityNeeded, LockstepError, RepositoryInvalid

PAIR = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
RECIPIENTS = (str(PAIR.to_public()), str(OTHER.to_public()))
CHUNK = 64 << 10  # of age's payload

# What hypothesis draws is short; sizes around age's own chunks come from repeating it.
CONTENTS = st.builds(
    lambda piece, size: (piece * (size // len(piece) + 1))[:size],
    st.binary(min_size=1, max_size=50),
    st.one_of(st.integers(0, 100), st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])),
)
CUTS = st.lists(st.integers(0, 4 * CHUNK), max_size=6)


class Held(Identities):
    """Identities that are in memory."""

    def __init__(self, *held: object) -> None:
        super().__init__()
        self._read = list(held)

    @property
    def given(self) -> bool:
        return True


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    yield b""
    for start, end in pairwise(places):
        yield data[start:end]


def opened(data: bytes, cuts: list[int], identity: object = PAIR) -> bytes:
    return b"".join(decrypted(pieces(data, cuts), Held(identity), shown="it"))


@settings(max_examples=40)
@given(data=CONTENTS, cuts=CUTS, other_cuts=CUTS)
def test_what_goes_in_comes_out_however_it_is_cut(data: bytes, cuts: list[int], other_cuts: list[int]) -> None:
    made = b"".join(encrypted(pieces(data, cuts), RECIPIENTS))
    assert opened(made, other_cuts) == opened(made, [], OTHER) == data
    assert pyrage.decrypt(made, [PAIR]) == data
    assert opened(encrypt(data, RECIPIENTS), cuts) == data


@settings(max_examples=40)
@given(data=CONTENTS, cuts=CUTS, where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7) | st.none())
def test_a_changed_bit_or_a_cut_never_passes(data: bytes, cuts: list[int], where: float, bit: int | None) -> None:
    made = bytearray(encrypt(data, RECIPIENTS[:1]))
    place = int(where * len(made))  # age makes its header of another length each time
    if bit is not None:
        made[place] ^= 1 << bit
    else:
        del made[place:]
    with pytest.raises((IdentityNeeded, RepositoryInvalid)):
        opened(bytes(made), cuts)


@settings(max_examples=20)
@given(data=CONTENTS, cuts=CUTS, fails_at=st.integers(0, 6), encrypts=st.booleans())
def test_what_fails_before_the_end_fails_as_itself_and_leaves_no_thread(
    data: bytes, cuts: list[int], fails_at: int, encrypts: bool
) -> None:
    class Broken(Exception):
        pass

    def failing() -> Iterator[bytes]:
        source = data if encrypts else encrypt(data, RECIPIENTS)
        for number, piece in enumerate(pieces(source, cuts)):
            if number == fails_at:
                raise Broken
            yield piece
        raise Broken

    stream = encrypted(failing(), RECIPIENTS) if encrypts else decrypted(failing(), Held(PAIR), shown="it")
    with pytest.raises(Broken):
        list(stream)
    assert not [thread for thread in threading.enumerate() if thread.name == "age"]


def test_a_stream_that_nobody_reads_to_its_end_leaves_no_thread() -> None:
    stream: Generator[bytes] = encrypted((b"x" * CHUNK for _ in range(100)), RECIPIENTS)
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "age"]


def test_a_stranger_is_told_so_and_nobody_else_is_asked_for_an_identity() -> None:
    made = encrypt(b"data", RECIPIENTS[:1])
    with pytest.raises(IdentityNeeded, match="encrypted to others"):
        opened(made, [], OTHER)
    with pytest.raises(IdentityNeeded, match="no identity is given"):
        list(decrypted([made], Identities(), shown="it"))
    with pytest.raises(LockstepError, match="damaged"):
        opened(b"never encrypted", [])
