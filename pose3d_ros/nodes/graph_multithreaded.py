"""The pipeline spun by rclpy's executor of many threads: for `pose3d benchmark graph` alone.

Each stage works in a thread of its own in any case; what the executor calls only hands work over.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rclpy.executors import Executor, MultiThreadedExecutor

from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.running import run
from pose3d_ros.nodes.stage import Stage


@contextmanager
def _many_threads(stages: Sequence[Stage]) -> Iterator[Executor]:
    executor = MultiThreadedExecutor()
    for stage in stages:
        executor.add_node(stage)
    yield executor


def main(args: list[str] | None = None) -> None:
    """Run the three nodes in one process, whose callbacks may come side by side."""
    run(make_pipeline, args, _many_threads)
