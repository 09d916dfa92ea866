from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.encryption.identities import generate_identity
from lockstep.encryption.recipients import read_recipients
from lockstep.errors import ConfigurationError

SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"
ONE, OTHER = generate_identity()[1], generate_identity()[1]


def test_keys_come_each_once_in_their_order_and_without_comments() -> None:
    assert read_recipients([ONE, f"{SSH} alice on her laptop", OTHER, ONE]) == (ONE, SSH, OTHER)
    assert read_recipients([]) == ()


def test_words_that_come_one_by_one_from_a_variable_are_put_together() -> None:
    assert read_recipients([*SSH.split(), "alice@laptop", ONE]) == (SSH, ONE)
    assert read_recipients([*SSH.split(), ONE]) == (SSH, ONE)


def test_a_file_has_a_key_on_each_line(tmp_path: Path) -> None:
    file = tmp_path / "recipients"
    file.write_text(f"# the two of us\n{ONE}\n\n{SSH} alice on her laptop\n", encoding="utf-8")
    assert read_recipients([OTHER, str(file)]) == (OTHER, ONE, SSH)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["age1nonsense"], "'age1nonsense' is no recipient of age"),
        (["ssh-ed25519 AAAA"], "is no recipient of age"),
        (["ssh-ed25519"], "is no recipient of age"),
        (["nowhere.pub"], "'nowhere.pub' is no recipient of age, nor a file that can be read"),
        ([f"{SSH} alice", "nowhere.pub"], "'nowhere.pub' is no recipient of age, nor a file that can be read"),
        (["AGE-SECRET-KEY-1ABC"], "a secret key is given as a recipient"),
    ],
)
def test_what_is_no_recipient_is_refused(given: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_recipients(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nobody\n", "names no recipient"),
        ("AGE-SECRET-KEY-1ABC", "holds a secret key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "holds a secret key"),
        ("hello\n", "'hello' is no recipient of age"),
    ],
)
def test_a_file_without_recipients_is_refused_and_no_secret_is_shown(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "file"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said) as refused:
        read_recipients([str(file)])
    assert "AGE-SECRET-KEY" not in refused.value.message
