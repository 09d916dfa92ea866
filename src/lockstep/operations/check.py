"""Look at every precondition of a backup and of a restore, before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.checkup import Checkup
from lockstep.objects.open import open_store
from lockstep.objects.store import ObjectStore
from lockstep.operations import (
    check_clocks,
    check_database,
    check_locks,
    check_probe,
    check_repository,
    check_restore,
    check_room,
    check_stores,
)
from lockstep.operations.check_book import Book, Found
from lockstep.operations.check_repository import Kept
from lockstep.operations.check_stores import Reached, Sample
from lockstep.progress import SILENT, Listener


@dataclass(frozen=True, slots=True)
class CheckSubject:
    """What is looked at. The stores are opened by the check itself: what keeps one from being opened is an answer too.

    `stores` is empty when the objects are in the database. `probe`: try out what the services and disks really do.
    """

    database: DatabaseAddress
    stores: Sequence[StoreAddress]
    repository: StoreAddress
    app: str | None = None
    temporary: Path | None = None
    probe: bool = False
    open_store: Callable[[StoreAddress], ObjectStore] = open_store
    open_repository: Callable[[StoreAddress], ObjectStore] = open_store


def check(subject: CheckSubject, *, listener: Listener = SILENT) -> Checkup:
    """Make all checks, also when some fail, and tell what each came to. What cannot be done is an answer, not an error.

    A small object is written to the repository and removed again, and some more with `probe`; nothing else is changed anywhere.
    """
    with ExitStack() as stack:
        book = Book(listener)
        live = book.learn("database", lambda: check_database.reach(subject.database, stack))
        book.ask("privileges", lambda: check_database.privileges(live.value))
        book.ask("row-level security", lambda: check_database.row_security(live.value))
        programs = book.learn("client programs", lambda: check_database.client_programs(live.value))
        book.ask("archive", lambda: check_database.archive(live.value, programs.value))
        view = book.learn("frozen view", lambda: check_database.freeze(live.value, stack))

        stores = {address.name: _reach(address, subject, book) for address in subject.stores}
        sample = book.learn(
            "profile", lambda: check_stores.profile(view.value, stores, app=subject.app, database=subject.database)
        )  # with the stores that were reached
        for address in subject.stores:
            _look_into(address, stores[address.name], sample, book)

        kept = book.learn("repository", lambda: check_repository.find(subject.repository, subject.open_repository))
        book.ask("repository writable", lambda: check_repository.write(kept.value))
        book.ask("keys", lambda: check_repository.keys(kept.value))
        book.ask("repository lock", lambda: check_repository.lock(kept.value))
        if _is_s3(subject.repository):
            book.ask("repository lifecycle", lambda: check_repository.lifecycle(kept.value))
        if subject.repository.keeping.lock_for is not None:
            book.ask("object lock", lambda: check_locks.object_lock(kept.value.store))

        needs = check_room.estimate(live.known, kept.known, view.known, sample.known)
        book.ask("room", lambda: check_room.for_repository(needs, kept.value))
        book.ask("temporary directory", lambda: check_room.for_work(needs, kept.known, subject.temporary))

        book.ask("database clock", lambda: check_clocks.of_database(live.value))
        if _is_s3(subject.repository) and not any(each.endpoint_url == subject.repository.endpoint_url for each in subject.stores):
            book.ask("repository clock", lambda: check_clocks.of_service(check_repository.clock(kept.value)))
        book.ask("restore", lambda: check_restore.target(live.value, kept.known))
        if subject.probe:
            _probe(subject, stores, kept, book)
        return book.close()


def _reach(address: StoreAddress, subject: CheckSubject, book: Book) -> Found[Reached]:
    return book.learn(_named("bucket", address), lambda: check_stores.reach(address, subject.open_store))


def _look_into(address: StoreAddress, reached: Found[Reached], sample: Found[Sample], book: Book) -> None:
    book.ask(_named("objects", address), lambda: check_stores.objects(address.name, reached.value, sample.value))
    book.ask(_named("listing", address), lambda: check_stores.listing(reached.value))
    if _is_s3(address):  # what other services keep or delete by themselves is not looked at
        book.ask(_named("versioning", address), lambda: check_stores.versioning(reached.value))
        book.ask(_named("lifecycle", address), lambda: check_stores.lifecycle(address.name, reached.value, sample.known))
        book.ask(_named("bucket clock", address), lambda: check_clocks.of_service(reached.value.clock))


def _probe(subject: CheckSubject, stores: Mapping[str, Found[Reached]], kept: Found[Kept], book: Book) -> None:
    for address in filter(_is_s3, subject.stores):  # what a directory or another service does is not looked at by reading
        check_probe.probe_bucket_of(address, stores[address.name], book, named=partial(_named, address=address))
    check_probe.probe_repository(subject.repository, kept, book)


def _named(check_name: str, address: StoreAddress) -> str:
    return check_name if address.name == "main" else f"{check_name} {address.name}"


def _is_s3(address: StoreAddress) -> bool:
    return address.url.startswith("s3://")
