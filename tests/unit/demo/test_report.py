from __future__ import annotations

import re
from dataclasses import replace

from lockstep.cli.command_tree import known_options
from lockstep.cli.main import COMMANDS
from lockstep.model.demo import DemoResult, DemoStep, KeptPlaces
from lockstep.report.demo import as_document, as_text, commands, commands_for_others

GOOD = DemoResult(
    (DemoStep("backup", "2,000 objects (43.1 MiB) by 2,000 GET and no LIST", 3.21), DemoStep("proof", "all are as they were written", 0.1)),
    rows_compared=4_574,
    objects_compared=2_322,
    seconds=17.6,
    left_out=34,
)
BAD = replace(GOOD, findings=("1 object with other bytes than were written",), left_out=0)

GOLDEN = """\

     step     what happened                                        time
 ──────────────────────────────────────────────────────────────────────
 1   backup   2,000 objects (43.1 MiB) by 2,000 GET and no LIST   3.2 s
 2   proof    all are as they were written                        0.1 s

     in all                                                        18 s

Nothing is lost: all 4,574 rows and 2,322 objects came back as they were written.
Not in the backup, as must be: 34 files that users saved after its moment, before the disaster.

The same with your own Parsec server, by the env file that it already has:

  lockstep backup  --repo /srv/backup --parsec-env parsec.env
  lockstep list    --repo /srv/backup
  lockstep restore --repo /srv/backup --parsec-env parsec.env latest

  (restore shows its plan and asks before it changes anything)

With any other PostgreSQL and S3, name the two in place of the env file:

  lockstep backup  --repo /srv/backup --database postgresql://USER@HOST/NAME \\
      --bucket s3://BUCKET --endpoint-url https://S3.EXAMPLE.ORG"""


def test_the_story_is_a_table_a_verdict_and_what_to_type_next() -> None:
    assert as_text(GOOD, program="lockstep", width=100, colour=False) == GOLDEN


def test_what_did_not_come_back_is_told() -> None:
    text = as_text(BAD, program="lockstep", width=100, colour=False)
    assert "NOT everything came back. Of 4,574 rows and 2,322 objects that were compared:\n  - 1 object with other bytes" in text
    assert "Not in the backup" not in text


def test_colours_are_only_there_when_asked_for() -> None:
    assert "\x1b[" not in as_text(GOOD, program="lockstep", width=100, colour=False)
    assert "\x1b[1;32mNothing is lost" in as_text(GOOD, program="lockstep", width=100, colour=True)


def test_commands_are_not_broken_on_a_narrow_terminal() -> None:
    text = as_text(GOOD, program=".venv/bin/lockstep", width=20, colour=False)
    assert all(f"  {command}\n" in text for command in commands(".venv/bin/lockstep"))


def test_the_commands_have_the_options_that_they_are_shown_with() -> None:
    known = known_options(COMMANDS)
    shown = [*commands("lockstep"), " ".join(commands_for_others("lockstep"))]
    for line in shown:
        command = line.split()[1]
        options = {option.replace("-", "_") for option in re.findall(r"--([a-z-]+)", line)}
        assert options <= known[command].keys(), line
    assert {line.split()[1] for line in shown} == {"backup", "list", "restore"}


def test_what_is_kept_is_told_in_text_and_in_json() -> None:
    kept = replace(GOOD, kept=KeptPlaces("/d/repository", "/d/postgresql/data", "/d/s3"))
    text = as_text(kept, program="lockstep", width=100, colour=False)
    assert "lockstep list --repo /d/repository\n" in text
    assert as_document(kept)["kept"] == {"repository": "/d/repository", "database": "/d/postgresql/data", "objects": "/d/s3"}


def test_the_document_is_the_contract_s() -> None:
    document = as_document(BAD)
    assert list(document)[:5] == ["ok", "steps", "rows_compared", "objects_compared", "seconds"]
    assert document["ok"] is False
    assert document["steps"] == [
        {"name": "backup", "detail": "2,000 objects (43.1 MiB) by 2,000 GET and no LIST", "seconds": 3.21},
        {"name": "proof", "detail": "all are as they were written", "seconds": 0.1},
    ]
    assert document["findings"] == ["1 object with other bytes than were written"]
