# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`target_frame` with the real tf2_ros, which comes with a ROS installation only.

Everywhere else test_frames.py has a stand-in for it.
"""

import time
from typing import Any

import numpy as np
import pytest
from flow import Source, now_s, put_in, settings, stamps
from geometry_msgs.msg import TransformStamped
from rclpy.parameter import Parameter

from pose3d_ros.msg import Person, PersonArray, Pose3DArray
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.target_frame import TargetFrame

tf2_ros = pytest.importorskip('tf2_ros', reason='tf2_ros comes with a ROS installation only')

# Of a camera that looks ahead: x forward, y left, z up from x right, y down, z forward.
FORWARD = {'x': -0.5, 'y': 0.5, 'z': -0.5, 'w': 0.5}


def transform(stamp_s: float, x_m: float, child: str) -> TransformStamped:
    """Return where a frame is in base_link: so far ahead, a metre up."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = 'base_link'
    stamp_ns = round(stamp_s * 1e9)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.transform.translation.x, message.transform.translation.z = x_m, 1.0
    for name, value in FORWARD.items():
        setattr(message.transform.rotation, name, value)
    return message


class Rig:
    """A posenet without a network, whose results go to base_link."""

    def __init__(self, graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        put_in(monkeypatch)
        self.graph = graph
        self.node = PoseNetNode(**settings(target_frame='base_link', assumed_focal_px=300.0))
        graph.add(self.node)
        self.poses: list[Pose3DArray] = graph.collect(Pose3DArray, 'poses')
        self.source, self.roots = Source(graph), graph.publisher(PersonArray, 'roots')
        self.person = Person(id='1', score=0.9, box_width=40.0, box_height=120.0, has_root=True)
        self.person.root.x, self.person.root.z = 0.5, 3.0

    def send(self, stamp_s: float) -> str:
        """Send an image with a person; return the frame that it was taken in."""
        header = self.source.image_at(stamp_s)
        self.roots.publish(PersonArray(header=header, persons=[self.person]))
        return str(header.frame_id)

    def moves(self, stamp_s: float) -> tuple[Any, str]:
        """Return what broadcasts the camera's way, once it is listened to, and the camera's frame.

        An image of that time goes out, of which no people come.
        """
        broadcaster = tf2_ros.TransformBroadcaster(self.graph.node)
        frame = str(self.source.image_at(stamp_s).frame_id)
        self.graph.wait(lambda: self.graph.node.count_subscribers('/tf'), 'a listener')
        time.sleep(0.3)
        return broadcaster, frame

    def through(self) -> int:
        """Return how many images have an end."""
        return int(self.node.accounting.published + self.node.accounting.skipped)


def test_a_camera_that_is_mounted_firmly(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(graph, monkeypatch)
    frame = rig.send(now_s(graph))
    graph.wait(lambda: rig.node.accounting.skipped == 1, 'the skip: TF knows nothing yet')
    broadcaster = tf2_ros.StaticTransformBroadcaster(graph.node)
    broadcaster.sendTransform(transform(0.0, 1.5, frame))
    time.sleep(0.5)
    rig.send(now_s(graph))
    graph.wait(lambda: rig.poses, 'poses')
    assert rig.poses[0].header.frame_id == 'base_link'
    root = rig.poses[0].poses[0].root
    assert (root.x, root.y, root.z) == pytest.approx((4.5, -0.5, 1.0))


def test_a_camera_that_moves_is_where_it_was_when_the_image_was_taken(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, start_s = Rig(graph, monkeypatch), now_s(graph)
    broadcaster, frame = rig.moves(start_s)
    for number in range(6):  # two metres a second
        broadcaster.sendTransform(transform(start_s + number / 10, number / 5, frame))
    for number, after_s in enumerate((0.05, 0.25, 0.41, 9.0)):
        rig.send(start_s + after_s)
        graph.wait(lambda n=number: rig.through() > n, 'the end of an image')
    # of the last, TF knows nothing yet, and nobody waits for that long
    assert rig.node.accounting.skipped == 1
    taken_s = (np.array(stamps(rig.poses)) / 1e9 - start_s).tolist()
    assert taken_s == pytest.approx([0.05, 0.25, 0.41], abs=1e-3)
    ahead = [message.poses[0].root.x for message in rig.poses]
    assert ahead == pytest.approx([3 + 2 * t for t in taken_s], abs=1e-3)


def test_tf_that_comes_a_little_after_its_image_is_waited_for(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, start_s = Rig(graph, monkeypatch), now_s(graph)
    broadcaster, frame = rig.moves(start_s)
    broadcaster.sendTransform(transform(start_s, 0.0, frame))
    rig.send(start_s + 0.05)
    time.sleep(0.03)
    broadcaster.sendTransform(transform(start_s + 0.1, 1.0, frame))
    graph.wait(rig.through, 'the end of the image')
    assert rig.node.accounting.skipped == 0
    graph.wait(lambda: rig.poses, 'poses')
    assert rig.poses[0].poses[0].root.x == pytest.approx(3.5, abs=1e-3)


def test_tf_of_a_clock_that_jumped_back_counts_again(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bag that loops: TF takes nothing that is older by more than its memory of 10 s."""
    rig, start_s = Rig(graph, monkeypatch), now_s(graph) - 60
    broadcaster, frame = rig.moves(start_s)
    for loop in range(3):
        for number in range(7):
            at_s = start_s + 5 * number
            broadcaster.sendTransform(transform(at_s, float(loop), frame))
            time.sleep(0.05)
            before = rig.through()
            rig.send(at_s)
            graph.wait(lambda n=before: rig.through() > n, 'the end of an image')
    # of each loop behind the first, the image that shows the jump comes too early for its TF
    assert rig.node.accounting.skipped <= 2
    graph.wait(lambda: len(rig.poses) == rig.node.accounting.published, 'poses')
    assert rig.poses[-1].poses[0].root.x == pytest.approx(5.0)


def names_of(node: Any) -> set[str]:
    """Return the topics and services that a node takes anything by."""
    topics = {one.topic_name for one in node.subscriptions}
    return topics | {one.srv_name.strip('/') for one in node.services}


def test_it_takes_what_the_stand_in_takes_and_nothing_once_closed(graph: Any) -> None:
    """By names, which are those of the policy of SROS 2, too."""
    before = names_of(graph.node)
    target = TargetFrame(graph.node, 'base_link')
    assert names_of(graph.node) - before == {'/tf', '/tf_static', 'tf2_frames'}
    target.close()
    assert names_of(graph.node) == before


def test_a_clock_that_jumps_calls_nobody_who_is_closed(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, told = TargetFrame(graph.node, 'base_link'), []
    buffer = target._buffer  # held on to: otherwise the clock would call into freed memory
    if not hasattr(buffer, 'jump_handle'):
        pytest.skip('tf2_ros of old knows nothing of jumps')
    monkeypatch.setattr(buffer, 'clear', lambda: told.append(1))
    graph.node.set_parameters([Parameter('use_sim_time', value=True)])
    assert told == [1]
    target.close()
    graph.node.set_parameters([Parameter('use_sim_time', value=False)])
    assert told == [1]
