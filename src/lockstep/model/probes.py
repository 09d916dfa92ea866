"""Decides what it means for lockstep how a store really behaves: what was seen, to the answer of a check.

Only what endangers a backup fails. An ability that a store lacks and lockstep does without is fine, and the answer says how.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from lockstep.model.checkup import Answer, failed, fine, warning
from lockstep.model.objects import ObjectAttributes, is_md5

Reply = Literal["accepted", "refused", "unsupported"]
"""What a service made of a request with a condition that does not hold."""

_ANOTHER = "Keep the repository in another place: files of it could vanish or change."


@dataclass(frozen=True, slots=True)
class ListedPages:
    """The keys of a listing as the engine got them, how many requests that took, and whether it goes by directories."""

    keys: tuple[str, ...]
    requests: int
    by_directory: bool


@dataclass(frozen=True, slots=True)
class WrittenOnce:
    """What came of writing under a taken key. `engine` is what the engine goes by from then on (None: a disk, or not learned).

    `kept` is true when the first bytes are still there; `reply` is the service's to a PUT with `If-None-Match: *`, None where nothing is
    sent; `let_through` counts those of `writers` at the same time that were told they had made one new object.
    """

    kept: bool
    engine: bool | None
    reply: Reply | None
    let_through: int
    writers: int


@dataclass(frozen=True, slots=True)
class KeysTried:
    """What became of objects under keys of several kinds, each list by a word for the kind."""

    tried: int
    refused: tuple[str, ...]
    changed: tuple[str, ...]
    """Other bytes came back than were written under this key: it is one with another key."""
    unlisted: tuple[str, ...]


def decide_reading(*, new: bool, replaced: bool, gone: bool) -> Answer:
    """Whether an object can be read as soon as it is written, and not any more as soon as it is deleted."""
    wrong = [
        text
        for text, seen in (
            ("a new object is not found", new),
            ("a replaced one is the old one", replaced),
            ("a deleted one is found", gone),
        )
        if not seen
    ]
    if wrong:
        return failed(
            f"at once after writing {' and '.join(wrong)}", hint="Use another service: two runs could not see each other's locks."
        )
    return fine("what is written, replaced or deleted is so at once")


def decide_listing(*, hidden: int, ghosts: int, of: int) -> Answer:
    """Whether a listing shows at once what is there."""
    if not hidden and not ghosts:
        return fine(f"{of} new objects are listed at once, and deleted ones are not")
    said = [f"{hidden} of {of} new objects are not listed" if hidden else "", f"{ghosts} deleted ones are" if ghosts else ""]
    return warning(
        f"at once after writing {' and '.join(filter(None, said))}; what a manifest names is asked for all the same, one by one",
        hint="Run 'lockstep prune' when nobody reads: it may not see who does.",
    )


def decide_pages(expected: Sequence[str], seen: ListedPages) -> Answer:
    """Whether a listing in several pages shows each object once."""
    lacking, twice = set(expected) - set(seen.keys), len(seen.keys) - len(set(seen.keys))
    if lacking:
        return failed(
            f"a listing of {len(expected)} objects in {seen.requests} pages leaves {len(lacking)} out",
            hint="Use another service: what is not listed is neither backed up with --app bucket nor audited.",
        )
    if twice:
        return warning(f"a listing in pages shows {twice} objects twice", hint="Look for a newer version of the service.")
    pages = f"in {seen.requests} pages" if seen.requests > 1 else "in one page, since it does not go by max-keys"
    return fine(f"{len(expected)} objects are listed, each once, {pages}")


def decide_start(expected: Sequence[str], seen: Sequence[str]) -> Answer:
    """Whether a listing can begin behind a key. The engine filters what comes, so only time hangs on it."""
    if list(seen) == list(expected):
        return fine("a listing begins behind the key that is named")
    if set(expected) <= set(seen):
        return fine("a start is not honoured: a listing in several ranges reads the objects before them in vain")
    return failed(
        f"a listing that begins behind a key leaves {len(set(expected) - set(seen))} of {len(expected)} objects out",
        hint="Use another service: an audit would take them for missing.",
    )


def decide_order(*, by_directory: bool) -> Answer:
    """In which order the engine takes the listing to be."""
    if by_directory:
        return fine("listings go by directories, not by the bytes of keys; ranges of keys are cut accordingly")
    return fine("listings go by the bytes of keys")


def decide_sizes(*, sizes: Collection[str], etags: Collection[str], of: int) -> Answer:
    """`sizes` and `etags` have the keys of which the listing says something else than HEAD."""
    if sizes:
        return failed(
            f"of {of} objects {len(sizes)} have another size in the listing than by HEAD, such as {min(sizes)!r}",
            hint="Use another service: a restore and an audit go by the listing.",
        )
    if etags:
        return warning(
            f"of {of} objects {len(etags)} have another ETag in the listing than by HEAD, such as {min(etags)!r}",
            hint="Use a reference query rather than --app bucket, which compares ETags of listings.",
        )
    return fine(f"of {of} objects the listing says the size and ETag that HEAD says")


def decide_writing_once(seen: WrittenOnce, *, settle_seconds: float) -> Answer:
    """Whether an object that exists is safe from being made anew, and how the engine sees to it."""
    again = f"whoever takes the lock looks again after {settle_seconds:.1f} s"
    if not seen.kept:
        return failed("an object that was to be made once was replaced", hint=_ANOTHER)
    race = "one was" if seen.let_through == 1 else f"{seen.let_through} were"
    more = f"; {again}" if seen.let_through > 1 else ""
    if seen.reply is None and seen.engine:
        return fine(f"an object is made under the condition that there is none; of {seen.writers} at once {race} let through{more}")
    if seen.reply is None:
        return fine("a name is given once, by the file system itself")
    if seen.engine and seen.reply != "refused":
        return failed("If-None-Match is honoured now and then", hint="Find out what stands between here and the service, and take it away.")
    if seen.engine:
        return fine(
            f"If-None-Match is honoured (412): an object is made with one request; of {seen.writers} at once {race} let through{more}"
        )
    ignored = "is ignored without a word" if seen.reply == "accepted" else "is not supported"
    return fine(f"If-None-Match {ignored}: HEAD asks before an object is made, and {again}")


def decide_lock(*, let_in: int, refused: int) -> Answer:
    """Whether of two writers at the same time one works and the other one is told so."""
    if let_in > 1:
        return failed("two writers at the same time were both let in", hint=_ANOTHER)
    if let_in == 1 and refused == 1:
        return fine("of two writers at the same time one was let in, and the other told who it is")
    return warning(
        "of two writers at the same time none was let in",
        hint="Let no two runs begin at the same second; the repository is safe all the same.",
    )


def decide_if_match(reply: Reply) -> Answer:
    """Whether a PUT can be made to replace one version and no other. The engine does not use it."""
    what = {"refused": "honoured (412)", "accepted": "ignored without a word", "unsupported": "not supported"}[reply]
    return fine(f"If-Match is {what}; nothing relies on it")


def decide_etag(etag: str | None, *, md5: str, is_kms: bool) -> Answer:
    """Whether an ETag proves what arrived."""
    if not is_md5(etag):
        return fine("ETags are no MD5: what is written is proven by reading it back")
    if etag == md5:
        return fine("the ETag of an object is its MD5: it proves what arrived")
    if is_kms:
        return fine("ETags are no MD5, since objects are encrypted with a key of KMS; HEAD says so")
    return failed(
        "ETags look like an MD5 and are another one", hint="Use another service, or ask its makers: every object would count as damaged."
    )


def decide_checksums(right: Reply, wrong: Reply, *, given_back: bool) -> Answer:
    """Whether the service checks a SHA-256 that is sent along. The engine records its own and does not need that."""
    if right != "accepted":
        return fine("a SHA-256 that is sent along is refused; none is sent")
    checked = "a wrong one is refused" if wrong == "refused" else "a wrong one is taken too"
    return fine(f"a SHA-256 can be sent along: {checked}, and it is {'given' if given_back else 'not given'} back; none is sent")


def decide_bulk_delete(*, left: int, of: int, in_bulk: bool) -> Answer:
    """Whether what is deleted is gone."""
    if left:
        return warning(
            f"of {of} objects that were deleted {left} are still there", hint="Free no room by prune here: it would be told, and not so."
        )
    return fine(f"{of} objects go with one request" if in_bulk else "DeleteObjects is not supported: objects are deleted one by one")


def decide_keys(seen: KeysTried) -> Answer:
    """Whether every key that can be a file name can be one here."""
    if seen.changed:
        return failed(
            f"two keys are one here: {', '.join(seen.changed)}",
            hint="Keep the repository where keys differ that differ: one object would replace another.",
        )
    if seen.unlisted:
        return warning(
            f"not listed as they were written: {', '.join(seen.unlisted)}", hint="Free no room by prune here, if there are such keys."
        )
    if seen.refused:
        return fine(f"{seen.tried} kinds of keys; refused are {', '.join(seen.refused)}: such objects lie in odd/ by their checksum")
    return fine(f"{seen.tried} kinds of keys: all can be written, listed and read")


def decide_odd_keys(seen: KeysTried) -> Answer:
    """What becomes of keys that are odd. The repository has none of them; a bucket that is restored to may need them."""
    parts = [
        f"{word}: {', '.join(kinds)}"
        for word, kinds in (("refused", seen.refused), ("one with another key", seen.changed), ("not listed", seen.unlisted))
        if kinds
    ]
    told = "; ".join(parts) or f"all {seen.tried} kinds are taken"
    return fine(f"{told}; the repository has none of them, they lie in odd/")


def decide_range(got: bytes, *, wanted: bytes, whole: bytes) -> Answer:
    """Whether a part of an object can be read. Nothing of the engine asks for one."""
    if got == wanted:
        return fine("a range of bytes can be read")
    if got == whole:
        return fine("a range is not honoured, all bytes come; nothing relies on it")
    return failed("a range of bytes gives other bytes", hint=_ANOTHER)


def decide_multipart(etag: str | None, *, expected: str, whole: bool, on_existing: Reply) -> Answer:
    """Whether a large file can be stored in parts."""
    if not whole:
        return failed("an object that was stored in parts is not what was sent", hint=_ANOTHER)
    form = "as S3 forms them" if etag == expected else "of a form of its own"
    end = {
        "refused": "ending one where an object lies is refused",
        "accepted": "ending one where an object lies replaces it, so HEAD asks before it begins",
        "unsupported": "an end on condition is not supported, so HEAD asks before it begins",
    }[on_existing]
    return fine(f"large files go up in parts, their ETags are {form}; {end}")


def decide_attributes(written: ObjectAttributes, read: ObjectAttributes) -> Answer:
    """Whether what is said of an object comes back. The repository keeps it in its inventory; a bucket that is restored to needs it."""
    names = ("content_type", "cache_control", "metadata")
    lost = [name.replace("_", " ") for name in names if getattr(written, name) != getattr(read, name)]
    if lost:
        return fine(f"lost: {', '.join(lost)}; the repository keeps them in its inventory, a bucket restored to here would lack them")
    return fine("content type, cache control and metadata come back")


def decide_versions(state: str, *, locks: bool, default_lock: str | None) -> Answer:
    """What the repository's bucket keeps of what is replaced or deleted."""
    if default_lock is not None:
        return fine(f"versions {state}, and what is written is locked for {default_lock}: what prune deletes stays until then")
    if locks:
        return fine(f"versions {state}, Object Lock can be set: what prune deletes stays as an older version")
    if state in {"on", "suspended"}:
        return fine(f"versions {state}, no Object Lock: what prune deletes stays as an older version")
    return fine("no versions, no Object Lock: what prune deletes is freed")


def decide_cleanup(*, left: int, kept_versions: int) -> Answer:
    """Whether the probe left nothing."""
    if left:
        return warning(f"{left} objects of the probe could not be removed", hint="Remove what lies under locks/probe- when nobody probes.")
    if kept_versions:
        return warning(
            f"{kept_versions} small objects of the probe stay as older versions or markers, which cannot be deleted now",
            hint="Let a lifecycle rule of the bucket expire older versions.",
        )
    return fine("what was written for it is removed")


def decide_modes(file: int, directory: int) -> Answer:
    """Whether a disk keeps who may read what. Both are permission bits."""
    if (file | directory) & 0o077:
        return warning(
            f"files have mode {file:04o} and directories {directory:04o}, whatever is asked for",
            hint="Mount the disk so that only the owner of the repository can read it.",
        )
    return fine("files and directories are for their owner alone")
