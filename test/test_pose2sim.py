# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The reader of the calibrated clips, on the real files of `pose3d fetch clips`."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose3d_ros import weights
from pose3d_ros.data.pose2sim import Clip, ClipError, read_qualisys


@pytest.fixture(scope='module')
def clip() -> Clip:
    return Clip.load('single')


def test_cameras(clip: Clip) -> None:
    assert [c.name for c in clip.cameras] == ['cam01', 'cam02', 'cam03', 'cam04']
    assert (clip.frame_count, clip.frame_rate_hz) == (100, 60)
    # two of the films are narrower than their calibration
    assert [(c.camera.width, c.camera.height) for c in clip.cameras] == [(1080, 1920)] * 2 + [
        (1088, 1920)
    ] * 2
    third = clip.cameras[2]
    assert third.camera.K[0, 0] == pytest.approx(107622.296875 / 64)
    assert third.camera.K[:2, 2] == pytest.approx([32845.335938 / 64, 61120.328125 / 64])
    np.testing.assert_allclose(
        third.camera.distortion, [-0.046705, 0.137622, -0.000542, -0.000517, 0]
    )
    np.testing.assert_allclose(third.centre, [-3.2168659, 2.2311786, 2.0881910], atol=1e-6)


def test_narrower_films_are_scaled_between_black_bars(clip: Clip) -> None:
    narrow, full = clip.cameras[0], Clip.load('multi').cameras[0]
    image = next(clip.frames(0)).max(axis=2).mean(axis=1)
    assert image[:6].max() < 10 < 50 < image[7:20].min()
    # the corners of the sensor are the corners of the region between the bars
    assert full.camera.width == 1088
    corners = full.camera.rays(np.array([[-0.5, -0.5], [1087.5, 1919.5]]))
    seen = narrow.camera.project(np.concatenate([corners, np.ones((2, 1))], axis=1))
    np.testing.assert_allclose(seen, [[-0.5, 6.5], [1079.5, 1912.5]], atol=0.1)


def test_cameras_are_upright_and_look_at_each_other_s_middle(clip: Clip) -> None:
    middle = np.mean([c.centre for c in clip.cameras], axis=0)
    for camera in clip.cameras:
        np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(camera.rotation) == pytest.approx(1)
        # the world's z points up and the image's y down
        assert (camera.rotation @ [0, 0, 1])[1] < -0.8
        x, y, z = camera.from_world(middle)
        assert z > 1.5
        assert np.hypot(x, y) / z < 0.6
        np.testing.assert_allclose(camera.from_world(camera.centre), 0, atol=1e-12)


def test_rays_of_the_same_joint_meet(clip: Clip) -> None:
    """The subject's left ankle in frame 0 lies in one place for all cameras."""
    pixels = [(416, 1090), (573, 1059), (548, 1195), (611, 1198)]
    rays = np.stack([c.camera.rays(np.array(p)) for c, p in zip(clip.cameras, pixels, strict=True)])
    directions = np.stack(
        [c.rotation.T @ [*ray, 1] for c, ray in zip(clip.cameras, rays, strict=True)]
    )
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    across = np.eye(3) - directions[:, :, None] * directions[:, None]
    centres = np.stack([c.centre for c in clip.cameras])
    point = np.linalg.solve(across.sum(axis=0), np.einsum('cij,cj->i', across, centres))
    misses_m = np.linalg.norm(np.einsum('cij,cj->ci', across, point - centres), axis=1)
    assert misses_m.max() < 0.06
    assert 0 < point[2] < 0.3  # above the floor


def test_frames(clip: Clip) -> None:
    short = replace(clip, frame_count=3)
    frames = list(short.frames(2))
    assert [frame.shape for frame in frames] == [(1920, 1088, 3)] * 3
    capture = cv2.VideoCapture(str(clip.cameras[2].film))
    assert all(np.array_equal(frame, capture.read()[1]) for frame in frames)
    with pytest.raises(ClipError, match=r'cam03\.mp4 ends after 100 of 101 frames'):
        list(replace(clip, frame_count=101).frames(2))


def test_the_multi_person_clip() -> None:
    multi = Clip.load('multi')
    assert {(c.camera.width, c.camera.height) for c in multi.cameras} == {(1088, 1920)}
    assert multi.frame_count == 100


def test_unknown_clip() -> None:
    with pytest.raises(ClipError, match="no clip 'dance'; there are single, multi"):
        Clip.load('dance')


def test_absent_files_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(weights.WeightsError, match=r'calib\.txt is absent.*pose3d fetch clips'):
        Clip.load('single', tmp_path)
    shutil.copy(weights.path('pose2sim_single_calib'), tmp_path)
    with pytest.raises(weights.WeightsError, match=r'cam01\.mp4 is absent.*pose3d fetch clips'):
        Clip.load('single', tmp_path)


CALIBRATION = """<calibration><cameras><camera serial="a">
  <fov_video left="0" top="0" right="19" bottom="9"/>
  <transform x="1000" y="0" z="0" r11="1" r12="0" r13="0" r21="0" r22="1" r23="0" r31="0" r32="0"
    r33="1"/>
  <intrinsic focalLengthU="6400" focalLengthV="6400" centerPointU="640" centerPointV="320"
    radialDistortion1="0" radialDistortion2="0" radialDistortion3="0" tangentalDistortion1="0"
    tangentalDistortion2="0"/>
</camera></cameras></calibration>"""


def read(tmp_path: Path, text: str, cameras: int = 1) -> Clip:
    file = tmp_path / 'calib.txt'
    file.write_text(text)
    films = [Path('a.mp4')] * cameras
    return Clip('toy', read_qualisys(file, films, [(20, 10)] * cameras), 1, 60)


def test_a_toy_calibration(tmp_path: Path) -> None:
    camera = read(tmp_path, CALIBRATION).cameras[0]
    # 1 m along x; looks along the world's -z with y up
    np.testing.assert_allclose(camera.from_world(np.array([1.5, 0.25, -4])), [0.5, -0.25, 4])
    np.testing.assert_allclose(camera.camera.project(np.array([0.04, 0, 4])), [11, 5])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('not xml', 'is not a Qualisys calibration'),
        ('<calibration/>', 'describes 0 cameras, not 1'),
        (CALIBRATION.replace('r33', 'r34'), "is not a Qualisys calibration: 'r33'"),
        (CALIBRATION.replace('intrinsic', 'lens'), "is not a Qualisys calibration: 'intrinsic'"),
        (CALIBRATION.replace('6400', 'long'), 'is not a Qualisys calibration'),
        (CALIBRATION.replace('6400', '0'), r'is not a Qualisys calibration: focal lengths'),
    ],
)
def test_broken_calibrations_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ClipError, match=rf'calib\.txt.*{message}'):
        read(tmp_path, text)


def test_a_missing_calibration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r'cannot read the calibration .*gone\.txt: No such file'):
        read_qualisys(tmp_path / 'gone.txt', [Path('a.mp4')], [(20, 10)])


def test_a_film_that_is_no_film_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / 'film.mp4'
    film.write_bytes(b'no film')
    monkeypatch.setattr(weights, 'path', lambda name, directory: film)
    with pytest.raises(ClipError, match=r'film\.mp4 cannot be decoded as a video'):
        Clip.load('single')
