"""A worker of this machine: `python -m lockstep.cli.worker FD`, started by lockstep itself, ends with the socket that it is given."""

from __future__ import annotations

import gc
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import NoReturn

from lockstep.cli.garbage import GARBAGE
from lockstep.cli.redaction import Redactor, redacted_stderr
from lockstep.config.secret_values import secrets_of_environment
from lockstep.operations.shard_work import do_shard
from lockstep.workers.serving import serve

COMMAND = (sys.executable, "-P", "-m", "lockstep.cli.worker")
"""What starts a worker; the number of an inherited file descriptor follows. -P: a module in the directory of the moment is none of ours."""


def main() -> NoReturn:
    """Work until the starter closes the socket or is gone, then end at once, whatever is in hand: none of it counts yet."""
    gc.set_threshold(*GARBAGE)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the starter winds its workers down, also where a signal reaches them all
    with redacted_stderr(Redactor(secrets_of_environment(os.environ))):
        serve(Connection(int(sys.argv[1])), do_shard)
    os._exit(0)


if __name__ == "__main__":
    main()
