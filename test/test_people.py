# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the stages hand on: shapes that do not fit are refused, rows stay together."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from pose3d_ros.camera import Camera
from pose3d_ros.people import Keypoints, Persons, Poses, Tracks, TrackState
from pose3d_ros.skeletons import BLAZEPOSE, HALPE26


def persons_of(n: int) -> Persons:
    """Return people whose every value says which of them it belongs to."""
    number = np.arange(n, dtype=float)
    keypoints = Keypoints(
        HALPE26, np.tile(number[:, None, None], (1, 26, 2)), np.tile(number[:, None], (1, 26))
    )
    return Persons(
        np.tile(number[:, None], (1, 4)),
        number,
        tuple(str(i) for i in range(n)),
        np.tile(number[:, None], (1, 3)),
        number,
        keypoints,
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'boxes': np.zeros((3, 5))}, r'\(3, 5\) where \(-1, 4\)'),
        ({'boxes': np.zeros(4)}, r'\(4,\) where \(-1, 4\)'),
        ({'boxes': np.zeros((2, 4))}, 'where'),
        ({'scores': np.zeros(2)}, r'\(2,\) where \(3,\)'),
        ({'scores': np.zeros((3, 1))}, 'where'),
        ({'scores': []}, 'where'),
        ({'roots': np.zeros((3, 2))}, 'where'),
        ({'roots': np.zeros((2, 3))}, 'where'),
        ({'root_depth_stddev_m': np.zeros(4)}, 'where'),
        ({'ids': ('a', 'b')}, '3 boxes'),
        ({'keypoints': Keypoints(HALPE26, np.zeros((2, 26, 2)), np.zeros((2, 26)))}, '3 boxes'),
    ],
)
def test_persons_of_unequal_number_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(persons_of(3), **change)


@pytest.mark.parametrize(
    ('xy', 'scores'),
    [((2, 25, 2), (2, 26)), ((2, 26, 3), (2, 26)), ((2, 26, 2), (3, 26)), ((26, 2), (26,))],
)
def test_keypoints_of_another_shape_are_refused(
    xy: tuple[int, ...], scores: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match='where'):
        Keypoints(HALPE26, np.zeros(xy), np.zeros(scores))


@pytest.mark.parametrize(
    'change',
    [
        {'joints': np.zeros((2, 26, 3))},
        {'joint_scores': np.zeros((2, 26))},
        {'roots': np.zeros((1, 3))},
        {'scores': np.zeros(3)},
        {'ids': ('a',)},
        {'ids': ()},
    ],
)
def test_poses_of_another_shape_are_refused(change: dict[str, Any]) -> None:
    good = Poses(
        BLAZEPOSE,
        np.zeros((2, 33, 3)),
        np.zeros((2, 33)),
        np.zeros((2, 3)),
        np.zeros(2),
        np.zeros(2),
        ('a', 'b'),
    )
    assert len(good) == 2
    with pytest.raises(ValueError, match=r'where|ids'):
        dataclasses.replace(good, **change)


@pytest.mark.parametrize(
    ('rows', 'expected'),
    [
        ([2, 0], [2, 0]),
        (np.array([1]), [1]),
        (slice(1, None), [1, 2]),
        (np.array([True, False, True]), [0, 2]),
        ([], []),
        (slice(0, 0), []),
    ],
)
def test_indexing_keeps_each_person_together(rows: object, expected: list[int]) -> None:
    some = persons_of(3)[rows]  # type: ignore[index]
    assert len(some) == len(expected)
    assert some.ids == tuple(str(i) for i in expected)
    assert some.keypoints is not None
    for values in (some.boxes[:, 0], some.roots[:, 2], some.keypoints.xy[:, 25, 1]):
        np.testing.assert_array_equal(values, expected)
    for values in (some.scores, some.root_depth_stddev_m, some.keypoints.scores[:, 5]):
        np.testing.assert_array_equal(values, expected)


def test_what_is_not_given_is_unknown() -> None:
    persons = Persons(np.ones((2, 4)), np.ones(2))
    assert persons.ids == ('', '')
    assert np.isnan(persons.roots).all()
    assert not persons.has_root.any()
    assert (persons.root_depth_stddev_m == 0).all()
    assert persons.keypoints is None
    assert persons[[1]].keypoints is None


def test_a_root_is_known_only_as_a_whole() -> None:
    roots = np.array([[0, 0, 1], [np.nan, 0, 1], [0, 0, np.inf]])
    persons = Persons(np.ones((3, 4)), np.ones(3), roots=roots)
    assert persons.has_root.tolist() == [True, False, False]


def test_with_ids_and_roots_change_nothing_else() -> None:
    persons = persons_of(2)
    named = persons.with_ids(['x', 'y'])
    assert (named.ids, persons.ids) == (('x', 'y'), ('0', '1'))
    rooted = named.with_roots(np.full((2, 3), 7.0), np.full(2, 0.5), None)
    assert rooted.ids == ('x', 'y')
    assert rooted.keypoints is None
    assert (rooted.roots == 7).all()
    np.testing.assert_array_equal(rooted.boxes, persons.boxes)
    np.testing.assert_array_equal(persons.roots[:, 0], [0, 1])
    with pytest.raises(ValueError, match='2 boxes'):
        persons.with_ids(['x'])


def test_nobody() -> None:
    for nobody in (Persons.none(), Persons([], []), Persons(np.zeros((0, 4)), [])):  # type: ignore[arg-type]
        assert len(nobody) == 0
        assert nobody.boxes.shape == (0, 4)
        assert nobody.roots.shape == (0, 3)
        assert nobody.has_root.shape == (0,)
        assert len(nobody[np.zeros(0, dtype=int)]) == 0
    assert Keypoints(HALPE26, [], []).xy.shape == (0, 26, 2)  # type: ignore[arg-type]
    poses = Poses.none(BLAZEPOSE)
    assert len(poses) == 0
    assert poses.joints.shape == (0, 33, 3)


def test_arrays_are_doubles_whatever_comes() -> None:
    persons = Persons([[1, 2, 3, 4]], [np.float32(0.5)])  # type: ignore[arg-type]
    assert persons.boxes.dtype == persons.scores.dtype == np.float64
    with pytest.raises(dataclasses.FrozenInstanceError):
        persons.scores = np.zeros(1)  # type: ignore[misc]


def test_poses_are_picked_and_those_without_joints_are_known() -> None:
    joints = np.zeros((3, len(BLAZEPOSE), 3))
    joints[1, 5, 2] = np.nan
    scores = np.array([0.9, 0.8, 0.7])
    poses = Poses(BLAZEPOSE, joints, joints[..., 0], joints[:, 0], scores, scores, ('a', 'b', 'c'))
    assert poses.has_joints.tolist() == [True, False, True]
    kept = poses[poses.has_joints]
    assert kept.ids == ('a', 'c') and kept.scores.tolist() == [0.9, 0.7] and len(kept) == 2
    assert len(Poses.none(BLAZEPOSE)[slice(None)]) == 0


# Another focal length than the one that was guessed.

GUESS, TRUE = Camera.from_focal_length(640, 480, 1500), Camera.from_focal_length(640, 480, 900)
RATIO = 900 / 1500


def poses_of(joints: np.ndarray, roots: np.ndarray) -> Poses:
    n, j = joints.shape[:2]
    stddev_m = np.full(n, 0.5)
    return Poses(BLAZEPOSE, joints, np.ones((n, j)), roots, stddev_m, np.ones(n), ('',) * n)


def test_roots_come_nearer_by_the_ratio_and_stay_at_their_pixels() -> None:
    persons = dataclasses.replace(
        persons_of(3), roots=np.array([[1, -2, 5], [0, 0, 9], [np.nan] * 3])
    )
    found = persons.rescaled(RATIO)
    np.testing.assert_allclose(found.roots[:2], [[1, -2, 3], [0, 0, 5.4]])
    assert found.has_root.tolist() == [True, True, False]
    np.testing.assert_allclose(
        TRUE.project(found.roots[:2]), GUESS.project(persons.roots[:2]), rtol=1e-12
    )
    np.testing.assert_allclose(found.root_depth_stddev_m, RATIO * persons.root_depth_stddev_m)
    assert found.keypoints is persons.keypoints and found.ids == persons.ids


def test_joints_stay_at_their_pixels_and_as_far_behind_the_root_as_they_were() -> None:
    rng = np.random.default_rng(0)
    roots = np.array([[1.0, -0.5, 6], [-2, 1, 4]])
    poses = poses_of(roots[:, None] + rng.uniform(-0.9, 0.9, (2, 33, 3)), roots)
    found = poses.rescaled(RATIO)
    np.testing.assert_allclose(found.roots, [[1, -0.5, 3.6], [-2, 1, 2.4]])
    np.testing.assert_allclose(
        found.joints[..., 2] - found.roots[:, None, 2], poses.joints[..., 2] - roots[:, None, 2]
    )
    np.testing.assert_allclose(
        TRUE.project(found.joints), GUESS.project(poses.joints), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(found.root_depth_stddev_m, 0.3)
    np.testing.assert_allclose(found.rescaled(1 / RATIO).joints, poses.joints, rtol=1e-9)


def test_rescaling_outlives_joints_that_are_unknown_or_beside_the_camera() -> None:
    joints = np.full((1, 33, 3), 0.5)
    joints[0, 0], joints[0, 1], joints[0, 2] = np.nan, (1, 1, 0), (1, 1, -0.2)
    found = poses_of(joints, np.array([[0.5, 0.5, 0.5]])).rescaled(RATIO)
    assert np.isnan(found.joints[0, 0]).all() and np.isfinite(found.joints[0, 1:]).all()
    assert np.abs(found.joints[0, 1:]).max() < 2
    assert len(Poses.none(BLAZEPOSE).rescaled(RATIO)) == len(Persons.none().rescaled(RATIO)) == 0


def test_people_inside_are_cut_at_the_border_and_those_outside_leave() -> None:
    boxes = [(-10, 20, 30, 50), (95, 50, 20, 80), (100, 0, 10, 10), (-30, 0, 30, 10), (5, 5, 9, 9)]
    persons = dataclasses.replace(persons_of(5), boxes=np.array(boxes, float))
    inside = persons.inside(100, 60)
    assert inside.ids == ('0', '1', '4')
    assert inside.boxes.tolist() == [[0, 20, 20, 40], [95, 50, 5, 10], [5, 5, 9, 9]]
    assert inside.keypoints is not None and inside.keypoints.xy[1, 0, 0] == 1


def tracks_of(states: list[TrackState], velocities: np.ndarray, stddev: float = 0.1) -> Tracks:
    """Return tracks of people at the origin, of whom those with a velocity of NaN have none."""
    n = len(states)
    motions = np.hstack([np.zeros((n, 3)), velocities])
    motions[np.isnan(motions).any(axis=1)] = np.nan
    covariances = np.tile(stddev**2 * np.eye(6), (n, 1, 1))
    return Tracks(np.array(states), np.arange(n), motions, covariances)


def test_who_moves_stands_out_of_the_uncertainty() -> None:
    states = [TrackState.CONFIRMED] * 4
    velocities = np.array([[0.27, 0, 0], [0.29, 0, 0], [0.17, 0.17, 0.17], [np.nan] * 3])
    # 2.8 standard deviations: 95 of 100 of what stands lies within
    assert tracks_of(states, velocities).moving.tolist() == [False, True, True, False]
    assert not tracks_of(states, velocities, stddev=0.2).moving.any()


def test_tracks_go_with_their_people() -> None:
    states = [TrackState.CONFIRMED, TrackState.NEW, TrackState.COASTING]
    tracks = tracks_of(states, np.arange(9.0).reshape(3, 3))
    poses = dataclasses.replace(poses_of(np.zeros((3, 33, 3)), np.zeros((3, 3))), tracks=tracks)
    assert poses.coasting.tolist() == [False, False, True]
    assert poses.seen.tracks.ages_frames.tolist() == [0, 1]
    both = poses[[2]] + poses[[0]]
    assert both.ids == (poses.ids[2], poses.ids[0])
    assert both.tracks.motions[:, 3].tolist() == [6.0, 0.0]
    with pytest.raises(ValueError, match='2 tracks'):
        dataclasses.replace(poses, tracks=tracks[:2])


def test_another_focal_length_changes_depth_and_its_velocity_alone() -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(size=(6, 6))
    tracks = Tracks(np.ones(1), np.ones(1), rng.normal(size=(1, 6)), (half @ half.T)[None])
    scaled = tracks.rescaled(2.0)
    assert scaled.motions[0] == pytest.approx(tracks.motions[0] * [1, 1, 2, 1, 1, 2])
    ratio = scaled.covariances[0] / tracks.covariances[0]
    assert ratio[0, 1] == pytest.approx(1) and ratio[0, 5] == pytest.approx(2)
    assert ratio[2, 2] == ratio[2, 5] == pytest.approx(4)
