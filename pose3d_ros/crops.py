# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From a box to a crop of fixed size, and back: for one image and many people at once."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Crops:
    """Where n crops of one size lie in an image.

    :param affines: (n, 2, 3) original pixels -> crop pixels.
    :param width: crop width, pixels.
    :param height: crop height, pixels.
    """

    affines: np.ndarray
    width: int
    height: int

    @classmethod
    def around(
        cls,
        centres: np.ndarray,
        widths: np.ndarray,
        size: tuple[int, int],
        angles: np.ndarray | None = None,
    ) -> 'Crops':
        """Return crops of `size` (width, height) that keep the aspect.

        :param centres: (n, 2) pixels of the original image.
        :param widths: (n,) width of the region in the original image, pixels.
        :param angles: (n,) radians by which the region is turned in the image (clockwise as
            seen, since y points down); the crop shows it upright.
        """
        centres = np.asarray(centres, dtype=np.float64).reshape(-1, 2)
        angles = np.zeros(len(centres)) if angles is None else np.asarray(angles)
        scale = size[0] / np.maximum(np.asarray(widths, dtype=np.float64), 1e-6)
        cos, sin = scale * np.cos(angles), scale * np.sin(angles)
        linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=1)
        middle = np.array([size[0], size[1]]) / 2
        shift = middle - np.einsum('nij,nj->ni', linear, centres)
        return cls(np.concatenate([linear, shift[..., None]], axis=2), *size)

    @classmethod
    def of_boxes(cls, boxes: np.ndarray, size: tuple[int, int], padding: float) -> 'Crops':
        """Return crops of `size` (width, height) around boxes (n, 4) grown by `padding`.

        The box's centre stays; its short side grows to the crop's aspect, then both sides by
        `padding`. A crop may reach outside the image, where it is black.
        """
        boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        centres = boxes[:, :2] + boxes[:, 2:] / 2
        widths = np.maximum(boxes[:, 2], boxes[:, 3] * size[0] / size[1]) * padding
        return cls.around(centres, widths, size)

    def __len__(self) -> int:
        return len(self.affines)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Return the crops (n, height, width, channels), bilinear, of an image (h, w, channels)."""
        crops = np.empty((len(self), self.height, self.width, *image.shape[2:]), image.dtype)
        for affine, crop in zip(self.affines, crops, strict=True):
            cv2.warpAffine(image, affine, (self.width, self.height), dst=crop)
        return crops

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Return points (n, k, 2) of the crops in pixels of the original image."""
        linear, shift = self.affines[:, :, :2], self.affines[:, :, 2]
        inverse = np.linalg.inv(linear) if len(self) else linear
        return np.einsum('nij,nkj->nki', inverse, points - shift[:, None])

    def from_image(self, points: np.ndarray) -> np.ndarray:
        """Return points (n, k, 2) of the original image in pixels of the crops."""
        linear, shift = self.affines[:, :, :2], self.affines[:, :, 2]
        return np.einsum('nij,nkj->nki', linear, points) + shift[:, None]
