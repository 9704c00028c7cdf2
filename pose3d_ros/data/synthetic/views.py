# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Cameras as they hang in streets and rooms, drawn at random."""

from dataclasses import dataclass

import numpy as np

from pose3d_ros.data.synthetic.postures import about

_FOCAL_PER_WIDTH = (0.55, 2.2)  # 84 to 26 degrees across
_MIDDLE_M = 0.9  # where cameras look: the height of a person's middle
#: (share, from, to): of cameras and their height in metres; hand and eye, lamp post, high, low.
_HEIGHTS_M = ((0.55, 1.2, 2.2), (0.28, 2.2, 4.5), (0.1, 4.5, 8.0), (0.07, 0.4, 1.2))
NEAREST_M = 1.5
_FARTHEST_M = 40.0
_SMALLEST_PX = 26  # of a person 1.7 m tall
_PERSON_M = 1.7


@dataclass(frozen=True)
class View:
    """A pinhole camera at its place; the world is in metres, z up.

    :param rotation: (3, 3) R, world to optical frame: R X + t.
    :param translation_m: (3,) t.
    :param focal_px: (2,).
    :param centre_px: (2,).
    :param width: pixels.
    :param height: pixels.
    """

    rotation: np.ndarray
    translation_m: np.ndarray
    focal_px: np.ndarray
    centre_px: np.ndarray
    width: int
    height: int

    @property
    def place_m(self) -> np.ndarray:
        """Return where the camera is in the world (3,)."""
        return -self.rotation.T @ self.translation_m

    @property
    def farthest_m(self) -> float:
        """Return how far away a person still is tall enough to be of use."""
        return float(np.clip(self.focal_px[1] * _PERSON_M / _SMALLEST_PX, 4.0, _FARTHEST_M))

    def optical(self, points_m: np.ndarray) -> np.ndarray:
        """Return points (..., 3) of the world in the optical frame, metres."""
        return points_m @ self.rotation.T + self.translation_m

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """Return the pixels (..., 2) of points (..., 3) of the world in front of the camera."""
        optical = self.optical(points_m)
        return self.focal_px * optical[..., :2] / optical[..., 2:] + self.centre_px

    def ground(self, column_px: float, depth_m: float) -> np.ndarray:
        """Return the place (3,) on the ground at a depth z, seen in a column of the image."""
        x = (column_px - self.centre_px[0]) / self.focal_px[0]
        base = self.place_m + self.rotation.T @ np.array([x * depth_m, 0.0, depth_m])
        down = self.rotation[1]  # the optical y axis in the world
        return base - down * base[2] / down[2]


def random_view(rng: np.random.Generator, width: int, height: int) -> View:
    """Return a camera that looks at people somewhere between near and far."""
    focal = width * np.exp(rng.uniform(*np.log(_FOCAL_PER_WIDTH)))
    shares = np.array([share for share, _, _ in _HEIGHTS_M])
    _, low, high = _HEIGHTS_M[rng.choice(len(_HEIGHTS_M), p=shares / shares.sum())]
    camera_m = rng.uniform(low, high)
    farthest = float(np.clip(focal * _PERSON_M / _SMALLEST_PX, 4.0, _FARTHEST_M))
    nearest = NEAREST_M + camera_m / 2
    looks_at = np.exp(rng.uniform(np.log(nearest), np.log(max(nearest + 1, farthest / 2))))
    pitch = np.arctan2(camera_m - _MIDDLE_M, looks_at) + np.radians(rng.normal(0, 3))
    yaw, roll = rng.uniform(-np.pi, np.pi), np.radians(rng.normal(0, 2))
    # looking along y: right is x, down is -z
    level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    rotation = about(2, roll) @ about(0, pitch) @ level @ about(2, yaw)
    place = np.array([*rng.uniform(-5, 5, 2), camera_m])
    focals = focal * np.array([1.0, 1 + rng.normal(0, 0.003)])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    centre = centre + rng.normal(0, 0.01, 2) * [width, height]
    return View(rotation, -rotation @ place, focals, centre, width, height)
