"""What a process holds and may write."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def resident_mib(pid: int | None = None) -> float:
    """Return the memory that a process holds; None = this one."""
    pages = int(Path(f'/proc/{pid or os.getpid()}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


@contextmanager
def full_disk(free_bytes: int = 20_000) -> Iterator[None]:
    """Let no file of this process grow beyond so much: the write then fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
