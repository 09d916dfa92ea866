"""How large the demo's deployment is, and how busy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoSize:
    """Every number of the demo, each with its reason; sizes in bytes."""

    organizations: int = 6
    """Some of their names are not ASCII, and they are part of every object's key."""
    workspaces_each: int = 4
    small_blocks: int = 1_940
    """Thousands of small objects: there the requests are what costs, as in most buckets."""
    small_bytes: tuple[int, int] = (500, 24 << 10)
    large_blocks: int = 60
    """And some of Parsec's usual size, 512 KiB, less what a file's last block leaves out."""
    large_bytes: tuple[int, int] = (128 << 10, 512 << 10)
    vlobs: int = 2_000
    writers: int = 2
    pause_seconds: float = 0.05
    """Between two files of one writer: busier than most deployments, and most of two small cores is left for the backup."""
    file_blocks: int = 3
    """The most blocks of a file that a writer saves."""
    file_block_bytes: tuple[int, int] = (1 << 10, 48 << 10)
    files_between: int = 100
    """Files saved between the backups."""
    files_after: int = 20
    """Files saved after the last backup: those that any backup loses."""
