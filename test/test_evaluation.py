# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The metrics: cases that can be computed by hand, and second formulations of the same."""

import warnings
from itertools import permutations

import cv2
import numpy as np
import pytest

from pose3d_ros.evaluation import (
    BoxMatches,
    average_precision,
    box_overlaps,
    fitted_rotations,
    match_boxes,
    mpjpe,
    pa_mpjpe,
    precision_recall,
    root_errors,
    triangulate,
)
from pose3d_ros.evaluation.metrics import aligned, best_pairs, joint_errors

NONE = np.zeros((0, 4))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def rotation(vector: tuple[float, float, float]) -> np.ndarray:
    return cv2.Rodrigues(np.array(vector, dtype=np.float64))[0]


def test_mpjpe_by_hand() -> None:
    truth = np.array([[[0, 0, 3], [1, 0, 3], [0, 2, 3]]], dtype=float)
    # all moved by the same: no error after root alignment; then one joint by 3-4-0
    predicted = truth + np.array([0.5, -1, 4])
    assert mpjpe(predicted, truth, (0,)) == pytest.approx([0])
    predicted[0, 2] += [3, 4, 0]
    assert mpjpe(predicted, truth, (0,)) == pytest.approx([5 / 3])
    # the root as the middle of the last two joints moves by (1.5, 2, 0) with it: 2.5 everywhere
    assert mpjpe(predicted, truth, (1, 2)) == pytest.approx([2.5])


def test_pa_mpjpe_undoes_exactly_what_it_may(rng: np.random.Generator) -> None:
    truth = rng.normal(size=(5, 12, 3))
    turned = np.stack([truth[i] @ rotation((0.3 * i, -i, 0.5)).T for i in range(5)])
    moved = turned + rng.normal(size=(5, 1, 3))
    assert pa_mpjpe(moved, truth, with_scale=False) == pytest.approx(np.zeros(5), abs=1e-9)
    assert pa_mpjpe(1.7 * moved, truth, with_scale=True) == pytest.approx(np.zeros(5), abs=1e-9)
    assert (pa_mpjpe(1.7 * moved, truth, with_scale=False) > 0.5).all()
    mirrored = moved * [-1, 1, 1]
    assert (pa_mpjpe(mirrored, truth, with_scale=True) > 0.1).all()


def test_rigid_alignment_leaves_the_error_of_size() -> None:
    # points at +-1 on an axis, estimated at +-1.5: nothing but scale is wrong
    truth = np.array([[[-1, 0, 0], [1, 0, 0]]], dtype=float)
    assert pa_mpjpe(1.5 * truth, truth, with_scale=False) == pytest.approx([0.5])
    assert pa_mpjpe(1.5 * truth, truth, with_scale=True) == pytest.approx([0], abs=1e-12)


def procrustes_by_quaternion(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return Horn's absolute orientation (JOSA A 1987): another way to the same rotation."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = source.T @ target
    matrix = np.array(
        [
            [xx + yy + zz, yz - zy, zx - xz, xy - yx],
            [yz - zy, xx - yy - zz, xy + yx, zx + xz],
            [zx - xz, xy + yx, yy - xx - zz, yz + zy],
            [xy - yx, zx + xz, yz + zy, zz - xx - yy],
        ]
    )
    w, x, y, z = np.linalg.eigh(matrix)[1][:, -1]
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_fitted_rotations_agree_with_quaternions(rng: np.random.Generator) -> None:
    source, target = rng.normal(size=(2, 20, 6, 3))
    expected = np.stack(
        [procrustes_by_quaternion(a, b) for a, b in zip(source, target, strict=True)]
    )
    found = fitted_rotations(source, target)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    np.testing.assert_allclose(np.linalg.det(found), 1)


def test_scale_is_the_best(rng: np.random.Generator) -> None:
    truth = rng.normal(size=(1, 12, 3))
    predicted = 2 * truth + rng.normal(size=truth.shape) * 0.3

    def squared_error(scale: float) -> float:
        a, b = (v - v.mean(axis=1, keepdims=True) for v in (scale * predicted, truth))
        turned = a[0] @ fitted_rotations(a, b)[0].T
        return float(((turned - b[0]) ** 2).sum())

    scales = np.linspace(0.2, 1.2, 2001)
    best = scales[np.argmin([squared_error(s) for s in scales])]
    rigid = pa_mpjpe(best * predicted, truth, with_scale=False)
    assert pa_mpjpe(predicted, truth, with_scale=True) == pytest.approx(rigid, abs=2e-3)


def test_poses_are_each_by_themselves(rng: np.random.Generator) -> None:
    predicted, truth = rng.normal(size=(2, 4, 5, 3))
    for metric in (
        lambda p, t: joint_errors(p, t, [1, 3]),
        lambda p, t: aligned(p, t, with_scale=False),
        lambda p, t: aligned(p, t, with_scale=True),
    ):
        alone = [metric(p[None], t[None])[0] for p, t in zip(predicted, truth, strict=True)]
        np.testing.assert_allclose(metric(predicted, truth), alone)


@pytest.mark.parametrize('unit', [1e-3, 1e3])
def test_the_unit_of_length_changes_nothing(rng: np.random.Generator, unit: float) -> None:
    """Millimetres, metres or kilometres; boxes of pixels, or as shares of the image."""
    predicted, truth = rng.normal(size=(2, 4, 5, 3))
    errors = pa_mpjpe(predicted, truth, with_scale=True)
    np.testing.assert_allclose(pa_mpjpe(predicted * unit, truth * unit, True), errors * unit)
    boxes, others = rng.uniform(1, 3, (2, 6, 4))
    for one, scaled in zip(
        box_overlaps(boxes, others), box_overlaps(boxes * unit, others * unit), strict=True
    ):
        np.testing.assert_allclose(scaled, one)


def test_root_errors_by_hand() -> None:
    errors = root_errors(np.array([[1.0, 2, 5], [0, 0, 3]]), np.array([[1.0, -1, 1], [0, 0, 4]]))
    assert errors.distance == pytest.approx([5, 1])
    np.testing.assert_allclose(errors.xyz, [[0, 3, 4], [0, 0, -1]])
    assert errors.depth == pytest.approx([4, -0.25])


def four_cameras() -> tuple[np.ndarray, np.ndarray]:
    rotations = np.stack([rotation((0.1 * i, 1.5 * i, 0.05)) for i in range(4)])
    centres = -5 * rotations[:, 2]  # all look at the origin from 5 m
    return rotations, -np.einsum('cij,cj->ci', rotations, centres)


def seen_by(points: np.ndarray, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
    local = np.einsum('cij,...j->c...i', rotations, points)
    local = local + translations.reshape(-1, *(1,) * (points.ndim - 1), 3)
    return local[..., :2] / local[..., 2:]


@pytest.mark.parametrize('shape', [(3,), (6, 3), (4, 5, 3)])
def test_triangulate_inverts_projection(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    rotations, translations = four_cameras()
    points = rng.normal(size=shape)
    rays = seen_by(points, rotations, translations)
    found = triangulate(rays, rotations, translations, np.ones(rays.shape[:-1]))
    np.testing.assert_allclose(found, points, atol=1e-9)


def test_triangulate_heeds_weights(rng: np.random.Generator) -> None:
    rotations, translations = four_cameras()
    points = rng.normal(size=(6, 3))
    rays = seen_by(points, rotations, translations)
    rays[2] += 0.2
    weights = np.ones((4, 6))
    assert np.abs(triangulate(rays, rotations, translations, weights) - points).max() > 0.05
    weights[2] = 0
    np.testing.assert_allclose(triangulate(rays, rotations, translations, weights), points)


def test_triangulate_agrees_with_opencv(rng: np.random.Generator) -> None:
    rotations, translations = (part[:2] for part in four_cameras())
    rays = seen_by(rng.normal(size=(8, 3)), rotations, translations)
    rays += rng.normal(size=rays.shape) * 0.01
    cameras = np.concatenate([rotations, translations[..., None]], axis=2)
    expected = cv2.triangulatePoints(cameras[0], cameras[1], rays[0].T, rays[1].T)
    found = triangulate(rays, rotations, translations, np.ones(rays.shape[:-1]))
    np.testing.assert_allclose(found, (expected[:3] / expected[3]).T, atol=1e-9)


def test_box_overlaps_by_hand() -> None:
    boxes = np.array([[0, 0, 4, 2], [10, 10, 1, 1]], dtype=float)
    iou, inside = box_overlaps(boxes, np.array([[2, 0, 4, 2], [0, 0, 4, 4]], dtype=float))
    np.testing.assert_allclose(iou, [[4 / 12, 8 / 16], [0, 0]])
    np.testing.assert_allclose(inside, [[0.5, 1], [0, 0]])
    assert box_overlaps(boxes, NONE)[0].shape == (2, 0)


def test_box_overlaps_counts_pixels(rng: np.random.Generator) -> None:
    corners, sizes = rng.integers(0, 12, (2, 20, 2)), rng.integers(1, 9, (2, 20, 2))
    first, second = (np.concatenate(pair, axis=1) for pair in zip(corners, sizes, strict=True))
    iou, inside = box_overlaps(first.astype(float), second.astype(float))

    def mask(box: np.ndarray) -> np.ndarray:
        canvas = np.zeros((24, 24), bool)
        canvas[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = True
        return canvas

    for i in range(20):
        for j in range(20):
            a, b = mask(first[i]), mask(second[j])
            assert iou[i, j] == pytest.approx((a & b).sum() / (a | b).sum())
            assert inside[i, j] == pytest.approx((a & b).sum() / a.sum())


TRUTH = np.array([[0, 0, 10, 20], [100, 0, 10, 20]], dtype=float)


def test_the_most_certain_detection_takes_the_person() -> None:
    boxes = np.array([[0, 0, 10, 20], [1, 0, 10, 20], [101, 0, 10, 20]], dtype=float)
    matches = match_boxes(boxes, np.array([0.6, 0.9, 0.7]), TRUTH, NONE)
    # the worse of two boxes on one person is false, though it overlaps more
    np.testing.assert_allclose(matches.scores, [0.9, 0.7, 0.6])
    assert matches.is_true.tolist() == [True, True, False]
    np.testing.assert_allclose(matches.found_with, [0.9, 0.7])
    assert precision_recall(matches, 0.65) == pytest.approx((1, 1))
    assert precision_recall(matches, 0.5) == pytest.approx((2 / 3, 1))
    assert precision_recall(matches, 0.8) == pytest.approx((1, 0.5))


def test_a_second_person_under_the_same_box_takes_the_next_detection() -> None:
    truth = np.array([[0, 0, 10, 20], [2, 0, 10, 20]], dtype=float)
    boxes = np.array([[1, 0, 10, 20], [1, 0, 10, 20]], dtype=float)
    matches = match_boxes(boxes, np.array([0.9, 0.8]), truth, NONE)
    assert matches.is_true.tolist() == [True, True]


def test_what_does_not_count() -> None:
    boxes = np.array(
        [[50, 0, 10, 20], [200, 0, 10, 20], [300, 0, 4, 9], [0, 0, 10, 20]], dtype=float
    )
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    ignored = np.array([[48, 0, 20, 30]], dtype=float)
    matches = match_boxes(boxes, scores, TRUTH, ignored, min_height=10)
    # the first lies in the ignored region, the third is too low; the second is false
    np.testing.assert_allclose(matches.scores, [0.8, 0.6])
    assert matches.is_true.tolist() == [False, True]
    # a true detection counts even where it is ignored or low
    kept = match_boxes(TRUTH, np.ones(2), TRUTH, TRUTH, min_height=50)
    assert kept.is_true.tolist() == [True, True]


def test_what_is_just_at_the_limits() -> None:
    """Half of a box in an ignored region is not enough, and the least height is high enough."""
    low = np.array([[50, 0, 10, 0.5], [80, 0, 10, 20]])
    half, more = np.array([[[45, 0, 10, 20]], [[46, 0, 10, 20]]], dtype=float)
    assert match_boxes(low, np.ones(2), TRUTH, half).scores.tolist() == [1, 1]
    assert match_boxes(low, np.ones(2), TRUTH, half, min_height=0.5).scores.tolist() == [1, 1]
    assert match_boxes(low, np.ones(2), TRUTH, more).scores.tolist() == [1]
    # a score counts above a threshold, not at it
    found = match_boxes(TRUTH, np.array([0.9, 0.4]), TRUTH, NONE)
    assert precision_recall(found, 0.4) == pytest.approx((1, 0.5))
    matches = BoxMatches(np.array([0.9, 0.4]), np.array([True, False]), np.array([0.9, 0]))
    assert precision_recall(matches, 0.4)[0] == 1


def test_equal_scores_stay_in_their_order() -> None:
    """Otherwise a result would depend on the sorting of the day."""
    scores = np.tile([0.5, 0.9], 50)  # the first comes behind all 50 that are more certain
    boxes = np.tile([500.0, 0, 10, 20], (100, 1))
    boxes[0] = TRUTH[0]
    found = match_boxes(boxes, scores, TRUTH, NONE).is_true
    assert (found.argmax(), found.sum()) == (50, 1)
    matches = BoxMatches(scores, np.arange(100) == 0, np.array([0.5]))
    assert average_precision(matches) == pytest.approx(1 / 51)


def test_best_pairs_are_taken_greedily() -> None:
    likeness = np.array([[0.9, 0.8], [0.85, 0.1], [0.7, 0.6]])
    everything = np.ones((3, 2), bool)
    # the best of all costs rows 0 and column 0; what is best then is row 2 with column 1
    assert best_pairs(likeness, everything) == [(0, 0), (2, 1)]
    assert best_pairs(likeness.T, everything.T) == [(0, 0), (1, 2)]
    assert best_pairs(likeness, likeness < 0.9) == [(1, 0), (0, 1)]
    assert best_pairs(-likeness, everything) == [(1, 1), (2, 0)], 'distances may be negative'
    assert best_pairs(likeness, ~everything) == []
    assert best_pairs(np.zeros((0, 2)), np.zeros((0, 2), bool)) == []


def test_best_pairs_do_not_depend_on_the_order_of_rows() -> None:
    likeness = np.random.default_rng(3).random((4, 3))
    allowed = likeness > 0.2
    wanted = {(row, column) for row, column in best_pairs(likeness, allowed)}
    for order in permutations(range(4)):
        rows = list(order)
        found = best_pairs(likeness[rows], allowed[rows])
        assert {(rows[row], column) for row, column in found} == wanted


def test_overlap_has_to_reach_the_limit() -> None:
    half = np.array([[0, 0, 10, 10]], dtype=float)  # IoU exactly 0.5 with the first
    assert match_boxes(half, np.ones(1), TRUTH, NONE).is_true.tolist() == [True]
    above = match_boxes(half, np.ones(1), TRUTH, NONE, min_iou=0.51)
    assert above.is_true.tolist() == [False]


def test_average_precision_by_hand() -> None:
    # true, false, true of 4 people: precision 1, 1/2, 2/3; recall 1/4, 1/4, 2/4
    scores, is_true = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    matches = BoxMatches(scores, is_true, np.array([0.9, 0.7, 0, 0]))
    assert average_precision(matches) == pytest.approx((1 + 2 / 3) / 4)
    # true, true, false, false, true of 3: precision 1, 1, 3/5
    is_true = np.array([True, True, False, False, True])
    matches = BoxMatches(np.linspace(0.9, 0.1, 5), is_true, np.array([0.9, 0.7, 0.1]))
    assert average_precision(matches) == pytest.approx((1 + 1 + 3 / 5) / 3)
    only = BoxMatches(np.array([0.9]), np.array([True]), np.array([0.9]))
    assert average_precision(only) == 1


def test_average_precision_is_coco_s(rng: np.random.Generator) -> None:
    """The same as COCO's 101 samples of the curve, up to their spacing."""
    for _ in range(20):
        scores, is_true = rng.random(200), rng.random(200) < 0.7
        people = int(is_true.sum()) + 30
        matches = BoxMatches(scores, is_true, np.zeros(people))
        order = np.argsort(-scores)
        hits = np.cumsum(is_true[order])
        precision, recall = hits / np.arange(1, 201), hits / people
        samples = [
            precision[recall >= r].max() if (recall >= r).any() else 0
            for r in np.linspace(0, 1, 101)
        ]
        assert average_precision(matches) == pytest.approx(np.mean(samples), abs=0.01)


def test_images_are_ranked_together() -> None:
    good = match_boxes(TRUTH, np.array([0.5, 0.4]), TRUTH, NONE)
    bad = match_boxes(TRUTH + 500, np.array([0.9, 0.8]), TRUTH, NONE)
    joined = BoxMatches.joined([good, bad])
    # ranked: false, false, true, true of 4: precision at the true ones 1/3 and 1/2
    assert average_precision(joined) == pytest.approx((0.5 + 0.5) / 4)
    assert average_precision(good) == 1


def test_nobody_and_nothing() -> None:
    nothing = match_boxes(NONE, np.zeros(0), TRUTH, NONE)
    assert average_precision(nothing) == 0
    empty = match_boxes(TRUTH, np.ones(2), NONE, NONE)
    assert empty.is_true.tolist() == [False, False]
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # NaN is meant here: NumPy's word on it would be noise
        precision, recall = precision_recall(nothing, 0.4)
        assert np.isnan(precision)
        assert recall == 0
        assert np.isnan(precision_recall(empty, 0.4)[1])
