# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The demo's graph of processes, on a few frames: what it leaves can be used."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from waiting import wait

from pose3d_ros.bags import messages, open_bag
from pose3d_ros.camera import Camera
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.nodes.demo import (
    DemoError,
    Recording,
    draw_recording,
    record_graph,
    run_demo,
    table,
)
from pose3d_ros.nodes.messages import image_from_compressed, poses_from_message
from pose3d_ros.nodes.processes import ProcessError, processes
from pose3d_ros.people import Poses, Tracks, TrackState
from pose3d_ros.skeletons import HUMAN36M

FRAMES = 8


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder and the table of a demo of a few frames, as three nodes."""
    folder = tmp_path_factory.mktemp('demo')
    frames = folder / 'frames'
    frames.mkdir()
    clip = Clip.load('multi')
    for number, image in zip(range(FRAMES), clip.frames(0), strict=False):
        cv2.imwrite(str(frames / f'{number}.jpg'), image)
    # as fast as frames are taken: none is dropped for a newer one, on however slow a machine
    text = run_demo(frames, clip.cameras[0].camera, folder / 'out', rate=0.0, composed=False)
    return folder / 'out', text


def test_the_bag_holds_the_graph_and_its_headers_agree(demo: tuple[Path, str]) -> None:
    stamps: dict[str, list[tuple[int, int, str]]] = {}
    with open_bag(demo[0] / 'poses') as reader:
        for message in messages(reader):
            content = message.decoded()
            if message.topic == '/markers':
                assert {m.header.frame_id for m in content.markers} == {'camera_optical_frame'}
            elif message.topic != '/diagnostics':
                header = content.header
                key = (header.stamp.sec, header.stamp.nanosec, header.frame_id)
                stamps.setdefault(message.topic, []).append(key)
            if message.topic == '/poses':
                assert len(poses_from_message(content)) >= 2
            if message.topic == '/image_raw/compressed':
                assert image_from_compressed(content).shape == (1920, 1088, 3)
    assert len(stamps['/image_raw/compressed']) == len(stamps['/camera_info']) == FRAMES
    images = set(stamps['/image_raw/compressed'])
    for topic in ('/detections', '/roots', '/poses'):
        assert set(stamps[topic]) <= images
    # the first frames may come while a network of a new size is still compiled
    assert len(stamps['/poses']) >= FRAMES - 2


def test_the_pictures_show_people_in_colour(demo: tuple[Path, str]) -> None:
    overlay = cv2.imread(str(demo[0] / 'overlay.png'))
    scene = cv2.imread(str(demo[0] / 'scene.png'))
    assert overlay is not None and overlay.shape == (1920, 1088, 3)
    assert scene is not None and (np.ptp(scene, axis=2) > 60).sum() > 1000  # coloured bones
    video = cv2.VideoCapture(str(demo[0] / 'overlay.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) >= FRAMES - 2 and video.read()[0]


def test_the_table_tells_people_and_stages(demo: tuple[Path, str]) -> None:
    lines = demo[1].splitlines()
    people = [line.split() for line in lines if line.startswith('  id ')]
    assert len(people) >= 2
    for words in people[:2]:
        assert 1.5 < float(words[3]) < 12  # metres
    for stage in ('detector', 'rootnet', 'posenet'):
        values = next(line.split() for line in lines if line.startswith(stage))
        assert FRAMES - 2 <= int(values[2]) <= FRAMES and float(values[5]) > float(values[6]) > 0


def test_a_recording_without_poses_says_so(tmp_path: Path) -> None:
    camera = Clip.load('multi').cameras[0].camera
    with pytest.raises(DemoError, match='no image of the recording has poses'):
        draw_recording(Recording(), camera, tmp_path)


def people_of(states: Sequence[TrackState]) -> Poses:
    """Return somebody for each state, all at one place."""
    n, j = len(states), len(HUMAN36M)
    joints = np.tile([0.0, 0.0, 4.0], (n, j, 1))
    tracks = Tracks(np.array(states), np.ones(n), np.full((n, 6), np.nan),
                    np.full((n, 6, 6), np.nan))  # fmt: skip
    return Poses(HUMAN36M, joints, np.ones((n, j)), joints[:, 0], np.zeros(n), np.ones(n),
                 ('1',) * n, tracks)  # fmt: skip


def test_the_picture_is_of_the_most_who_are_confirmed(tmp_path: Path) -> None:
    """Somebody who is new, and may be nobody, does not make a frame the fullest."""
    camera, recording = Clip.load('multi').cameras[0].camera, Recording()
    confirmed, new = TrackState.CONFIRMED, TrackState.NEW
    for stamp, states in enumerate([(confirmed, confirmed), (confirmed, new, new)]):
        image = np.full((camera.height, camera.width, 3), 40 + 120 * stamp, np.uint8)
        _, data = cv2.imencode('.jpg', image)
        recording.images[stamp] = CompressedImage(format='jpeg', data=data.tobytes())
        recording.poses[stamp] = people_of(states)
    draw_recording(recording, camera, tmp_path)
    picture = cv2.imread(str(tmp_path / 'overlay.png'))
    assert picture is not None and np.median(picture) == pytest.approx(40, abs=5)


def test_a_node_that_cannot_start_ends_the_demo(tmp_path: Path) -> None:
    """The player waits for it, however long a film takes."""
    cv2.imwrite(str(tmp_path / 'frame.png'), np.zeros((48, 64, 3), np.uint8))
    camera = tmp_path / 'camera.yaml'
    Camera.from_field_of_view(64, 48, 60.0).to_yaml(camera)
    nodes = {'pipeline': [f'weights_dir:={tmp_path}']}
    with pytest.raises(ProcessError, match=r'(?s)pipeline ended with status 1.*pose3d fetch'):
        record_graph([(tmp_path, camera)], tmp_path / 'bag', tmp_path / 'log', 1.0, nodes)


def test_a_process_that_fails_is_named_with_its_log(tmp_path: Path) -> None:
    with (
        pytest.raises(ProcessError, match=r'(?s)player ended with status 1.*nowhere'),
        processes(tmp_path / 'log') as start,
    ):
        start('player', 'source:=/nowhere.mp4').wait(timeout=60)


def test_a_process_that_was_told_to_end_is_not_waited_for(tmp_path: Path) -> None:
    """The recorder ends well, but the player would wait for a subscriber for ever."""
    cv2.imwrite(str(tmp_path / 'frame.png'), np.zeros((48, 64, 3), np.uint8))
    with (
        pytest.raises(ProcessError, match='recorder ended with status 0'),
        processes(tmp_path / 'log') as start,
    ):
        recorder = start('recorder', f'output:={tmp_path / "bag"}')
        start('player', f'source:={tmp_path}', 'field_of_view_deg:=60.0', 'subscribers:=2')
        wait(lambda: (tmp_path / 'bag').exists(), 'a recorder that runs', 60)
        recorder.terminate()
        start.wait_for('player')


def test_table_of_nobody() -> None:
    assert 'nobody' in table(Recording())
