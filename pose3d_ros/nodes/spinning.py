# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A node's callbacks in another thread, and the order in which that ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

_JOIN_S = 10.0

_Node = TypeVar('_Node', bound=Node)
_Executor = TypeVar('_Executor', bound=Executor)


@contextmanager
def node_beside(make: Callable[[], _Node], domain_id: int) -> Iterator[_Node]:
    """Yield a node that looks at processes of a ROS domain from this one, which has no ROS yet."""
    # Ctrl-C is Python's: ROS's own handlers would outlast the graph
    rclpy.init(domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO)
    node = make()
    try:
        with spinning(node):
            yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


@contextmanager
def spinning(node: Node) -> Iterator[SingleThreadedExecutor]:
    """Run a node's callbacks in a thread of their own while the context lasts.

    Yields the executor, to which other nodes may be added.
    """
    with called_beside(SingleThreadedExecutor(context=node.context), node) as executor:
        yield executor


@contextmanager
def called_beside(executor: _Executor, *nodes: Node) -> Iterator[_Executor]:
    """Run the callbacks of nodes in a thread of an executor while the context lasts.

    `Executor.shutdown` waits for nobody, and destroys what the thread may be waiting on: the thread
    leaves first. One that is left inside ROS would abort the process that ends around it.
    """
    for node in nodes:
        executor.add_node(node)
    over = threading.Event()

    def work() -> None:
        with suppress(ExternalShutdownException):  # ROS was shut down before: nothing more comes
            while not over.is_set():
                executor.spin_once()

    thread = threading.Thread(target=work, name='spinning', daemon=True)
    thread.start()
    try:
        yield executor
    finally:
        executor.create_task(over.set)
        thread.join(_JOIN_S)
        executor.shutdown()
