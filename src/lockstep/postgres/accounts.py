"""The account that a server runs as when lockstep runs as root, since postgres refuses to."""

from __future__ import annotations

import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import ClientToolFailed

_ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account:
    """An account that owns nothing of value: `postgres` where PostgreSQL is installed, else `nobody`. Raises ClientToolFailed."""
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise ClientToolFailed(
        "a PostgreSQL server cannot run as root and there is no account `postgres` or `nobody`",
        hint="Run lockstep as an ordinary user.",
    )


def as_account(account: Account | None) -> dict[str, Any]:
    """Arguments for subprocess that start a child as the account; none to stay who one is."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def can_run(program: Path, account: Account) -> bool:
    """True when the account can start the program. Tried, not guessed from permission bits."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, check=False, cwd="/", **as_account(account)).returncode == 0
    except OSError:
        return False


def can_enter(directory: Path, account: Account) -> bool:
    """True when the account can enter the directory and write in it."""
    test = ["/bin/sh", "-c", 'cd "$1" && test -w .', "sh", str(directory.absolute())]
    return subprocess.run(test, capture_output=True, check=False, cwd="/", **as_account(account)).returncode == 0
