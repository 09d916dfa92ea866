"""The objects' side of a drill: every one in the repository with its size, and the bytes of all or of a sample."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial

from lockstep.errors import RepositoryInvalid
from lockstep.model.drill import Amounts, decide_share, reckon_seconds
from lockstep.model.inventory import InventoryEntry
from lockstep.objects.retry import PATIENT, noting, retrying
from lockstep.objects.transfer import Pacer, Stop, TransferLimits, in_parallel
from lockstep.operations.browse import load_references
from lockstep.operations.drill_book import DrillBook, Finding, counted
from lockstep.operations.pool_reader import PoolReader, refuse_unreadable_objects
from lockstep.progress import Listener, StageAdvanced, StageEnded, StageStarted
from lockstep.repository.layout import ENCRYPTED_OBJECTS, OBJECTS, ODD
from lockstep.repository.manifest import Manifest
from lockstep.repository.pool import place_of
from lockstep.repository.repository import Repository
from lockstep.tables import drills, restores
from lockstep.tables.engine import Tables

STAGE = "objects"


@dataclass(slots=True)
class ObjectsDrill:
    """Takes the steps objects and checksums. `seconds` is afterwards how long reading all of the objects takes, measured or reckoned."""

    repository: Repository
    manifest: Manifest
    tables: Tables
    book: DrillBook
    limits: TransferLimits
    listener: Listener
    stop: Stop
    percent: float | None = None
    seed: int = 0
    seconds: float = field(default=0.0, init=False)
    unreadable: str | None = field(default=None, init=False)

    def prepare(self) -> bool:
        """Read the snapshot's references and the inventory. False when they are damaged, which `run` then says."""
        try:
            load_references(self.repository, self.manifest, self.tables, self.tables.directory)
            entry = self.manifest.file("missing.parquet")
            missing = self.repository.local_copy(entry, self.tables.directory) if entry else None
            restores.plan_restorable(self.tables, snapshot=self.manifest.snapshot, references="named", missing=missing, prefix="")
            refuse_unreadable_objects(self.repository, self.tables, "restorable")
        except RepositoryInvalid as error:
            self.unreadable = error.message
            return False
        return True

    def run(self) -> None:
        """Take the steps."""
        if self.unreadable is not None:
            with self.book.step("objects") as finding:
                finding.fail(self.unreadable)
            self.book.skip("checksums", because="it is not known which objects there should be")
            return
        with self.book.step("objects") as finding:
            self._look(finding)
        with self.book.step("checksums") as finding:
            self._read(finding)

    def _look(self, finding: Finding) -> None:
        drills.begin_places(self.tables)
        for prefix in (*(f"{tree}{store}/" for tree in (OBJECTS, ENCRYPTED_OBJECTS) for store in self.manifest.stores), ODD):
            for page in self.repository.store.list(prefix):
                drills.add_places(self.tables, page)
        wrong = drills.find_wrong_places(self.tables)
        for count, what in ((wrong.gone, "gone from the repository"), (wrong.wrong_size, "in the repository with another size")):
            if count:
                finding.fail(f"{counted(count, 'object')} {'is' if count == 1 else 'are'} {what}")
        lost = drills.count_lost(self.tables)
        if lost.unrecorded:
            finding.fail(f"{counted(lost.unrecorded, 'object')} that the snapshot references {_is(lost.unrecorded)} not in the inventory")
        if lost.never_had:
            finding.fail(f"{counted(lost.never_had, 'object')} the snapshot lists itself as missing or mismatched: it never had them")
        if not finding.ok:
            finding.say(", ".join(repr(key) for key in dict.fromkeys((*wrong.sample, *lost.sample))))
            return
        whole = drills.amounts(self.tables, "sound")
        finding.say(f"all {counted(whole.objects, 'object')} ({counted(whole.size_bytes, 'byte')}) there, each with its size")

    def _read(self, finding: Finding) -> None:
        whole = drills.amounts(self.tables, "sound")
        share = decide_share(self.percent, whole)
        drawn = drills.draw_sample(self.tables, share=share, seed=self.seed)
        started = time.monotonic()
        damaged = self._check_all(drawn)
        spent = time.monotonic() - started
        finding.extrapolated = drawn != whole
        self.seconds = reckon_seconds(spent, drawn, whole)
        for key, why in damaged[: drills.SAMPLE]:
            finding.fail(f"the object {key!r} {why}")
        if len(damaged) > drills.SAMPLE:
            finding.fail(f"and {counted(len(damaged) - drills.SAMPLE, 'more object')}")
        finding.say(f"{len(damaged):,} of {drawn.objects:,} wrong" if damaged else _words(drawn, whole, spent))
        if finding.extrapolated and drawn.objects:
            finding.say(f"reading all of them is extrapolated from this sample to {self.seconds:.1f} s")

    def _check_all(self, drawn: Amounts) -> list[tuple[str, str]]:
        """Keys that are wrong, and why."""
        reader, pacer = PoolReader(self.repository.store), Pacer(self.limits)

        on_retry = noting(self.repository.store.requests, and_then=pacer.note)

        def check(entry: InventoryEntry) -> tuple[InventoryEntry, str | None]:
            try:
                inside = entry.sha256 if entry.encrypted else None
                read = partial(reader.read, place_of(entry), entry.size_there, entry.sha256_there, inside)
            except RepositoryInvalid as error:
                return entry, error.message
            fault = retrying(read, policy=PATIENT, on_retry=on_retry, stop=self.stop)
            return entry, fault.detail if fault is not None else None

        damaged: list[tuple[str, str]] = []
        self.listener(StageStarted(STAGE, total=drawn.objects, unit="objects"))
        for outcomes in in_parallel(drills.drawn(self.tables), check, threads=pacer, stop=self.stop):
            damaged += [(entry.key, why) for entry, why in outcomes if why is not None]
            self.listener(StageAdvanced(STAGE, done=len(outcomes), size_bytes=sum(entry.size for entry, _ in outcomes)))
        self.listener(StageEnded(STAGE))
        return sorted(damaged)


def _words(drawn: Amounts, whole: Amounts, spent: float) -> str:
    rate = f" at {drawn.size_bytes / spent / 1e6:.1f} MB/s" if spent > 0 and drawn.size_bytes else ""
    which = "all" if drawn == whole else f"a sample of {drawn.objects:,} of"
    return f"the checksums of {which} {counted(whole.objects, 'object')} are right ({counted(drawn.size_bytes, 'byte')} read{rate})"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
