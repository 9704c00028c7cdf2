# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Images of any size with any number of people, out of real frames."""

from itertools import islice
from math import ceil

import cv2
import numpy as np

from pose3d_ros.data.pose2sim import Clip, ClipError
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.stages import DETECTORS

_FRAMES_APART = 8
_MOST_ROWS = 4


def scenes(
    size: tuple[int, int], people: int, count: int = 8, long_side: int = 0
) -> list[np.ndarray]:
    """Return images (h, w, 3) uint8 BGR in each of which the default detector finds enough people.

    Whole frames of the clip 'multi' (two or three people each), scaled down and laid side by side,
    in as few rows as will do. More people may be seen than are asked for: the detector's
    `max_people` then says how many the networks behind it get.

    :param size: width and height, pixels.
    :param long_side: as DetectorOptions.input_long_side.
    :raises ClipError: so many are not found.
    :raises weights.WeightsError: the detector or the clip is absent; the message says what to run.
    """
    detect = DETECTORS['yolox'](None, RuntimeOptions())
    options = DetectorOptions(input_long_side=long_side, max_people=people)
    last = count * _FRAMES_APART
    frames = list(islice(Clip.load('multi').frames(0), 0, last, _FRAMES_APART))
    found = 0
    for rows in range(1, _MOST_ROWS + 1):
        images = [tiled(frames[i:] + frames[:i], size, rows) for i in range(count)]
        found = min(len(detect(image, options)) for image in images)
        if found == people:
            return images
    raise ClipError(
        f'in {size[0]}x{size[1]} pixels of tiled frames {found} people are found, not {people}: '
        'larger images, or a larger input of the detector, show more'
    )


def tiled(frames: list[np.ndarray], size: tuple[int, int], rows: int) -> np.ndarray:
    """Return an image of `size` (width, height) filled with frames in so many rows.

    The frames come in turn; at the right and lower edge they may be cut.
    """
    width, height = size
    tile_height = ceil(height / rows)
    tile_width = max(1, round(tile_height * frames[0].shape[1] / frames[0].shape[0]))
    columns = ceil(width / tile_width)
    page = np.empty((rows * tile_height, columns * tile_width, 3), np.uint8)
    small = [
        cv2.resize(frame, (tile_width, tile_height), interpolation=cv2.INTER_AREA)
        for frame in frames[: rows * columns]
    ]
    for place in range(rows * columns):
        y, x = place // columns * tile_height, place % columns * tile_width
        page[y : y + tile_height, x : x + tile_width] = small[place % len(small)]
    return np.ascontiguousarray(page[:height, :width])
