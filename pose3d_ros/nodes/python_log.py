# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the package says in Python's log, in ROS's log too: models know nothing of ROS."""

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger


class _ToRos(logging.Handler):
    """Hands records on, in ROS's three levels that matter here."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self.logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record; each level from one place, as rclpy wants it."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self.logger.error(text)
        elif record.levelno >= logging.WARNING:
            self.logger.warning(text)
        else:
            self.logger.info(text)


def log_to_ros(logger: RcutilsLogger) -> None:
    """Hand what `pose3d_ros` logs to a node's logger: the one of the node that is made now.

    It has to be a node's, as /rosout has those only.
    """
    log = logging.getLogger('pose3d_ros')
    for handler in log.handlers:
        if isinstance(handler, _ToRos):
            handler.logger = logger
            return
    log.addHandler(_ToRos(logger))
    log.setLevel(logging.INFO)
