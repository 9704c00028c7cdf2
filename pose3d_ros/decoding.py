# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compressed pictures in memory to arrays, when whoever sent them is not trusted."""

from io import BytesIO

import cv2
import numpy as np
from PIL import Image

# What compressed_image_transport sends, and BMP. OpenCV knows a dozen more, nobody's cameras do.
_FORMATS = ('JPEG', 'PNG', 'TIFF', 'BMP')
# A picture of one colour has the most: deflate makes 1032 bytes, grey pixels, of one. More, and
# a kilobyte that announces a thousand million pixels would be given the memory for them.
_MOST_PIXELS_PER_BYTE = 1032


class ImageDataError(ValueError):
    """Bytes that are no picture; the message says why."""


def decode_image(data: np.ndarray) -> np.ndarray:
    """Return the picture (height, width, 3) uint8 BGR of a JPEG, PNG, TIFF or BMP file.

    It is as it is stored, not turned by EXIF: camera_info describes those pixels.

    :param data: (n,) uint8, the file.
    :raises ImageDataError: it is no such file, damaged, or announces more pixels than can be in it.
    """
    _check_size(data)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:  # more pixels than OpenCV takes
        raise ImageDataError('OpenCV refuses it') from error
    if image is None:
        raise ImageDataError('it is cut or damaged')
    return np.asarray(image)


def _check_size(data: np.ndarray) -> None:
    """Raise ImageDataError where the header, which alone is read here, cannot be true."""
    try:
        with Image.open(BytesIO(data.data), formats=_FORMATS) as header:
            width, height = header.size
    except Image.DecompressionBombError as error:
        raise ImageDataError(str(error)) from error
    except Exception as error:  # of a damaged header Pillow raises nearly anything
        raise ImageDataError(f'no header of {", ".join(_FORMATS)}') from error
    if header.format == 'PNG' and not _chunks_fit(data.data):
        raise ImageDataError('its parts are longer than it is')  # OpenCV takes memory for them
    if width * height > _MOST_PIXELS_PER_BYTE * len(data):
        raise ImageDataError(f'{width} x {height} pixels cannot be in it')


def _chunks_fit(data: memoryview) -> bool:
    """Return whether a PNG file holds the chunks that it announces, to the last one, IEND.

    Each is a length of 4 bytes, a name of 4, as many bytes as that, and 4 of a checksum.
    """
    at = 8  # behind the signature
    while at + 12 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], 'big'), bytes(data[at + 4 : at + 8])
        at += 12 + length
        if name == b'IEND':
            return at <= len(data)
    return False
