"""A standby is backed up as its primary is."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import psycopg

from lockstep.postgres.accounts import as_account, unprivileged_account
from lockstep.postgres.connection import open_database
from lockstep.postgres.dump import dump_to_stream
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.postgres.programs import find_programs
from lockstep.postgres.sessions import client_environment
from support.postgres_samples import SAMPLE, execute

SETTINGS = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on"}


def test_a_frozen_view_of_a_standby_is_dumped_and_counted_without_what_only_the_primary_has() -> None:
    account = unprivileged_account() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="lockstep-standby-", dir="/tmp") as temporary, EmbeddedServer(settings=SETTINGS) as primary:
        home = Path(temporary)
        (home / "password").write_text((primary.home / "password").read_text())
        if account is not None:
            os.chown(home, account.uid, account.gid)
        execute(primary.address(), SAMPLE)
        with psycopg.connect(primary.address().conninfo) as connection, client_environment(connection) as environment:
            command = [str(primary.bin_dir / "pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast", f"--pgdata={home / 'data'}"]
            subprocess.run(command, env=environment, check=True, capture_output=True, cwd=home, **as_account(account))
        with EmbeddedServer(primary.bin_dir, home, settings=SETTINGS) as standby, open_database(standby.address()) as database:
            assert database.facts().in_recovery
            with database.frozen() as view:
                counts = view.row_counts()
                assert counts["public.block"] == 5000
                assert "public.hasty" not in counts
                with view.sibling() as sibling:
                    assert sibling.row_counts() == counts
                with dump_to_stream(view, find_programs(standby.address(), database.server_major), format="plain") as stream:
                    text = b"".join(stream.chunks())
            assert b"COPY public.block " in text
            assert b"COPY public.hasty " not in text
