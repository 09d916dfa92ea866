"""From the address of a store to the store."""

from __future__ import annotations

from pathlib import Path

from lockstep.model.addresses import StoreAddress
from lockstep.objects.addresses import parse_url, read_s3_settings
from lockstep.objects.kept import KeepRule, as_the_bucket_does
from lockstep.objects.local import LocalStore
from lockstep.objects.store import ObjectStore


def open_store(
    address: StoreAddress, *, private: bool = False, temporary: Path | None = None, keep: KeepRule = as_the_bucket_does
) -> ObjectStore:
    """The store behind a URL of `s3://`, `gs://`, `az://` or `file:///`. Nothing is sent, and nothing is written.

    `private` is for repositories: on a local disk, files get mode 0600 and directories 0700 whatever the umask. `temporary` is for them
    too: the directory on the same disk in which files are made before they get their names. `keep` says how S3 is to keep what is written.
    Raises ConfigurationError for what cannot be a store, PermissionMissing when there are no credentials anywhere.
    """
    url = parse_url(address.url)
    if isinstance(url, Path):
        return LocalStore(url, private=private, temporary=temporary)
    if url.scheme == "s3":
        from lockstep.objects.credentials import find_credentials
        from lockstep.objects.s3 import S3ObjectStore

        settings = read_s3_settings(url, address)
        return S3ObjectStore(settings, find_credentials(address), keep)
    from lockstep.objects.cloud import open_cloud_store

    return open_cloud_store(url, address)
