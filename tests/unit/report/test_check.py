from __future__ import annotations

import json

from lockstep.model.checkup import Check, Checkup, failed, fine, untried, warning
from lockstep.report.check import as_document, as_text

SOUND = Checkup((Check("database", fine('"parsec" of PostgreSQL 18.6', size=8 << 20)), Check("profile", fine("'parsec': its query runs"))))
NOTICED = Checkup((*SOUND.checks, Check("versioning", warning("off", hint="Switch it on."))))
BROKEN = Checkup(
    (
        Check("database", failed("cannot connect to db:5432: the password is wrong or missing", hint="Check the password.")),
        Check("privileges", untried("database")),
        Check("versioning", warning("off", hint="Switch it on.")),
        Check("room", fine("on this disk", free=3 << 30, dump=1 << 20)),
    )
)


def test_what_is_sound_takes_a_line_each() -> None:
    assert as_text(SOUND) == (
        "ok       database  \"parsec\" of PostgreSQL 18.6; size 8.00 MiB\nok       profile   'parsec': its query runs\nall 2 checks passed"
    )


def test_a_hint_stands_below_its_line_and_the_last_line_counts() -> None:
    assert as_text(BROKEN) == (
        "FAILED   database    cannot connect to db:5432: the password is wrong or missing\n"
        "                     hint: Check the password.\n"
        "-        privileges  not tried, because the check 'database' failed\n"
        "warning  versioning  off\n"
        "                     hint: Switch it on.\n"
        "ok       room        on this disk; free 3.00 GiB, dump 1.00 MiB\n"
        "1 of 4 checks failed, 1 could not be tried, 1 warning"
    )


def test_a_warning_is_counted_beside_what_passed() -> None:
    assert as_text(NOTICED).splitlines()[-1] == "all 3 checks passed, 1 warning"


def test_colours_are_for_the_verdicts_alone_and_only_when_asked_for() -> None:
    assert "\x1b" not in as_text(BROKEN)
    assert as_text(BROKEN, colour=True).startswith("\x1b[31mFAILED \x1b[0m  database    cannot connect")


def test_the_document_is_ok_when_every_check_in_it_is() -> None:
    for checkup, ok in ((SOUND, True), (NOTICED, True), (BROKEN, False)):
        document = json.loads(json.dumps(as_document(checkup)))
        assert document["ok"] is ok
        assert all(each["ok"] for each in document["checks"]) is ok


def test_the_document_has_the_agreed_fields_and_says_how_bad_it_is() -> None:
    assert as_document(BROKEN)["checks"] == [
        {
            "name": "database",
            "ok": False,
            "detail": "cannot connect to db:5432: the password is wrong or missing",
            "hint": "Check the password.",
            "level": "error",
        },
        {
            "name": "privileges",
            "ok": False,
            "detail": "not tried, because the check 'database' failed",
            "hint": "See to 'database' first.",
            "level": "error",
        },
        {"name": "versioning", "ok": True, "detail": "off", "hint": "Switch it on.", "level": "warning"},
        {
            "name": "room",
            "ok": True,
            "detail": "on this disk; free 3.00 GiB, dump 1.00 MiB",
            "hint": None,
            "bytes": {"free": 3 << 30, "dump": 1 << 20},
        },
    ]
