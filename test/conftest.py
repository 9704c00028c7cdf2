# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests: a ROS domain of their own, and a graph to publish into."""

import contextlib
import fcntl
import gc
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waiting import wait

from pose3d_ros.domains import own_domain_id

# Before anything starts ROS: neither another process of this run, which has its own domain too,
# nor another run, nor a robot must be heard. What tests start inherits it.
os.environ['ROS_DOMAIN_ID'] = str(own_domain_id())
os.environ.setdefault('ROS_LOG_DIR', '/tmp/pose3d_ros_test_logs')
os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'

# A thread of PyTorch that waits for its fellows would spin, on a processor that another test needs.
# This is read when OpenMP is loaded.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')

# A run in the background of a shell inherits that Ctrl-C is ignored, and would hand that on to the
# programs that tests send it to.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What the libraries bring when they are imported is there to stay: the collector, which would go
# over half a million objects time and again, leaves it alone.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # some libraries complain of what is left when the process ends


class Graph:
    """Nodes under test in this process, and a node to talk to them over real topics."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.node import Node
        from rclpy.signals import SignalHandlerOptions

        from pose3d_ros.nodes.spinning import spinning
        from pose3d_ros.transport import prepare_process

        prepare_process()
        # no native signal handlers: they stay behind, and a later test that sends this process a
        # signal would run into them
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node('tester')
        self._stages: list[Any] = []
        self._spinning = contextlib.ExitStack()
        self._executor = self._spinning.enter_context(spinning(self.node))

    def add(self, *stages: Any) -> None:
        """Spin nodes too, until the test ends."""
        for stage in stages:
            self._stages.append(stage)
            self._executor.add_node(stage)

    def collect(self, message_type: type, topic: str) -> list[Any]:
        """Return a list that fills with the messages of a topic."""
        from pose3d_ros.nodes.inputs import RESULT_QOS, SENSOR_QOS

        messages: list[Any] = []
        qos = SENSOR_QOS if topic == 'overlay' else RESULT_QOS
        self.node.create_subscription(message_type, topic, messages.append, qos)
        return messages

    def publisher(self, message_type: type, topic: str) -> Any:
        """Return a reliable publisher that has found its subscribers."""
        from rclpy.qos import QoSProfile

        publisher = self.node.create_publisher(message_type, topic, QoSProfile(depth=5))
        self.wait(lambda: publisher.get_subscription_count() > 0, f'a subscriber of {topic}')
        return publisher

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
        """Wait until a condition holds; fail with `what` when it does not in time."""
        wait(condition, what, seconds)

    def close(self) -> None:
        """Stop the nodes and ROS."""
        import rclpy

        for stage in self._stages:
            stage.close()
        self._spinning.close()  # before the context, which it uses
        rclpy.try_shutdown()
        for stage in self._stages:
            stage.destroy_node()
        self.node.destroy_node()


@pytest.fixture(scope='session')
def paper_files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the paper's networks as files (`paper.PaperFiles`), not to be written to.

    Whichever process of a run needs them first makes them for all.
    """
    from paper import files_in, write_files

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base
    with (shared / 'paper.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / 'paper').exists():
            write_files(shared / 'paper')
    return files_in(shared / 'paper')


@pytest.fixture
def graph() -> Iterator[Graph]:
    """Return a running ROS graph with nobody in it but the tester."""
    graph = Graph()
    yield graph
    graph.close()
