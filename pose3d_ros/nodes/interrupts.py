"""SIGINT and SIGTERM in a process of nodes: the first ends it, and nothing disturbs the end."""

import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """From its making on, the first SIGINT or SIGTERM raises KeyboardInterrupt, once.

    More than one is usual: Ctrl-C in a terminal reaches a process directly and by way of `ros2
    launch`, and people press it twice. A second one in the middle of the end would leave threads
    inside ROS, which abort the process. To be made before rclpy.init, whose handlers call the ones
    that they find.
    """

    def __init__(self) -> None:
        #: The process was asked to end.
        self.came = False
        self._ignored = False
        for number in _SIGNALS:
            signal.signal(number, self._take)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if not self._ignored:
            self.came = self._ignored = True
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Let nothing interrupt from here on: the end begins."""
        self._ignored = True

    def ignore_to_the_last(self) -> None:
        """Hold on while Python itself ends, and takes back handlers; after rclpy's shutdown."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
