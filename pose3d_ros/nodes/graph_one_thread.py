# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The pipeline spun by one executor of rclpy: for `pose3d benchmark graph` alone."""

from functools import partial

from rclpy.executors import SingleThreadedExecutor

from pose3d_ros.nodes.executors import one_for_all
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.running import run


def main(args: list[str] | None = None) -> None:
    """Run the three nodes in one process, whose inputs wait among all else."""
    run(make_pipeline, args, partial(one_for_all, SingleThreadedExecutor))
