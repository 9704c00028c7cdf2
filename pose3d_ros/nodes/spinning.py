"""A node's callbacks in another thread, and the order in which that ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

_JOIN_S = 10.0


@contextmanager
def spinning(node: Node) -> Iterator[SingleThreadedExecutor]:
    """Run a node's callbacks in a thread of their own while the context lasts.

    Yields the executor, to which other nodes may be added.

    `Executor.shutdown` waits for nobody, and destroys what the thread may be waiting on: the thread
    leaves first. One that is left inside ROS would abort the process that ends around it.
    """
    executor = SingleThreadedExecutor(context=node.context)
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
