# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The 3D pose network: each person alone, mirrored, turned; and the posenet around it."""

import dataclasses
from functools import cache

import cv2
import numpy as np
import pytest
from bodies import body
from bodies import seen as with_keypoints
from real import blazepose, keypoints, people, people_image

from pose3d_ros.camera import Camera
from pose3d_ros.models.blazepose import BlazePoseNet, BodyCircles, Landmarks
from pose3d_ros.models.body_size import BodySize, root_depths
from pose3d_ros.models.placement import facing_rotation
from pose3d_ros.people import Keypoints, Persons, Poses
from pose3d_ros.skeletons import BLAZEPOSE, HALPE26, HUMAN36M


@cache
def circles() -> BodyCircles:
    return BodyCircles.of_keypoints(keypoints())


@cache
def seen() -> Landmarks:
    return blazepose()(people_image(), circles())


def some(of: BodyCircles, rows: list[int]) -> BodyCircles:
    return BodyCircles(of.centres[rows], of.radii[rows], of.angles[rows])


def mean_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=2).mean(axis=1)


def camera_of(image: np.ndarray) -> Camera:
    return Camera.fallback(image.shape[1], image.shape[0])


@cache
def rooted() -> Persons:
    """Return the three people as the default rootnet hands them on."""
    camera = camera_of(people_image())
    depths, stddevs = root_depths(people(), keypoints(), camera, BodySize())
    hips = keypoints().xy[:, HALPE26.index('hip')]
    persons = people().with_ids(['7', '8', '9'])
    return persons.with_roots(camera.back_project(hips, depths), stddevs, keypoints())


@cache
def posenet() -> BlazePoseNet:
    return BlazePoseNet(blazepose(), 0.12)


@cache
def posed() -> Poses:
    return posenet()(people_image(), rooted(), camera_of(people_image()))


def test_together_is_as_each_alone_in_any_order() -> None:
    order = [1, 2, 0]
    shuffled = blazepose()(people_image(), some(circles(), order))
    np.testing.assert_allclose(shuffled.relative, seen().relative[order], atol=1e-4)
    np.testing.assert_allclose(shuffled.pixels, seen().pixels[order], atol=0.05)
    np.testing.assert_allclose(shuffled.scores, seen().scores[order], atol=1e-3)
    for i in range(3):
        alone = blazepose()(people_image(), some(circles(), [i]))
        np.testing.assert_allclose(alone.relative[0], seen().relative[i], atol=1e-4)
        np.testing.assert_allclose(alone.presence, seen().presence[[i]], atol=1e-4)


def test_a_mirrored_image_gives_the_mirrored_body() -> None:
    """Within 100 mm a joint of bodies whose joints lie 500 mm from the hips; unswapped 200."""
    image = people_image()
    centres = np.array([image.shape[1] - 1, 0]) + circles().centres * [-1, 1]
    mirrored = BodyCircles(centres, circles().radii, -circles().angles)
    found = blazepose()(np.ascontiguousarray(image[:, ::-1]), mirrored).relative * [-1, 1, 1]
    assert (mean_distance(found[:, BLAZEPOSE.flip_order], seen().relative) < 0.1).all()
    assert (mean_distance(found, seen().relative) > 0.2).all()


@pytest.mark.parametrize('turns', [1, 2, 3])
def test_a_turned_image_gives_the_turned_body(turns: int) -> None:
    """The crop is upright either way, so to the millimetre."""
    image = np.ascontiguousarray(np.rot90(people_image(), -turns))  # clockwise
    centres, relative, pixels = circles().centres, seen().relative, seen().pixels
    height, width = people_image().shape[:2]
    for _ in range(turns):
        centres = np.array([height - 1, 0]) + centres[:, ::-1] * [-1, 1]
        pixels = np.array([height - 1, 0]) + pixels[..., ::-1] * [-1, 1]
        relative = relative[..., [1, 0, 2]] * [-1, 1, 1]
        height, width = width, height
    angles = circles().angles + turns * np.pi / 2
    found = blazepose()(image, BodyCircles(centres, circles().radii, angles))
    assert (mean_distance(found.relative, relative) < 1e-3).all()
    np.testing.assert_allclose(found.pixels, pixels, atol=0.2)


def test_what_it_sees_is_where_the_keypoints_are() -> None:
    """Two networks on the same people: half the joints within 4 % of the body's height."""
    names = ('left_shoulder', 'right_shoulder', 'left_hip', 'right_hip', 'left_knee', 'right_ankle')
    ours = seen().pixels[:, BLAZEPOSE.indices(*names)]
    theirs = keypoints().xy[:, HALPE26.indices(*names)]
    off = np.linalg.norm(ours - theirs, axis=2) / people().boxes[:, 3:]
    assert (np.median(off, axis=1) < 0.04).all()
    assert (seen().presence > 0.9).all()
    assert ((seen().scores >= 0) & (seen().scores <= 1)).all()
    # in metres: hips in the middle, head above, feet below, about as tall as people are
    hips = seen().relative[:, BLAZEPOSE.root].mean(axis=1)
    assert np.abs(hips).max() < 0.02
    tall = seen().relative[:, 27:29, 1].mean(axis=1) - seen().relative[:, 0, 1]
    assert ((tall > 0.9) & (tall < 1.9)).all()


def test_red_and_blue_are_in_their_places() -> None:
    """The network is less certain of people with blue skin."""
    swapped = blazepose()(np.ascontiguousarray(people_image()[..., ::-1]), circles())
    assert swapped.scores.mean() < seen().scores.mean() - 0.02


def test_nothing_there_is_said() -> None:
    image = np.zeros((300, 300, 3), np.uint8)
    found = blazepose()(image, BodyCircles(np.full((1, 2), 150.0), np.ones(1) * 100, np.zeros(1)))
    assert found.presence[0] < 0.2
    assert np.isfinite(found.relative).all()


def keypoints_of(**places: tuple[float, float, float]) -> Keypoints:
    """Return one person's keypoints at x, y with a score; all others at the hip, score 0."""
    xy = np.tile(places['hip'][:2], (1, 26, 1)).astype(float)
    scores = np.zeros((1, 26))
    for name, (x, y, score) in places.items():
        xy[0, HALPE26.index(name)], scores[0, HALPE26.index(name)] = (x, y), score
    return Keypoints(HALPE26, xy, scores)


@pytest.mark.parametrize(
    ('neck', 'degrees'), [((0, -1), 0), ((1, 0), 90), ((0, 1), 180), ((-1, -1), -45), ((0, 0), 0)]
)
def test_circle_and_angle_of_keypoints(neck: tuple[float, float], degrees: float) -> None:
    found = BodyCircles.of_keypoints(
        keypoints_of(
            hip=(100, 200, 0.9),
            neck=(100 + 50 * neck[0], 200 + 50 * neck[1], 0.9),
            left_ankle=(100, 320, 0.8),
            right_wrist=(100, 900, 0.1),  # too uncertain to count
        )
    )
    np.testing.assert_allclose(found.centres, [[100, 200]])
    np.testing.assert_allclose(found.radii, [120])
    np.testing.assert_allclose(np.degrees(found.angles), [degrees], atol=1e-9)


def test_certain_of_nothing_the_circle_still_has_a_size() -> None:
    everywhere = Keypoints(HALPE26, np.zeros((1, 26, 2)), np.zeros((1, 26)))
    assert BodyCircles.of_keypoints(everywhere).radii[0] == 1
    spread = Keypoints(
        HALPE26, 100 * np.random.default_rng(0).normal(size=(1, 26, 2)), np.full((1, 26), 0.1)
    )
    assert 50 < BodyCircles.of_keypoints(spread).radii[0] < 300


@pytest.mark.parametrize('broken', [0.0, np.nan])
def test_where_the_hips_are_unknown_the_box_counts(broken: float) -> None:
    persons = Persons(np.array([[10.0, 20, 100, 300], [500, 100, 80, 200]]), np.ones(2))
    good = keypoints_of(hip=(540, 200, 0.9), neck=(540, 150, 0.9), left_ankle=(540, 290, 0.9))
    xy, scores = np.repeat(good.xy, 2, axis=0), np.repeat(good.scores, 2, axis=0)
    hip = HALPE26.index('hip')
    xy[0, hip], scores[0, hip] = broken, broken
    found = BodyCircles.of_persons(persons, Keypoints(HALPE26, xy, scores))
    np.testing.assert_allclose(found.centres, [[60, 170], [540, 200]])
    np.testing.assert_allclose(found.radii, [150, 90])
    np.testing.assert_allclose(found.angles, [0, 0])
    boxes_only = BodyCircles.of_persons(persons, None)
    np.testing.assert_allclose(boxes_only.radii, [150, 100])


class Oracle:
    """A network that knows the body, as seen by a camera that looks straight at it."""

    network = None

    def __init__(self, relative: np.ndarray) -> None:
        self._relative = relative

    def __call__(self, image: np.ndarray, circles: BodyCircles) -> Landmarks:
        n = len(circles.radii)
        return Landmarks(self._relative, np.zeros((n, 33, 2)), np.ones((n, 33)), np.ones(n))


def test_a_body_at_the_side_of_the_view_is_turned_towards_it() -> None:
    """What a crop shows as depth lies along the ray, not along the axis."""
    image = np.zeros((1080, 1920, 3), np.uint8)
    camera = camera_of(image)
    places = np.array([[2.0, -0.3, 3.5], [-1.5, 0.4, 4.0]])
    turn = facing_rotation(places[:, :2] / places[:, 2:])
    joints = body(HALPE26) @ turn.transpose(0, 2, 1) + places[:, None]
    persons, found = with_keypoints(camera, joints)
    net = BlazePoseNet(Oracle(np.tile(body(BLAZEPOSE), (2, 1, 1))), 0.1)  # type: ignore[arg-type]
    poses = net(image, dataclasses.replace(persons, keypoints=found), camera)
    expected = body(BLAZEPOSE) @ turn.transpose(0, 2, 1) + places[:, None]
    # but for what the body's proportions differ from the usual
    np.testing.assert_allclose(poses.joints, expected, atol=5e-3)
    np.testing.assert_allclose(poses.roots, places, atol=1e-3)


def test_poses_belong_to_their_people() -> None:
    poses = posed()
    assert poses.skeleton is BLAZEPOSE is posenet().skeleton
    assert poses.ids == ('7', '8', '9')
    np.testing.assert_array_equal(poses.scores, rooted().scores)
    order = [2, 0, 1]
    shuffled = posenet()(people_image(), rooted()[order], camera_of(people_image()))
    assert shuffled.ids == ('9', '7', '8')
    np.testing.assert_allclose(shuffled.joints, poses.joints[order], atol=2e-3)
    np.testing.assert_allclose(shuffled.roots, poses.roots[order], atol=2e-3)


def test_poses_stand_where_the_people_are() -> None:
    poses, camera = posed(), camera_of(people_image())
    np.testing.assert_allclose(poses.roots, poses.joints[:, BLAZEPOSE.root].mean(axis=1))
    assert (poses.root_depth_stddev_m / poses.roots[:, 2] > 0.03).all()
    assert (poses.root_depth_stddev_m / poses.roots[:, 2] < 0.15).all()
    relative = np.abs(np.log(poses.roots[:, 2] / rooted().roots[:, 2]))
    assert (relative < 0.25).all()
    names = ('left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_shoulder')
    certain = keypoints().scores[:, HALPE26.indices(*names)] > 0.5
    pixels = camera.project(poses.joints[:, BLAZEPOSE.indices(*names)])
    seen_at = keypoints().xy[:, HALPE26.indices(*names)]
    assert certain.sum() >= 10
    np.testing.assert_allclose(pixels[certain], seen_at[certain], atol=0.01)


def test_principal_point_and_image_moved_together_change_nothing() -> None:
    """The whole of rootnet's roots and posenet, on pixels: within 5 mm."""
    image = people_image()
    camera = camera_of(image)
    padded = cv2.copyMakeBorder(image, 40, 8, 24, 16, cv2.BORDER_CONSTANT)
    moved_camera = camera.cropped(-24, -40, padded.shape[1], padded.shape[0])
    moved = Keypoints(HALPE26, np.add(keypoints().xy, [24, 40]), keypoints().scores)
    persons = Persons(
        np.add(people().boxes, [24, 40, 0, 0]),
        people().scores,
        roots=rooted().roots,
        root_depth_stddev_m=rooted().root_depth_stddev_m,
        keypoints=moved,
    )
    poses = posenet()(padded, persons, moved_camera)
    np.testing.assert_allclose(poses.joints, posed().joints, atol=5e-3)


def test_twice_the_focal_length_is_twice_as_far() -> None:
    """All depths of rootnet and posenet, to 5 %: only perspective within the body differs."""
    camera = camera_of(people_image())
    K = camera.K * np.array([[2, 1, 1], [1, 2, 1], [1, 1, 1]])
    longer = Camera(K, camera.width, camera.height)
    depths, stddevs = root_depths(people(), keypoints(), longer, BodySize())
    hips = keypoints().xy[:, HALPE26.index('hip')]
    persons = people().with_roots(longer.back_project(hips, depths), stddevs, keypoints())
    poses = posenet()(people_image(), persons, longer)
    np.testing.assert_allclose(poses.roots[:, 2], 2 * posed().roots[:, 2], rtol=0.05)


def test_without_keypoints_the_networks_own_landmarks_place_the_body() -> None:
    camera = camera_of(people_image())
    bare = dataclasses.replace(rooted(), keypoints=None)
    poses = posenet()(people_image(), bare, camera)
    assert mean_distance(poses.joints, posed().joints).max() < 1.0
    foreign = Keypoints(HUMAN36M, np.zeros((3, 18, 2)), np.ones((3, 18)))
    same = posenet()(people_image(), dataclasses.replace(rooted(), keypoints=foreign), camera)
    np.testing.assert_array_equal(same.joints, poses.joints)


def test_without_roots_the_fit_alone_places_the_body() -> None:
    bare = people().with_roots(np.full((3, 3), np.nan), np.zeros(3), keypoints())
    poses = posenet()(people_image(), bare, camera_of(people_image()))
    assert np.isfinite(poses.joints).all()
    assert np.abs(np.log(poses.roots[:, 2] / posed().roots[:, 2])).max() < 0.25


def test_a_box_with_nobody_in_it_stays_at_the_rootnets_depth() -> None:
    """A false detection must not become a body a hand's breadth before the camera."""
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    camera = camera_of(image)
    rng = np.random.default_rng(4)
    xy = rng.uniform([200, 100], [300, 400], (1, 26, 2))
    found = Keypoints(HALPE26, xy, np.full((1, 26), 0.25))
    persons = Persons(
        np.array([[200.0, 100, 100, 300]]),
        np.ones(1),
        roots=np.array([[0.0, 0, 4]]),
        root_depth_stddev_m=np.array([1.0]),
        keypoints=found,
    )
    poses = posenet()(image, persons, camera)
    assert 2 < poses.roots[0, 2] < 6
    assert poses.joints[..., 2].min() > 1


def test_nobody() -> None:
    poses = posenet()(people_image(), Persons.none(), camera_of(people_image()))
    assert len(poses) == 0
    assert poses.joints.shape == (0, 33, 3)
