# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Boxes, crops and coordinates are those of the original 3DMPPE."""

import numpy as np
import pytest
from paper import expected

from pose3d_ros.camera import Camera
from pose3d_ros.crops import Crops
from pose3d_ros.models.crops3dmppe import (
    SIZE,
    affines,
    cut_boxes,
    k_values,
    mirrored,
    process_boxes,
    to_metres,
    to_pixels,
)

CROPS = expected('crops')
IMAGE = CROPS['image']
HEIGHT, WIDTH = IMAGE.shape[:2]
VALID = np.isfinite(CROPS['squares']).all(axis=1)
#: The image's camera in the fixture.
CAMERA = Camera(np.array([[1500.0, 0, WIDTH / 2], [0, 1500, HEIGHT / 2], [0, 0, 1]]), WIDTH, HEIGHT)


def same_within_opencv(found: np.ndarray, wanted: np.ndarray) -> None:
    """Versions of OpenCV round the interpolation differently."""
    difference = np.abs(found.astype(int) - wanted)
    assert difference.mean() <= 0.015
    assert (difference > 1).mean() <= 0.001
    assert difference.max() <= 4


def test_boxes_are_processed_as_in_the_original() -> None:
    squares, valid = process_boxes(CROPS['boxes'], WIDTH, HEIGHT)
    np.testing.assert_array_equal(valid, VALID)
    assert valid.sum() == 8
    np.testing.assert_allclose(squares, CROPS['squares'], atol=1e-9)


def test_the_original_demo_s_first_box() -> None:
    squares, _ = process_boxes(np.array([[139.41, 102.25, 222.39, 241.57]]), WIDTH, HEIGHT)
    np.testing.assert_allclose(squares[0], [99.749, 72.179, 300.713, 300.713], atol=5e-4)
    assert k_values(squares, CAMERA)[0] == pytest.approx(9976.306, abs=1e-3)


def test_a_box_left_of_the_image_is_moved_not_cut() -> None:
    squares, _ = process_boxes(np.array([[-20.0, 10, 100, 100]]), WIDTH, HEIGHT)
    np.testing.assert_allclose(squares[0, 0] + squares[0, 2] / 2, 99 / 2)


@pytest.mark.parametrize(
    'box',
    [
        [10, 10, 0, 50],
        [10, 10, 50, 0],
        [10, 10, -50, -50],
        [10, 10, 1, 1],  # passes the original's test, whose k is infinite then
        [WIDTH + 10, 10, 50, 50],
        [10, HEIGHT, 50, 50],
        [np.nan, 10, 50, 50],
        [10, 10, np.inf, 50],
    ],
)
def test_what_cannot_be_cut_is_marked(box: list[float]) -> None:
    good = [100.0, 100, 50, 80]
    squares, valid = process_boxes(np.array([good, box, good]), WIDTH, HEIGHT)
    assert valid.tolist() == [True, False, True]
    assert np.isnan(squares[1]).all()
    assert np.isfinite(squares[[0, 2]]).all()


def test_nobody() -> None:
    squares, valid = process_boxes(np.zeros((0, 4)), WIDTH, HEIGHT)
    assert squares.shape == (0, 4) and valid.shape == (0,)
    assert affines(squares).shape == (0, 2, 3)
    assert k_values(squares, CAMERA).shape == (0,)
    assert cut_boxes(squares).cut(IMAGE).shape == (0, SIZE, SIZE, 3)


def test_affines_are_the_original_s_to_the_last_bit_of_float32() -> None:
    found = affines(CROPS['squares'][VALID])
    np.testing.assert_allclose(found, CROPS['affines'][VALID], rtol=1e-12, atol=1e-12)


def test_crops_are_the_original_s() -> None:
    crops = cut_boxes(CROPS['squares'][VALID]).cut(IMAGE)
    same_within_opencv(crops[:, ::4, ::4, ::-1], CROPS['crops_rgb'][VALID])


def test_k_is_the_original_s() -> None:
    found = k_values(CROPS['squares'][VALID], CAMERA)
    np.testing.assert_allclose(found, CROPS['k'][VALID], rtol=1e-12)


def test_k_takes_both_focal_lengths() -> None:
    """Depth predicted with a stand-in focal length is rescaled by the ratio of the true one."""
    K = CAMERA.K.copy()
    K[0, 0] *= 4
    squares = CROPS['squares'][VALID]
    camera = Camera(K, WIDTH, HEIGHT)
    np.testing.assert_allclose(k_values(squares, camera), 2 * k_values(squares, CAMERA))


def test_turned_scaled_and_mirrored_crops_are_the_original_s() -> None:
    square = CROPS['squares'][:1]
    flip, scale, turn = (CROPS[f'turned_{name}'] for name in ('flip', 'scale', 'rot'))
    boxes = np.where(flip[:, None], mirrored(square, WIDTH), square)
    found = affines(boxes, scale, turn)
    # rootnet, whose crops the fixture holds, does not scale
    np.testing.assert_allclose(
        affines(boxes, rotations_deg=turn), CROPS['turned_affine'], rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(
        found[:, :, :2], CROPS['turned_affine'][:, :, :2] / scale[:, None, None], atol=1e-6
    )
    for affine, mirror, wanted in zip(
        CROPS['turned_affine'], flip, CROPS['turned_crops'], strict=True
    ):
        image = IMAGE[:, ::-1].copy() if mirror else IMAGE
        crop = Crops(affine[None], SIZE, SIZE).cut(image)[0]
        same_within_opencv(crop[::4, ::4, ::-1], wanted)


def test_cells_of_the_heatmap_are_64ths_of_the_box() -> None:
    squares = np.array([[10.0, 20, 128, 128], [0, 0, 64, 64]])
    cells = np.array([[0.0, 63], [32, 32]])
    np.testing.assert_allclose(to_pixels(cells, squares), [[10, 146], [32, 32]])
    joints = np.stack([cells, cells + 1], axis=1)
    np.testing.assert_allclose(to_pixels(joints, squares)[:, 0], [[10, 146], [32, 32]])
    np.testing.assert_allclose(to_pixels(joints, squares)[:, 1], [[12, 148], [33, 33]])


def test_depth_cells_span_two_metres_around_the_root() -> None:
    np.testing.assert_allclose(to_metres(np.array([0.0, 32, 64])), [-1, 0, 1])
