"""`lockstep key generate`: a new pair of keys, the secret one in a file that only its owner reads."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from lockstep.cli.composition import Session
from lockstep.cli.screen import Result
from lockstep.encryption.identities import generate_identity
from lockstep.encryption.signatures import generate_signing_key
from lockstep.errors import ConfigurationError, DiskFailed

IDENTITY_FILE = Path("lockstep-identity.txt")
SIGNING_FILE = Path("lockstep-signing.pem")
_STDOUT = Path("-")

Action = Annotated[Literal["generate"], typer.Argument(metavar="generate", help="Make a new pair of keys.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FILE", show_default=False,
        help="Where the secret key is written; a file that exists is refused. '-' is standard output. Default: lockstep-identity.txt, with "
        "--signing lockstep-signing.pem.",
    ),
]  # fmt: skip
Signing = Annotated[
    bool, typer.Option("--signing", help="Make a key that signs (for --sign-with), not one that decrypts (for --identity).")
]


def run_key(
    session: Session,  # noqa: ARG001 - every command has one
    action: Action,  # noqa: ARG001 - the word is the command; there is one so far
    *,
    output: Output = None,
    signing: Signing = False,
) -> Result:
    """Make a pair of keys: the secret one goes into a file, the public one is printed."""
    if signing:
        key = generate_signing_key()
        public, secret, use = key.public, key.as_pem(), "verify_key"
    else:
        line, public = generate_identity()
        secret, use = f"# public key: {public}\n{line}\n", "recipient"
    path = output or (SIGNING_FILE if signing else IDENTITY_FILE)
    if path == _STDOUT:
        return Result({"file": None, use: public, "secret": secret}, secret.rstrip("\n"))
    _write_new(path, secret)
    return Result({"file": str(path), use: public}, public)


def _write_new(path: Path, text: str) -> None:
    """Write a file that only its owner may read. One that is there stays: it may be the only key to a repository."""
    try:
        file = os.open(path.expanduser(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(f"'{path}' exists already, and no key is overwritten", hint="Name another file with --output.") from error
    except OSError as error:
        raise DiskFailed(f"'{path}' cannot be made: {error.strerror}", hint="Name another file with --output.") from error
    try:
        with os.fdopen(file, "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        with suppress(OSError):
            path.expanduser().unlink()
        raise DiskFailed(f"'{path}' cannot be written: {error.strerror}", hint="Name another file with --output.") from error
