# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Inputs have an executor of their own: neither they nor all else wait for each other."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rclpy.node import Node
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from waiting import wait

from pose3d_ros.nodes.executors import inputs_apart
from pose3d_ros.nodes.inputs import RESULT_QOS, InputGroup

TOPIC = 'stamps'


@pytest.fixture
def node(graph: Any) -> Iterator[Any]:
    """Return a node to be spun, beside the tester, which publishes."""
    node = Node('spun')
    node.input_executor = None
    yield node
    node.destroy_node()


def take(node: Node, wanted: Callable[[], bool] | None = None) -> list[Header]:
    """Return a list that fills with what an input of the node takes."""
    taken: list[Header] = []
    node.create_subscription(
        Header, TOPIC, taken.append, RESULT_QOS, callback_group=InputGroup(wanted)
    )
    return taken


def spin_until(executor: Any, condition: Callable[[], object], what: str) -> None:
    def spun() -> object:
        executor.spin_once(timeout_sec=0.05)
        return condition()

    wait(spun, what, 20)


def test_inputs_are_taken_while_a_service_is_busy(graph: Any, node: Any) -> None:
    begun, over = threading.Event(), threading.Event()

    def answer(_: Any, response: Any) -> Any:
        begun.set()
        over.wait(30)
        return response

    node.create_service(SetBool, 'slow', answer)
    client = graph.node.create_client(SetBool, 'slow')
    taken = take(node)
    with inputs_apart([node]) as executor:
        publisher = graph.publisher(Header, TOPIC)
        assert client.wait_for_service(20)
        answered = client.call_async(SetBool.Request())
        assert begun.wait(20)
        publisher.publish(Header())
        spin_until(executor, lambda: taken, 'the message')
        assert not answered.done()
        over.set()
        wait(answered.done, 'the answer', 20)


def test_all_else_is_called_while_an_input_is_busy(graph: Any, node: Any) -> None:
    ticks: list[int] = []
    before: list[int] = []

    def work(_: Header) -> None:
        before.append(len(ticks))
        wait(lambda: len(ticks) > before[0] + 1, 'two ticks more', 20)

    node.create_subscription(Header, TOPIC, work, RESULT_QOS, callback_group=InputGroup(None))
    node.create_timer(0.02, lambda: ticks.append(1))
    with inputs_apart([node]) as executor:
        graph.publisher(Header, TOPIC).publish(Header())
        spin_until(executor, lambda: before, 'the message')


def test_an_input_that_comes_later_is_taken_too_and_one_that_goes_is_not(
    graph: Any, node: Any
) -> None:
    with inputs_apart([node]) as executor:
        executor.spin_once(timeout_sec=0.01)
        taken: list[Header] = []
        group = InputGroup(None)
        late = node.create_subscription(
            Header, TOPIC, taken.append, RESULT_QOS, callback_group=group
        )
        publisher = graph.publisher(Header, TOPIC)
        publisher.publish(Header())
        spin_until(executor, lambda: taken, 'the message')
        node.destroy_subscription(late)
        wait(lambda: publisher.get_subscription_count() == 0, 'the end of the subscription', 20)
        publisher.publish(Header())
        for _ in range(5):
            executor.spin_once(timeout_sec=0.02)
        assert len(taken) == 1


def test_what_is_not_wanted_stays_in_the_middleware_until_it_is(graph: Any, node: Any) -> None:
    wanted = False
    taken = take(node, lambda: wanted)
    with inputs_apart([node]) as executor:
        assert node.input_executor is executor
        graph.publisher(Header, TOPIC).publish(Header(frame_id='x'))
        for _ in range(5):
            executor.spin_once(timeout_sec=0.05)
        assert not taken
        wanted = True
        spin_until(executor, lambda: taken, 'the message')
        assert taken[0].frame_id == 'x'


def test_what_a_timer_raises_ends_the_inputs_too(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, 'excepthook', lambda _: None)  # it is expected

    def fail() -> None:
        raise ArithmeticError('of the timer')

    node.create_timer(0.01, fail)
    with (
        pytest.raises(ArithmeticError, match='of the timer'),
        inputs_apart([node]) as executor,
    ):
        spin_until(executor, lambda: False, 'the error')
