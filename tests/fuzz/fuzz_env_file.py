"""Fuzz target: whatever stands in an env file, reading it gives a deployment or a ConfigurationError."""

from __future__ import annotations

import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from lockstep.config.parsec_env import read_parsec_env
from lockstep.errors import ConfigurationError

SAMPLES = (
    b"PARSEC_DB=postgresql://user:pass@host:5432/parsec?sslmode=disable\nPARSEC_BLOCKSTORE=s3:http\\://h\\:9000:r:b:k:secret\n",
    b"export PARSEC_DB='postgresql:///x'\r\nPARSEC_BLOCKSTORE=\"raid1:0:s3:h:r:b:k:s raid1:1:s3:h:r:c:k:s\" # two\n",
    b'A=1\nPARSEC_DB=${A:-x}\nPARSEC_BLOCKSTORE="s3:${B:?no}:$A:$$:\\"k\\":s"\n',
    b"PARSEC_BLOCKSTORE=raid5:0:s3:h:r:b:k:s raid5:1:swift:u:t:c:u:p raid5:2:MOCKED\nPARSEC_DB=MOCKED\n",
)
WORDS = (
    b"PARSEC_DB",
    b"PARSEC_BLOCKSTORE",
    b"=",
    b"export ",
    b"'",
    b'"',
    b"${",
    b"}",
    b":-",
    b"\\",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"raid0:",
    b"[",
)

PLACE = Path(tempfile.mkdtemp(prefix="fuzz-")) / "a.env"


def target(data: bytes) -> None:
    """Anything that leaves this function is a crash."""
    PLACE.write_bytes(data)
    with suppress(ConfigurationError):
        read_parsec_env([PLACE], environment={"A": "1"})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.fuzzing import main

    try:
        main(target, SAMPLES, words=WORDS)
    finally:
        PLACE.unlink(missing_ok=True)
        PLACE.parent.rmdir()
