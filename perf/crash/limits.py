"""What a process can be denied: descriptors, memory, the size of files, and what a folder's disk can hold."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MIB = 1 << 20


def limit_descriptors(count: int) -> None:
    """Let this process open no more than so many files and connections."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def limit_memory(more: int) -> None:
    """Let this process take no more than so many bytes of address space beyond what it has."""
    limit = _address_space() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def limit_files(size: int) -> None:
    """Let this process write no file beyond so many bytes, as a quota or an old file system does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def why_no_address_space() -> str:
    """Return why the address space of a process cannot be limited; empty if it can."""
    return "" if Path("/proc/self/statm").exists() else "needs /proc (Linux)"


def why_no_disk() -> str:
    """Return why this machine gives us no small disk of our own; empty if it does."""
    if shutil.which("mount") is None or not hasattr(os, "geteuid"):
        return "needs mount and tmpfs (Linux)"
    if os.geteuid() != 0:
        return "needs root, to mount a small tmpfs"
    probe = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tvmerge", "/mnt"], capture_output=True, check=False
    )
    return "" if probe.returncode == 0 else "needs the right to mount a tmpfs, which this container lacks"


class SmallDisk:
    """A tmpfs; see `small_disk`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def resize(self, size: int) -> None:
        """Change its size in bytes."""
        _mount("-o", f"remount,size={size}", str(self._folder))

    def fill(self) -> None:
        """Leave no room beyond what is used, whatever is written meanwhile."""
        for _ in range(100):
            with suppress(subprocess.CalledProcessError):  # more was used than a moment ago
                self.resize(max(MIB, shutil.disk_usage(self._folder).used))
                return

    def protect(self, *, on: bool) -> None:
        """Allow or forbid all writing."""
        _mount("-o", f"remount,{'ro' if on else 'rw'}", str(self._folder))


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a disk of so many bytes at a folder."""
    _mount("-t", "tmpfs", "-o", f"size={size}", "tvmerge", str(folder))
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True)
