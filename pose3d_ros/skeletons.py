# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every joint set the package knows: names, bones, mirror pairs, root."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Skeleton:
    """A joint set.

    :param name: what messages and files call it.
    :param joint_names: one per joint, in the order of every array of joints.
    :param edges: bones, pairs of joint indices.
    :param flip_pairs: joints that swap when the image is mirrored.
    :param root: the joints whose mean is the root (pelvis): one index, or the two hips.
    """

    name: str
    joint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    root: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joint_names)

    def index(self, joint_name: str) -> int:
        """Return the index of a joint by name; ValueError where there is none."""
        if joint_name not in self.joint_names:
            raise ValueError(f"skeleton '{self.name}' has no joint '{joint_name}'")
        return self.joint_names.index(joint_name)

    def indices(self, *joint_names: str) -> list[int]:
        """Return the indices of several joints by name."""
        return [self.index(name) for name in joint_names]

    @cached_property
    def flip_order(self) -> np.ndarray:
        """Return the permutation (j,) that swaps left and right: mirrored = joints[flip_order]."""
        order = np.arange(len(self))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return order


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


HALPE26 = Skeleton(
    name='halpe26',
    joint_names=_names(
        'nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow '
        'right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle '
        'right_ankle head neck hip left_big_toe right_big_toe left_small_toe right_small_toe '
        'left_heel right_heel'
    ),
    edges=(
        (15, 13), (13, 11), (11, 19), (16, 14), (14, 12), (12, 19), (19, 18), (18, 17),
        (18, 5), (5, 7), (7, 9), (18, 6), (6, 8), (8, 10), (0, 1), (0, 2), (1, 3), (2, 4),
        (15, 20), (15, 22), (15, 24), (16, 21), (16, 23), (16, 25),
    ),
    flip_pairs=(
        (1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (20, 21),
        (22, 23), (24, 25),
    ),
    root=(19,),
)  # fmt: skip

BLAZEPOSE = Skeleton(
    name='blazepose',
    joint_names=_names(
        'nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer '
        'left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow '
        'right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index '
        'left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle '
        'left_heel right_heel left_foot_index right_foot_index'
    ),
    edges=(
        (0, 2), (2, 7), (0, 5), (5, 8), (9, 10), (11, 12), (11, 13), (13, 15), (15, 17),
        (15, 19), (15, 21), (17, 19), (12, 14), (14, 16), (16, 18), (16, 20), (16, 22),
        (18, 20), (11, 23), (12, 24), (23, 24), (23, 25), (24, 26), (25, 27), (26, 28),
        (27, 29), (28, 30), (29, 31), (30, 32), (27, 31), (28, 32),
    ),
    flip_pairs=(
        (1, 4), (2, 5), (3, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (17, 18),
        (19, 20), (21, 22), (23, 24), (25, 26), (27, 28), (29, 30), (31, 32),
    ),
    root=(23, 24),
)  # fmt: skip

_HUMAN36M_EDGES = (
    (0, 7), (7, 8), (8, 9), (9, 10), (8, 11), (11, 12), (12, 13), (8, 14), (14, 15), (15, 16),
    (0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6),
)  # fmt: skip

HUMAN36M = Skeleton(
    name='human36m',
    joint_names=_names(
        'Pelvis R_Hip R_Knee R_Ankle L_Hip L_Knee L_Ankle Torso Neck Nose Head L_Shoulder '
        'L_Elbow L_Wrist R_Shoulder R_Elbow R_Wrist Thorax'
    ),
    edges=_HUMAN36M_EDGES,
    flip_pairs=((1, 4), (2, 5), (3, 6), (14, 11), (15, 12), (16, 13)),
    root=(0,),
)

# The data set's own joints; 3DMPPE adds the thorax as the middle of the shoulders.
HUMAN36M_17 = Skeleton(
    'human36m_17', HUMAN36M.joint_names[:17], _HUMAN36M_EDGES, HUMAN36M.flip_pairs, root=(0,)
)

_MUCO_NAMES = _names(
    'Head_top Thorax R_Shoulder R_Elbow R_Wrist L_Shoulder L_Elbow L_Wrist R_Hip R_Knee R_Ankle '
    'L_Hip L_Knee L_Ankle Pelvis Spine Head R_Hand L_Hand R_Toe L_Toe'
)
_MUCO_EDGES = (
    (0, 16), (16, 1), (1, 15), (15, 14), (14, 8), (14, 11), (8, 9), (9, 10), (11, 12), (12, 13),
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (10, 19), (13, 20), (4, 17), (7, 18),
)  # fmt: skip
_MUCO_PAIRS = ((2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (17, 18), (19, 20))

MUCO = Skeleton('muco', _MUCO_NAMES, _MUCO_EDGES, _MUCO_PAIRS, root=(14,))
MUPOTS = Skeleton('mupots', _MUCO_NAMES[:17], _MUCO_EDGES[:16], _MUCO_PAIRS[:6], root=(14,))

MPII = Skeleton(
    name='mpii',
    joint_names=_names(
        'R_Ankle R_Knee R_Hip L_Hip L_Knee L_Ankle Pelvis Thorax Neck Head R_Wrist R_Elbow '
        'R_Shoulder L_Shoulder L_Elbow L_Wrist'
    ),
    edges=(
        (0, 1), (1, 2), (2, 6), (7, 12), (12, 11), (11, 10), (5, 4), (4, 3), (3, 6), (7, 13),
        (13, 14), (14, 15), (6, 7), (7, 8), (8, 9),
    ),
    flip_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    root=(6,),
)  # fmt: skip

MSCOCO = Skeleton(
    name='mscoco',
    joint_names=_names(
        'Nose L_Eye R_Eye L_Ear R_Ear L_Shoulder R_Shoulder L_Elbow R_Elbow L_Wrist R_Wrist '
        'L_Hip R_Hip L_Knee R_Knee L_Ankle R_Ankle Thorax Pelvis'
    ),
    edges=(
        (1, 2), (0, 1), (0, 2), (2, 4), (1, 3), (6, 8), (8, 10), (5, 7), (7, 9), (12, 14),
        (14, 16), (11, 13), (13, 15), (5, 6), (11, 12),
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    root=(18,),
)  # fmt: skip

# The joints of SMPL, as 3DMPPE names them. It gives no pairs: its RootNet only uses the pelvis.
PW3D = Skeleton(
    name='pw3d',
    joint_names=_names(
        'Pelvis L_Hip R_Hip Torso L_Knee R_Knee Spine L_Ankle R_Ankle Chest L_Toe R_Toe Neck '
        'L_Thorax R_Thorax Head L_Shoulder R_Shoulder L_Elbow R_Elbow L_Wrist R_Wrist L_Hand R_Hand'
    ),
    edges=(
        (0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 6), (4, 7), (5, 8), (6, 9), (7, 10), (8, 11),
        (9, 12), (9, 13), (9, 14), (12, 15), (13, 16), (14, 17), (16, 18), (17, 19), (18, 20),
        (19, 21), (20, 22), (21, 23),
    ),
    flip_pairs=(
        (1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21), (22, 23),
    ),
    root=(0,),
)  # fmt: skip

#: Joints -> what a PoseNet of 3DMPPE with so many gives: the original's data sets differ in size.
#: The first 17 of MuCo are what MuPoTS is scored on, never what a network gives.
JOINT_SETS = {len(s): s for s in (HUMAN36M, HUMAN36M_17, MUCO, MSCOCO, MPII)}

SKELETONS = {
    s.name: s for s in (HALPE26, BLAZEPOSE, HUMAN36M, HUMAN36M_17, MUCO, MUPOTS, MPII, MSCOCO, PW3D)
}
