# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Moves between frames, against OpenCV's rotations, and of whole messages by TF."""

import sys
import types
from typing import Any

import cv2
import numpy as np
import pytest

from pose3d_ros.frames import Transform

#: An optical frame (x right, y down, z forward) to a vehicle's (x forward, y left, z up), which the
#: camera stands 1.5 m before and 1.2 m above.
MOUNT = (np.array([-0.5, 0.5, -0.5, 0.5]), np.array([1.5, 0.0, 1.2]))


def random_quaternions() -> np.ndarray:
    """Return quaternions (n, 4) of unit length, half turns about each axis among them."""
    some = np.random.default_rng(5).normal(size=(20, 4))
    quaternions = np.vstack([some, np.eye(4)])
    return quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)


@pytest.mark.parametrize('quaternion', random_quaternions())
def test_a_quaternion_turns_as_its_axis_and_angle_do(quaternion: np.ndarray) -> None:
    half = np.arctan2(np.linalg.norm(quaternion[:3]), quaternion[3])
    axis = quaternion[:3] / max(np.linalg.norm(quaternion[:3]), 1e-12)
    transform = Transform.from_quaternion(3.0 * quaternion, np.zeros(3))
    np.testing.assert_allclose(transform.rotation, cv2.Rodrigues(2 * half * axis)[0], atol=1e-9)


@pytest.mark.parametrize('quaternion', random_quaternions())
def test_an_orientation_turns_as_what_is_oriented(quaternion: np.ndarray) -> None:
    transform = Transform.from_quaternion(quaternion, np.zeros(3))
    orientation = random_quaternions()[3]
    turned = Transform.from_quaternion(transform.turned(orientation), np.zeros(3))
    before = Transform.from_quaternion(orientation, np.zeros(3))
    np.testing.assert_allclose(turned.rotation, transform.rotation @ before.rotation, atol=1e-9)


def test_a_camera_on_a_vehicle() -> None:
    mount = Transform.from_quaternion(*MOUNT)
    ahead_right = np.array([[0.5, 0.2, 3.0]])
    np.testing.assert_allclose(mount.points(ahead_right), [[4.5, -0.5, 1.0]], atol=1e-12)
    np.testing.assert_allclose(mount.vectors(ahead_right), [[3.0, -0.5, -0.2]], atol=1e-12)
    variances = np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    variances[2, 5] = variances[5, 2] = 0.7  # z and vz: forward
    moved = mount.covariances(variances[None])[0]
    np.testing.assert_allclose(np.diag(moved), [3.0, 1.0, 2.0, 6.0, 4.0, 5.0], atol=1e-12)
    assert moved[0, 3] == pytest.approx(0.7)
    assert mount.points(np.zeros((0, 33, 3))).shape == (0, 33, 3)


@pytest.mark.parametrize(
    ('quaternion', 'shift'),
    [([0, 0, 0, 0], [0, 0, 0]), ([0, 0, 0, np.nan], [0, 0, 0]), ([0, 0, 0, 1], [0, np.inf, 0])],
)
def test_what_is_no_transform_is_refused(quaternion: list[float], shift: list[float]) -> None:
    with pytest.raises(ValueError, match='no transform'):
        Transform.from_quaternion(np.array(quaternion), np.array(shift))


# The node.


class TransformException(Exception):
    """As tf2_ros has it."""


class Buffer:
    """What is used of tf2_ros.Buffer: it knows base_link at one stamp after the other.

    :param unknown: the stamps that it does not know, nanoseconds.
    :param made: all there are; a clock that still knew one that is gone would call freed memory.
    """

    unknown: tuple[int, ...] = ()
    made: list['Buffer']

    def __init__(self, cache_time: Any = None, node: Any = None) -> None:
        from rclpy.clock import JumpThreshold
        from rclpy.duration import Duration
        from std_srvs.srv import Trigger

        self.made.append(self)
        self.cleared = self.jumps = 0
        # of another type than tf2_msgs/FrameGraph, which has no wheel
        self.srv = node.create_service(Trigger, 'tf2_frames', lambda _request, answer: answer)
        back = JumpThreshold(
            min_forward=None, min_backward=Duration(seconds=-1), on_clock_change=True
        )
        self.jump_handle = node.get_clock().create_jump_callback(back, post_callback=self.jump)

    def jump(self, _jump: Any) -> None:
        self.jumps += 1

    def clear(self) -> None:
        self.cleared += 1

    def lookup_transform(self, target: str, source: str, time: Any, timeout: Any) -> Any:
        from geometry_msgs.msg import TransformStamped

        assert (target, source) == ('base_link', 'camera')
        assert 0 < timeout.nanoseconds < 1e9
        if time.nanoseconds in self.unknown:
            raise TransformException('extrapolation into the future')
        found = TransformStamped()
        rotation, shift = found.transform.rotation, found.transform.translation
        rotation.x, rotation.y, rotation.z, rotation.w = MOUNT[0].tolist()
        shift.x, shift.y, shift.z = MOUNT[1].tolist()
        return found


class Listener:
    """What is used of tf2_ros.TransformListener: two subscriptions, which keep it alive."""

    def __init__(self, _buffer: Any, node: Any) -> None:
        from std_msgs.msg import Header

        self.node = node
        topics = ('/tf', '/tf_static')
        self.subs = [node.create_subscription(Header, name, self.callback, 1) for name in topics]

    def callback(self, _message: Any) -> None: ...

    def unregister(self) -> None:
        for sub in self.subs:
            self.node.destroy_subscription(sub)


def put_tf2_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the node import a tf2_ros."""
    tf2_ros: Any = types.ModuleType('tf2_ros')
    monkeypatch.setattr(Buffer, 'made', [], raising=False)
    tf2_ros.Buffer, tf2_ros.TransformException = Buffer, TransformException
    tf2_ros.TransformListener = Listener
    monkeypatch.setitem(sys.modules, 'tf2_ros', tf2_ros)


def posenet(graph: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a posenet without a network, whose results go to base_link."""
    pytest.importorskip('rclpy')
    from flow import put_in, settings

    from pose3d_ros.nodes.posenet import PoseNetNode

    put_in(monkeypatch)
    node = PoseNetNode(**settings(target_frame='base_link', assumed_focal_px=300.0))
    graph.add(node)
    return node


def test_without_tf2_the_parameter_names_the_remedy(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pose3d_ros.nodes.parameters import ParameterError

    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    with pytest.raises(ParameterError, match=r"'target_frame' is 'base_link', .* apt install"):
        posenet(graph, monkeypatch)


def test_poses_and_markers_are_in_the_frame_under_the_images_stamp(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flow import Source, now_s, stamps
    from visualization_msgs.msg import Marker, MarkerArray

    from pose3d_ros.msg import Person, PersonArray, Pose3DArray

    put_tf2_in(monkeypatch)
    node = posenet(graph, monkeypatch)
    poses = graph.collect(Pose3DArray, 'poses')
    markers = graph.collect(MarkerArray, 'markers')
    source, roots = Source(graph), graph.publisher(PersonArray, 'roots')
    graph.wait(lambda: node.count_subscribers('markers'), 'a subscriber of markers')
    first_s = now_s(graph)
    monkeypatch.setattr(Buffer, 'unknown', (round((first_s + 1) * 1e9),))
    person = Person(id='1', score=0.9, box_width=40.0, box_height=120.0, has_root=True)
    person.root.x, person.root.z = 0.5, 3.0
    for i in range(3):
        header = source.image_at(first_s + i)
        roots.publish(PersonArray(header=header, persons=[person]))
        done = (lambda: node.accounting.skipped) if i == 1 else (lambda n=i: len(poses) > n // 2)
        graph.wait(done, f'image {i}')
    # of the second image, TF knows nothing
    assert stamps(poses) == [round(first_s * 1e9), round((first_s + 2) * 1e9)]
    graph.wait(lambda: len(markers) == 2, 'markers')
    assert {message.header.frame_id for message in poses} == {'base_link'}
    (pose,) = poses[0].poses
    assert (pose.root.x, pose.root.y, pose.root.z) == pytest.approx((4.5, -0.5, 1.2))
    assert pose.joints[0].x == pytest.approx(4.5)
    shown = [m for m in markers[0].markers if m.action == Marker.ADD]
    assert {m.header.frame_id for m in shown} == {'base_link'}
    (root,) = [m for m in shown if m.ns == 'root']
    at = root.pose.position
    assert (at.x, at.y, at.z) == pytest.approx((4.5, -0.5, 1.2))
    o = root.pose.orientation
    # its long axis lies along the ray of the pelvis, which was (0.5, 0, 3) in the optical frame
    ray = np.array([3.0, -0.5, 0.0]) / np.hypot(3.0, 0.5)
    turned = Transform.from_quaternion(np.array([o.x, o.y, o.z, o.w]), np.zeros(3))
    np.testing.assert_allclose(turned.vectors(np.array([0.0, 0.0, 1.0])), ray, atol=1e-9)


def told_of_another_clock(node: Any) -> int:
    """Change a node's clock, which jumps thereby; return how many buffers are told."""
    from rclpy.parameter import Parameter

    before = sum(buffer.jumps for buffer in Buffer.made)
    other = not node.get_parameter('use_sim_time').value
    (result,) = node.set_parameters([Parameter('use_sim_time', value=other)])
    assert result.successful
    return sum(buffer.jumps for buffer in Buffer.made) - before


def test_tf_is_listened_to_once_however_often_the_node_is_configured(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pose3d_ros.nodes.posenet import POSENETS
    from pose3d_ros.weights import WeightsError

    def listening() -> tuple[int, int, int]:
        topics = [one.topic_name for one in node.subscriptions]
        services = [one.srv_name.strip('/') for one in node.services]
        return topics.count('/tf'), services.count('tf2_frames'), told_of_another_clock(node)

    put_tf2_in(monkeypatch)
    node = posenet(graph, monkeypatch)
    assert listening() == (1, 1, 1)
    node.trigger_deactivate()
    for _ in range(2):
        node.trigger_cleanup()
        assert listening() == (0, 0, 0)
        node.trigger_configure()
        assert listening() == (1, 1, 1)
    node.trigger_cleanup()

    def absent(*_given: Any) -> Any:
        raise WeightsError('absent')

    monkeypatch.setitem(POSENETS, 'blazepose', absent)
    node.trigger_configure()
    assert listening() == (0, 0, 0) and not node.configured


def test_tf2_of_old_knows_nothing_of_jumps(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose3d_ros.nodes.target_frame import TargetFrame

    put_tf2_in(monkeypatch)
    target = TargetFrame(graph.node, 'base_link')
    buffer = target._buffer
    buffer.jump_handle.unregister()
    del buffer.jump_handle
    target.close()
    assert 'tf2_frames' not in [one.srv_name.strip('/') for one in graph.node.services]


def test_tf_is_forgotten_when_the_clock_jumps_back(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when an image is a little late: TF takes nothing that is older than its memory."""
    from flow import header_at

    from pose3d_ros.nodes.target_frame import TargetFrame

    put_tf2_in(monkeypatch)
    target = TargetFrame(graph.node, 'base_link')
    cleared = []
    for stamp_s in (100.0, 101.0, 100.5, 50.0, 50.1, 102.0, 50.0):
        target.at(header_at(stamp_s))
        cleared.append(target._buffer.cleared)
    assert cleared == [0, 0, 0, 1, 1, 1, 2]
    target.close()


def test_a_stamp_before_all_time_is_of_no_use(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from std_msgs.msg import Header

    from pose3d_ros.nodes.inputs import Unusable
    from pose3d_ros.nodes.target_frame import TargetFrame

    put_tf2_in(monkeypatch)
    target, header = TargetFrame(graph.node, 'base_link'), Header(frame_id='camera')
    header.stamp.sec = -1
    with pytest.raises(Unusable, match="no transform from 'camera' to 'target_frame' 'base_link'"):
        target.at(header)
    target.close()


def test_velocity_turns_and_covariance_with_it() -> None:
    pytest.importorskip('rclpy')
    from std_msgs.msg import Header

    from pose3d_ros.msg import Pose3D, Pose3DArray
    from pose3d_ros.nodes.target_frame import Mover

    pose = Pose3D(has_velocity=True)
    pose.tracked_root.z, pose.velocity.z, pose.velocity.x = 3.0, -2.0, 0.5
    pose.track_covariance = np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).ravel()
    still = Pose3D(id='2')
    mover = Mover(Transform.from_quaternion(*MOUNT), Header(frame_id='base_link'))
    message = mover.poses(Pose3DArray(poses=[pose, still]))
    pose, still = message.poses
    assert (pose.tracked_root.x, pose.tracked_root.z) == pytest.approx((4.5, 1.2))
    assert (pose.velocity.x, pose.velocity.y) == pytest.approx((-2.0, -0.5))
    diagonal = np.diag(np.reshape(pose.track_covariance, (6, 6)))
    np.testing.assert_allclose(diagonal, [3.0, 1.0, 2.0, 6.0, 4.0, 5.0], atol=1e-12)
    assert still == Pose3D(id='2', root=still.root)  # nothing known of it is not moved to somewhere
