"""SIGINT and SIGTERM in a process of nodes: the first ends it in order, the others change nothing.

More than one is usual: Ctrl-C in a terminal reaches a process directly and by way of `ros2 launch`,
and people press it twice. ROS's own handlers end the context at once, under whatever is using it,
and raise KeyboardInterrupt wherever Python is, each time: threads that are then left inside ROS
abort the process. So rclpy is to be initialised without them.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL_S = 0.1


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

    def ignore(self) -> None:
        """Hold on while Python itself ends, which takes handlers back: the last thing to do."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
