"""The dump of a snapshot under a local path, checked against its checksums: nothing of it runs before."""

from __future__ import annotations

from pathlib import Path

from lockstep.errors import RestoreFailed
from lockstep.repository.layout import ENCRYPTED
from lockstep.repository.manifest import Manifest
from lockstep.repository.repository import Repository


def local_dump(repository: Repository, manifest: Manifest, work: Path) -> Path:
    """The archive (a directory for the format `directory`), decrypted: in the repository where it lies there plain, else below `work`.

    Raises RestoreFailed when the manifest names none, RepositoryInvalid when a file of it is gone or damaged, IdentityNeeded.
    """
    files = manifest.dump_files()
    if not files:
        raise RestoreFailed(f"the manifest of {manifest.snapshot} names no dump", hint="Run 'lockstep verify' to see what is damaged.")
    if manifest.dump.format != "directory":
        return repository.local_copy(files[0], work)
    directory = work / "dump"
    directory.mkdir()
    checked = [repository.local_copy(entry, work) for entry in files]
    here = repository.store.local_file(files[0].path)
    if (
        here is not None and not files[0].encrypted
    ):  # pg_restore takes no symbolic links inside a directory, so it reads the repository's own
        return here.parent
    for entry, copy in zip(files, checked, strict=True):
        copy.rename(directory / entry.path.removesuffix(ENCRYPTED).rpartition("/")[2])
    return directory
