# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The paper's networks as real nodes on real footage, as snapshots and exported."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from paper import PaperFiles
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from pose3d_ros import weights
from pose3d_ros.camera import Camera
from pose3d_ros.cli import main
from pose3d_ros.msg import Person, PersonArray, Pose3DArray
from pose3d_ros.nodes.messages import camera_to_info, image_to_message
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode

CAMERA = Camera(np.array([[1681.0, 0, 533], [0, 1681.0, 948], [0, 0, 1]]), 1088, 1920)
HEADER = Header(frame_id='street_camera_optical_frame')
HEADER.stamp.sec = 1000
#: Of two people who stand in front.
BOXES = ((421.0, 836.0, 618.0, 919.0), (60.0, 700.0, 330.0, 800.0))


@pytest.fixture(scope='module')
def frame() -> np.ndarray:
    """Return a frame (1920, 1088, 3) of two or three people."""
    ok, image = cv2.VideoCapture(str(weights.path('pose2sim_multi_cam01'))).read()
    assert ok
    return image


def settings(**values: Any) -> dict[str, Any]:
    """Return node options that set parameters."""
    return {'parameter_overrides': [Parameter(name, value=v) for name, v in values.items()]}


def snapshots(files: PaperFiles, name: str) -> dict[str, Any]:
    """Return a folder with two snapshots, of which the older one is empty, and an epoch."""
    return {'model': '3dmppe', 'weights': str(files.snapshots[name]), 'epoch': 18}


def exported(files: PaperFiles, name: str) -> dict[str, Any]:
    return {'model': '3dmppe', 'weights': str(files.exported[name])}


def found_by(graph: Any, image: np.ndarray, rootnet: Any, posenet: Any) -> tuple[Any, Any]:
    """Return the roots and poses that nodes of these parameters publish of two people."""
    nodes = RootNetNode(**settings(**rootnet)), PoseNetNode(**settings(**posenet))
    graph.add(*nodes)
    roots, poses = graph.collect(PersonArray, 'roots'), graph.collect(Pose3DArray, 'poses')
    graph.publisher(CameraInfo, 'camera_info').publish(camera_to_info(CAMERA, HEADER))
    graph.wait(lambda: all(node.camera._camera for node in nodes), 'the camera')
    people = PersonArray(header=HEADER)
    people.persons = [
        Person(id=str(i), score=0.9, box_x=x, box_y=y, box_width=w, box_height=h)
        for i, (x, y, w, h) in enumerate(BOXES)
    ]
    graph.publisher(Image, 'image_raw').publish(image_to_message(image, HEADER))
    graph.publisher(PersonArray, 'detections').publish(people)
    graph.wait(lambda: poses, 'poses')
    return roots[0], poses[0]


def joints(message: Any) -> np.ndarray:
    return np.array([[[j.x, j.y, j.z] for j in pose.joints] for pose in message.poses])


@pytest.fixture(scope='module')
def by_snapshots() -> dict[str, Any]:
    """Return a place for what the snapshots gave, with which the exported files are compared."""
    return {}


@pytest.mark.parametrize('how', [snapshots, exported], ids=['snapshots', 'exported'])
def test_rootnet_and_posenet_as_separate_nodes(
    graph: Any, paper_files: PaperFiles, frame: np.ndarray, how: Any, by_snapshots: dict[str, Any]
) -> None:
    roots, poses = found_by(graph, frame, how(paper_files, 'rootnet'), how(paper_files, 'posenet'))
    assert roots.header == poses.header == HEADER
    assert (poses.skeleton, len(poses.joint_names)) == ('human36m', 18)
    assert [person.has_root for person in roots.persons] == [True, True]
    assert [pose.id for pose in poses.poses] == ['0', '1']
    # random weights: gamma is about 1, so people are about where their boxes would put them
    for person, (x, y, w, h) in zip(roots.persons, BOXES, strict=True):
        k_m = 1681 * 2 / (1.25 * (max(w, h) - 1))
        assert 0.2 * k_m < person.root.z < 3 * k_m
        column, row = CAMERA.project(np.array([person.root.x, person.root.y, person.root.z]))
        assert x - h / 2 < column < x + w + h / 2 and y < row < y + h
    depths = joints(poses)[..., 2] - [[person.root.z] for person in roots.persons]
    assert np.abs(depths).max() < 1
    by_snapshots.setdefault('joints', joints(poses))
    np.testing.assert_allclose(joints(poses), by_snapshots['joints'], atol=1e-3)


def test_the_whole_chain_in_one_process(
    graph: Any, paper_files: PaperFiles, frame: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rootnet from a snapshot and posenet exported, with the flip test, behind the detector."""
    rootnet = settings(**snapshots(paper_files, 'rootnet'))
    posenet = settings(**exported(paper_files, 'posenet'), flip_test=True)
    monkeypatch.setattr(
        'pose3d_ros.nodes.pipeline.RootNetNode', lambda **options: RootNetNode(**options, **rootnet)
    )
    monkeypatch.setattr(
        'pose3d_ros.nodes.pipeline.PoseNetNode', lambda **options: PoseNetNode(**options, **posenet)
    )
    stages = tuple(make_pipeline())
    graph.add(*stages)
    poses = graph.collect(Pose3DArray, 'poses')
    graph.publisher(CameraInfo, 'camera_info').publish(camera_to_info(CAMERA, HEADER))
    graph.wait(lambda: stages[1].camera._camera, 'the camera')  # type: ignore[attr-defined]
    images = graph.publisher(Image, 'image_raw')
    images.publish(image_to_message(frame, HEADER))
    graph.wait(lambda: poses, 'poses')
    assert poses[0].header == HEADER and len(poses[0].poses) >= 2
    assert np.isfinite(joints(poses[0])).all()


def test_nodes_refuse_the_other_network(graph: Any, paper_files: PaperFiles) -> None:
    with pytest.raises(weights.WeightsError, match='holds PoseNet; an exported RootNet'):
        RootNetNode(**settings(**exported(paper_files, 'posenet')))
    with pytest.raises(weights.WeightsError, match='holds RootNet; a snapshot of PoseNet'):
        PoseNetNode(**settings(**snapshots(paper_files, 'rootnet')))
    with pytest.raises(weights.WeightsError, match='no snapshot of epoch 7; it has 9, 18'):
        PoseNetNode(**settings(**snapshots(paper_files, 'posenet') | {'epoch': 7}))


def test_pose3d_video_runs_the_exported_networks(paper_files: PaperFiles, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    command = ['video', str(weights.path('pose2sim_multi_cam01')), '--out', str(out)]
    for stage in ('rootnet', 'posenet'):
        command += [f'--{stage}', '3dmppe', f'--{stage}-weights', str(paper_files.exported[stage])]
    assert main([*command, '--limit', '2', '--no-overlay']) == 0
    lines = [json.loads(line) for line in (out / 'poses.jsonl').read_text().splitlines()]
    assert len(lines) == 2
    assert len(lines[0]['persons']) >= 2
    record = json.loads((out / 'run.json').read_text())
    assert record['skeleton']['name'] == 'human36m'
