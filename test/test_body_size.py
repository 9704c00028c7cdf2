# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Depth from apparent bone lengths, on a body of known size at known places."""

import numpy as np
import pytest
from bodies import body, seen, turned
from real import keypoints, people, people_image, rtmpose

from pose3d_ros.camera import Camera
from pose3d_ros.models.body_size import BodySize, root_depths
from pose3d_ros.models.keypoint_rootnet import KeypointRootNet
from pose3d_ros.people import Keypoints, Persons
from pose3d_ros.skeletons import HALPE26

CAMERA = Camera.fallback(1920, 1080)
BODY = BodySize()


def standing(*places: tuple[float, float, float], degrees: float = 0) -> np.ndarray:
    return turned(body(HALPE26), degrees) + np.array(places)[:, None]


@pytest.mark.parametrize('degrees', [0, 45, 90, -60, 180])
@pytest.mark.parametrize('depth_m', [2.0, 5, 20, 40])
def test_a_known_body_is_found(depth_m: float, degrees: float) -> None:
    """Within 1.5 standard deviations however it turns, within one face to face."""
    joints = standing((0.3, 0.2, depth_m), degrees=degrees)
    depths, stddevs = root_depths(*seen(CAMERA, joints), CAMERA, BODY)
    assert 0.05 < stddevs[0] / depths[0] < 0.15
    limit = 1.0 if degrees in (0, 180) else 1.5
    assert abs(depths[0] - depth_m) < limit * stddevs[0]


def test_everybody_at_once_is_each_alone() -> None:
    joints = np.concatenate([standing((0.3, 0.2, z), degrees=10 * z) for z in (2, 9, 30)])
    together = root_depths(*seen(CAMERA, joints), CAMERA, BODY)
    for i in range(3):
        alone = root_depths(*seen(CAMERA, joints[[i]]), CAMERA, BODY)
        np.testing.assert_allclose([alone[0][0], alone[1][0]], [together[0][i], together[1][i]])


def test_focal_length_and_image_scaled_together_change_nothing() -> None:
    joints = standing((0.5, 0, 4), (-2, 0.3, 12))
    expected = root_depths(*seen(CAMERA, joints), CAMERA, BODY)
    camera = CAMERA.scaled(1920 * 3, 1080 * 3)
    np.testing.assert_allclose(root_depths(*seen(camera, joints), camera, BODY), expected)


def test_principal_point_and_image_moved_together_change_nothing() -> None:
    joints = standing((0.5, 0, 4), (-2, 0.3, 12))
    expected = root_depths(*seen(CAMERA, joints), CAMERA, BODY)
    camera = CAMERA.cropped(-300, -200, 2500, 1500)
    np.testing.assert_allclose(root_depths(*seen(camera, joints), camera, BODY), expected)


@pytest.mark.parametrize('focal_px', [700.0, 3000])
def test_roots_of_an_assumed_focal_length_rescale(focal_px: float) -> None:
    """On real keypoints; to the fineness of the table of depths."""
    height, width = people_image().shape[:2]
    rootnet = KeypointRootNet(rtmpose())

    def run(camera: Camera) -> Persons:
        return rootnet(people_image(), people(), camera, BODY)

    assumed = run(Camera.from_focal_length(width, height, 1500))
    direct = run(Camera.from_focal_length(width, height, focal_px))
    rescaled = assumed.rescaled(focal_px / 1500)
    np.testing.assert_allclose(rescaled.roots, direct.roots, rtol=1e-3)
    np.testing.assert_allclose(rescaled.root_depth_stddev_m, direct.root_depth_stddev_m, rtol=1e-2)
    np.testing.assert_allclose(assumed.roots[:, :2], direct.roots[:, :2], rtol=1e-3)


@pytest.mark.parametrize('factor', [0.5, 0.8, 1.7, 3])
def test_a_wrong_focal_length_scales_every_depth(factor: float) -> None:
    persons, found = seen(CAMERA, standing((0.5, 0, 4), (-2, 0.3, 12)))
    depths, stddevs = root_depths(persons, found, CAMERA, BODY)
    K = CAMERA.K * np.array([[factor, 1, 1], [1, factor, 1], [1, 1, 1]])
    wrong = root_depths(persons, found, Camera(K, 1920, 1080), BODY)
    np.testing.assert_allclose(wrong[0], factor * depths, rtol=2e-3)
    np.testing.assert_allclose(wrong[1], factor * stddevs, rtol=2e-2)


@pytest.mark.parametrize('factor', [0.6, 1.1])
def test_of_smaller_people_all_are_nearer(factor: float) -> None:
    persons, found = seen(CAMERA, standing((0.5, 0, 4), (-2, 0.3, 12)))
    depths, _ = root_depths(persons, found, CAMERA, BODY)
    children, _ = root_depths(persons, found, CAMERA, BodySize(factor * 1.7, factor * 0.09))
    np.testing.assert_allclose(children, factor * depths, rtol=2e-3)


def test_a_wider_range_of_statures_is_a_wider_answer() -> None:
    scene = seen(CAMERA, standing((0.5, 0, 4)))
    depths, narrow = root_depths(*scene, CAMERA, BodySize(1.7, 0.05))
    same, wide = root_depths(*scene, CAMERA, BodySize(1.7, 0.4))
    np.testing.assert_allclose(same, depths)
    assert narrow[0] < 0.09 * depths[0] < 0.23 * depths[0] < wide[0]


def test_certain_of_nothing_the_box_decides_and_says_how_little_it_knows() -> None:
    persons, found = seen(CAMERA, standing((0, 0, 5)), score=0.0)
    depths, stddevs = root_depths(persons, found, CAMERA, BODY)
    assert 4 < depths[0] < 6
    assert 0.38 < stddevs[0] / depths[0] < 0.45


def test_fewer_certain_bones_are_a_wider_answer() -> None:
    persons, found = seen(CAMERA, standing((0, 0, 5)))
    scores = np.zeros((1, 26))
    relative = []
    for names in (('left_hip', 'left_knee'), ('left_ankle', 'right_hip', 'right_knee')):
        scores[:, HALPE26.indices(*names)] = 0.9
        some = Keypoints(HALPE26, found.xy, scores.copy())
        depths, stddevs = root_depths(persons, some, CAMERA, BODY)
        relative.append(stddevs[0] / depths[0])
    assert 0.4 > relative[0] > relative[1] > 0.08


def test_the_trunk_alone_says_how_far() -> None:
    persons, found = seen(CAMERA, standing((0, 0, 5)))
    scores = np.zeros((1, 26))
    scores[:, HALPE26.indices('left_hip', 'right_hip', 'left_shoulder', 'right_shoulder')] = 0.9
    depths, _ = root_depths(persons, Keypoints(HALPE26, found.xy, scores), CAMERA, BODY)
    assert 4.2 < depths[0] < 5.2  # nearer: a bone is taken to slant a little


def test_one_false_keypoint_does_not_decide() -> None:
    persons, found = seen(CAMERA, standing((0, 0, 5)))
    xy = found.xy.copy()
    knee, ankle = HALPE26.indices('left_knee', 'left_ankle')
    xy[0, ankle] = xy[0, knee] + 2.3 * (xy[0, ankle] - xy[0, knee])
    depths, stddevs = root_depths(persons, Keypoints(HALPE26, xy, found.scores), CAMERA, BODY)
    assert abs(depths[0] - 5) < 2 * stddevs[0]


def test_unknown_keypoints_may_hold_anything() -> None:
    persons, found = seen(CAMERA, standing((0, 0, 5), (1, 0, 8)))
    joint = HALPE26.index('left_wrist')
    scores = found.scores.copy()
    scores[0, joint] = 0
    expected = root_depths(persons, Keypoints(HALPE26, found.xy, scores), CAMERA, BODY)
    for value, score in ((np.nan, 0.0), (1e30, 0.0), (np.inf, np.nan), (np.nan, np.nan)):
        xy = found.xy.copy()
        xy[0, joint], scores[0, joint] = value, score
        with np.errstate(invalid='ignore'):
            depths = root_depths(persons, Keypoints(HALPE26, xy, scores), CAMERA, BODY)
        np.testing.assert_allclose(depths, expected)


@pytest.mark.parametrize(
    'box', [(0, 0, 1e-9, 1e-9), (0, 0, 1e30, 1e30), (-1e6, -1e6, 1, 1), (5, 5, 0, 0)]
)
@pytest.mark.parametrize('at', [0.0, 300.0, 1e9])
def test_absurd_people_get_finite_depths(box: tuple[float, ...], at: float) -> None:
    """Keypoints all on one point too."""
    found = Keypoints(HALPE26, np.full((1, 26, 2), at), np.full((1, 26), 0.9))
    depths, stddevs = root_depths(Persons(np.array([box]), np.ones(1)), found, CAMERA, BODY)
    assert 0.2 <= depths[0] <= 300
    assert 0 < stddevs[0] < 300


def test_nobody() -> None:
    nobody = Keypoints(HALPE26, np.zeros((0, 26, 2)), np.zeros((0, 26)))
    depths, stddevs = root_depths(Persons.none(), nobody, CAMERA, BODY)
    assert depths.shape == stddevs.shape == (0,)


def test_rootnet_puts_people_on_the_ray_of_their_hips() -> None:
    image = people_image()
    camera = Camera.fallback(image.shape[1], image.shape[0])
    persons = KeypointRootNet(rtmpose())(image, people(), camera, BODY)
    np.testing.assert_array_equal(persons.boxes, people().boxes)
    assert persons.keypoints is not None
    np.testing.assert_allclose(persons.keypoints.xy, keypoints().xy, atol=1e-3)
    hips = persons.keypoints.xy[:, HALPE26.index('hip')]
    np.testing.assert_allclose(camera.project(persons.roots), hips, atol=1e-6)
    assert persons.has_root.all()
    depths, stddevs = root_depths(people(), keypoints(), camera, BODY)
    np.testing.assert_allclose(persons.roots[:, 2], depths, rtol=1e-4)
    np.testing.assert_allclose(persons.root_depth_stddev_m, stddevs, rtol=1e-3)


def test_rootnet_of_nobody() -> None:
    image = people_image()
    camera = Camera.fallback(image.shape[1], image.shape[0])
    persons = KeypointRootNet(rtmpose())(image, Persons.none(), camera, BODY)
    assert len(persons) == 0
    assert persons.keypoints is not None
