# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The pipeline spun by rclpy's executor of many threads: for `pose3d benchmark graph` alone.

Each stage works in a thread of its own in any case; what the executor calls only hands work over.
"""

from functools import partial

from rclpy.executors import MultiThreadedExecutor

from pose3d_ros.nodes.executors import one_for_all
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.running import run


def main(args: list[str] | None = None) -> None:
    """Run the three nodes in one process, whose callbacks may come side by side."""
    run(make_pipeline, args, partial(one_for_all, MultiThreadedExecutor))
