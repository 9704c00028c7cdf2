# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Boxes, crops and coordinates as 3DMPPE has them (Moon et al., ICCV 2019).

The published weights depend on each of these, also where another choice would be better: a box
loses a pixel, one that begins left of the image is moved into it rather than cut, the values of
pixels go in as 0..255 although mean and standard deviation are those of 0..1.
"""

import cv2
import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.crops import Crops

SIZE = 256
HEATMAP = 64
#: Of 0..1, in RGB order, applied to 0..255.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

_BOX_PADDING = 1.25
#: Side of the square that k takes a person to fill, and of the cube around the root, metres.
_SPACE_M = 2.0


def process_boxes(
    boxes: np.ndarray, width: int | np.ndarray, height: int | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the square boxes to cut, and which there are.

    A square may reach outside the image. There is none for a box without area or without a pixel
    in the image; its row is NaN.

    :param boxes: (n, 4) x, y, w, h, tight around people, pixels of the original image.
    :param width: of the image, pixels; or (n,), of each box's image.
    :param height: of the image, pixels; or (n,).
    :return: (n, 4) x, y, w, h, pixels; (n,) bool.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    x, y, w, h = np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, 0).T
    x1, y1 = np.maximum(x, 0), np.maximum(y, 0)
    x2 = np.minimum(width - 1, x1 + np.maximum(0, w - 1))
    y2 = np.minimum(height - 1, y1 + np.maximum(0, h - 1))
    side = np.maximum(x2 - x1, y2 - y1)
    # a single pixel passes the original's test, and then divides by 0
    valid = (w * h > 0) & (x2 >= x1) & (y2 >= y1) & (side > 0)
    centres = np.stack([x1 + (x2 - x1) / 2, y1 + (y2 - y1) / 2], axis=1)
    side = side[:, None] * _BOX_PADDING
    squares = np.concatenate([centres - side / 2, side, side], axis=1)
    return np.where(valid[:, None], squares, np.nan), valid


def usable_squares(boxes: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the square boxes to cut of annotated people, and which there are.

    As `process_boxes`, but none for a box that lies wholly left of its image or above it: 3DMPPE
    moves it inside, onto pixels that do not show the person.

    :param boxes: (n, 4) as there.
    :param sizes: (n, 2) width and height of the image that each is in.
    :return: (n, 4), NaN where there is none; (n,) bool.
    """
    squares, valid = process_boxes(boxes, sizes[:, 0], sizes[:, 1])
    valid &= (boxes[:, :2] + boxes[:, 2:] > 0).all(axis=1)
    return np.where(valid[:, None], squares, np.nan), valid


def cut_boxes(squares: np.ndarray) -> Crops:
    """Return the crops of processed boxes (n, 4)."""
    return Crops(affines(squares), SIZE, SIZE)


def affines(
    squares: np.ndarray,
    scales: np.ndarray | None = None,
    rotations_deg: np.ndarray | None = None,
) -> np.ndarray:
    """Return (n, 2, 3), original pixels to crop pixels, from three pairs of points in float32.

    :param squares: (n, 4) processed boxes.
    :param scales: (n,) by which the region is larger than the box.
    :param rotations_deg: (n,) by which it is turned, clockwise as seen.
    """
    squares = np.asarray(squares, dtype=np.float64).reshape(-1, 4)
    n = len(squares)
    turn = np.zeros(n) if rotations_deg is None else np.radians(rotations_deg)
    half = squares[:, 2:] * (1.0 if scales is None else np.asarray(scales)[:, None]) * 0.5
    cos, sin = np.cos(turn), np.sin(turn)
    centre = (squares[:, :2] + 0.5 * squares[:, 2:]).astype(np.float32)
    down = np.stack([-half[:, 1] * sin, half[:, 1] * cos], axis=1).astype(np.float32)
    right = np.stack([half[:, 0] * cos, half[:, 0] * sin], axis=1).astype(np.float32)
    sources = np.stack([centre, centre + down, centre + right], axis=1)
    middle = SIZE / 2
    target = np.array([[middle, middle], [middle, SIZE], [SIZE, middle]], np.float32)
    found = [cv2.getAffineTransform(source, target) for source in sources]
    return np.array(found, dtype=np.float64).reshape(n, 2, 3)


def mirrored(squares: np.ndarray, image_width: int) -> np.ndarray:
    """Return where processed boxes (n, 4) lie in the mirrored image: centre x at W - x - 1."""
    moved = np.array(squares, dtype=np.float64).reshape(-1, 4)
    moved[:, 0] = image_width - 1 - moved[:, 0] - moved[:, 2]
    return moved


def k_values(squares: np.ndarray, camera: Camera) -> np.ndarray:
    """Return k (n,), millimetres: how far away 2 x 2 m would fill the processed boxes (n, 4)."""
    return k_values_of(squares, camera.K[[0, 1], [0, 1]])


def k_values_of(squares: np.ndarray, focal_px: np.ndarray) -> np.ndarray:
    """Return k (n,), millimetres, of boxes (n, 4) in images of one or several cameras.

    :param focal_px: (2,) fx and fy, or (n, 2).
    """
    area = squares[:, 2] * squares[:, 3]
    millimetres = _SPACE_M * 1000
    return np.asarray(np.sqrt(millimetres**2 * focal_px[..., 0] * focal_px[..., 1] / area))


def to_pixels(cells: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Return pixels of the original image (n, ..., 2) for cells of the heatmap (n, ..., 2)."""
    shape = (len(squares), *(1,) * (cells.ndim - 2), 2)
    return cells / HEATMAP * squares[:, 2:].reshape(shape) + squares[:, :2].reshape(shape)


def to_metres(depth_cells: np.ndarray) -> np.ndarray:
    """Return depth from the root, metres, for cells of the depth axis."""
    return (depth_cells / HEATMAP * 2 - 1) * (_SPACE_M / 2)


def to_cells(depth_m: np.ndarray) -> np.ndarray:
    """Return cells of the depth axis, 0 to 64 inside it, for metres behind the root."""
    return (depth_m / (_SPACE_M / 2) + 1) / 2 * HEATMAP
