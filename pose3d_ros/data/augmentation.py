# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How crops of people are varied while RootNet and PoseNet learn, as 3DMPPE does (Moon et al.,
ICCV 2019): size, rotation, mirror image, colours, and a rectangle of noise in front of the person.

All that happens to where pixels lie is one affine, by which image and joints are moved alike.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pose3d_ros.models.crops3dmppe import SIZE, affines, mirrored

_ROTATED, _MIRRORED, _OCCLUDED = 0.6, 0.5, 0.5  # shares of the crops
_ASPECTS = (0.3, 1 / 0.3)  # of the rectangle of noise, height over width
_TRIES = 100


@dataclass(frozen=True)
class Change:
    """What happens to one crop.

    :param scale: by which its region is larger than the processed box.
    :param rotation_deg: by which the region is turned, clockwise as seen.
    :param mirror: left and right change sides.
    :param colours: (3,) by which red, green and blue are multiplied.
    :param occlusion: largest share of the box that noise may cover; 0 = none.
    """

    scale: float
    rotation_deg: float
    mirror: bool
    colours: np.ndarray
    occlusion: float


@dataclass(frozen=True)
class Augmentation:
    """How much crops may be changed; 0 and False switch a change off.

    :param scale: a standard deviation of the region's size, and the most that it may change.
    :param rotation_deg: a standard deviation of the rotation, of which at most two happen.
    :param mirror: half of the crops are mirror images.
    :param colour: how far the factors of red, green and blue may be from 1.
    :param occlusion: largest share of the box that noise covers, in half of the crops.
    """

    scale: float = 0.25
    rotation_deg: float = 30.0
    mirror: bool = True
    colour: float = 0.2
    occlusion: float = 0.7

    def draw(self, rng: np.random.Generator) -> Change:
        """Return what happens to a crop. As many numbers are drawn whatever is switched off."""
        size, turn = rng.standard_normal(2)
        rotated, is_mirrored, occluded = rng.random(3)
        colours = rng.uniform(-1, 1, 3)
        return Change(
            1 + self.scale * float(np.clip(size, -1, 1)),
            self.rotation_deg * float(np.clip(turn, -2, 2)) if rotated < _ROTATED else 0.0,
            self.mirror and bool(is_mirrored < _MIRRORED),
            (1 + self.colour * colours).astype(np.float32),
            self.occlusion if occluded < _OCCLUDED else 0.0,
        )


NO_AUGMENTATION = Augmentation(0.0, 0.0, False, 0.0, 0.0)


def crop_affine(square: np.ndarray, image_width: int, change: Change) -> np.ndarray:
    """Return (2, 3), pixels of the image to pixels of the crop.

    A mirror image is part of it, so that the image itself is not turned over before.

    :param square: (4,) the processed box.
    """
    scales, turns = np.array([change.scale]), np.array([change.rotation_deg])
    if not change.mirror:
        return affines(square[None], scales, turns)[0]
    affine = affines(mirrored(square[None], image_width), scales, turns)[0]
    return affine @ np.array([[-1.0, 0, image_width - 1], [0, 1, 0], [0, 0, 1]])


def cut(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the crop (256, 256, 3), bilinear, black where the image ends."""
    return cv2.warpAffine(image, affine, (SIZE, SIZE), flags=cv2.INTER_LINEAR)


def moved(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return pixels of the crop (n, 2) for pixels of the image (n, 2)."""
    return points @ affine[:, :2].T + affine[:, 2]


def occlude(
    image: np.ndarray, square: np.ndarray, largest: float, rng: np.random.Generator
) -> bool:
    """Cover a part of the box with noise, in place; return whether a place was found.

    The original tries until the rectangle lies in the image, which never happens where the box is
    mostly outside; here it is left out after a hundred times.

    :param image: (h, w, 3) uint8.
    :param square: (4,) the processed box.
    :param largest: share of the box.
    """
    height, width = image.shape[:2]
    x, y, box_w, box_h = square
    for area, aspect, across, down in rng.random((_TRIES, 4)):
        area *= largest * box_w * box_h
        aspect = _ASPECTS[0] + aspect * (_ASPECTS[1] - _ASPECTS[0])
        w, h = np.sqrt(area / aspect), np.sqrt(area * aspect)
        left, top = x + across * (box_w - w - 1), y + down * (box_h - h - 1)
        if left >= 0 and top >= 0 and left + w < width and top + h < height:
            left, top, w, h = int(left), int(top), int(w), int(h)
            noise = rng.integers(0, 255, (h, w, 3), np.uint8)
            image[top : top + h, left : left + w] = noise
            return True
    return False
