# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The 2D keypoints: each person alone, peaks between bins, crops where the boxes are."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real import keypoints, people, people_image, rtmpose

from pose3d_ros.models.rtmpose import _peak
from pose3d_ros.skeletons import HALPE26


def test_together_is_as_each_alone_in_any_order() -> None:
    image, boxes = people_image(), people().boxes
    order = [2, 0, 1]
    shuffled = rtmpose()(image, boxes[order])
    np.testing.assert_allclose(shuffled.xy, keypoints().xy[order], atol=1e-3)
    np.testing.assert_allclose(shuffled.scores, keypoints().scores[order], atol=1e-5)
    for i in range(3):
        alone = rtmpose()(image, boxes[[i]])
        np.testing.assert_allclose(alone.xy[0], keypoints().xy[i], atol=1e-3)


def test_a_crowd_is_computed_in_parts() -> None:
    """More people than one batch takes."""
    crowd = rtmpose()(people_image(), np.tile(people().boxes, (7, 1)))
    np.testing.assert_allclose(crowd.xy, np.tile(keypoints().xy, (7, 1, 1)), atol=1e-3)


def test_keypoints_are_on_the_people() -> None:
    found, boxes = keypoints(), people().boxes
    assert (found.scores[:2] > 0.3).mean() > 0.9
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    for xy, (x, y, w, h) in zip(found.xy, boxes, strict=True):
        inside = (np.abs(xy - [x + w / 2, y + h / 2]) <= np.array([w, h]) * 0.55).all(axis=1)
        assert inside.mean() > 0.85
        heights = xy[HALPE26.indices('head', 'neck', 'hip', 'left_knee', 'left_ankle'), 1]
        assert (np.diff(heights) > 0).all()


def test_a_moved_image_moves_the_keypoints() -> None:
    """Box, crop and way back agree to a hundredth of a pixel."""
    padded = cv2.copyMakeBorder(people_image(), 7, 5, 13, 3, cv2.BORDER_CONSTANT)
    moved = rtmpose()(padded, np.add(people().boxes, [13, 7, 0, 0]))
    np.testing.assert_allclose(moved.xy, np.add(keypoints().xy, [13, 7]), atol=0.01)


def test_a_mirrored_image_swaps_left_and_right() -> None:
    image, boxes = people_image(), people().boxes.copy()
    boxes[:, 0] = image.shape[1] - 1 - boxes[:, 0] - boxes[:, 2]
    found = rtmpose()(np.ascontiguousarray(image[:, ::-1]), boxes)
    xy = found.xy[:, HALPE26.flip_order]
    xy[..., 0] = image.shape[1] - 1 - xy[..., 0]
    off = np.linalg.norm(xy - keypoints().xy, axis=2) / people().boxes[:, 3:]
    assert np.median(off) < 0.01
    unswapped = np.linalg.norm(xy[:, HALPE26.flip_order] - keypoints().xy, axis=2)
    assert np.median(unswapped / people().boxes[:, 3:]) > 0.05


def test_red_and_blue_are_in_their_places() -> None:
    """The network is less certain of people with blue skin."""
    swapped = rtmpose()(np.ascontiguousarray(people_image()[..., ::-1]), people().boxes)
    assert swapped.scores.mean() < keypoints().scores.mean() - 0.004


def test_nobody() -> None:
    found = rtmpose()(people_image(), np.zeros((0, 4)))
    assert found.xy.shape == (0, 26, 2)
    assert found.skeleton is HALPE26


@pytest.mark.parametrize('box', [(-500, -500, 40, 80), (1000, 1800, 500, 900), (5, 5, 0, 0)])
def test_boxes_over_the_border_give_finite_keypoints(box: tuple[float, ...]) -> None:
    found = rtmpose()(people_image(), np.array([box], dtype=float))
    assert np.isfinite(found.xy).all()
    assert np.isfinite(found.scores).all()


@given(position=st.floats(2, 380), width=st.floats(1.5, 8), height=st.floats(1e-3, 10))
def test_peak_between_bins(position: float, width: float, height: float) -> None:
    """Within a tenth of a bin, where the maximum alone is off by up to half a bin."""
    bins = np.arange(384)
    response = height * np.exp(-0.5 * ((bins - position) / width) ** 2)
    found = _peak(response[None, None].astype(np.float32))
    assert found.shape == (1, 1)
    assert abs(found[0, 0] - position) < 0.1


def test_peak_of_a_parabola_is_exact() -> None:
    bins = np.arange(20.0)
    response = np.stack([5 - (bins - 7.3) ** 2, 1 - 0.2 * (bins - 11.75) ** 2])[None]
    np.testing.assert_allclose(_peak(response), [[7.3, 11.75]])


@pytest.mark.parametrize('at', [0, 1, 18, 19])
def test_peak_at_the_ends_and_of_nothing(at: int) -> None:
    response = np.zeros((1, 1, 20))
    response[..., at] = 1
    assert _peak(response)[0, 0] == at
    assert np.isfinite(_peak(np.zeros((2, 3, 20)))).all()
    assert (_peak(np.full((1, 1, 20), -3.0)) == 0).all()
