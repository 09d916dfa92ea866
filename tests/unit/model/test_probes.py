from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep.model.checkup import Answer
from lockstep.model.objects import ObjectAttributes
from lockstep.model.probes import (
    KeysTried,
    ListedPages,
    Reply,
    WrittenOnce,
    decide_attributes,
    decide_bulk_delete,
    decide_checksums,
    decide_cleanup,
    decide_etag,
    decide_keys,
    decide_lock,
    decide_modes,
    decide_multipart,
    decide_pages,
    decide_range,
    decide_start,
    decide_versions,
    decide_writing_once,
)

HONOURED = WrittenOnce(kept=True, engine=True, reply="refused", let_through=1, writers=6)
GOOD_KEYS = KeysTried(18, (), (), ())


@pytest.mark.parametrize(
    ("seen", "verdict", "says"),
    [
        (HONOURED, "ok", "of 6 at once one was let through"),
        (replace(HONOURED, let_through=3), "ok", "3 were let through; whoever takes the lock looks again after 0.5 s"),
        (replace(HONOURED, engine=False, reply="accepted"), "ok", "ignored without a word: HEAD asks"),
        (replace(HONOURED, engine=None, reply="unsupported"), "ok", "not supported: HEAD asks"),
        (replace(HONOURED, engine=None, reply=None), "ok", "by the file system itself"),
        (replace(HONOURED, reply=None), "ok", "under the condition that there is none; of 6 at once one was let through"),
        (replace(HONOURED, reply="accepted"), "failed", "now and then"),
        (replace(HONOURED, kept=False), "failed", "was replaced"),
    ],
)
def test_only_what_replaces_a_file_fails_and_all_else_says_how_lockstep_does_without(seen: WrittenOnce, verdict: str, says: str) -> None:
    answer = decide_writing_once(seen, settle_seconds=0.5)
    assert (answer.verdict, says in answer.detail) == (verdict, True), answer


@pytest.mark.parametrize(("let_in", "refused", "verdict"), [(1, 1, "ok"), (2, 0, "failed"), (0, 2, "warning")])
def test_two_writers_at_once_are_one_too_many(let_in: int, refused: int, verdict: str) -> None:
    assert decide_lock(let_in=let_in, refused=refused).verdict == verdict


@pytest.mark.parametrize(
    ("keys", "requests", "verdict", "says"),
    [
        (("a", "b", "c"), 2, "ok", "in 2 pages"),
        (("c", "a", "b"), 1, "ok", "in one page"),
        (("a", "c"), 2, "failed", "leaves 1 out"),
        (("a", "b", "b", "c"), 2, "warning", "1 objects twice"),
    ],
)
def test_a_listing_shows_each_object_once_in_whatever_order(keys: tuple[str, ...], requests: int, verdict: str, says: str) -> None:
    answer = decide_pages(["a", "b", "c"], ListedPages(keys, requests, by_directory=False))
    assert (answer.verdict, says in answer.detail) == (verdict, True), answer


def test_a_start_that_is_not_honoured_costs_time_and_one_that_leaves_out_costs_objects() -> None:
    assert [decide_start(["b", "c"], seen).verdict for seen in (["b", "c"], ["a", "b", "c"], ["c"])] == ["ok", "ok", "failed"]


@pytest.mark.parametrize(
    ("etag", "is_kms", "verdict"), [("0" * 32, False, "ok"), ("1" * 32, True, "ok"), ("1" * 32, False, "failed"), (None, False, "ok")]
)
def test_an_etag_that_looks_like_an_md5_and_is_none_fails_unless_it_is_explained(etag: str | None, is_kms: bool, verdict: str) -> None:
    assert decide_etag(etag, md5="0" * 32, is_kms=is_kms).verdict == verdict


@pytest.mark.parametrize(
    ("seen", "verdict", "says"),
    [
        (GOOD_KEYS, "ok", "18 kinds of keys: all"),
        (replace(GOOD_KEYS, refused=("emoji",)), "ok", "refused are emoji: such objects lie in odd/"),
        (replace(GOOD_KEYS, unlisted=("emoji",)), "warning", "not listed as they were written: emoji"),
        (replace(GOOD_KEYS, changed=("upper case",)), "failed", "two keys are one here: upper case"),
    ],
)
def test_keys_may_be_refused_but_not_be_one(seen: KeysTried, verdict: str, says: str) -> None:
    answer = decide_keys(seen)
    assert (answer.verdict, says in answer.detail) == (verdict, True), answer


@pytest.mark.parametrize(
    ("answer", "verdict", "says"),
    [
        (decide_range(b"ab", wanted=b"ab", whole=b"abc"), "ok", "can be read"),
        (decide_range(b"abc", wanted=b"ab", whole=b"abc"), "ok", "not honoured"),
        (decide_range(b"zz", wanted=b"ab", whole=b"abc"), "failed", "other bytes"),
        (decide_multipart("x-2", expected="x-2", whole=True, on_existing="refused"), "ok", "as S3 forms them"),
        (decide_multipart("y", expected="x-2", whole=True, on_existing="accepted"), "ok", "of a form of its own"),
        (decide_multipart("x-2", expected="x-2", whole=False, on_existing="refused"), "failed", "not what was sent"),
        (decide_bulk_delete(left=0, of=5, in_bulk=True), "ok", "one request"),
        (decide_bulk_delete(left=0, of=5, in_bulk=False), "ok", "one by one"),
        (decide_bulk_delete(left=2, of=5, in_bulk=True), "warning", "2 are still there"),
        (decide_modes(0o600, 0o700), "ok", "their owner alone"),
        (decide_modes(0o644, 0o755), "warning", "mode 0644"),
        (decide_cleanup(left=0, kept_versions=0), "ok", "is removed"),
        (decide_cleanup(left=1, kept_versions=0), "warning", "could not be removed"),
        (decide_cleanup(left=0, kept_versions=3), "warning", "3 small objects"),
        (decide_versions("on", locks=True, default_lock="30 days"), "ok", "locked for 30 days"),
        (decide_versions("on", locks=True, default_lock=None), "ok", "Object Lock can be set"),
        (decide_versions("off", locks=False, default_lock=None), "ok", "is freed"),
    ],
)
def test_what_was_seen_becomes_an_answer(answer: Answer, verdict: str, says: str) -> None:
    assert (answer.verdict, says in answer.detail) == (verdict, True), answer
    assert (answer.hint is None) == (verdict == "ok")


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("unsupported", "unsupported", "is refused; none is sent"),
        ("accepted", "refused", "a wrong one is refused"),
        ("accepted", "accepted", "taken too"),
    ],
)
def test_checksums_are_told_and_not_needed(right: Reply, wrong: Reply, says: str) -> None:
    answer = decide_checksums(right, wrong, given_back=False)
    assert (answer.verdict, says in answer.detail) == ("ok", True), answer


def test_attributes_that_do_not_come_back_are_named() -> None:
    written = ObjectAttributes(content_type="text/plain", metadata={"a": "b"})
    assert decide_attributes(written, written).detail == "content type, cache control and metadata come back"
    assert decide_attributes(written, ObjectAttributes(content_type="text/plain")).detail.startswith("lost: metadata; ")
