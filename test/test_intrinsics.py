# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Cameras that are not calibrated, over real topics: what is assumed, said, refused and ignored."""

import threading
from typing import Any

import numpy as np
import pytest
from bodies import body
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from real import people_image
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from pose3d_ros import stages
from pose3d_ros.camera import Camera
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.yolox import DetectorOptions
from pose3d_ros.msg import Person, PersonArray, Pose3DArray
from pose3d_ros.nodes.messages import camera_to_info, image_to_message, poses_from_message
from pose3d_ros.nodes.parameters import ParameterError
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode
from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import BLAZEPOSE

WIDTH, HEIGHT = 1088, 1920


class Stage:
    """A stage without a network: one person in the upper left quarter, 3 m away."""

    networks = ()
    skeleton = BLAZEPOSE

    def __init__(self, call: Any) -> None:
        self._call = call

    def check(self, options: DetectorOptions) -> None:
        pass

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)


def detect(image: np.ndarray, options: DetectorOptions) -> Persons:
    return Persons(np.array([[10.0, 10, 20, 40]]), np.ones(1))


def root(image: np.ndarray, persons: Persons, camera: Camera, size: BodySize) -> Persons:
    n = len(persons)
    roots = camera.back_project(persons.boxes[:, :2], np.full(n, 3.0))
    return persons.with_roots(roots, np.full(n, 0.2), None)


def pose(image: np.ndarray, persons: Persons, camera: Camera) -> Poses:
    joints = body(BLAZEPOSE) + persons.roots[:, None]
    scores, stddev_m = np.ones(joints.shape[:2]), persons.root_depth_stddev_m
    return Poses(BLAZEPOSE, joints, scores, persons.roots, stddev_m, persons.scores, persons.ids)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put stages without networks into the place of the default ones, and of rootnet 3dmppe."""
    for table, name, call in (
        (stages.DETECTORS, 'yolox', detect),
        (stages.ROOTNETS, 'keypoints', root),
        (stages.ROOTNETS, '3dmppe', root),
        (stages.POSENETS, 'blazepose', pose),
    ):
        monkeypatch.setitem(table, name, lambda *_given, call=call: Stage(call))


def settings(**values: Any) -> dict[str, Any]:
    return {'parameter_overrides': [Parameter(name, value=v) for name, v in values.items()]}


def header(number: int) -> Header:
    stamped = Header(frame_id='camera')
    stamped.stamp.sec = 1000 + number
    return stamped


class Source:
    """Publish numbered images with one person each to a rootnet; count what comes of them."""

    def __init__(self, graph: Any) -> None:
        self.graph, self.number = graph, 0
        self.images = graph.publisher(Image, 'image_raw')
        self.people = graph.publisher(PersonArray, 'detections')
        self.roots = graph.collect(PersonArray, 'roots')

    def send(self, width: int, height: int) -> None:
        self.number += 1
        image = np.zeros((height, width, 3), np.uint8)
        self.images.publish(image_to_message(image, header(self.number)))
        message = PersonArray(header=header(self.number))
        message.persons = [Person(score=1.0, box_x=9.0, box_width=20.0, box_height=40.0)]
        self.people.publish(message)

    def result(self, width: int, height: int) -> PersonArray:
        count = len(self.roots)
        self.send(width, height)
        self.graph.wait(lambda: len(self.roots) > count, 'roots')
        return self.roots[-1]


@pytest.mark.parametrize(
    ('parameters', 'focal_px', 'said'),
    [
        ({'field_of_view_deg': 60.0}, 960 / np.tan(np.pi / 6), 'field of view 60 degrees'),
        ({'assumed_focal_px': 1500.0}, 1500, 'assumed focal length 1500 px'),
    ],
)
def test_the_pipeline_needs_no_camera_info_and_says_what_it_assumes(
    graph: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    parameters: dict[str, float],
    focal_px: float,
    said: str,
) -> None:
    """Real networks: a pelvis lies where its keypoints are, by the camera that is assumed."""
    monkeypatch.setattr(
        'pose3d_ros.nodes.pipeline.RootNetNode',
        lambda **options: RootNetNode(**options, **settings(precision='f32', **parameters)),
    )
    graph.add(*make_pipeline())
    roots = graph.collect(PersonArray, 'roots')
    poses = graph.collect(Pose3DArray, 'poses')
    images = graph.publisher(Image, 'image_raw')
    images.publish(image_to_message(people_image(), header(1)))
    graph.wait(lambda: poses and roots, 'poses and roots')
    for one in (poses[0], roots[0]):
        assert one.intrinsics == said
        assert one.focal_length_px == pytest.approx(focal_px)
    camera = Camera.from_focal_length(WIDTH, HEIGHT, focal_px)
    found = poses_from_message(poses[0])
    assert len(found) >= 2
    seen = np.array([roots[0].persons[0].keypoints]).reshape(-1, 2)
    index = list(roots[0].keypoint_names).index
    hips = seen[[index('left_hip'), index('right_hip')]].mean(axis=0)
    assert np.abs(camera.project(found.roots[0]) - hips).max() < 25
    log = capfd.readouterr().err
    assert (
        log.count(f'camera: {said}, focal length {focal_px:.1f} px in images of 1088 x 1920') == 1
    )
    assert 'no camera_info' not in log


@pytest.mark.parametrize('name', ['image_raw', '/image_raw/compressed'])
def test_compressed_images_are_rectified_by_the_topic_that_they_come_from(
    name: str, graph: Any, fakes: None
) -> None:
    topic = '/front/image_rect' + '/compressed' * name.endswith('/compressed')
    node = RootNetNode(
        cli_args=['--ros-args', '-r', f'{name}:={topic}'],
        **settings(image_transport='compressed'),
    )
    graph.add(node)
    subscribed = graph.node.count_subscribers
    graph.wait(lambda: subscribed('/front/image_rect/compressed') == 1, 'the subscription')
    assert node.camera._rectified


def test_detections_rest_on_no_camera(graph: Any, fakes: None) -> None:
    graph.add(*make_pipeline())
    detections = graph.collect(PersonArray, 'detections')
    images = graph.publisher(Image, 'image_raw')
    images.publish(image_to_message(np.zeros((48, 64, 3), np.uint8), header(1)))
    graph.wait(lambda: detections, 'detections')
    assert (detections[0].intrinsics, detections[0].focal_length_px) == ('', 0.0)


def test_camera_info_is_named_in_the_data_and_the_log(
    graph: Any, fakes: None, capfd: pytest.CaptureFixture[str]
) -> None:
    node = RootNetNode()
    graph.add(node)
    source = Source(graph)
    infos = graph.publisher(CameraInfo, 'camera_info')
    info = camera_to_info(Camera(np.diag([80.0, 45, 1]), 64, 48), header(0))
    for _ in range(3):
        infos.publish(info)
    graph.wait(lambda: node.camera._camera is not None, 'the camera')  # type: ignore[union-attr]
    message = source.result(64, 48)
    assert (message.intrinsics, message.focal_length_px) == ('camera_info', 60.0)
    log = capfd.readouterr().err
    assert log.count('camera: camera_info, focal length 60.0 px in images of 64 x 48') == 1
    assert 'guess' not in log


def test_images_of_another_size_get_a_camera_of_that_size(graph: Any, fakes: None) -> None:
    """The angle stays, and with it a resized image gives the same; a focal length stays itself."""
    graph.add(RootNetNode(**settings(field_of_view_deg=90.0)))
    source = Source(graph)
    assert source.result(64, 48).focal_length_px == pytest.approx(32)
    assert source.result(128, 96).focal_length_px == pytest.approx(64)
    x = source.roots[-1].persons[0].root.x
    assert x == pytest.approx((9 - 63.5) / 64 * 3)
    assert source.result(48, 64).focal_length_px == pytest.approx(32)


def test_a_focal_length_stays_what_it_is_at_another_size(graph: Any, fakes: None) -> None:
    graph.add(RootNetNode(**settings(assumed_focal_px=100.0)))
    source = Source(graph)
    assert source.result(64, 48).focal_length_px == 100
    assert source.result(128, 96).focal_length_px == 100
    assert source.roots[-1].persons[0].root.x == pytest.approx((9 - 63.5) / 100 * 3)


def test_camera_info_beside_a_guess_is_ignored_and_that_is_said_once(
    graph: Any, fakes: None, capfd: pytest.CaptureFixture[str]
) -> None:
    graph.add(RootNetNode(**settings(field_of_view_deg=90.0, warn_after_s=1.0)))
    source, said = Source(graph), ''
    infos = graph.publisher(CameraInfo, 'camera_info')

    def ignored() -> bool:
        nonlocal said
        infos.publish(camera_to_info(Camera(np.diag([500.0, 500, 1]), 64, 48), header(0)))
        said += capfd.readouterr().err
        return 'is ignored' in said

    graph.wait(ignored, 'the word about camera_info')
    for _ in range(3):
        message = source.result(64, 48)
        assert message.intrinsics == 'field of view 90 degrees'
        assert message.focal_length_px == pytest.approx(32)
        ignored()
    said += capfd.readouterr().err
    assert said.count('camera_info on /camera_info is ignored') == 1
    assert 'no camera_info' not in said


@pytest.mark.parametrize(
    ('parameters', 'said'),
    [
        (
            {'field_of_view_deg': 60.0, 'assumed_focal_px': 1500.0},
            r"'field_of_view_deg' \(60\) and 'assumed_focal_px' \(1500\) are both given",
        ),
        ({'field_of_view_deg': 0.5}, r"'field_of_view_deg': a field of view of 0\.5 degrees"),
        ({'field_of_view_deg': 200.0}, r"'field_of_view_deg' \(float from 0 to 179"),
        ({'assumed_focal_px': -1.0}, r"'assumed_focal_px' \(float from 0"),
        ({'assumed_focal_px': float('nan')}, "'assumed_focal_px'"),
        ({'assumed_focal_px': 2000000}, r"'assumed_focal_px' \(float from 0"),
        ({'assumed_focal_px': 'long'}, r"'assumed_focal_px' \(float from 0"),
    ],
)
@pytest.mark.parametrize('node', [RootNetNode, PoseNetNode])
def test_what_no_camera_can_be_is_refused_at_the_start(
    graph: Any, fakes: None, node: Any, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(ParameterError, match=said):
        node(**settings(**parameters))


def test_roots_of_another_camera_are_refused_by_name(
    graph: Any, fakes: None, capfd: pytest.CaptureFixture[str]
) -> None:
    posenet = PoseNetNode(**settings(assumed_focal_px=1500.0))
    graph.add(posenet)
    poses = graph.collect(Pose3DArray, 'poses')
    images = graph.publisher(Image, 'image_raw')
    roots = graph.publisher(PersonArray, 'roots')

    def send(number: int, focal_px: float, intrinsics: str) -> None:
        images.publish(image_to_message(np.zeros((48, 64, 3), np.uint8), header(number)))
        roots.publish(
            PersonArray(header=header(number), focal_length_px=focal_px, intrinsics=intrinsics)
        )

    send(1, 900.0, 'camera_info')
    graph.wait(lambda: posenet.accounting.skipped == 1, 'the skip')
    log = capfd.readouterr().err
    assert 'focal length of 900.0 px (camera_info)' in log
    assert '1500.0 px (assumed focal length 1500 px)' in log
    # the same, one that zooms a little, and one of a publisher that does not tell
    for number, focal_px in ((2, 1500.0), (3, 1490.0), (4, 0.0)):
        send(number, focal_px, '')
        graph.wait(lambda n=number: len(poses) == n - 1, 'poses')
    assert [m.header.stamp.sec for m in poses] == [1002, 1003, 1004]


def test_one_process_has_one_camera(
    graph: Any, fakes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(rootnet: dict[str, Any], posenet: dict[str, Any]) -> None:
        for name, node, given in (
            ('RootNetNode', RootNetNode, rootnet),
            ('PoseNetNode', PoseNetNode, posenet),
        ):
            monkeypatch.setattr(
                f'pose3d_ros.nodes.pipeline.{name}',
                lambda node=node, given=given, **options: node(**options, **settings(**given)),
            )
        graph.add(*make_pipeline())

    made({'field_of_view_deg': 70.0}, {'field_of_view_deg': 70.0})
    made({'field_of_view_deg': 70.0}, {})
    running = threading.active_count()
    with pytest.raises(ParameterError, match=r"'field_of_view_deg' is 70\.0 for posenet and 0\.0"):
        made({}, {'field_of_view_deg': 70.0})
    with pytest.raises(ParameterError, match="'rectified' is true for posenet and auto"):
        made({}, {'rectified': 'true'})
    # and the nodes that were made by then are gone again
    assert threading.active_count() == running


@pytest.mark.parametrize(
    ('parameters', 'warned'),
    [
        ({'model': '3dmppe', 'person_height_m': 1.25}, True),
        ({'model': '3dmppe', 'person_height_stddev_m': 0.2}, True),
        ({'model': '3dmppe'}, False),
        ({'model': 'keypoints', 'person_height_m': 1.25}, False),
    ],
)
def test_a_stature_that_changes_nothing_is_told_of(
    graph: Any,
    fakes: None,
    parameters: dict[str, Any],
    warned: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    graph.add(RootNetNode(**settings(**parameters)))
    said = "'person_height_m' and 'person_height_stddev_m' change nothing: model 3dmppe"
    assert (said in capfd.readouterr().err) is warned


@pytest.mark.parametrize(('model', 'stature'), [('keypoints', '1.25'), ('3dmppe', None)])
def test_the_stature_that_distances_rest_on_is_said(
    graph: Any, fakes: None, model: str, stature: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the log and in the data, where the model rests on one."""
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics')
    graph.add(RootNetNode(**settings(model=model, person_height_m=1.25)))
    graph.wait(lambda: diagnostics, 'diagnostics', 20)
    values = {pair.key: pair.value for pair in diagnostics[0].status[0].values}
    assert values.get('person_height_m') == stature and values['model'] == model
    said = 'distances rest on people being 1.25 m tall, standard deviation 0.09 m'
    assert (said in capfd.readouterr().err) is (stature is not None)
