# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C, and SIGTERM as clusters send it: the step is finished and the state saved."""

import os
import signal
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Notes that the process is asked to stop, while the context lasts.

    A second Ctrl-C raises KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> 'Interruption':
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        # not by print, which the signal may have interrupted: Python refuses to enter it twice
        os.write(2, b'\nfinishing the step and saving; Ctrl-C again stops at once\n')


def ignore_signals(worker: int) -> None:
    """Leave Ctrl-C and SIGTERM to the process that trains: its loader's workers get them too."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
