# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Depths of limbs from the lengths of bones: bodies keep their shape, and the pelvis its place."""

from itertools import pairwise

import numpy as np
import pytest
from bodies import body, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from pose3d_ros.models import limbs
from pose3d_ros.models.limbs import LIMB_JOINTS, natural_depths, natural_lengths
from pose3d_ros.skeletons import BLAZEPOSE

HIPS = [LIMB_JOINTS.index('left_hip'), LIMB_JOINTS.index('right_hip')]
MIRRORED = BLAZEPOSE.flip_order[BLAZEPOSE.indices(*LIMB_JOINTS)]
MIRROR = [LIMB_JOINTS.index(BLAZEPOSE.joint_names[joint]) for joint in MIRRORED]


def scene(degrees: float = 25.0) -> tuple[np.ndarray, np.ndarray]:
    """Return three bodies (3, 12, 3) around the hips, and in front of a camera."""
    relative = turned(body(BLAZEPOSE)[BLAZEPOSE.indices(*LIMB_JOINTS)], degrees)
    places = np.array([[0.4, -0.1, 2.5], [-3.0, 0.5, 9.0], [5.0, 1.0, 35.0]])
    return np.tile(relative, (3, 1, 1)), relative + places[:, None]


def rays_of(joints: np.ndarray) -> np.ndarray:
    return np.asarray(joints[..., :2] / joints[..., 2:])


def at_depths(joints: np.ndarray, slopes: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Return joints moved to depths along their slopes."""
    further = (depths - joints[..., 2])[..., None]
    return np.asarray(joints + further * np.concatenate([slopes, np.ones_like(further)], axis=2))


def misfit(
    joints: np.ndarray, slopes: np.ndarray, depths: np.ndarray, lengths: np.ndarray
) -> float:
    """Return the sum that is to be small, of one body."""
    bones = np.linalg.norm(limbs._bones_of(at_depths(joints, slopes, depths)), axis=2)
    off, size_m = depths - joints[..., 2], lengths.sum()
    return float(
        ((off / (limbs._DEPTH_SHARE * size_m)) ** 2).sum()
        + ((off[:, HIPS].mean(axis=1) / (limbs._PELVIS_SHARE * size_m)) ** 2).sum()
        + (((bones - lengths) / (limbs._LENGTH_SHARE * lengths)) ** 2).sum()
    )


@pytest.mark.parametrize('degrees', [0.0, 25.0, 90.0, -140.0])
def test_wrong_depths_become_better_and_the_pelvis_stays(degrees: float) -> None:
    relative, joints = scene(degrees)
    rays = rays_of(joints)
    wrong_m = np.random.default_rng(4).normal(0, 0.1, joints.shape[:2])
    wrong_m[:, HIPS] -= wrong_m[:, HIPS].mean(axis=1, keepdims=True)
    moved = at_depths(joints, rays, joints[..., 2] + wrong_m)
    lengths = natural_lengths(relative)
    depths = natural_depths(moved, rays, lengths)
    left = depths - joints[..., 2]
    # a bone across the view says nothing of its ends' depths, which stay wrong together
    assert np.sqrt((left**2).mean()) < 0.9 * np.sqrt((wrong_m**2).mean())
    before, after = (
        np.abs(np.linalg.norm(limbs._bones_of(points), axis=2) - lengths).mean()
        for points in (moved, at_depths(moved, rays, depths))
    )
    assert after < before / 3
    np.testing.assert_allclose(left[:, HIPS].mean(axis=1), 0, atol=1e-3)


def test_a_usual_body_stays_as_it_is() -> None:
    relative, joints = scene()
    depths = natural_depths(joints, rays_of(joints), natural_lengths(relative))
    np.testing.assert_allclose(depths, joints[..., 2], atol=5e-3)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), degrees=st.floats(-180, 180), spread=st.floats(0, 1))
def test_the_sum_never_grows(seed: int, degrees: float, spread: float) -> None:
    rng = np.random.default_rng(seed)
    relative, joints = (bodies[:1] for bodies in scene(degrees))
    slopes = rays_of(joints) * rng.uniform(0, 1, (1, 12, 1))  # where keypoints are half believed
    joints = joints + rng.normal(0, spread, joints.shape)
    lengths = natural_lengths(relative)
    sums = [misfit(joints, slopes, joints[..., 2], lengths)]
    for rounds in (1, 2, 3, 10):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limbs, '_ROUNDS', rounds)
            depths = natural_depths(joints, slopes, lengths)
        sums.append(misfit(joints, slopes, depths, lengths))
    assert all(later <= sooner * (1 + 1e-9) for sooner, later in pairwise(sums))


def test_lengths_are_half_one_s_own_and_half_the_usual() -> None:
    relative, _ = scene()
    left, right = (LIMB_JOINTS.index(f'{side}_wrist') for side in ('left', 'right'))
    relative[:, left] += [0.0, 0.1, 0.0]
    own = np.linalg.norm(limbs._bones_of(relative), axis=2)
    lengths = natural_lengths(relative)
    np.testing.assert_allclose(lengths.sum(axis=1), own.sum(axis=1))
    paired = len(limbs._MIRRORED)
    np.testing.assert_allclose(lengths[:, 0:paired:2], lengths[:, 1:paired:2])
    usual = limbs._USUAL * own.sum(axis=1, keepdims=True) / limbs._USUAL.sum()
    forearms = [i for i, (_, end, _) in enumerate(limbs._BONES) if end.endswith('_wrist')]
    expected = (own[:, forearms].mean(axis=1) + usual[:, forearms[0]]) / 2
    np.testing.assert_allclose(lengths[:, forearms[0]], expected)
    assert left != right and (lengths[:, forearms[0]] < own[:, forearms[0]]).all()


@pytest.mark.parametrize('factor', [0.6, 1.2])
def test_a_smaller_body_that_is_nearer_looks_the_same_and_is_treated_so(factor: float) -> None:
    relative, joints = scene()
    joints = joints + np.random.default_rng(5).normal(0, 0.05, joints.shape)
    depths = natural_depths(joints, rays_of(joints), natural_lengths(relative))
    smaller = natural_depths(factor * joints, rays_of(joints), natural_lengths(factor * relative))
    np.testing.assert_allclose(smaller, factor * depths, rtol=1e-9)


def test_everybody_at_once_is_each_alone_and_a_mirror_image_is_one() -> None:
    relative, joints = scene()
    joints = joints + np.random.default_rng(6).normal(0, 0.05, joints.shape)
    slopes, lengths = rays_of(joints), natural_lengths(relative)
    depths = natural_depths(joints, slopes, lengths)
    for i in range(3):
        alone = natural_depths(joints[[i]], slopes[[i]], lengths[[i]])
        np.testing.assert_allclose(alone[0], depths[i])
    flipped = (joints * [-1, 1, 1])[:, MIRROR]
    mirrored = natural_depths(
        flipped, rays_of(flipped), natural_lengths((relative * [-1, 1, 1])[:, MIRROR])
    )
    np.testing.assert_allclose(mirrored, depths[:, MIRROR])


def test_nobody_and_bodies_that_are_points_are_finite() -> None:
    nobody = np.zeros((0, 12, 3))
    assert natural_depths(nobody, nobody[..., :2], natural_lengths(nobody)).shape == (0, 12)
    relative, joints = scene()
    points = np.full_like(relative, 0.3)
    for bodies, seen in ((points, points), (relative, points), (points, joints)):
        depths = natural_depths(seen, rays_of(seen), natural_lengths(bodies))
        assert np.isfinite(depths).all()
