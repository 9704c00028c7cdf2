# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Crops: where they lie, what they show, and the way back."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose3d_ros.crops import Crops

SIZE = (192, 256)


@settings(max_examples=60, deadline=None)
@given(
    centre=st.tuples(st.floats(-500, 3000), st.floats(-500, 3000)),
    width=st.floats(0.5, 5000),
    angle=st.floats(-7, 7),
    point=st.tuples(st.floats(-2000, 4000), st.floats(-2000, 4000)),
)
def test_to_image_undoes_from_image(
    centre: tuple[float, float], width: float, angle: float, point: tuple[float, float]
) -> None:
    crops = Crops.around(np.array([centre]), np.array([width]), SIZE, np.array([angle]))
    points = np.array([[point]])
    np.testing.assert_allclose(crops.to_image(crops.from_image(points)), points, atol=1e-6)
    np.testing.assert_allclose(crops.from_image(crops.to_image(points)), points, atol=1e-6)
    middle = crops.from_image(np.array([[centre]]))
    np.testing.assert_allclose(middle[0, 0], [96, 128], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    box=st.tuples(
        st.floats(-100, 2000), st.floats(-100, 2000), st.floats(1, 2000), st.floats(1, 2000)
    ),
    padding=st.floats(1, 2),
)
def test_of_boxes_holds_the_padded_box_and_keeps_the_aspect(
    box: tuple[float, float, float, float], padding: float
) -> None:
    crops = Crops.of_boxes(np.array([box]), SIZE, padding)
    linear = crops.affines[0, :, :2]
    assert linear[0, 0] == pytest.approx(linear[1, 1])
    assert linear[0, 1] == linear[1, 0] == 0
    x, y, w, h = box
    corners = crops.from_image(np.array([[[x, y], [x + w, y + h]]]))[0]
    np.testing.assert_allclose(corners.mean(axis=0), [96, 128], atol=1e-6)  # the centre stays
    sides = (corners[1] - corners[0]) * padding
    # one side fills the crop, the other is not larger
    assert sides[0] == pytest.approx(192) or sides[1] == pytest.approx(256)
    assert (sides <= np.array(SIZE) + 1e-6).all()


def picture() -> np.ndarray:
    """Return a picture without symmetry, smooth enough to be resampled."""
    rng = np.random.default_rng(5)
    return cv2.GaussianBlur(rng.integers(0, 255, (300, 400, 3), dtype=np.uint8), (0, 0), 4)


def test_a_crop_of_the_same_scale_is_a_slice() -> None:
    image = picture()
    crops = Crops.of_boxes(np.array([[100.0, 20, 192, 256]]), SIZE, 1.0)
    np.testing.assert_array_equal(crops.cut(image)[0], image[20:276, 100:292])


def test_a_crop_of_half_the_scale_by_hand() -> None:
    """Crop pixel (i, j) shows image pixel (x + 2 i, y + 2 j)."""
    image = picture()
    crops = Crops.of_boxes(np.array([[10.0, 6, 80, 100]]), (40, 50), 1.0)
    np.testing.assert_array_equal(crops.cut(image)[0], image[6:106:2, 10:90:2])


def test_bilinear_between_pixels() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    image[:, 5:] = 200
    crops = Crops.of_boxes(np.array([[2.5, 2, 4, 4]]), (4, 4), 1.0)
    np.testing.assert_array_equal(crops.cut(image)[0, 0, :, 0], [0, 0, 100, 200])


def test_outside_the_image_it_is_black() -> None:
    image = np.full((50, 60, 3), 255, np.uint8)
    boxes = np.array([[-30.0, -20, 60, 80], [500, 500, 60, 80]])
    crops = Crops.of_boxes(boxes, (60, 80), 1.0).cut(image)
    assert (crops[0, :19, :] == 0).all()
    assert (crops[0, :, :29] == 0).all()
    assert (crops[0, 21:70, 31:] == 255).all()
    assert (crops[1] == 0).all()


@pytest.mark.parametrize('degrees', [0, 30, 90, -75, 180])
def test_a_turned_body_is_upright_in_its_crop(degrees: float) -> None:
    """A red head and a green hip, drawn at an angle clockwise, stand head up in the crop."""
    image = np.zeros((400, 400, 3), np.uint8)
    angle = np.radians(degrees)
    hip = np.array([200.0, 190.0])
    head = hip + 80 * np.array([np.sin(angle), -np.cos(angle)])
    cv2.circle(image, np.rint(hip).astype(int).tolist(), 9, (0, 255, 0), -1)
    cv2.circle(image, np.rint(head).astype(int).tolist(), 9, (0, 0, 255), -1)
    crops = Crops.around(hip[None], np.array([256.0]), (256, 256), np.array([angle]))
    crop = crops.cut(image)[0]
    for channel, expected in ((1, (128, 128)), (2, (128, 48))):
        rows, columns = np.nonzero(crop[..., channel] > 128)
        np.testing.assert_allclose([columns.mean(), rows.mean()], expected, atol=1.5)
    np.testing.assert_allclose(crops.from_image(head[None, None])[0, 0], [128, 48], atol=1e-6)


def test_many_at_once_are_each_alone() -> None:
    image = picture()
    boxes = np.array([[10.0, 10, 50, 90], [200, 50, 120, 60], [-20, 200, 90, 200]])
    together = Crops.of_boxes(boxes, SIZE, 1.25)
    assert len(together) == 3
    crops = together.cut(image)
    assert crops.shape == (3, 256, 192, 3)
    assert crops.flags.c_contiguous
    for i in range(3):
        alone = Crops.of_boxes(boxes[[i]], SIZE, 1.25)
        np.testing.assert_array_equal(alone.affines[0], together.affines[i])
        np.testing.assert_array_equal(alone.cut(image)[0], crops[i])


def test_nobody() -> None:
    crops = Crops.of_boxes(np.zeros((0, 4)), SIZE, 1.25)
    assert crops.cut(picture()).shape == (0, 256, 192, 3)
    assert crops.to_image(np.zeros((0, 26, 2))).shape == (0, 26, 2)
    assert crops.from_image(np.zeros((0, 26, 2))).shape == (0, 26, 2)


@pytest.mark.parametrize('shape', [(300, 400), (300, 400, 1), (300, 400, 4)])
def test_other_channels_are_written_too(shape: tuple[int, ...]) -> None:
    """cv2 writes into the result only where shape and type fit; elsewhere it would be garbage."""
    image = np.full(shape, 77, np.uint8)
    crop = Crops.of_boxes(np.array([[50.0, 20, 192, 256]]), SIZE, 1.0).cut(image)[0]
    assert crop.shape == (256, 192, *shape[2:])
    assert (crop == 77).all()


def test_views_and_read_only_images() -> None:
    """Images come as views of messages: mirrored, cut, not to be written to."""
    image = picture()
    box = np.array([[20.0, 20, 192, 256]])
    expected = Crops.of_boxes(box, SIZE, 1.0).cut(np.ascontiguousarray(image[:, ::-1]))
    np.testing.assert_array_equal(Crops.of_boxes(box, SIZE, 1.0).cut(image[:, ::-1]), expected)
    image.setflags(write=False)
    assert Crops.of_boxes(box, SIZE, 1.0).cut(image).any()


@pytest.mark.parametrize('side', [0.0, 1e-3, 1e7, 1e30])
def test_boxes_of_absurd_size(side: float) -> None:
    crops = Crops.of_boxes(np.array([[10.0, 10, side, side]]), SIZE, 1.25)
    assert crops.cut(picture()).shape == (1, 256, 192, 3)
    points = np.array([[[0.0, 0], [96, 128]]])
    assert np.isfinite(crops.to_image(points)).all()
