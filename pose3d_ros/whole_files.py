# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files that have their name when they are whole, and not before."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield where to write a file that then gets its name; what was there before stays until then.

    A process that is killed leaves the part, which the next one writes over. An error removes it.
    """
    part = path.with_name(f'.{path.name}.part')
    try:
        yield part
        part.replace(path)
    except BaseException:
        with suppress(OSError):  # why the writing ended is what is raised
            part.unlink()
        raise
