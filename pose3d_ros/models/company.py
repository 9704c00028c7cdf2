# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether somebody else of this process computes: networks that do share the cores.

Threads of one call of a network wait for each other again and again. Where calls of several
networks are all spread over all cores, each also waits for threads that another one keeps off them.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_changing = threading.Lock()
_at_work = 0


@contextmanager
def at_work() -> Iterator[None]:
    """Count as one who computes, or is about to."""
    global _at_work
    with _changing:
        _at_work += 1
    try:
        yield
    finally:
        with _changing:
            _at_work -= 1


def is_alone() -> bool:
    """Return whether at most one is at work: the caller, if it is one of them."""
    return _at_work <= 1
