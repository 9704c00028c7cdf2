# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What must not change, whatever the numbers: of our own geometry exactly, of networks by a bound.

The networks' parts have tests of their own (test_rtmpose.py, test_blazepose.py, test_yolox.py);
here is the whole default chain behind the detector, on a frame of three people.
"""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from bodies import body
from hypothesis import given, settings
from hypothesis import strategies as st
from real import blazepose, people, people_image, rtmpose

from pose3d_ros import weights
from pose3d_ros.camera import Camera
from pose3d_ros.crops import Crops
from pose3d_ros.models.blazepose import SCALE_STDDEV, BlazePose, BlazePoseNet
from pose3d_ros.models.body_size import BodySize, root_depths
from pose3d_ros.models.keypoint_rootnet import KeypointRootNet
from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.people import Keypoints, Persons, Poses
from pose3d_ros.skeletons import HALPE26

# Mild enough that every pixel has one ray; test_camera.py has lenses that bend back.
LENSES = st.sampled_from([
    ((), 'plumb_bob'),
    ((-0.1, 0.02, 0.001, -0.001, 0.0), 'plumb_bob'),
    ((0.1, 0.02, 0.0, 0.0, 0.001, 0.12, 0.02, 0.0), 'rational_polynomial'),
    ((-0.01, 0.02, -0.003, 0.001), 'equidistant'),
])  # fmt: skip
CAMERAS = st.builds(
    lambda focal, aspect, cx, cy, lens: Camera(
        np.array([[focal, 0, cx], [0, focal * aspect, cy], [0, 0, 1]]), 640, 480,
        np.array(lens[0]), lens[1],
    ),
    st.floats(400, 2000), st.floats(0.8, 1.25), st.floats(200, 440), st.floats(150, 330), LENSES,
)  # fmt: skip
PIXELS = st.tuples(st.floats(0, 639), st.floats(0, 479)).map(np.array)
DEPTHS = st.floats(0.3, 60)


# Our own geometry.


@given(CAMERAS, PIXELS, DEPTHS)
def test_projection_undoes_back_projection(
    camera: Camera, pixel: np.ndarray, depth_m: float
) -> None:
    point = camera.back_project(pixel, np.array(depth_m))
    np.testing.assert_allclose(camera.project(point), pixel, atol=1e-4)
    assert point[2] == depth_m
    again = camera.back_project(camera.project(point), point[2])
    np.testing.assert_allclose(again, point, atol=1e-6 * depth_m)


@given(
    st.tuples(st.floats(-500, 2500), st.floats(-500, 2500)), st.floats(2, 3000),
    st.sampled_from([(256, 256), (192, 256), (288, 384)]), st.floats(-7, 7), PIXELS,
)  # fmt: skip
def test_crop_and_back(
    centre: tuple[float, float],
    width: float,
    size: tuple[int, int],
    angle: float,
    pixel: np.ndarray,
) -> None:
    crops = Crops.around(np.array([centre]), np.array([width]), size, np.array([angle]))
    there = crops.from_image(pixel[None, None])
    np.testing.assert_allclose(crops.to_image(there)[0, 0], pixel, atol=1e-6)


@given(CAMERAS, PIXELS, DEPTHS, st.integers(1, 5))
def test_focal_length_and_image_scaled_together_change_nothing(
    camera: Camera, pixel: np.ndarray, depth_m: float, factor: int
) -> None:
    larger = camera.scaled(640 * factor, 480 * factor)
    there = (pixel + 0.5) * factor - 0.5
    np.testing.assert_allclose(
        larger.back_project(there, np.array(depth_m)),
        camera.back_project(pixel, np.array(depth_m)),
        atol=1e-6 * depth_m,
    )


@given(CAMERAS, PIXELS, DEPTHS, st.integers(-300, 300), st.integers(-300, 300))
def test_principal_point_and_image_shifted_together_change_nothing(
    camera: Camera, pixel: np.ndarray, depth_m: float, left: int, top: int
) -> None:
    moved = camera.cropped(left, top, 640, 480)
    point = camera.back_project(pixel, np.array(depth_m))
    np.testing.assert_allclose(moved.project(point), pixel - [left, top], atol=1e-4)
    if not camera.distortion.size:  # beyond its border a lens is continued, not computed
        found = moved.back_project(pixel - [left, top], np.array(depth_m))
        np.testing.assert_allclose(found, point, atol=1e-9 * depth_m)


def _mirrored(camera: Camera) -> Camera:
    """Return the camera of the mirrored image; tangential distortion must be 0."""
    K = camera.K.copy()
    K[0, 2] = camera.width - 1 - K[0, 2]
    return replace(camera, K=K)


@given(CAMERAS, st.floats(-2, 2), st.floats(-1, 1), st.floats(2.5, 20), st.floats(-3, 3))
@settings(deadline=None)
def test_mirrored_keypoints_are_mirrored_roots(
    camera: Camera, x: float, y: float, depth_m: float, turn: float
) -> None:
    camera = replace(camera, distortion=np.zeros(0))
    cos, sin = np.cos(turn), np.sin(turn)
    standing = body(HALPE26) @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T
    pixels = camera.project(np.add(standing, (x, y, depth_m)))
    mirror = np.where([True, False], 639 - pixels, pixels)[HALPE26.flip_order]
    depths = [
        root_depths(
            Persons(np.array([[*xy.min(axis=0), *np.ptp(xy, axis=0)]]), np.ones(1)),
            Keypoints(HALPE26, xy[None], np.ones((1, 26))), seen_by, BodySize(),
        )
        for xy, seen_by in ((pixels, camera), (mirror, _mirrored(camera)))
    ]  # fmt: skip
    np.testing.assert_allclose(depths[1], depths[0], rtol=1e-6)


@given(st.permutations(range(4)), st.floats(0.5, 2))
def test_the_order_of_people_does_not_matter(order: list[int], ratio: float) -> None:
    rng = np.random.default_rng(4)
    roots = rng.uniform([-2, -1, 2], [2, 1, 9], (4, 3))
    some = Persons(rng.uniform(0, 300, (4, 4)) + 5, rng.uniform(size=4), tuple('abcd'), roots)
    one = some[order].inside(400, 300).rescaled(ratio)
    other = some.inside(400, 300).rescaled(ratio)
    assert sorted(one.ids) == sorted(other.ids)
    for i, name in enumerate(one.ids):
        j = other.ids.index(name)
        np.testing.assert_array_equal(one.boxes[i], other.boxes[j])
        np.testing.assert_array_equal(one.roots[i], other.roots[j])


# The default networks.


def _chain(image: np.ndarray, persons: Persons, camera: Camera) -> Poses:
    rooted = KeypointRootNet(rtmpose())(image, persons, camera, BodySize())
    return BlazePoseNet(blazepose(), SCALE_STDDEV['full'])(image, rooted, camera)


def _camera() -> Camera:
    height, width = people_image().shape[:2]
    return Camera.from_field_of_view(width, height, 60)


@cache
def posed() -> Poses:
    return _chain(people_image(), people(), _camera())


@pytest.mark.parametrize('order', [[0], [1], [2], [2, 0], [1, 2, 0], [0, 0, 1, 2, 1, 2, 0]])
def test_together_in_any_order_and_number_is_as_alone(order: list[int]) -> None:
    found = _chain(people_image(), people()[order], _camera())
    np.testing.assert_allclose(found.joints, posed().joints[order], atol=2e-3)
    np.testing.assert_allclose(found.roots, posed().roots[order], atol=2e-3)


def test_a_larger_image_by_a_longer_lens_is_the_same_scene() -> None:
    """Twice the pixels of both: depths within 0.3 %, joints within 20 mm, by the interpolation."""
    image, camera = people_image(), _camera()
    height, width = image.shape[:2]
    twice = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    corners = (people().boxes[:, :2] + 0.5) * 2 - 0.5
    persons = replace(people(), boxes=np.hstack([corners, people().boxes[:, 2:] * 2]))
    found = _chain(twice, persons, camera.scaled(2 * width, 2 * height))
    relative = np.abs(found.roots[:, 2] / posed().roots[:, 2] - 1)
    assert relative.max() < 0.003
    assert np.linalg.norm(found.joints - posed().joints, axis=2).mean(axis=1).max() < 0.02


def test_a_moved_principal_point_and_image_is_the_same_scene() -> None:
    image = cv2.copyMakeBorder(people_image(), 40, 8, 24, 16, cv2.BORDER_CONSTANT)
    camera = _camera().cropped(-24, -40, image.shape[1], image.shape[0])
    found = _chain(image, replace(people(), boxes=np.add(people().boxes, [24, 40, 0, 0])), camera)
    np.testing.assert_allclose(found.joints, posed().joints, atol=1e-4)


def test_a_mirrored_image_is_the_mirrored_scene_with_sides_swapped() -> None:
    """Joints within 80 mm about the hips, unswapped 200 mm off; depths within 4 %."""
    image, boxes = people_image(), people().boxes.copy()
    boxes[:, 0] = image.shape[1] - 1 - boxes[:, 0] - boxes[:, 2]
    found = _chain(
        np.ascontiguousarray(image[:, ::-1]), replace(people(), boxes=boxes), _mirrored(_camera())
    )
    back = found.joints[:, found.skeleton.flip_order] * [-1, 1, 1]
    own = [poses - roots[:, None] for poses, roots in (
        (back, found.roots * [-1, 1, 1]), (posed().joints, posed().roots))]  # fmt: skip
    off = np.linalg.norm(own[0] - own[1], axis=2).mean(axis=1)
    unswapped = own[0][:, found.skeleton.flip_order] - own[1]
    relative = np.abs(found.roots[:, 2] / posed().roots[:, 2] - 1)
    assert off.max() < 0.08
    assert relative.max() < 0.04
    assert (np.linalg.norm(unswapped, axis=2).mean(axis=1) > 0.2).all()


def test_bf16_is_near_f32() -> None:
    """Depths within 2 %, joints within 40 mm about the hips; without bf16 the option is refused."""
    options = RuntimeOptions(precision='bf16')
    if 'BF16' not in core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        with pytest.raises(Exception, match='bf16'):
            RTMPose(weights.path('rtmpose_s'), options)
        return
    rootnet = KeypointRootNet(RTMPose(weights.path('rtmpose_s'), options))
    posenet = BlazePoseNet(BlazePose(weights.path('blazepose_full'), options), SCALE_STDDEV['full'])
    rooted = rootnet(people_image(), people(), _camera(), BodySize())
    found = posenet(people_image(), rooted, _camera())
    relative = np.abs(found.roots[:, 2] / posed().roots[:, 2] - 1)
    own = (found.joints - found.roots[:, None]) - (posed().joints - posed().roots[:, None])
    assert relative.max() < 0.02
    assert np.linalg.norm(own, axis=2).mean(axis=1).max() < 0.04
