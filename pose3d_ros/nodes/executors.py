# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Who calls the callbacks of a process of stages: one for their inputs, another for all else.

rclpy's executor makes its wait set anew before and behind every callback, in Python, of everything
that the nodes have: of three managed nodes over a hundred services, timers and events. That takes
one to two milliseconds of processor time, six times an image. The inputs, two or three in a
process, have an executor of their own, for which the rest is not there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.subscription import Subscription

from pose3d_ros.nodes.inputs import InputGroup
from pose3d_ros.nodes.spinning import called_beside
from pose3d_ros.nodes.stage import Stage


class _InputsOf:
    """A stage as the executor of the inputs sees it: a node that has nothing else."""

    timers = clients = services = guards = waitables = ()

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @property
    def subscriptions(self) -> list[Subscription]:
        """Return those that are inputs at this moment."""
        return list(filter(_is_input, self._stage.subscriptions))


class _OtherExecutor(SingleThreadedExecutor):
    """Calls services, timers and events."""

    #: What one of them raised, which has ended their thread.
    error: Exception | None = None

    def can_execute(self, entity: Any) -> bool:
        """Return whether an entity is no input, and may be called."""
        return not _is_input(entity) and super().can_execute(entity)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Call what is ready."""
        try:
            super().spin_once(timeout_sec)
        except ExternalShutdownException:
            raise
        except Exception as error:
            self.error = error
            raise


class _InputExecutor(SingleThreadedExecutor):
    """Takes the messages of the stages' inputs.

    :param others: whoever calls all else of them.
    """

    def __init__(self, stages: Sequence[Stage], others: _OtherExecutor) -> None:
        super().__init__()
        self._inputs = [_InputsOf(stage) for stage in stages]
        self._others = others

    def get_nodes(self) -> list[Any]:
        """Return what is to be waited for. A real node can be added to one executor only."""
        return self._inputs

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Take a message.

        :raises Exception: what a callback raised, of an input or of all else.
        """
        if self._others.error is not None:
            raise self._others.error
        super().spin_once(timeout_sec)


def _is_input(entity: Any) -> bool:
    return isinstance(entity.callback_group, InputGroup)


@contextmanager
def inputs_apart(stages: Sequence[Stage]) -> Iterator[Executor]:
    """Yield the executor of the inputs; a thread calls all else while the context lasts."""
    with called_beside(_OtherExecutor(), *stages) as others:
        executor = _InputExecutor(stages, others)
        for stage in stages:
            stage.input_executor = executor
        try:
            yield executor
        finally:
            executor.shutdown()


@contextmanager
def one_for_all(make: Callable[[], Executor], stages: Sequence[Stage]) -> Iterator[Executor]:
    """Yield an executor of rclpy for everything, which `pose3d benchmark graph` compares with."""
    with make() as executor:
        for stage in stages:
            executor.add_node(stage)
        yield executor
