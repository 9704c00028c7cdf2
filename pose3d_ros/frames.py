# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From one coordinate frame into another: points, velocities and their covariances."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Transform:
    """A rotation and then a shift.

    :param rotation: (3, 3).
    :param translation_m: (3,) metres.
    """

    rotation: np.ndarray
    translation_m: np.ndarray

    @classmethod
    def from_quaternion(cls, xyzw: np.ndarray, translation_m: np.ndarray) -> 'Transform':
        """Return the transform of a quaternion (4,) of any length above 0.

        :raises ValueError: a number is not finite, or the quaternion is zero.
        """
        quaternion, translation_m = np.asarray(xyzw, float), np.asarray(translation_m, float)
        length = np.linalg.norm(quaternion)
        if not np.isfinite([*quaternion, *translation_m]).all() or length == 0:
            raise ValueError(
                f'no transform: quaternion {quaternion.tolist()}, shift {translation_m.tolist()}'
            )
        x, y, z, w = quaternion / length
        cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        rotation = np.eye(3) + 2.0 * w * cross + 2.0 * cross @ cross
        return cls(rotation, translation_m)

    def points(self, points_m: np.ndarray) -> np.ndarray:
        """Return points (..., 3), metres, in the new frame."""
        return np.asarray(points_m @ self.rotation.T + self.translation_m)

    def vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Return directions or velocities (..., 3) in the new frame: turned, not shifted."""
        return np.asarray(vectors @ self.rotation.T)

    def covariances(self, covariances: np.ndarray) -> np.ndarray:
        """Return covariances (..., 6, 6) of a position and its velocity in the new frame."""
        both = np.kron(np.eye(2), self.rotation)
        return np.asarray(both @ covariances @ both.T)

    def turned(self, xyzw: np.ndarray) -> np.ndarray:
        """Return the quaternion (4,) of an orientation (4,) in the new frame."""
        x, y, z, w = _quaternion(self.rotation)
        x2, y2, z2, w2 = xyzw
        return np.array(
            [
                w * x2 + x * w2 + y * z2 - z * y2,
                w * y2 - x * z2 + y * w2 + z * x2,
                w * z2 + x * y2 - y * x2 + z * w2,
                w * w2 - x * x2 - y * y2 - z * z2,
            ]
        )


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """Return the quaternion x y z w of a rotation matrix.

    Bar-Itzhack, "New method for extracting the quaternion from a rotation matrix" (2000): it is the
    eigenvector, of the largest eigenvalue, of a symmetric matrix.
    """
    r = rotation
    K = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0.0, 0.0, 0.0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0.0, 0.0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0.0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    return np.asarray(np.linalg.eigh(K)[1][:, -1])
