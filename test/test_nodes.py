# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Proof of life of each node and the chain, on real weights and footage, over real topics."""

import re
from array import array
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from pose3d_ros import weights
from pose3d_ros.camera import Camera
from pose3d_ros.msg import Person, PersonArray, Pose3DArray
from pose3d_ros.nodes import joining
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.messages import (
    bytes_of,
    camera_to_info,
    image_to_message,
    persons_from_message,
    poses_from_message,
)
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode

FRAME_ID = 'street_camera_optical_frame'


@pytest.fixture(scope='module')
def footage() -> list[np.ndarray]:
    """Return six frames (1920, 1088, 3) of two or three people."""
    video = cv2.VideoCapture(str(weights.path('pose2sim_multi_cam01')))
    frames = []
    for _ in range(6):
        ok, frame = video.read()
        assert ok
        frames.append(frame)
        for _ in range(5):
            video.grab()
    return frames


@pytest.fixture(scope='module')
def camera() -> Camera:
    """Return the clip's camera, its calibration rounded."""
    K = np.array([[1681.0, 0, 533], [0, 1681.0, 948], [0, 0, 1]])
    distortion = np.array([-0.046, 0.14, 0.0006, 0.0007, 0])
    return Camera(K, 1088, 1920, distortion)


def header(number: int) -> Header:
    """Return a header whose stamp no clock made, so that it can only come from the image."""
    stamped = Header(frame_id=FRAME_ID)
    stamped.stamp.sec, stamped.stamp.nanosec = 1000 + number, 123456789
    return stamped


def settings(**values: Any) -> dict[str, Any]:
    """Return node options that set parameters."""
    return {'parameter_overrides': [Parameter(name, value=v) for name, v in values.items()]}


class Camera1:
    """Publish numbered frames and wait for what comes of them."""

    def __init__(self, graph: Any, camera: Camera) -> None:
        self.graph, self.camera = graph, camera
        self.images = graph.publisher(Image, 'image_raw')
        self.number = 0

    def info(self, **changes: Any) -> None:
        message = camera_to_info(self.camera, header(self.number))
        for name, value in changes.items():
            setattr(message, name, value)
        self.infos = getattr(self, 'infos', None) or self.graph.publisher(CameraInfo, 'camera_info')
        self.infos.publish(message)

    def image(self, image: np.ndarray) -> Header:
        self.number += 1
        self.images.publish(image_to_message(image, header(self.number)))
        return header(self.number)


def test_detector_finds_people_and_keeps_the_header(graph: Any, footage: list[np.ndarray]) -> None:
    graph.add(DetectorNode())
    detections = graph.collect(PersonArray, 'detections')
    publisher = graph.publisher(Image, 'image_raw')
    for number, image in enumerate(footage):
        publisher.publish(image_to_message(image, header(number)))
        graph.wait(lambda n=number: len(detections) > n, 'detections')
    for number, message in enumerate(detections):
        assert message.header == header(number)
        assert len(message.persons) >= 2
        for person in message.persons:
            assert 0.4 <= person.score <= 1
            assert person.box_x >= 0 and person.box_x + person.box_width <= 1088.01
            assert person.box_y >= 0 and person.box_y + person.box_height <= 1920.01
            assert not person.has_root
    # the two people in front keep their ids over the frames
    ids = [{p.id for p in m.persons if p.box_height > 500} for m in detections]
    assert all(ids) and set.intersection(*ids), ids
    assert '' not in set.union(*ids)


def test_detector_takes_compressed_images(graph: Any, footage: list[np.ndarray]) -> None:
    graph.add(DetectorNode(**settings(image_transport='compressed')))
    detections = graph.collect(PersonArray, 'detections')
    publisher = graph.publisher(CompressedImage, 'image_raw/compressed')
    message = CompressedImage(header=header(1), format='jpeg')
    message.data = bytes_of(cv2.imencode('.jpg', footage[0])[1])
    publisher.publish(message)
    graph.wait(lambda: detections, 'detections')
    assert detections[0].header == header(1) and len(detections[0].persons) >= 2


def test_rootnet_joins_by_stamp_and_puts_the_root_in_the_box(
    graph: Any, footage: list[np.ndarray], camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, 'PATIENCE_S', 60.0)  # for as long as a busy machine may take
    graph.add(RootNetNode())
    roots = graph.collect(PersonArray, 'roots')
    people = graph.publisher(PersonArray, 'detections')
    source = Camera1(graph, camera)
    source.info()
    given = PersonArray()
    given.persons = [
        Person(id='7', score=0.9, box_x=421.0, box_y=836.0, box_width=618.0, box_height=919.0)
    ]
    # people of an image that never comes, then the image's own, then the image
    for number in (99, 1):
        given.header = header(number)
        people.publish(given)
    given.header = source.image(footage[0])
    graph.wait(lambda: roots, 'roots')
    person = roots[0].persons[0]
    assert roots[0].header == given.header and (person.id, len(roots)) == ('7', 1)
    assert person.has_root and 2 < person.root.z < 5
    assert 0 < person.root_depth_stddev < 1
    x, y = camera.project(np.array([person.root.x, person.root.y, person.root.z]))
    assert 421 < x < 421 + 618 and 836 < y < 836 + 919
    assert len(roots[0].keypoint_names) == 26 == len(person.keypoint_scores)


def test_posenet_publishes_metres_that_reproject_onto_the_keypoints(
    graph: Any, footage: list[np.ndarray], camera: Camera
) -> None:
    graph.add(RootNetNode(), PoseNetNode())
    roots, poses = graph.collect(PersonArray, 'roots'), graph.collect(Pose3DArray, 'poses')
    people = graph.publisher(PersonArray, 'detections')
    source = Camera1(graph, camera)
    source.info()
    given = PersonArray(header=source.image(footage[0]))
    given.persons = [
        Person(id='7', score=0.9, box_x=421.0, box_y=836.0, box_width=618.0, box_height=919.0)
    ]
    people.publish(given)
    graph.wait(lambda: poses, 'poses')
    message = poses[0]
    assert message.header == given.header and message.skeleton == 'blazepose'
    assert len(message.joint_names) == 33 and len(message.edges) % 2 == 0
    result = poses_from_message(message)
    limbs = [i for i, name in enumerate(message.joint_names) if name.endswith(('knee', 'ankle'))]
    seen = persons_from_message(roots[0]).keypoints
    assert seen is not None
    keypoints = seen.xy[0, seen.skeleton.indices(*(message.joint_names[i] for i in limbs))]
    assert np.abs(camera.project(result.joints[0, limbs]) - keypoints).max() < 2
    # metres: a shin of an adult
    shin = (
        result.joints[0, message.joint_names.index('left_knee')]
        - result.joints[0, message.joint_names.index('left_ankle')]
    )
    assert 0.25 < np.linalg.norm(shin) < 0.6
    assert abs(result.roots[0, 2] - message.poses[0].root.z) < 1e-6


def test_pipeline_answers_every_image_also_the_empty_one(
    graph: Any, footage: list[np.ndarray], camera: Camera
) -> None:
    graph.add(*make_pipeline())
    topics = {name: graph.collect(PersonArray, name) for name in ('detections', 'roots')}
    topics['poses'] = graph.collect(Pose3DArray, 'poses')
    markers, overlays = graph.collect(MarkerArray, 'markers'), graph.collect(Image, 'overlay')
    source = Camera1(graph, camera)
    source.info()
    nobody = np.full_like(footage[0], 90)
    sent = []
    for number, image in enumerate([*footage[:2], nobody]):
        sent.append(source.image(image))
        graph.wait(lambda n=number: len(topics['poses']) > n, 'poses')
    for messages in topics.values():
        assert [m.header for m in messages] == sent
    assert len(topics['poses'][0].poses) >= 2
    assert topics['poses'][2].poses == [] and topics['detections'][2].persons == []
    assert [p.id for p in topics['poses'][0].poses] == [
        p.id for p in topics['detections'][0].persons
    ]
    graph.wait(lambda: len(markers) >= 3 and overlays, 'markers and overlay')
    assert {m.action for m in markers[0].markers} == {Marker.ADD}
    assert all(m.header == sent[0] for m in markers[0].markers)
    # nobody is left: everything shown before is deleted
    assert {m.action for m in markers[2].markers} == {Marker.DELETE}
    gone = {(m.ns, m.id) for m in markers[2].markers}
    assert gone == {(m.ns, m.id) for m in markers[1].markers if m.action == Marker.ADD}
    assert (overlays[0].width, overlays[0].height) == (1088, 1920)


def test_pipeline_decodes_each_image_once(
    graph: Any, footage: list[np.ndarray], camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pose3d_ros.nodes import inputs

    decoded = []
    decode = inputs.image_from_message
    monkeypatch.setattr(
        inputs, 'image_from_message', lambda message: decoded.append(1) or decode(message)
    )
    graph.add(*make_pipeline())
    poses = graph.collect(Pose3DArray, 'poses')
    source = Camera1(graph, camera)
    source.info()
    source.image(footage[0])
    graph.wait(lambda: poses, 'poses')
    assert len(decoded) == 1


def test_newest_frame_wins_and_the_rest_is_counted(graph: Any, footage: list[np.ndarray]) -> None:
    detector = DetectorNode()
    graph.add(detector)
    detections = graph.collect(PersonArray, 'detections')
    publisher = graph.publisher(Image, 'image_raw')
    for number in range(12):
        publisher.publish(image_to_message(footage[number % 6], header(number)))
    graph.wait(lambda: detections and detections[-1].header == header(11), 'the newest frame')
    counts = detector.accounting
    graph.wait(lambda: counts.published + counts.dropped == counts.received, 'the count')
    assert counts.published == len(detections) < 12


def test_clock_that_jumps_back_starts_tracks_anew(graph: Any, footage: list[np.ndarray]) -> None:
    graph.add(DetectorNode())
    detections = graph.collect(PersonArray, 'detections')
    publisher = graph.publisher(Image, 'image_raw')
    for count, number in enumerate((50, 51, 1)):
        publisher.publish(image_to_message(footage[0], header(number)))
        graph.wait(lambda n=count: len(detections) > n, 'detections')
    ids = [{p.id for p in m.persons} for m in detections]
    assert ids[0] == ids[1] and not ids[0] & ids[2]


def test_a_hundred_people(graph: Any, footage: list[np.ndarray], camera: Camera) -> None:
    graph.add(RootNetNode(), PoseNetNode())
    poses = graph.collect(Pose3DArray, 'poses')
    people = graph.publisher(PersonArray, 'detections')
    source = Camera1(graph, camera)
    source.info()
    given = PersonArray(header=source.image(footage[0]))
    given.persons = [
        Person(id=str(i), score=0.9, box_x=10.0 * i, box_y=300.0, box_width=90.0, box_height=250.0)
        for i in range(100)
    ]
    people.publish(given)
    graph.wait(lambda: poses, 'poses of a hundred', 60)
    assert [p.id for p in poses[0].poses] == [str(i) for i in range(100)]
    joints = poses_from_message(poses[0]).joints
    assert joints.shape == (100, 33, 3) and np.isfinite(joints).all()


# Bad input: each is skipped and counted, and the frame after it comes through.


def _broken(change: str, image: np.ndarray, number: int) -> Image:
    message = image_to_message(image, header(number))
    if change == 'encoding':
        message.encoding = 'yuv_nonsense'
    elif change == 'truncated':
        message.data = message.data[:1000]
    elif change == 'step':
        message.step = 5
    elif change == 'empty':
        message.height = message.width = message.step = 0
        message.data = array('B')
    return message


def test_detector_outlives_broken_images(graph: Any, footage: list[np.ndarray]) -> None:
    detector = DetectorNode()
    graph.add(detector)
    detections = graph.collect(PersonArray, 'detections')
    publisher = graph.publisher(Image, 'image_raw')
    counts = detector.accounting
    for done, change in enumerate(('encoding', 'truncated', 'step', 'empty')):
        publisher.publish(_broken(change, footage[0], 2 * done))
        graph.wait(lambda n=done: counts.skipped > n, f'the skip of a wrong {change}')
        publisher.publish(image_to_message(footage[0], header(2 * done + 1)))
        graph.wait(lambda n=done: len(detections) > n, 'detections')
        assert detections[done].header == header(2 * done + 1), change
    assert (counts.skipped, counts.failed) == (4, 0)


def test_detector_outlives_a_broken_jpeg(graph: Any, footage: list[np.ndarray]) -> None:
    detector = DetectorNode(**settings(image_transport='compressed'))
    graph.add(detector)
    publisher = graph.publisher(CompressedImage, 'image_raw/compressed')
    for data in (b'', b'not a picture', cv2.imencode('.jpg', footage[0])[1].tobytes()[:50]):
        message = CompressedImage(header=header(1), format='jpeg')
        message.data = array('B', data)
        publisher.publish(message)
        before = detector.accounting.skipped
        graph.wait(lambda n=before: detector.accounting.skipped > n, 'the skip')
    assert detector.accounting.failed == 0


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'k': np.zeros(9)}, 'not calibrated'),
        ({'k': np.full(9, np.nan)}, 'finite'),
        ({'width': 640, 'height': 480}, '640 x 480'),
        ({'distortion_model': 'pincushion'}, 'pincushion'),
        ({'header': Header(frame_id='another_camera')}, 'another_camera'),
    ],
)
def test_rootnet_refuses_a_camera_that_is_not_the_images(
    graph: Any,
    footage: list[np.ndarray],
    camera: Camera,
    change: dict[str, Any],
    said: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rootnet = RootNetNode()
    graph.add(rootnet)
    roots = graph.collect(PersonArray, 'roots')
    people = graph.publisher(PersonArray, 'detections')
    source = Camera1(graph, camera)
    source.info(**change)
    people.publish(PersonArray(header=source.image(footage[0])))
    graph.wait(lambda: rootnet.accounting.skipped == 1, 'the skip')
    assert said in capfd.readouterr().err
    source.info()
    graph.wait(lambda: rootnet.camera._info.k[0] > 0 and rootnet.camera._camera, 'the camera')
    people.publish(PersonArray(header=source.image(footage[0])))
    graph.wait(lambda: roots, 'roots after the camera was mended')


def test_nodes_without_inputs_say_what_they_wait_for(
    graph: Any, footage: list[np.ndarray], capfd: pytest.CaptureFixture[str]
) -> None:
    graph.add(RootNetNode(**settings(warn_after_s=1.0)))
    idle = graph.publisher(Image, 'image_raw')
    said = ''

    def complete() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return all(f'no {what} on' in said for what in ('image', 'camera_info', 'detections'))

    graph.wait(complete, 'three warnings')
    # a publisher that an earlier test killed is remembered for a while
    assert re.search(r'no image on /image_raw for 1 s: .*/tester \(RELIABLE\)', said)
    assert 'no camera_info on /camera_info for 1 s: nobody publishes it' in said
    # an image without camera_info is skipped with the reason, not lost in silence
    people = graph.publisher(PersonArray, 'detections')
    idle.publish(image_to_message(footage[0], header(1)))
    people.publish(PersonArray(header=header(1)))
    graph.wait(lambda: 'no camera_info on /camera_info yet' in capfd.readouterr().err, 'the skip')


def test_simulated_time_that_nobody_publishes_hides_nothing(
    graph: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    graph.add(RootNetNode(**settings(warn_after_s=1.0, use_sim_time=True)))
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics')
    graph.wait(lambda: 'no camera_info on /camera_info' in capfd.readouterr().err, 'a warning', 20)
    graph.wait(lambda: diagnostics, 'diagnostics', 20)
