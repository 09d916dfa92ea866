"""Ed25519 signatures: who holds the secret key vouches for bytes, who holds the public one checks that.

Keys are those of OpenSSL (PEM, PKCS #8) and of OpenSSH. As text a public key is one line: the body of its PEM form.
Source: RFC 8032 (Ed25519), RFC 8410 (its keys in PEM).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from lockstep.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret key. `public` is the text of its public half."""

    _key: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """The public key as text."""
        return _as_text(self._key.public_key())

    def sign(self, data: bytes) -> str:
        """The signature of bytes, in base64."""
        return base64.b64encode(self._key.sign(data)).decode()

    def as_pem(self) -> str:
        """The secret key as a file holds it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key."""

    _key: Ed25519PublicKey

    def __str__(self) -> str:
        return _as_text(self._key)

    def accepts(self, data: bytes, signature: str) -> bool:
        """True when the signature (in base64) of these bytes was made with the secret half of this key."""
        try:
            self._key.verify(base64.b64decode(signature, validate=True), data)
        except (InvalidSignature, ValueError):
            return False
        return True


def generate_signing_key() -> SigningKey:
    """A new key."""
    return SigningKey(Ed25519PrivateKey.generate())


def read_signing_key(path: Path) -> SigningKey:
    """The secret key in a file. Raises ConfigurationError when there is none without a passphrase."""
    hint = "Name a file that 'lockstep key generate --signing', openssl or ssh-keygen made, without a passphrase."
    data = _file(path, hint=hint)
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        key = load(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"'{path}' holds no secret key that can be read without a passphrase", hint=hint) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"the key in '{path}' is not of the kind Ed25519", hint=hint)
    return SigningKey(key)


def read_verify_keys(given: Sequence[str]) -> tuple[VerifyKey, ...]:
    """The public keys that texts and files name; the words of an SSH key may come one by one, as from a variable."""
    items = iter(given)
    return tuple(read_verify_key(f"{item} {next(items, '')}" if item == "ssh-ed25519" else item) for item in items)


def read_verify_key(given: str) -> VerifyKey:
    """The public key in a text or in a file. Raises ConfigurationError."""
    hint = "Give the line that 'lockstep key generate --signing' printed, or a file with a public key of OpenSSL or OpenSSH."
    key = _parsed(given.encode())
    if key is None:
        key = _parsed(_file(Path(given), hint=hint))
    if key is None:
        raise ConfigurationError(f"'{given}' is no public key of the kind Ed25519", hint=hint)
    return VerifyKey(key)


def _parsed(data: bytes) -> Ed25519PublicKey | None:
    text = data.strip()
    try:
        if text.startswith(b"ssh-"):
            key: object = load_ssh_public_key(text)
        elif b"BEGIN PUBLIC KEY" in text:
            key = load_pem_public_key(text)
        else:
            key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def _as_text(key: Ed25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def _file(path: Path, *, hint: str) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"'{path}' is no key, nor a file that can be read", hint=hint) from error
