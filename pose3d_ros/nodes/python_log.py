"""What the package says in Python's log, in ROS's log too: models know nothing of ROS."""

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.logging import get_logger


class _ToRos(logging.Handler):
    """Hands records on, in ROS's three levels that matter here."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record; each level from one place, as rclpy wants it."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


def log_to_ros() -> None:
    """Hand what `pose3d_ros` logs to ROS, once in a process."""
    log = logging.getLogger('pose3d_ros')
    if not any(isinstance(handler, _ToRos) for handler in log.handlers):
        log.addHandler(_ToRos(get_logger('pose3d_ros')))
        log.setLevel(logging.INFO)
