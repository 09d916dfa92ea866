"""A real disk that is slow, or stands still for a while: a file system on a loop device, throttled by the kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.world import children_of

THROTTLE = Path("/sys/fs/cgroup/blkio")
"""The controller of the first version, whose rules hold for all processes, and so for the kernel's own, which write what was cached."""

SIZE_BYTES = 256 << 20


class NoSlowDisk(Exception):
    """What this machine lacks for making one."""


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """`place` is where it is mounted, `number` the device's as the kernel's rules have it."""

    place: Path
    device: str
    number: str

    def throttle(self, *, write: int = 0, read: int = 0) -> None:
        """Let through so many bytes a second from now on; 0: as many as come."""
        for way, rate in (("write", write), ("read", read)):
            (THROTTLE / f"blkio.throttle.{way}_bps_device").write_text(f"{self.number} {rate}")

    def forget(self) -> None:
        """Let nothing of it be in memory, so that what is read comes from the disk."""
        subprocess.run(["umount", str(self.place)], check=True)
        subprocess.run(["mount", self.device, str(self.place)], check=True)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Whoever writes waits in the kernel, where no signal reaches it, until the block is over."""
        subprocess.run(["fsfreeze", "--freeze", str(self.place)], check=True)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", str(self.place)], check=True)


@contextmanager
def made_slow_disk(directory: Path) -> Iterator[SlowDisk]:
    """One with nothing on it, as fast as any until it is throttled. Raises NoSlowDisk."""
    if os.geteuid() != 0:
        raise NoSlowDisk("a slow disk needs root")
    if not (THROTTLE / "blkio.throttle.write_bps_device").exists():
        raise NoSlowDisk("a slow disk needs the kernel's blkio controller (cgroup v1)")
    image, place = directory / "slow.image", directory / "slow"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        attached = subprocess.run(["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise NoSlowDisk(f"a slow disk needs a loop device with ext4: {error}") from error
    device = attached.stdout.strip()
    try:
        subprocess.run(["mount", device, str(place)], check=True)
        found = Path(device).stat().st_rdev
        disk = SlowDisk(place, device, f"{os.major(found)}:{os.minor(found)}")
        try:
            yield disk
        finally:
            disk.throttle()
            subprocess.run(["umount", "--lazy", str(place)], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def waits_in_the_kernel(pid: int) -> bool:
    """True when a thread of the process, or of one that it started, waits for a disk, so that no signal reaches it."""
    return any(_state(stat) == "D" for each in (pid, *children_of(pid)) for stat in Path(f"/proc/{each}/task").glob("*/stat"))


def _state(stat: Path) -> str:
    try:
        return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""
