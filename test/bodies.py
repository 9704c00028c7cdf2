# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A body of known size, to stand where a test says."""

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.people import Keypoints, Persons
from pose3d_ros.skeletons import HALPE26, Skeleton

# Right side of a standing adult of 1.70 m who faces the camera, around the middle of the hips:
# metres, x right in the image, y down, z away. Limbs bent a little out of the image's plane.
# Lengths: Drillis and Contini's fractions of stature, and hips as in models/limbs.py.
_RIGHT = {
    'shoulder': (-0.22, -0.4896, 0.0),
    'elbow': (-0.28, -0.2140, -0.15),
    'wrist': (-0.25, 0.0100, -0.25),
    'hip': (-0.085, 0.0, 0.0),
    'knee': (-0.095, 0.4000, -0.12),
    'ankle': (-0.075, 0.8000, 0.02),
    'ear': (-0.07, -0.70, 0.0),
    'eye': (-0.03, -0.73, -0.10),
    'big_toe': (-0.105, 0.87, -0.12),
    'small_toe': (-0.145, 0.87, -0.10),
    'heel': (-0.065, 0.87, 0.06),
    'eye_inner': (-0.02, -0.73, -0.10),
    'eye_outer': (-0.04, -0.73, -0.09),
    'pinky': (-0.26, 0.07, -0.27),
    'index': (-0.25, 0.08, -0.28),
    'thumb': (-0.23, 0.06, -0.28),
    'foot_index': (-0.105, 0.87, -0.12),
}
_MIDDLE = {
    'nose': (0.0, -0.70, -0.12),
    'head': (0.0, -0.85, 0.0),
    'neck': (0.0, -0.50, 0.0),
    'hip': (0.0, 0.0, 0.0),
    'mouth': (0.0, -0.65, -0.11),
}


def body(skeleton: Skeleton) -> np.ndarray:
    """Return the joints (j, 3) of the standing adult, metres around the hips."""
    joints = []
    for name in skeleton.joint_names:
        left, right = 'left' in name, 'right' in name
        part = name.removeprefix('left_').removeprefix('right_')
        part = part.removesuffix('_left').removesuffix('_right')
        table = _RIGHT if (left or right) and part in _RIGHT else _MIDDLE
        x, y, z = table[part]
        joints.append((-x if left else x, y, z))
    return np.array(joints)


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Return points (..., 3) turned about the vertical."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T


def seen(camera: Camera, joints: np.ndarray, score: float = 0.9) -> tuple[Persons, Keypoints]:
    """Return boxes and keypoints of Halpe-26 joints (n, 26, 3) in front of a camera."""
    xy = camera.project(joints)
    keypoints = Keypoints(HALPE26, xy, np.full(xy.shape[:2], score))
    low, high = xy.min(axis=1), xy.max(axis=1)
    persons = Persons(np.concatenate([low, high - low], axis=1), np.ones(len(xy)))
    return persons, keypoints
