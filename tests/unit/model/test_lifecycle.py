from __future__ import annotations

from dataclasses import replace

from lockstep.model.lifecycle import LifecycleRule, decide_kept_rules, decide_live_rules

EXPIRY = LifecycleRule("tidy", "", "delete", "after 30 days")
ARCHIVE = LifecycleRule("cold", "", "archive", "after 90 days")
KEYS = ["Acme/1", "Acme/2"]


def test_no_rules_are_no_worry() -> None:
    assert decide_live_rules([], prefix="", keys=KEYS).verdict == "ok"
    assert decide_kept_rules([], prefix="").verdict == "ok"


def test_a_rule_that_deletes_what_the_metadata_references_is_a_failure_that_names_it() -> None:
    answer = decide_live_rules([EXPIRY], prefix="", keys=KEYS)
    assert answer.verdict == "failed"
    assert answer.detail == "rule 'tidy' deletes all objects after 30 days: referenced objects are among them"


def test_prefixes_of_rules_are_held_against_the_full_key() -> None:
    assert decide_live_rules([replace(EXPIRY, prefix="app/Ac")], prefix="app/", keys=KEYS).verdict == "failed"
    assert decide_live_rules([replace(EXPIRY, prefix="app/tmp/")], prefix="app/", keys=KEYS).verdict == "warning"
    assert decide_live_rules([replace(EXPIRY, prefix="elsewhere/")], prefix="app/", keys=KEYS).verdict == "ok"


def test_a_rule_for_some_objects_alone_and_one_that_archives_are_warnings() -> None:
    assert decide_live_rules([replace(EXPIRY, conditional=True)], prefix="", keys=KEYS).verdict == "warning"
    assert decide_live_rules([ARCHIVE], prefix="", keys=KEYS).verdict == "warning"


def test_nothing_may_delete_from_a_repository() -> None:
    assert decide_kept_rules([replace(EXPIRY, conditional=True, prefix="backups/objects/")], prefix="backups/").verdict == "failed"
    assert decide_kept_rules([replace(EXPIRY, prefix="logs/")], prefix="backups/").verdict == "ok"
    assert decide_kept_rules([ARCHIVE], prefix="backups/").verdict == "warning"
