"""The frozen settings of encryption: the keys that a run is given. They are read when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Where the secret keys are that read what is encrypted, and the public ones (or their files) that must have signed what is read."""

    files: tuple[Path, ...] = ()
    command: str | None = None
    verify_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EncryptionSettings:
    """To whom what is written is encrypted, as it was given: keys, or files with keys."""

    recipients: tuple[str, ...] = ()
    encrypt_objects: bool = False
    allow_plain: bool = False


@dataclass(frozen=True, slots=True)
class SigningSettings:
    """Where the secret key is that signs what is written."""

    sign_with: Path | None = None
    allow_unsigned: bool = False
