# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detectors as `pose3d export` writes them, in OpenVINO or ONNX Runtime, without PyTorch: DETR and
its successors, and Mask R-CNN.

The file holds the network, how scores are made of its numbers and which class is a person; its
metadata say how it wants its images. They are scaled as transformers or torchvision would: the
sizes are theirs to the pixel, the values to the last of 255 steps.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from pose3d_ros.models import onnx_files
from pose3d_ros.models.detection import DetectorOptions, OptionsError, select_people
from pose3d_ros.models.onnx_files import BOXES, INPUT, SCORES, OnnxFileError
from pose3d_ros.models.session import ANY, ImageInput, RuntimeOptions, RuntimeUnavailable
from pose3d_ros.people import Persons

#: Kind of detector, as a node calls it -> what it is.
KINDS = {'detr': 'DETR', 'mask_rcnn': 'Mask R-CNN'}
#: Sizes that an image is scaled to: the aspect is kept, as transformers (1) or torchvision (2) does
#: it, or is not kept.
ASPECT, ASPECT_2, FIXED = (
    ('longest_edge', 'shortest_edge'), ('max_size', 'min_size'), ('height', 'width')
)  # fmt: skip


class ExportedDetector:
    """Detect people; the first image of another size takes longer where any size is taken.

    :param path: of `pose3d export`.
    :param kind: of KINDS.
    :raises OnnxFileError: it is another file.
    :raises RuntimeUnavailable: no such device, or precision bf16 or f16.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        options: RuntimeOptions = RuntimeOptions(),  # noqa: B008 (frozen)
    ) -> None:
        if options.precision in ('bf16', 'f16'):
            # all of it would be computed so, and corners do not fit into 8 or 11 bits
            raise RuntimeUnavailable(
                f'{path}: an exported detector does not run in {options.precision}, which is too '
                'coarse for the corners of boxes; use precision f32 or auto'
            )
        self._path = path
        image, self._size = _read(path, kind)
        one = replace(options, max_batch=1)
        self.network = onnx_files.network(path, image, [SCORES, BOXES], one)
        self.networks = (self.network,)

    def check(self, options: DetectorOptions) -> None:
        """Raise OptionsError where another input size than the one of the file is asked for."""
        side = options.input_long_side
        if side and 'height' in self._size and set(self._size.values()) != {side}:
            raise OptionsError(
                f'{self._path} takes {self._size["width"]} x {self._size["height"]} pixels: '
                f'input_long_side has to be 0, not {side}; `pose3d export detr --input-long-side` '
                'writes a file of another size'
            )

    def __call__(self, image: np.ndarray, options: DetectorOptions) -> Persons:
        """Return the people of an image (h, w, 3) uint8 BGR, most certain first, no ids.

        :raises OptionsError: see `check`.
        """
        self.check(options)
        height, width = image.shape[:2]
        scaled = scale(image, self._wanted(options))
        scores, boxes = (found[0].astype(np.float64) for found in self.network(scaled[None]))
        corners = boxes * (width, height, width, height)
        corners[:, 2:] -= corners[:, :2]
        return select_people(corners, scores, image.shape, options)

    def _wanted(self, options: DetectorOptions) -> Mapping[str, int]:
        """Return the size to scale to."""
        if options.input_long_side and 'height' not in self._size:
            return dict.fromkeys(self._size, options.input_long_side)
        return self._size


def scaled_size(size: Mapping[str, int], height: int, width: int) -> tuple[int, int]:
    """Return the (height, width) that an image is scaled to, as the library computes it.

    :param size: height and width; or shortest_edge and longest_edge (min_size and max_size), of
        which the first is the shorter side unless the longer would then be above the second.
    """
    if 'height' in size:
        return size['height'], size['width']
    shorter, longer = min(height, width), max(height, width)
    if 'min_size' in size:
        ratio = min(size['min_size'] / shorter, size['max_size'] / longer)
        return int(height * ratio), int(width * ratio)
    side: float = size['shortest_edge']
    if longer / shorter * side > size['longest_edge']:
        side = size['longest_edge'] * shorter / longer
    short_side = round(side)
    if short_side == shorter:
        return height, width
    # not of the rounded shorter side; cut off, not rounded
    long_side = int(side * longer / shorter)
    return (short_side, long_side) if height <= width else (long_side, short_side)


def scale(image: np.ndarray, size: Mapping[str, int]) -> np.ndarray:
    """Return an image (h, w, 3) uint8 as large as `scaled_size` says.

    Transformers antialiases, as Pillow does; torchvision does not, and OpenCV is faster then.
    """
    height, width = scaled_size(size, *image.shape[:2])
    if image.shape[:2] == (height, width):
        return image
    if 'min_size' in size:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def _read(path: Path, kind: str) -> tuple[ImageInput, dict[str, int]]:
    """Return how the network of a file wants its images, and to what size they are scaled."""
    file = onnx_files.read(path)
    onnx_files.expect(path, file, SCORES)
    if BOXES not in file.outputs:
        raise OnnxFileError(
            f'{path} is not an exported detector: expected are the outputs {SCORES} and {BOXES}, '
            f'found {", ".join(file.outputs)}'
        )
    found = file.metadata.get('detector')
    if found != kind and found in KINDS:
        raise OnnxFileError(
            f'{path} holds {KINDS[found]}; an exported {KINDS[kind]} is expected, or the detector '
            f'{found} asked for'
        )
    size, mean, std = (_entry(path, file.metadata, key) for key in ('size', 'mean', 'std'))
    axes = file.inputs[INPUT][2:]
    is_size = isinstance(size, dict) and all(isinstance(n, int) and n > 0 for n in size.values())
    # a network of a fixed size takes no other; one of any size is given what its processor would
    fits = is_size and (
        tuple(sorted(size)) in (ASPECT, ASPECT_2)
        if axes == ('any', 'any')
        else tuple(sorted(size)) == FIXED and (size['height'], size['width']) == axes
    )
    if not fits:
        raise OnnxFileError(f'{path}: the size {size} of its metadata is not that of its input')
    height, width = (ANY if axis == 'any' else int(axis) for axis in axes)
    image = ImageInput(height, width, rgb=True, mean=_colours(path, mean), std=_colours(path, std))
    return image, {key: size[key] for key in sorted(size)}


def _entry(path: Path, metadata: Mapping[str, str], key: str) -> Any:
    """Return an entry of the metadata."""
    try:
        return json.loads(metadata[key])
    except (KeyError, json.JSONDecodeError) as error:
        raise OnnxFileError(
            f"{path} does not say how it wants its images: no '{key}' in its metadata; a file that "
            '`pose3d export` wrote is expected'
        ) from error


def _colours(path: Path, values: Any) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise OnnxFileError(
            f'{path}: {values} of its metadata is not one number a colour'
        ) from error
    return red, green, blue
