# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which way is up, and where the floor is: a guess from how people stand, for pictures."""

from collections.abc import Sequence

import numpy as np

from pose3d_ros.people import Poses

_UP = np.array([0.0, -1.0, 0.0])  # of a level camera, in its optical frame
_ANKLE_HEIGHT_M = 0.09


def levelling(sequence: Sequence[Poses]) -> tuple[np.ndarray, float]:
    """Return the rotation (3, 3) from the optical frame to x right, y forward, z up, and the
    camera's height above the floor, metres.

    A first guess of up is the median direction from ankles to shoulders, or the camera's own; it
    is then turned so that the ankles, too, lie level, in the sense of least squares.
    """
    ankles, spines = _ankles_and_spines(sequence)
    up = np.median(spines, axis=0) if len(spines) else _UP
    up = up / np.linalg.norm(up) if up @ _UP > 0.5 * np.linalg.norm(up) else _UP
    across = np.linalg.svd(up[None])[2][1:]  # (2, 3) perpendicular to up
    # Unknown: two small angles and the height of the ankles over the camera. Ankles are off by
    # 10 cm and a twentieth of their distance, the first guess of up by a tenth of a radian.
    # One person's errors in many images are the same, so each image has its share of the weight.
    weights = 1 / (0.1 + 0.05 * np.linalg.norm(ankles, axis=1)) / np.sqrt(len(sequence))
    rows = np.column_stack([ankles @ across.T, -np.ones(len(ankles))])
    guess = np.array([[10, 0, 0], [0, 10, 0], [0, 0, 1e-3]])  # 1.5 m where there are no ankles
    solution = np.array([0, 0, -1.5])
    for _ in range(10):  # reweighted, so that a few people at a wrong distance do not tilt all
        errors = (rows @ solution + ankles @ up) * weights
        robust = weights / np.sqrt(1 + errors**2)
        system = np.concatenate([rows * robust[:, None], guess])
        wanted = np.concatenate([-(ankles @ up) * robust, [0, 0, -1.5e-3]])
        solution = np.linalg.lstsq(system, wanted, rcond=None)[0]
    up = up + solution[:2] @ across
    up /= np.linalg.norm(up)
    forward = np.array([0, 0, 1]) - up[2] * up
    forward /= np.linalg.norm(forward)
    return np.stack([np.cross(forward, up), forward, up]), _ANKLE_HEIGHT_M - float(solution[2])


def _ankles_and_spines(sequence: Sequence[Poses]) -> tuple[np.ndarray, np.ndarray]:
    """Return the middles of ankles (n, 3) and the unit vectors from there to the shoulders."""
    low: list[np.ndarray] = []
    high: list[np.ndarray] = []
    for poses in sequence:
        names = [name.lower() for name in poses.skeleton.joint_names]
        for part, points in (('ankle', low), ('shoulder', high)):
            joints = [i for i, name in enumerate(names) if part in name]
            points.append(poses.joints[:, joints].mean(axis=1))
    ankles = np.concatenate(low)
    spines = np.concatenate(high) - ankles
    lengths = np.linalg.norm(spines, axis=1)
    known = np.isfinite(lengths) & (lengths > 0)
    return ankles[known], spines[known] / lengths[known, None]
