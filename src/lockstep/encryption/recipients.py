"""Recipients: the public keys to which files are encrypted. They are no secrets, and the machine that makes backups needs no others.

Source: age specification (C2SP), "The X25519 recipient type"; age(1), "RECIPIENTS AND IDENTITIES".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyrage

from lockstep.errors import ConfigurationError

_SSH = ("ssh-ed25519", "ssh-rsa")
_HINT = "Name an age1… key, an ssh-ed25519 or ssh-rsa public key, or a file with one on each line."


def read_recipients(given: Sequence[str]) -> tuple[str, ...]:
    """The recipients that texts and files name, each once and without its comment, in their order (may be none).

    A text is an `age1…` key, the line of an SSH public key (whose words come one by one from a variable, a comment of one word among
    them), or the path of a file with a key on each line. Raises ConfigurationError for what is none of these.
    """
    found: list[str] = []
    items, comment_may_come = iter(given), False
    for item in items:
        words = item.split()
        if words[:1] in ([kind] for kind in _SSH):
            found.append(_checked(" ".join(words[:2] if len(words) > 1 else [*words, next(items, "")])))
        elif item.startswith("age1"):
            found += [_checked(word) for word in words]
        elif not comment_may_come:
            found += _read_file(item)
        comment_may_come = item in _SSH
    return tuple(dict.fromkeys(found))


def as_pyrage(recipients: Iterable[str]) -> list[Any]:
    """Recipients as the library takes them. Raises ConfigurationError for what is none."""
    return [_parsed(recipient) for recipient in recipients]


def _checked(recipient: str) -> str:
    _parsed(recipient)
    return recipient


def _parsed(recipient: str) -> Any:
    kind = pyrage.ssh.Recipient if recipient.startswith(_SSH) else pyrage.x25519.Recipient
    try:
        return kind.from_str(recipient)
    except pyrage.RecipientError:
        pass  # its words are about Bech32
    shown = recipient if len(recipient) <= 80 else f"{recipient[:77]}…"
    raise ConfigurationError(f"'{shown}' is no recipient of age", hint=_HINT)


def _read_file(name: str) -> Iterator[str]:
    if name.startswith("AGE-SECRET-KEY-"):
        raise ConfigurationError("a secret key is given as a recipient", hint="Name its public key, which 'lockstep key generate' printed.")
    try:
        lines = Path(name).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"'{name}' is no recipient of age, nor a file that can be read", hint=_HINT) from error
    keys = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise ConfigurationError(f"the file '{name}' names no recipient", hint=_HINT)
    for words in keys:
        if "PRIVATE KEY" in " ".join(words) or words[0].startswith("AGE-SECRET-KEY-"):
            raise ConfigurationError(f"the file '{name}' holds a secret key, not a recipient", hint="Name the file with the public key.")
        yield _checked(" ".join(words[:2]) if words[0] in _SSH else words[0])
