# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A process of stages, from its start to its exit status."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import rclpy
from rclpy.executors import Executor
from rclpy.signals import SignalHandlerOptions

from pose3d_ros.nodes.executors import inputs_apart
from pose3d_ros.nodes.interrupts import Interrupts
from pose3d_ros.nodes.stage import START_ERRORS, Stage
from pose3d_ros.transport import prepare_process

_POLL_S = 0.1  # a signal does not wake the executor


def run(
    make_stages: Callable[[], Sequence[Stage]],
    args: list[str] | None = None,
    spun: Callable[[Sequence[Stage]], AbstractContextManager[Executor]] = inputs_apart,
) -> None:
    """Be a process of stages: start ROS, spin until told to stop, exit 1 when it cannot start."""
    prepare_process()
    interrupts = Interrupts()
    interrupts.bound()
    stages: Sequence[Stage] = ()
    status = 0
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        with interrupts.raised():
            stages = make_stages()
        with spun(stages) as executor:
            try:
                while not interrupts.came:
                    executor.spin_once(timeout_sec=_POLL_S)
            finally:
                for stage in stages:
                    stage.close()  # before the executor, which its worker wakes
    except START_ERRORS as error:
        print(f'error: {error}', file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        pass  # asked to end while networks were loaded
    finally:
        interrupts.leaving()
        for stage in stages:
            stage.destroy_node()
        rclpy.try_shutdown()
        interrupts.ignore()
    sys.exit(status)
