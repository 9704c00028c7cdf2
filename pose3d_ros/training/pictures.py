# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Crops with what a network finds in them, for TensorBoard."""

import cv2
import numpy as np

from pose3d_ros.models.crops3dmppe import HEATMAP, SIZE

_TRUTH, _FOUND = (255, 255, 255), (60, 140, 255)  # BGR
_SHIFT = 3  # fraction bits of OpenCV's coordinates


def grid(
    crops: np.ndarray,
    truth: np.ndarray,
    found: np.ndarray,
    visible: np.ndarray,
    edges: tuple[tuple[int, int], ...],
) -> np.ndarray:
    """Return the crops in a row (256, n * 256, 3) RGB: the truth white, what was found orange.

    :param crops: (n, 256, 256, 3) BGR.
    :param truth: (n, p, 3) points in cells; a single point's depth is written below, millimetres.
    :param found: (n, p, 3).
    :param visible: (n, p) which points of the truth are drawn.
    :param edges: bones.
    """
    everything = np.ones_like(visible)
    pictures = [crop.copy() for crop in crops]
    for i, picture in enumerate(pictures):
        for points, shown, colour in ((truth, visible, _TRUTH), (found, everything, _FOUND)):
            _draw(picture, points[i], shown[i], edges, colour)
        if not edges:
            text = f'{found[i, 0, 2] / 1000:.2f} ({truth[i, 0, 2] / 1000:.2f}) m'
            cv2.putText(picture, text, (8, SIZE - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _FOUND, 1)
    return np.ascontiguousarray(np.concatenate(pictures, axis=1)[..., ::-1])


def _draw(
    picture: np.ndarray,
    points: np.ndarray,
    shown: np.ndarray,
    edges: tuple[tuple[int, int], ...],
    colour: tuple[int, int, int],
) -> None:
    # far outside the crop OpenCV's fixed point numbers end
    places = np.clip(points[:, :2] / HEATMAP * SIZE, -SIZE, 2 * SIZE)
    at = [(round(x), round(y)) for x, y in (places * (1 << _SHIFT)).tolist()]
    for a, b in edges:
        if shown[a] and shown[b]:
            cv2.line(picture, at[a], at[b], colour, 1, cv2.LINE_AA, _SHIFT)
    for place, is_shown in zip(at, shown, strict=True):
        if is_shown:
            cv2.circle(picture, place, 3 << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)
