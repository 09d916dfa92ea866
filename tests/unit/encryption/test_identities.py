from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lockstep.encryption.identities import Identities, generate_identity, read_identities
from lockstep.encryption.streams import decrypted, encrypt
from lockstep.errors import ConfigurationError


def test_an_identity_is_read_once_and_only_when_it_is_needed(tmp_path: Path) -> None:
    secret, recipient = generate_identity()
    file, asked = tmp_path / "identity", tmp_path / "asked"
    script = tmp_path / "agent"
    script.write_text(f"#!/bin/sh\necho asked >> '{asked}'\ncat '{file}'\n", encoding="utf-8")
    script.chmod(0o700)
    held = Identities(command=str(script))
    assert held.given
    assert not asked.exists()
    file.write_text(f"# a comment\n\n{secret}\n", encoding="utf-8")
    for _ in range(2):
        assert b"".join(decrypted([encrypt(b"said", [recipient])], held, shown="it")) == b"said"
    assert asked.read_text(encoding="utf-8") == "asked\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no identity"),
        (b"AGE-SECRET-KEY-1NONSENSE\n", "holds no identity"),
        (b"\xff\xfe", "holds no identity"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n", "no SSH key"),
        (b"age-encryption.org/v1\n-> scrypt", "encrypted with a passphrase"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "encrypted with a passphrase"),
    ],
)
def test_what_holds_no_identity_is_refused_and_not_quoted(data: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        read_identities(data, shown="the file")
    assert "NONSENSE" not in refused.value.message


def test_an_ssh_key_with_a_passphrase_is_told_apart(tmp_path: Path) -> None:
    for name, passphrase in (("open", ""), ("locked", "secret")):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", tmp_path / name], check=True)
    assert len(Identities([tmp_path / "open"]).as_pyrage()) == 1
    with pytest.raises(ConfigurationError, match="has a passphrase"):
        Identities([tmp_path / "locked"]).as_pyrage()


@pytest.mark.parametrize(("command", "said"), [("false", "status 1"), ("no-such-command-here", "cannot be started"), ("'", "started")])
def test_a_command_that_fails_is_told(command: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Identities(command=command).as_pyrage()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: no such file"):
        Identities([tmp_path / "gone"]).as_pyrage()
