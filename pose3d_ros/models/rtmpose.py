# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""RTMPose 2D keypoints (Jiang et al., "RTMPose", arXiv 2303.07399), SimCC heads.

Weights: RTMPose-s, 256 x 192, Halpe-26 joints (mmpose's model zoo, Apache-2.0).
"""

from pathlib import Path

import numpy as np

from pose3d_ros.crops import Crops
from pose3d_ros.models.quantization import EightBits
from pose3d_ros.models.runtime import Network
from pose3d_ros.models.session import ImageInput, RuntimeOptions
from pose3d_ros.people import Keypoints
from pose3d_ros.skeletons import HALPE26

CROP_WIDTH, CROP_HEIGHT = 192, 256
BOX_PADDING = 1.25
#: How it wants its crops.
INPUT = ImageInput(
    CROP_HEIGHT,
    CROP_WIDTH,
    rgb=True,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
)
#: All its outputs.
OUTPUTS = ('simcc_x', 'simcc_y')
_BINS_PER_PIXEL = 2


class RTMPose:
    """Find the 26 Halpe keypoints of every person of an image in one call."""

    def __init__(self, weights: Path, options: RuntimeOptions = RuntimeOptions()) -> None:  # noqa: B008
        self.network = Network(
            weights, INPUT, OUTPUTS, options, eight_bits=EightBits.of('rtmpose_s')
        )

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> Keypoints:
        """Return the keypoints of the people in boxes (n, 4), of an image (h, w, 3) uint8 BGR."""
        if not len(boxes):
            return Keypoints(HALPE26, np.zeros((0, 26, 2)), np.zeros((0, 26)))
        crops = Crops.of_boxes(boxes, (CROP_WIDTH, CROP_HEIGHT), BOX_PADDING)
        simcc_x, simcc_y = self.network(crops.cut(image))
        xy = np.stack([_peak(simcc_x), _peak(simcc_y)], axis=-1) / _BINS_PER_PIXEL
        scores = np.minimum(simcc_x.max(axis=2), simcc_y.max(axis=2))
        return Keypoints(HALPE26, crops.to_image(xy), np.clip(scores, 0, 1))


def _peak(responses: np.ndarray) -> np.ndarray:
    """Return the position of the maximum (n, k), in bins, refined by a parabola through three."""
    bins = responses.shape[2]
    best = responses.argmax(axis=2)
    middle = np.clip(best, 1, bins - 2)
    left, centre, right = (
        np.take_along_axis(responses, (middle + step)[..., None], axis=2)[..., 0]
        for step in (-1, 0, 1)
    )
    curvature = left - 2 * centre + right
    offset = np.where(curvature < -1e-9, (left - right) / np.minimum(2 * curvature, -1e-9), 0)
    return np.where(best == middle, middle + np.clip(offset, -0.5, 0.5), best)
