# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Images of a data set, as its annotations know them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pose3d_ros.data.annotations import DataError


def read_image(path: Path, size: Sequence[int]) -> np.ndarray:
    """Return an image (h, w, 3) uint8 BGR as it is stored: annotations know no EXIF rotation.

    :param size: width and height that the annotations were made for; boxes are of no other.
    :raises DataError: it is absent, cannot be read, or has another size.
    """
    if not path.exists():
        raise DataError(f'{path} does not exist')
    try:
        content = np.fromfile(path, np.uint8)  # cv2.imread also writes to stderr where it fails
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(content, flags) if content.size else None
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}') from error
    except cv2.error as error:  # among others a size above OpenCV's limit
        raise DataError(f'{path} is damaged: {error.err}') from error
    if image is None:
        raise DataError(f'{path} is damaged, or no image that OpenCV can read')
    width, height = map(int, size)
    if image.shape != (height, width, 3):
        h, w = image.shape[:2]
        raise DataError(f'{path} is {w} x {h} pixels, but annotated as {width} x {height}')
    return image
