"""The references of a snapshot, derived anew from the rows of its dump: without a server, and without a bucket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

from lockstep.errors import Cancelled, ClientToolFailed, DiskFailed, IdentityNeeded, RepositoryInvalid, RestoreFailed
from lockstep.model.findings import Finding
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop
from lockstep.operations.local_dump import local_dump
from lockstep.operations.verify_files import VerifiedFiles, chain_of, touched_by, whole_chain
from lockstep.operations.verify_structure import Structure
from lockstep.postgres.dump_rows import open_dump, read_rows, read_schema
from lockstep.progress import Listener, Note
from lockstep.repository.keyed_store import keyring_of
from lockstep.repository.manifest import Manifest
from lockstep.repository.repository import Repository
from lockstep.tables import derivations, references
from lockstep.tables.derivable import Underivable, names_in, tables_named, tokens_of
from lockstep.tables.drills import Differences, compare_references
from lockstep.tables.engine import Tables


@dataclass(slots=True)
class Derivations:
    """How many snapshots' references were derived and are the same; why others could not be derived; and what differs."""

    equal: int = 0
    impossible: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def derive_references(
    store: ObjectStore,
    structure: Structure,
    files: VerifiedFiles,
    snapshots: Iterable[SnapshotId],
    *,
    work: Path,
    stop: Stop,
    listener: Listener,
) -> Derivations:
    """Derive and compare. A snapshot with a dump or references that are known to be damaged is left out."""
    identities = keyring_of(store).identities
    found, damaged = Derivations(), {finding.path for finding in files.findings}
    for snapshot in snapshots:
        manifest, chain = structure.manifests[snapshot], whole_chain(structure, files, snapshot)
        own = chain_of(structure, snapshot)[0].references if chain else None
        if chain is None or own is None or any(entry.path in damaged for entry in manifest.dump_files()):
            continue
        directory = work / f"derive-{snapshot}"
        directory.mkdir()
        try:
            differences = _derive(Repository(store, structure.repository), manifest, chain, directory, stop)
        except IdentityNeeded as error:
            if identities.given:
                raise
            found.impossible[snapshot] = str(error)
            listener(Note(f"the references of {snapshot} cannot be derived: {error.message}"))
            continue
        except (ClientToolFailed, DiskFailed, RepositoryInvalid, RestoreFailed, Underivable) as error:
            found.impossible[snapshot] = str(error)
            listener(Note(f"the references of {snapshot} cannot be derived offline: {error}; 'lockstep drill' proves them"))
            continue
        finally:
            rmtree(directory, ignore_errors=True)
        if differences.only_left == differences.only_right == 0:
            found.equal += 1
        else:
            found.findings.append(Finding("tampered", own.path, None, touched_by(structure, own), _said(snapshot, differences)))
    return found


def _derive(repository: Repository, manifest: Manifest, chain: list[Path], directory: Path, stop: Stop) -> Differences:
    def tick() -> None:
        if stop.is_set():
            raise Cancelled(2)

    query = manifest.profile.query
    if query is None:
        raise Underivable(f"the profile '{manifest.profile.name}' has no reference query")
    tokens = tokens_of(query)
    dump = open_dump(local_dump(repository, manifest, directory), format=manifest.dump.format)
    schema = read_schema(dump, tick=tick)
    if schema.encoding != "UTF8":
        raise Underivable(f"the dump's encoding is {schema.encoding or 'not known'}")
    named, words = tables_named(tokens, list(schema.tables)), names_in(tokens)
    if inherited := schema.parents.intersection(named):
        raise Underivable(f"rows of the table '{min(inherited)[1]}' are in other tables too")
    wanted = {name: [each for each in schema.tables[name] if each.lower() in words] for name in named}
    rows = read_rows(dump, wanted, directory=directory, tick=tick) if wanted else {}
    tables = Tables(directory / "tables")
    try:
        references.replay(tables, chain, into="named")
        for name in named:
            if name not in rows:
                raise Underivable(f"the dump has no rows of the table '{name[1]}'")
            types = {each: derivations.duckdb_type(schema.tables[name][each], schema.enums) for each in rows[name].columns}
            derivations.load_table(tables, name, rows[name].path, types, count=rows[name].count, tokens=tokens)
            rows[name].path.unlink()
        default = next(iter(manifest.stores)) if len(manifest.stores) == 1 else "main"
        derivations.derive(tables, query, sorted({name[0] for name in named}), default_store=default)
        return compare_references(tables, "named", "references_now")
    finally:
        tables.close()


def _said(snapshot: SnapshotId, found: Differences) -> str:
    sample = ", ".join(repr(key) for key in found.sample)
    return (
        f"is not what the dump's own rows give: {found.only_left:,} references of {snapshot} are not in its dump, "
        f"and {found.only_right:,} of the dump's are not in the snapshot: {sample}"
    )
