# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The depth of each limb joint, from bones that are as long as bones are.

A network sees where a joint is in the image far better than how far away it is: on the calibrated
clip limb joints are 15 to 40 mm off across the view and 80 to 190 mm along it. Joints on their
rays, at the depths that the network says, leave bones too short or too long. Here the depths give
way, by the least of

    sum over joints ((z - z0) / a)^2 + sum over bones ((length - L) / (b L))^2

with the pelvis held where it is. L is half what the network says, left and right made alike, and
half what is usual in a body of that size: the one knows the person, the other is never odd. It is
found as in multidimensional scaling (SMACOF; de Leeuw, 1977): each round solves for bones of length
L in the directions of the round before, which never makes the sum larger.
"""

import numpy as np

from pose3d_ros.models.body_size import BONES, TRUNK

LIMB_JOINTS = (
    'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist',
    'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip

# Fractions of stature: the shoulders' from body_size's source. The hips, which are the centres of
# the joints here, are apart by 72 % of the pelvis' front spines (Bell, Pedersen and Brand, 1990,
# Journal of Biomechanics 23), 0.24 m of 1.70 m.
_SHOULDERS, _HIPS = 0.259, 0.10
_SIDE = float(np.hypot(TRUNK, (_SHOULDERS - _HIPS) / 2))
_DIAGONAL = float(np.hypot(TRUNK, (_SHOULDERS + _HIPS) / 2))
_MIRRORED = (
    *BONES,
    ('left_shoulder', 'left_hip', _SIDE),
    ('right_shoulder', 'right_hip', _SIDE),
    ('left_shoulder', 'right_hip', _DIAGONAL),
    ('right_shoulder', 'left_hip', _DIAGONAL),
)
_BONES = (
    *_MIRRORED,
    ('left_shoulder', 'right_shoulder', _SHOULDERS),
    ('left_hip', 'right_hip', _HIPS),
)
_STARTS = [LIMB_JOINTS.index(start) for start, _, _ in _BONES]
_ENDS = [LIMB_JOINTS.index(end) for _, end, _ in _BONES]
_USUAL = np.array([share for _, _, share in _BONES])
# (14, 12): 1 where a bone starts, -1 where it ends.
_BONE_ENDS = np.eye(len(LIMB_JOINTS))[_STARTS] - np.eye(len(LIMB_JOINTS))[_ENDS]
_PELVIS = np.array([0.5 * name.endswith('_hip') for name in LIMB_JOINTS])

# How far depths are off, as a share of the sum of all lengths, which is 5 m for an adult; how far
# lengths are, as a share of each; and the pelvis, which the caller knows better.
_DEPTH_SHARE, _LENGTH_SHARE, _PELVIS_SHARE = 0.03, 0.05, 0.0002
_STIFFNESS = (
    np.eye(len(LIMB_JOINTS)) / _DEPTH_SHARE**2 + np.outer(_PELVIS, _PELVIS) / _PELVIS_SHARE**2
)
_ROUNDS = 10  # with 4 or 20 the calibrated clip's MPJPE is 1 mm more
_TINY_M = 1e-6


def natural_lengths(relative: np.ndarray) -> np.ndarray:
    """Return how long the bones of bodies (n, 12, 3) should be, (n, 14), metres."""
    own = np.maximum(np.linalg.norm(_bones_of(relative), axis=2), _TINY_M)
    paired = len(_MIRRORED)
    alike = own[:, :paired].reshape(len(own), paired // 2, 2).mean(axis=2)
    own[:, :paired] = np.repeat(alike, 2, axis=1)
    return np.asarray((own + _USUAL * own.sum(axis=1, keepdims=True) / _USUAL.sum()) / 2)


def natural_depths(joints: np.ndarray, slopes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the depths (n, 12) of limb joints at which bones have their lengths, as far as can be.

    :param joints: (n, 12, 3) the LIMB_JOINTS, metres, optical frame.
    :param slopes: (n, 12, 2) how x and y of each change with its depth: its ray, where it stays on
        that.
    :param lengths: (n, 14) of `natural_lengths`.
    """
    ways = np.concatenate([slopes, np.ones((*slopes.shape[:2], 1))], axis=2)
    size_m = lengths.sum(axis=1)[:, None, None]
    # how the bones (n, 14, 3) change with the depths (12), each in units of its tolerance
    change = _BONE_ENDS[:, :, None] * ways[:, None] / (_LENGTH_SHARE * lengths)[..., None, None]
    flat = change.swapaxes(2, 3).reshape(len(joints), 3 * len(_BONES), len(LIMB_JOINTS))
    pulls = flat.swapaxes(1, 2)
    solved = np.linalg.solve(pulls @ flat + _STIFFNESS / size_m**2, pulls)
    bones = _bones_of(joints)
    shifts = np.zeros(joints.shape[:2])
    for _ in range(_ROUNDS):
        reached = _bones_of(joints + shifts[..., None] * ways)
        reached *= (lengths / np.maximum(np.linalg.norm(reached, axis=2), _TINY_M))[..., None]
        missed = (reached - bones) / (_LENGTH_SHARE * lengths)[..., None]
        shifts = (solved @ missed.reshape(len(joints), 3 * len(_BONES), 1))[..., 0]
    return np.asarray(joints[..., 2] + shifts)


def _bones_of(joints: np.ndarray) -> np.ndarray:
    return np.asarray(joints[:, _STARTS] - joints[:, _ENDS])
