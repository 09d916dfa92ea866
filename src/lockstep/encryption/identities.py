"""Identities: the secret keys that read what was encrypted. Only who restores, drills or verifies needs one.

Source: age(1), "IDENTITY FILES": a secret key on each line, `#` begins a comment; or an SSH private key file by itself.
"""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyrage

from lockstep.errors import ConfigurationError

_HINT = "Name a file that 'lockstep key generate' or age-keygen made, or an SSH private key without a passphrase."


class Identities:
    """The identities that files and a command give. They are read when the first one is needed, and once."""

    def __init__(self, files: Sequence[Path] = (), command: str | None = None) -> None:
        self._files, self._command = tuple(files), command
        self._lock = threading.Lock()
        self._read: list[Any] | None = None

    @property
    def given(self) -> bool:
        """True when there is at least one."""
        return bool(self._files) or self._command is not None

    def as_pyrage(self) -> list[Any]:
        """All of them, as the library takes them. Raises ConfigurationError for what cannot be read."""
        with self._lock:
            if self._read is None:
                found = [each for path in self._files for each in read_identities(_file(path), shown=f"'{path}'")]
                if self._command is not None:
                    found += read_identities(_output(self._command), shown="what the identity command writes")
                self._read = found
            return self._read


def read_identities(data: bytes, *, shown: str) -> list[Any]:
    """The identities in a file's bytes, as the library takes them; at least one. Raises ConfigurationError."""
    if b"PRIVATE KEY" in data:
        return [_ssh(data, shown)]
    if data.startswith(b"age-encryption.org/") or b"BEGIN AGE ENCRYPTED FILE" in data:
        raise ConfigurationError(
            f"the identity in {shown} is encrypted with a passphrase", hint="Let --identity-command decrypt it: 'age --decrypt FILE'."
        )
    try:
        lines = [line.strip() for line in data.decode().splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, UnicodeDecodeError):
        raise ConfigurationError(f"{shown} holds no identity of age", hint=_HINT) from None  # the cause may quote the secret
    if not found:
        raise ConfigurationError(f"{shown} holds no identity of age", hint=_HINT)
    return found


def generate_identity() -> tuple[str, str]:
    """A new X25519 identity: its secret key, and its recipient."""
    made = pyrage.x25519.Identity.generate()
    return str(made), str(made.to_public())


def _file(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the identity '{path}' cannot be read: {(error.strerror or 'it cannot be opened').lower()}", hint="Name another --identity."
        ) from error


def _output(command: str) -> bytes:
    """What a command writes. It may ask for a passphrase: its other streams are ours."""
    hint = "Run the command by itself: it must write an identity and end with status 0."
    try:
        ran = subprocess.run(shlex.split(command), stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the identity command cannot be started: {error}", hint=hint) from error
    if ran.returncode:
        raise ConfigurationError(f"the identity command ended with status {ran.returncode}", hint=hint)
    return ran.stdout


def _ssh(data: bytes, shown: str) -> Any:
    try:
        return pyrage.ssh.Identity.from_buffer(data)
    except pyrage.IdentityError as error:
        locked = "decrypted first" in str(error)
        raise ConfigurationError(
            f"the SSH key in {shown} has a passphrase" if locked else f"{shown} holds no SSH key that age can use",
            hint="Let --identity-command write it without one, or use another identity." if locked else _HINT,
        ) from None
