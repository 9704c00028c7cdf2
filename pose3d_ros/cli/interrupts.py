# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Signals that end a command in good order."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Set an event at the first SIGINT or SIGTERM, so that what is begun is written to its end.

    The second raises KeyboardInterrupt. As a slow disk can take long, the first says so.
    """
    event = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()
        # not by print, which the signal may have interrupted: Python refuses to enter it twice
        os.write(2, b'\nwriting what is in hand; Ctrl-C again stops at once\n')

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
