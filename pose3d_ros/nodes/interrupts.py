# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM in a process of nodes: the first ends it in order, the others change nothing.

More than one is usual: Ctrl-C in a terminal reaches a process directly and by way of `ros2 launch`,
and people press it twice. ROS's own handlers end the context at once, under whatever is using it,
and raise KeyboardInterrupt wherever Python is, each time: threads that are then left inside ROS
abort the process. So rclpy is to be initialised without them.

Python calls a handler between two of its own instructions: one that comes while OpenVINO compiles a
network waits for that. Whoever may be in such a call asks for `bound`.
"""

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_S = 0.1
#: With what the threads of a busy machine wait for their turn, it is two seconds.
_PATIENCE_S = 1.5
#: Longer than the job in hand is waited for where nobody asked to end.
_STUCK_S = 15.0


class Interrupts:
    """Whether this process was asked to end, from the making of this on."""

    def __init__(self) -> None:
        self.came = False
        self._raises = False
        for number in _SIGNALS:
            signal.signal(number, self._take)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt

    def bound(self) -> None:
        """From now on end the process `_PATIENCE_S` after a signal, if it has not ended by then.

        The status is 0, as it was asked to end. What is in hand then, a network that is compiled or
        a job, is not waited for, and ROS is not told: only for processes that write no files.
        """
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        # written by Python's own handler in C, whatever the main thread is in
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        threading.Thread(target=_leave, args=(told,), name='interrupts', daemon=True).start()

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise KeyboardInterrupt in what cannot look at `came`, as the loading of networks."""
        self._raises = True
        try:
            if self.came:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def sleep(self, seconds: float) -> None:
        """Sleep so long, or until asked to end."""
        end = time.monotonic() + seconds
        while not self.came and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_S))

    def leaving(self) -> None:
        """From now on ROS is taken down: end the process if that takes `_STUCK_S`, with status 1.

        Where another participant ends in the same moment, Fast DDS 2.14 may wait for itself, and
        holds Python's lock while it does: no thread of Python could end the process then.
        """
        faulthandler.dump_traceback_later(_STUCK_S, exit=True)

    def ignore(self) -> None:
        """Hold on while Python itself ends, which takes handlers back: the last thing to do."""
        faulthandler.cancel_dump_traceback_later()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def leave_at_once() -> None:
    """End the process, with status 0, at a signal: for the time before anything is begun."""
    for number in _SIGNALS:
        signal.signal(number, lambda _number, _frame: os._exit(0))


def _leave(told: int) -> None:
    """End the process some time after there is something to read."""
    os.read(told, 1)
    time.sleep(_PATIENCE_S)
    os.write(2, f'not waited longer than {_PATIENCE_S:g} s for what was in hand\n'.encode())
    os._exit(0)
