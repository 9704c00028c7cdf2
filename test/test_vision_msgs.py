# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""People as detections of vision_msgs: the numbers everywhere, the topics where it is installed.

That package is in no registry of Python's; here its messages are written down once more.
"""

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bodies import body
from flow import Source, header_at, put_in, settings
from geometry_msgs.msg import Pose, PoseWithCovariance, Vector3
from std_msgs.msg import Header

from pose3d_ros.camera import Camera
from pose3d_ros.frames import Transform
from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes import vision
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.messages import persons_to_message
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.target_frame import Mover
from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import BLAZEPOSE
from pose3d_ros.tracking3d import MotionOptions, Tracker3D

is_installed = pytest.mark.skipif(
    find_spec('vision_msgs') is None, reason='vision_msgs comes with a ROS installation only'
)


@dataclass
class Point2D:
    x: float = 0.0
    y: float = 0.0


@dataclass
class Pose2D:
    position: Point2D = field(default_factory=Point2D)
    theta: float = 0.0


@dataclass
class BoundingBox2D:
    center: Pose2D = field(default_factory=Pose2D)
    size_x: float = 0.0
    size_y: float = 0.0


@dataclass
class BoundingBox3D:
    center: Pose = field(default_factory=Pose)
    size: Vector3 = field(default_factory=Vector3)


@dataclass
class ObjectHypothesis:
    class_id: str = ''
    score: float = 0.0


@dataclass
class ObjectHypothesisWithPose:
    hypothesis: ObjectHypothesis = field(default_factory=ObjectHypothesis)
    pose: PoseWithCovariance = field(default_factory=PoseWithCovariance)


@dataclass
class Detection:
    """Detection2D and Detection3D, which differ in the type of their box."""

    header: Header
    results: list[ObjectHypothesisWithPose]
    bbox: Any
    id: str


@dataclass
class DetectionArray:
    header: Header
    detections: list[Detection]


STAND_IN = SimpleNamespace(
    Point2D=Point2D,
    Pose2D=Pose2D,
    BoundingBox2D=BoundingBox2D,
    BoundingBox3D=BoundingBox3D,
    ObjectHypothesis=ObjectHypothesis,
    ObjectHypothesisWithPose=ObjectHypothesisWithPose,
    Detection2D=Detection,
    Detection3D=Detection,
    Detection2DArray=DetectionArray,
    Detection3DArray=DetectionArray,
)


@pytest.fixture
def written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let messages be made without the package."""
    if vision.vision is None:
        monkeypatch.setattr(vision, 'vision', STAND_IN)


def two_people() -> Poses:
    roots = np.array([[1.0, 0.2, 4.0], [-2.0, 0.1, 8.0]])
    joints = body(BLAZEPOSE) + roots[:, None]
    scores = np.full(joints.shape[:2], 0.9)
    return Poses(
        BLAZEPOSE, joints, scores, roots, np.array([0.2, 0.4]), np.array([0.8, 0.7]), ('1', '2')
    )


def xyz(value: Any) -> np.ndarray:
    return np.array([value.x, value.y, value.z])


def test_boxes_of_people_are_detections(written_down: None) -> None:
    header = header_at(3.5)
    persons = Persons(np.array([[10.0, 20, 30, 60], [5, 6, 7, 8]]), np.array([0.75, 0.5]))
    persons = persons.with_ids(('4', ''))
    message = vision.detections_2d(persons, header)
    assert message.header == header == message.detections[1].header
    first, second = message.detections
    box = first.bbox
    assert (box.center.position.x, box.center.position.y, box.center.theta) == (25, 50, 0)
    assert (box.size_x, box.size_y) == (30, 60)
    ((hypothesis,), (other,)) = first.results, second.results
    assert (hypothesis.hypothesis.class_id, hypothesis.hypothesis.score) == ('person', 0.75)
    assert other.hypothesis.score == 0.5
    assert (first.id, second.id) == ('4', '')
    assert not vision.detections_2d(Persons.none(), header).detections


def test_poses_are_boxes_around_all_joints_and_roots_uncertain_along_the_ray(
    written_down: None,
) -> None:
    poses = two_people()
    message = vision.detections_3d(poses, header_at(1.0), 1000.0)
    assert [d.id for d in message.detections] == ['1', '2']
    for detection, joints, root in zip(message.detections, poses.joints, poses.roots, strict=True):
        centre, size = xyz(detection.bbox.center.position), xyz(detection.bbox.size)
        np.testing.assert_allclose(centre - size / 2, joints.min(axis=0))
        np.testing.assert_allclose(centre + size / 2, joints.max(axis=0))
        assert detection.bbox.center.orientation.w == 1
        (result,) = detection.results
        np.testing.assert_allclose(xyz(result.pose.pose.position), root)
        covariance = np.reshape(result.pose.covariance, (6, 6))
        assert not covariance[3:].any() and not covariance[:, 3:].any()
        # a root that is off by its depth's standard deviation stays on its pixel, about
        values, vectors = np.linalg.eigh(covariance[:3, :3])
        np.testing.assert_allclose(values[:2], 0.01**2 + (root[2] / 1000) ** 2)
        np.testing.assert_allclose(abs(vectors[:, 2]), abs(root) / np.linalg.norm(root), atol=1e-6)
    depth_variances = [d.results[0].pose.covariance[14] for d in message.detections]
    np.testing.assert_allclose(depth_variances, [0.04, 0.16], rtol=0.01)


def test_a_root_of_unknown_depth_error_is_no_certain_one(written_down: None) -> None:
    poses = replace(two_people(), root_depth_stddev_m=np.zeros(2))
    for detection, root in zip(
        vision.detections_3d(poses, header_at(1.0), 1000.0).detections, poses.roots, strict=True
    ):
        covariance = np.reshape(detection.results[0].pose.covariance, (6, 6))[:3, :3]
        assert np.linalg.eigvalsh(covariance)[0] > 1e-4
        assert np.sqrt(covariance[2, 2]) == pytest.approx(0.07 * root[2], rel=0.01)


def test_who_coasts_is_no_detection(written_down: None) -> None:
    tracker, options = Tracker3D(BLAZEPOSE), MotionOptions(coast_s=1.0)
    for n in range(5):
        tracker.update(two_people(), n / 10, 1000.0, options)
    poses = tracker.update(two_people()[:1], 0.5, 1000.0, options)
    assert poses.coasting.any()
    assert [d.id for d in vision.detections_3d(poses, header_at(0.5), 1000.0).detections] == ['1']


def test_boxes_turn_with_the_frame(written_down: None) -> None:
    poses = two_people()
    moved_to = Header(stamp=header_at(1.0).stamp, frame_id='base_link')
    quarter = Transform.from_quaternion(
        np.array([0.0, np.sqrt(0.5), 0.0, np.sqrt(0.5)]), np.array([1.0, 2.0, 3.0])
    )
    plain = vision.detections_3d(poses, header_at(1.0), 1000.0)
    moved = Mover(quarter, moved_to).detections(vision.detections_3d(poses, header_at(1.0), 1000.0))
    assert moved.header == moved_to == moved.detections[0].header
    for before, after in zip(plain.detections, moved.detections, strict=True):
        for a, b in (
            (before.bbox.center.position, after.bbox.center.position),
            (before.results[0].pose.pose.position, after.results[0].pose.pose.position),
        ):
            np.testing.assert_allclose(xyz(b), quarter.points(xyz(a)), atol=1e-9)
        assert xyz(after.bbox.size).tolist() == xyz(before.bbox.size).tolist()
        # of a quaternion both signs are one rotation
        assert abs(after.bbox.center.orientation.y) == pytest.approx(np.sqrt(0.5))
        ray = quarter.vectors(xyz(before.results[0].pose.pose.position))
        covariance = np.reshape(after.results[0].pose.covariance, (6, 6))[:3, :3]
        longest = np.linalg.eigvalsh(covariance)[-1]
        np.testing.assert_allclose(covariance @ ray, longest * ray, atol=1e-9)


def test_a_message_is_made_only_for_those_who_listen(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make() -> PersonArray:
        made.append(1)
        return PersonArray()

    # any message that can be sent stands for one of vision_msgs
    monkeypatch.setattr(vision, 'vision', SimpleNamespace(Detection2DArray=PersonArray))
    topic = vision.VisionTopic(graph.node, 'Detection2DArray', 'detections_2d')
    topic.publish(make)
    assert not made
    came = graph.collect(PersonArray, 'detections_2d')
    graph.wait(lambda: graph.node.count_subscribers('detections_2d') == 1, 'the subscription')

    def published() -> bool:
        topic.publish(make)
        return bool(came)

    graph.wait(published, 'a message')
    assert made


def test_without_the_package_there_is_no_topic(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, 'vision', None)
    vision.VisionTopic(graph.node, 'Detection2DArray', 'detections_2d').publish(pytest.fail)
    assert 'detections_2d' not in dict(graph.node.get_topic_names_and_types())


@is_installed
def test_detections_come_with_the_images_header(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_msgs.msg import Detection2DArray, Detection3DArray

    put_in(monkeypatch)
    graph.add(DetectorNode())
    graph.add(PoseNetNode(**settings(assumed_focal_px=300.0)))
    flat = graph.collect(Detection2DArray, 'detections_2d')
    deep = graph.collect(Detection3DArray, 'detections_3d')
    roots = graph.publisher(PersonArray, 'roots')
    camera = Camera.from_focal_length(320, 240, 300.0)
    header = Source(graph).image()
    graph.wait(lambda: flat, 'detections_2d')
    persons = Persons(np.array([[10.0, 20, 30, 60]]), np.array([0.75])).with_ids(('4',))
    persons = persons.with_roots(np.array([[0.1, 0.2, 3.0]]), np.array([0.1]), None)
    roots.publish(persons_to_message(persons, header, camera))
    graph.wait(lambda: deep, 'detections_3d')
    assert flat[0].header == deep[0].header == header
    assert flat[0].detections[0].results[0].hypothesis.class_id == 'person'
    assert deep[0].detections[0].id == '4'
    assert deep[0].detections[0].bbox.center.position.z == 3
