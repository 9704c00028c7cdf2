# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bags played into the graph: loops, other speeds, a clock that stands still, and bad stamps."""

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import bag_files
import numpy as np
import pytest
from flow import FakeDetector, FakeRootNet, Fakes, header_at, put_in, settings, stamps
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from test_player import finish, start

from pose3d_ros.benchmarks.usage import resident_mib
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.bag_making import write_images
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.inputs import RESULT_QOS, stamp_ns
from pose3d_ros.nodes.messages import camera_to_info, image_to_message
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode
from pose3d_ros.nodes.spinning import spinning
from pose3d_ros.people import Persons
from pose3d_ros.transport import release_memory

LOOPS, COUNT = 20, 8
START_NS = 1_600_000_000_123_456_789  # a stamp that no float of seconds holds


class NumberedDetector(FakeDetector):
    """Finds one person, as far to the right as the image is bright."""

    def __call__(self, image: np.ndarray, _options: object) -> Persons:
        self.work()
        return Persons(np.array([[image.mean() / 10, 10, 20, 30]]), np.array([0.9]))


class CheckingRootNet(FakeRootNet):
    """Holds the boxes that come against the image that comes with them."""

    wrong = 0

    def __call__(self, image: Any, persons: Persons, camera: object, body: object) -> Persons:
        expected = float(image.mean()) / 10
        self.wrong += not np.allclose(persons.boxes[:, 0], expected, atol=1e-3)
        return super().__call__(image, persons, camera, body)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages that the nodes load instead of networks."""
    fakes = put_in(monkeypatch)
    from pose3d_ros.nodes import detector, rootnet

    numbered, checking = NumberedDetector(), CheckingRootNet()
    monkeypatch.setitem(detector.DETECTORS, 'yolox', lambda *_given: numbered)
    monkeypatch.setitem(rootnet.ROOTNETS, 'keypoints', lambda *_given: checking)
    return Fakes(numbered, checking, fakes.posenet)


def held_mib() -> float:
    """Return the memory in use: without what the allocator keeps of what is no longer."""
    gc.collect()
    release_memory()
    return resident_mib()


@pytest.mark.parametrize('layout', ['separate', 'composed'])
def test_twenty_loops_of_a_bag(layout: str, graph: Any, fakes: Fakes, tmp_path: Path) -> None:
    """Ids restart with each loop, nobody is joined with another image, and memory stays."""
    images = map(bag_files.picture, range(1, 1 + COUNT))
    write_images(tmp_path / 'bag', images, bag_files.CAMERA, START_NS)
    separate = layout == 'separate'
    stages = [DetectorNode(), RootNetNode(), PoseNetNode()] if separate else make_pipeline()
    threads = contextlib.ExitStack()
    for stage in stages:  # each has a thread of its own, as a process would
        threads.enter_context(spinning(stage))
    found: list[tuple[int, tuple[str, ...]]] = []  # stamp and ids: messages would be memory

    def take(message: Pose3DArray) -> None:
        found.append((stamp_ns(message.header), tuple(pose.id for pose in message.poses)))

    graph.node.create_subscription(Pose3DArray, 'poses', take, RESULT_QOS)
    player = start(
        'player', source=tmp_path / 'bag', rate=0.0, loop=True, stamps='source',
        subscribers=3 if separate else 1, frame_id='camera',
    )  # fmt: skip
    try:
        graph.wait(lambda: len(found) >= 5 * COUNT, 'five loops')
        before_mib = held_mib()
        graph.wait(lambda: len(found) >= (LOOPS + 1) * COUNT, 'twenty loops')
        grown_mib = held_mib() - before_mib
    finally:
        player.send_signal(signal.SIGINT)
        status, said = finish(player)
        threads.close()
        for stage in stages:
            stage.destroy_node()
    assert status == 0, said
    times = [stamp for stamp, _ in found]
    starts = [0, *(n for n in range(1, len(times)) if times[n] < times[n - 1]), len(times)]
    loops = [found[a:b] for a, b in pairwise(starts)][:LOOPS]
    wanted = [START_NS + n * 10**8 for n in range(COUNT)]
    assert all({stamp for stamp, _ in loop} <= set(wanted) for loop in loops), 'no other stamps'
    # a machine that is busy may drop a frame for a newer one
    assert sum(map(len, loops)) >= 0.9 * LOOPS * COUNT
    ids = [{one for _, people in loop for one in people} for loop in loops]
    assert all(len(one) == 1 for one in ids), ids
    assert len(set().union(*ids)) == LOOPS, 'a loop went on with the ids of the one before'
    assert fakes.rootnet.wrong == 0  # type: ignore[attr-defined]
    assert grown_mib < 10, f'{grown_mib:.1f} MiB more after {LOOPS} loops than after 5'
    if separate:
        assert all(len(s._joiner) <= s._joiner.capacity for s in stages[1:])


class SimulatedClock:
    """A bag player's clock: it runs at a rate, stands still, and is set back.

    :param now_s: of the simulated time.
    :param rate: simulated seconds in a second.
    """

    def __init__(self, graph: Any) -> None:
        self.now_s, self.rate = 1.6e9, 1.0
        self._publisher = graph.publisher(Clock, '/clock')
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(0.01):
            now = time.monotonic()
            self.now_s += (now - last) * self.rate
            last = now
            self._publisher.publish(Clock(clock=header_at(self.now_s).stamp))

    def is_told(self, node: Node) -> bool:
        """Return whether a node has about this time."""
        return abs(node.get_clock().now().nanoseconds / 1e9 - self.now_s) < 5

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def test_the_graph_goes_on_at_every_speed_of_the_clock(graph: Any, fakes: Fakes) -> None:
    """0.2x, 5x, paused and stepped, set back, set forward: without a restart of any node."""
    given = {'use_sim_time': True, 'max_age_ms': 10000.0, 'warn_after_s': 1.0}
    nodes = [kind(**settings(**given)) for kind in (DetectorNode, RootNetNode, PoseNetNode)]
    graph.add(*nodes)
    found = graph.collect(Pose3DArray, 'poses')
    clock = SimulatedClock(graph)
    try:
        send = _sender(graph, clock)
        graph.wait(lambda: nodes[1].get_clock().now().nanoseconds, 'the clock')
        for rate, jump_s in ((1.0, 0), (0.2, 0), (5.0, 0), (0.0, 0), (1.0, -60), (1.0, 3600)):
            clock.rate = rate
            clock.now_s += jump_s
            graph.wait(lambda: all(map(clock.is_told, nodes)), 'the clock')
            for step in range(3):
                count = len(found)
                send(clock.now_s + 0.001 * step)  # paused: steps, as a key of `ros2 bag play`
                graph.wait(lambda n=count: len(found) > n, f'poses at {rate}x, {jump_s} s')
    finally:
        clock.end()
    assert len({node.accounting.stale for node in nodes}) == 1
    assert fakes.rootnet.wrong == 0  # type: ignore[attr-defined]


def _sender(graph: Any, clock: Any) -> Callable[[float], None]:
    """Return what publishes an image of a time, with its camera_info."""
    infos, images = graph.publisher(CameraInfo, 'camera_info'), graph.publisher(Image, 'image_raw')
    graph.wait(lambda: images.get_subscription_count() == 3, 'three subscribers')
    number = 0

    def send(stamp_s: float) -> None:
        nonlocal number
        number = number % 30 + 1
        header = header_at(stamp_s)
        infos.publish(camera_to_info(bag_files.CAMERA, header))
        images.publish(image_to_message(bag_files.picture(number), header))

    return send


def test_two_cameras_on_one_topic_are_both_named(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    graph.add(DetectorNode(**settings(warn_after_s=1.0)))
    second = Node('rear_camera', namespace='/rear')
    try:
        first = graph.publisher(Image, 'image_raw')
        other = second.create_publisher(Image, '/image_raw', 5)
        said = ''

        def named() -> bool:
            nonlocal said
            said += capfd.readouterr().err
            return '2 nodes publish /image_raw: /rear/rear_camera, /tester' in said

        graph.wait(named, 'the warning')
        time.sleep(2)
        said += capfd.readouterr().err
        assert said.count('2 nodes publish') == 1, 'said once, not at each check'
        assert first is not None and other is not None
    finally:
        second.destroy_node()


def test_stamps_of_zero_are_named_and_never_joined(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    nodes = [DetectorNode(), RootNetNode()]
    graph.add(*nodes)
    roots = graph.collect(PersonArray, 'roots')
    detections = graph.collect(PersonArray, 'detections')
    infos, images = graph.publisher(CameraInfo, 'camera_info'), graph.publisher(Image, 'image_raw')
    graph.wait(lambda: images.get_subscription_count() == 2, 'both')
    header = header_at(0)
    for number in (1, 2):
        infos.publish(camera_to_info(bag_files.CAMERA, header))
        images.publish(image_to_message(bag_files.picture(number), header))
        graph.wait(lambda n=number: len(detections) == n, 'detections')
    assert detections[0].persons[0].id == detections[1].persons[0].id
    graph.wait(lambda: nodes[1].accounting.skipped == 2, 'both skipped')
    assert 'its stamp is zero' in capfd.readouterr().err and not roots


def test_stamps_of_zero_go_through_one_process_and_tracks_end(graph: Any, fakes: Fakes) -> None:
    stages = make_pipeline()
    graph.add(*stages)
    poses = graph.collect(Pose3DArray, 'poses')
    infos, images = graph.publisher(CameraInfo, 'camera_info'), graph.publisher(Image, 'image_raw')
    header = header_at(0)
    infos.publish(camera_to_info(bag_files.CAMERA, header))
    graph.wait(lambda: stages[1].camera._info, 'the camera')
    for number, pause_s in ((1, 0.0), (2, 0.0), (3, 2.5)):  # longer than a track lives
        time.sleep(pause_s)
        images.publish(image_to_message(bag_files.picture(number), header))
        graph.wait(lambda n=number: len(poses) == n, 'poses')
    assert poses[1].poses[0].id != poses[2].poses[0].id


def test_images_out_of_order_are_answered_and_named(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each with its own people; the ids start anew, which is said."""
    graph.add(DetectorNode(), RootNetNode(), PoseNetNode())
    found = graph.collect(Pose3DArray, 'poses')
    send = _sender(graph, None)
    order = [1.0, 1.2, 1.1, 1.4, 1.3, 1.5]
    for number, stamp_s in enumerate(order, start=1):
        send(stamp_s)
        graph.wait(lambda n=number: len(found) == n, f'poses of image {number}')
    assert [s / 1e9 for s in stamps(found)] == pytest.approx(order)
    assert fakes.rootnet.wrong == 0  # type: ignore[attr-defined]
    assert 'is 0.100 s before the last one: ids start anew' in capfd.readouterr().err
