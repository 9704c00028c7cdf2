# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where a body stands: exact where everything fits, sober where nothing does."""

import numpy as np
import pytest
from bodies import body, seen, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from pose3d_ros.camera import Camera
from pose3d_ros.models.limbs import LIMB_JOINTS
from pose3d_ros.models.placement import (
    Fit,
    RootPrior,
    facing_rotation,
    fuse_depths,
    place,
)
from pose3d_ros.people import UNSTATED_DEVIATION, Keypoints
from pose3d_ros.skeletons import BLAZEPOSE, HALPE26

CAMERA = Camera.fallback(1920, 1080)
PLACES = np.array([[0.4, -0.1, 2.5], [-3.0, 0.5, 9.0], [5.0, 1.0, 35.0]])
LIMBS = HALPE26.indices(*LIMB_JOINTS)
NOT_KNOWN = RootPrior(np.full(3, np.nan), np.zeros(3))


def scene(degrees: float = 25.0) -> tuple[np.ndarray, Keypoints]:
    """Return BlazePose's joints (3, 33, 3) around the hips, and the keypoints at PLACES."""
    _, found = seen(CAMERA, turned(body(HALPE26), degrees) + PLACES[:, None])
    return np.tile(turned(body(BLAZEPOSE), degrees), (3, 1, 1)), found


def fit_of(joints: np.ndarray, rays: np.ndarray, weights: np.ndarray | None = None) -> Fit:
    return Fit.of(joints, rays, np.ones(joints.shape[:2]) if weights is None else weights)


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-2, 2),
    y=st.floats(-1, 1),
    z=st.floats(1.5, 100),
    degrees=st.floats(-180, 180),
    seed=st.integers(0, 99),
)
def test_the_translation_of_a_known_body_is_exact(
    x: float, y: float, z: float, degrees: float, seed: int
) -> None:
    weights = np.random.default_rng(seed).uniform(0.05, 1, (1, 12))
    joints = turned(body(HALPE26), degrees)[None, LIMBS]
    place_m = np.array([x, y, z])
    points = joints + place_m
    fit = fit_of(joints, points[..., :2] / points[..., 2:], weights)
    np.testing.assert_allclose(fit.depth_m, z, rtol=1e-6)
    np.testing.assert_allclose(fit.roots_at(fit.depth_m)[0], place_m, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fit.agreement, 1, atol=1e-9)


def test_the_fit_is_the_least_of_squares() -> None:
    """Against NumPy's solver, on noise and uneven weights."""
    rng = np.random.default_rng(1)
    joints, _ = scene()
    joints = joints[:, BLAZEPOSE.indices(*LIMB_JOINTS)]
    points = joints + PLACES[:, None]
    rays = points[..., :2] / points[..., 2:] + rng.normal(0, 0.01, (3, 12, 2))
    weights = rng.uniform(0.1, 1, (3, 12))
    fit = fit_of(joints, rays, weights)
    for i in range(3):
        (x, y), w, W = rays[i].T, weights[i], joints[i]
        zero = np.zeros(12)
        left = np.concatenate([np.stack([w, zero, -w * x], 1), np.stack([zero, w, -w * y], 1)])
        right = np.concatenate([w * (x * W[:, 2] - W[:, 0]), w * (y * W[:, 2] - W[:, 1])])
        expected = np.linalg.lstsq(left, right, rcond=None)[0]
        np.testing.assert_allclose(fit.roots_at(fit.depth_m)[i], expected, rtol=1e-6)


def test_agreement_falls_with_noise() -> None:
    joints, _ = scene()
    joints = joints[:1, BLAZEPOSE.indices(*LIMB_JOINTS)]
    points = joints + PLACES[0]
    rays = points[..., :2] / points[..., 2:]
    noise = np.random.default_rng(2).normal(0, 1, rays.shape)
    agreements = [fit_of(joints, rays + s * noise).agreement[0] for s in (0, 0.01, 0.05, 0.3)]
    assert agreements == sorted(agreements, reverse=True)
    assert agreements[0] == pytest.approx(1)
    assert 0.9 < agreements[1] < 1
    assert agreements[3] < 0.6


def test_a_body_upside_down_or_behind_does_not_agree() -> None:
    joints, _ = scene()
    joints = joints[:, BLAZEPOSE.indices(*LIMB_JOINTS)]
    points = joints + PLACES[:, None]
    rays = points[..., :2] / points[..., 2:]
    fit = fit_of(joints, 2 * rays.mean(axis=1, keepdims=True) - rays)
    assert (fit.agreement == 1e-3).all()
    assert (fit.depth_m == 0.1).all()


def test_place_puts_every_joint_where_it_is() -> None:
    """Also through another joint set, a lens and people at different distances."""
    for lens in ([], [-0.2, 0.05, 1e-3, 0, 0]):
        camera = Camera(CAMERA.K, 1920, 1080, np.array(lens))
        _, found = seen(camera, turned(body(HALPE26), 25) + PLACES[:, None])
        joints, _ = scene()
        placed = place(joints, BLAZEPOSE, found, camera, NOT_KNOWN, 0.1)
        # but for what the body's proportions differ from the usual
        np.testing.assert_allclose(placed.joints, joints + PLACES[:, None], atol=5e-3)
        np.testing.assert_allclose(placed.roots, PLACES, atol=2e-4)
        np.testing.assert_allclose(placed.root_depth_stddev_m, 0.1 * PLACES[:, 2], rtol=1e-3)


def test_the_callers_arrays_stay_as_they_are() -> None:
    joints, found = scene()
    before = joints.copy(), found.xy.copy(), found.scores.copy()
    place(joints, BLAZEPOSE, found, CAMERA, NOT_KNOWN, 0.1)
    for array, copy in zip((joints, found.xy, found.scores), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_certain_keypoints_hold_joints_on_their_rays() -> None:
    joints, found = scene()
    elbow, knee = (BLAZEPOSE.index(n) for n in ('left_elbow', 'right_knee'))
    joints[:, elbow, 0] += 0.1
    joints[:, knee, 1] -= 0.1
    scores = found.scores.copy()
    scores[:, HALPE26.index('right_knee')] = 0.1  # not believed
    prior = RootPrior(PLACES[:, 2], np.full(3, 1e-3))
    placed = place(joints, BLAZEPOSE, Keypoints(HALPE26, found.xy, scores), CAMERA, prior, 0.1)
    pixels = CAMERA.project(placed.joints)
    np.testing.assert_allclose(
        pixels[:, elbow], found.xy[:, HALPE26.index('left_elbow')], atol=1e-6
    )
    off = np.abs(pixels[:, knee] - found.xy[:, HALPE26.index('right_knee')]).max(axis=1)
    assert (off > 3).all()


def test_principal_point_and_image_moved_together_change_nothing() -> None:
    joints, found = scene()
    prior = RootPrior(PLACES[:, 2] * 1.1, PLACES[:, 2] * 0.1)
    expected = place(joints, BLAZEPOSE, found, CAMERA, prior, 0.1)
    camera = CAMERA.cropped(-300, -200, 2500, 1500)
    moved = Keypoints(HALPE26, np.add(found.xy, [300, 200]), found.scores)
    placed = place(joints, BLAZEPOSE, moved, camera, prior, 0.1)
    np.testing.assert_allclose(placed.joints, expected.joints, atol=1e-9)


@pytest.mark.parametrize('factor', [0.5, 2.0])
def test_a_wrong_focal_length_scales_the_depth_of_a_flat_body(factor: float) -> None:
    """Exactly so for a body without depth of its own, which perspective does not tell apart."""
    joints, _ = scene(0)
    joints[..., 2] = 0
    flat = body(HALPE26) * [1, 1, 0]
    _, found = seen(CAMERA, flat + PLACES[:, None])
    K = CAMERA.K * np.array([[factor, 1, 1], [1, factor, 1], [1, 1, 1]])
    placed = place(joints, BLAZEPOSE, found, Camera(K, 1920, 1080), NOT_KNOWN, 0.1)
    np.testing.assert_allclose(placed.roots[:, 2], factor * PLACES[:, 2], rtol=1e-5)
    np.testing.assert_allclose(placed.roots[:, :2], PLACES[:, :2], rtol=1e-3)


@settings(max_examples=60, deadline=None)
@given(x=st.floats(-20, 20), y=st.floats(-20, 20))
def test_facing_rotation_turns_the_axis_onto_the_ray(x: float, y: float) -> None:
    rotation = facing_rotation(np.array([[x, y], [0, 0]]))
    ray = np.array([x, y, 1])
    np.testing.assert_allclose(rotation[0] @ [0, 0, 1], ray / np.linalg.norm(ray), atol=1e-12)
    np.testing.assert_allclose(rotation[0] @ rotation[0].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation[0]) == pytest.approx(1)
    np.testing.assert_allclose(rotation[1], np.eye(3))
    # about an axis across the ray: nothing turns around the ray itself
    axis = np.array([-y, x, 0])
    np.testing.assert_allclose(rotation[0] @ axis, axis, atol=1e-9)


def fit_at(depth_m: float, agreement: float = 1.0) -> Fit:
    zero = np.zeros((1, 2))
    return Fit(np.array([depth_m]), np.array([agreement]), zero, zero)


def prior_of(depth_m: float, stddev_m: float) -> RootPrior:
    return RootPrior(np.array([depth_m]), np.array([stddev_m]))


@pytest.mark.parametrize(
    ('depth_m', 'stddev_m'),
    [(np.nan, 0.5), (np.nan, 0), (0, 1), (-2, 1), (np.inf, 1), (np.nan, np.nan), (0, 0)],
)
def test_what_is_not_known_before_has_no_say(depth_m: float, stddev_m: float) -> None:
    depths, stddevs = fuse_depths(fit_at(3.0), 0.1, prior_of(depth_m, stddev_m))
    np.testing.assert_allclose(depths, 3.0)
    np.testing.assert_allclose(stddevs, 0.3)


@pytest.mark.parametrize('stddev_m', [0.0, -1.0, np.nan, np.inf])
def test_a_depth_whose_deviation_is_not_stated_has_a_usual_one(stddev_m: float) -> None:
    """As RootNet's, which says how far away and not how sure it is."""
    unstated = fuse_depths(fit_at(3.0), 0.1, prior_of(5.0, stddev_m))
    stated = fuse_depths(fit_at(3.0), 0.1, prior_of(5.0, 5.0 * UNSTATED_DEVIATION))
    np.testing.assert_allclose(unstated, stated)
    assert 3.5 < unstated[0][0] < 5.0


@pytest.mark.parametrize('stddev_m', [1e-6, 1e-30, 1e-300])
def test_the_infinitely_certain_decides(stddev_m: float) -> None:
    depths, stddevs = fuse_depths(fit_at(3.0), 0.1, prior_of(5.0, stddev_m))
    np.testing.assert_allclose(depths, 5.0, rtol=1e-6)
    assert 0 < stddevs[0] < 1e-4


def test_equally_certain_they_meet_in_the_middle_of_the_logarithms() -> None:
    depths, stddevs = fuse_depths(fit_at(2.0), 0.1, prior_of(8.0, 0.8))
    np.testing.assert_allclose(depths, 4.0)
    np.testing.assert_allclose(stddevs, 4.0 * 0.1 / np.sqrt(2))


def test_a_fit_that_nothing_bears_out_has_no_say() -> None:
    depths, stddevs = fuse_depths(fit_at(0.1, 1e-3), 0.1, prior_of(8.0, 0.8))
    np.testing.assert_allclose(depths, 8.0, rtol=0.01)
    np.testing.assert_allclose(stddevs, 0.8, rtol=0.01)


def test_another_body_than_the_keypoints_show_stays_at_the_prior() -> None:
    """Least squares alone puts it near the camera: keypoints at random, joints of a body."""
    rng = np.random.default_rng(3)
    joints, found = scene()
    xy = found.xy[:, :1] + rng.uniform(-80, 80, found.xy.shape)
    prior = RootPrior(np.full(3, 6.0), np.full(3, 1.0))
    wild = place(joints, BLAZEPOSE, Keypoints(HALPE26, xy, found.scores), CAMERA, prior, 0.1)
    assert (np.abs(wild.roots[:, 2] - 6) < 1).all()
    assert (wild.root_depth_stddev_m > 0.8).all()
    # and it stays in its direction, also where nothing is certain enough for the rays
    dim = place(joints, BLAZEPOSE, Keypoints(HALPE26, xy, 0.1 * found.scores), CAMERA, prior, 0.1)
    off = np.linalg.norm(CAMERA.project(dim.roots) - xy.mean(axis=1), axis=1)
    assert (off < 120).all()


@pytest.mark.parametrize('score', [0.0, 1e-6, 0.9])
def test_a_body_seen_as_a_point_is_finite(score: float) -> None:
    joints, found = scene()
    points = Keypoints(HALPE26, np.full_like(found.xy, 700.0), np.full_like(found.scores, score))
    for prior in (NOT_KNOWN, RootPrior(PLACES[:, 2], np.ones(3))):
        placed = place(joints, BLAZEPOSE, points, CAMERA, prior, 0.1)
        assert np.isfinite(placed.joints).all()
        assert np.isfinite(placed.roots).all()
        assert np.isfinite(placed.root_depth_stddev_m).all()
    known = place(joints, BLAZEPOSE, points, CAMERA, RootPrior(PLACES[:, 2], np.ones(3)), 0.1)
    np.testing.assert_allclose(known.roots[:, 2], PLACES[:, 2], rtol=0.25)


def test_joints_that_are_all_one_point_are_finite() -> None:
    joints, found = scene()
    placed = place(np.zeros_like(joints), BLAZEPOSE, found, CAMERA, NOT_KNOWN, 0.1)
    assert np.isfinite(placed.joints).all()


def test_without_weights_the_fit_takes_all_alike() -> None:
    joints, _ = scene()
    joints = joints[:, BLAZEPOSE.indices(*LIMB_JOINTS)]
    points = joints + PLACES[:, None]
    fit = fit_of(joints, points[..., :2] / points[..., 2:], np.zeros((3, 12)))
    np.testing.assert_allclose(fit.depth_m, PLACES[:, 2], rtol=1e-6)


def test_an_unknown_keypoint_is_as_good_as_none() -> None:
    """NaN of one person changes neither the others nor, at score 0, that person."""
    joints, found = scene()
    wrist = HALPE26.index('left_wrist')
    scores = found.scores.copy()
    scores[1, wrist] = 0
    prior = RootPrior(PLACES[:, 2], np.ones(3))
    expected = place(joints, BLAZEPOSE, Keypoints(HALPE26, found.xy, scores), CAMERA, prior, 0.1)
    for value, score in ((np.nan, 0.0), (np.nan, 0.9), (5.0, np.nan)):
        xy, scores = found.xy.copy(), found.scores.copy()
        xy[1, wrist], scores[1, wrist] = value, score
        with np.errstate(invalid='ignore'):
            placed = place(joints, BLAZEPOSE, Keypoints(HALPE26, xy, scores), CAMERA, prior, 0.1)
        np.testing.assert_allclose(placed.joints, expected.joints, atol=1e-3)


def test_nobody() -> None:
    nothing = Keypoints(HALPE26, np.zeros((0, 26, 2)), np.zeros((0, 26)))
    prior = RootPrior(np.zeros(0), np.zeros(0))
    placed = place(np.zeros((0, 33, 3)), BLAZEPOSE, nothing, CAMERA, prior, 0.1)
    assert placed.joints.shape == (0, 33, 3)
    assert placed.roots.shape == (0, 3)
