# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How people stand: turns of body parts, the same for every body, and what they mean for Anny.

A posture is 13 rotation matrices in the order of PARTS, each of a part against the one it hangs on
(the pelvis against the world), along the axes of the body: x left, y backwards, z up. All unit
matrices = standing straight, arms hanging.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import roma
import torch

#: Part of the body -> the part it hangs on.
PARENTS = {
    'pelvis': '', 'chest': 'pelvis', 'head': 'chest',
    'thigh.R': 'pelvis', 'shin.R': 'thigh.R', 'foot.R': 'shin.R',
    'upper_arm.R': 'chest', 'forearm.R': 'upper_arm.R',
    'thigh.L': 'pelvis', 'shin.L': 'thigh.L', 'foot.L': 'shin.L',
    'upper_arm.L': 'chest', 'forearm.L': 'upper_arm.L',
}  # fmt: skip
PARTS = tuple(PARENTS)


class Bone(NamedTuple):
    """A bone of Anny's that turns: the rest follow those that they hang on.

    :param name: Anny's.
    :param parent: the nearest of these bones that it hangs on.
    :param start: the part that it would turn with at `share` 0.
    :param end: the part that it turns with at `share` 1.
    :param share: between, where several bones share a turn.
    """

    name: str
    parent: str
    start: str
    end: str
    share: float = 1.0


def _limbs(side: str) -> tuple[Bone, ...]:
    thigh, shin, foot, arm, forearm = (
        f'{part}.{side}' for part in ('thigh', 'shin', 'foot', 'upper_arm', 'forearm')
    )
    hip, knee = f'upperleg01.{side}', f'lowerleg01.{side}'
    blade, upper = f'shoulder01.{side}', f'upperarm01.{side}'
    return (
        Bone(hip, 'root', 'pelvis', thigh),
        Bone(knee, hip, thigh, shin),
        Bone(f'foot.{side}', knee, shin, foot),
        Bone(blade, 'spine01', 'chest', arm, 0.2),  # it goes some of the arm's way
        Bone(upper, blade, 'chest', arm),
        Bone(f'lowerarm01.{side}', upper, arm, forearm),
    )


BONES = (
    Bone('root', '', 'pelvis', 'pelvis'),
    Bone('spine04', 'root', 'pelvis', 'chest', 0.25),
    Bone('spine03', 'spine04', 'pelvis', 'chest', 0.5),
    Bone('spine02', 'spine03', 'pelvis', 'chest', 0.75),
    Bone('spine01', 'spine02', 'pelvis', 'chest'),
    Bone('neck01', 'spine01', 'chest', 'head', 0.25),
    Bone('neck02', 'neck01', 'chest', 'head', 0.5),
    Bone('neck03', 'neck02', 'chest', 'head', 0.75),
    Bone('head', 'neck03', 'chest', 'head'),
    *_limbs('R'),
    *_limbs('L'),
)

#: Part -> the bones between which it lies in a straight line, down from the first.
_STRAIGHT = {
    f'{part}.{side}': (f'{first}.{side}', f'{second}.{side}')
    for side in 'RL'
    for part, first, second in (
        ('thigh', 'upperleg01', 'lowerleg01'),
        ('shin', 'lowerleg01', 'foot'),
        ('upper_arm', 'upperarm01', 'lowerarm01'),
        ('forearm', 'lowerarm01', 'wrist'),
    )
}
_DOWN = np.array([0.0, 0.0, -1.0])


def bone_rotations(postures: np.ndarray, heads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return how far each bone of BONES has turned (n, 3, 3) against its parent.

    :param postures: (n, 13, 3, 3).
    :param heads: the heads of Anny's bones at rest, which is with arms and elbows half bent.
    """
    ahead = _world_rotations(postures, heads)
    turned = {bone.name: _between(ahead[bone.start], ahead[bone.end], bone.share) for bone in BONES}
    return {
        bone.name: turned[bone.parent].swapaxes(1, 2) @ turned[bone.name]
        if bone.parent
        else turned[bone.name]
        for bone in BONES
    }


def _world_rotations(
    postures: np.ndarray, heads: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return how each part (n, 3, 3) has turned against Anny at rest, in the world."""
    world: dict[str, np.ndarray] = {}
    for index, (part, parent) in enumerate(PARENTS.items()):
        local = postures[:, index]
        world[part] = world[parent] @ local if parent else local
    straightened = _straightening(heads)
    return {part: turn @ straightened.get(part, np.eye(3)) for part, turn in world.items()}


def _straightening(heads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the rotation of each limb from Anny at rest to hanging straight down."""
    rotations: dict[str, np.ndarray] = {}
    for part, (first, second) in _STRAIGHT.items():
        above = rotations.get(PARENTS[part], np.eye(3))  # as a hinge: the elbow keeps its axis
        bone = above @ (heads[second] - heads[first])
        rotations[part] = _shortest(bone / np.linalg.norm(bone), _DOWN) @ above
    return rotations


def _shortest(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) that takes a direction to another by the shortest way."""
    axis = np.cross(start, end)
    angle = np.arctan2(np.linalg.norm(axis), start @ end)
    return rotations_of((axis / max(float(np.linalg.norm(axis)), 1e-9) * angle)[None])[0]


def _between(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    if share == 1.0:
        return end
    way = roma.rotmat_to_rotvec(torch.from_numpy(start.swapaxes(1, 2) @ end))
    return start @ roma.rotvec_to_rotmat(share * way).numpy()


def rotations_of(vectors: np.ndarray) -> np.ndarray:
    """Return the rotation matrices (..., 3, 3) of rotation vectors (..., 3), radians."""
    return roma.rotvec_to_rotmat(torch.from_numpy(np.asarray(vectors, np.float64))).numpy()


def about(axis: int, angle: float) -> np.ndarray:
    """Return the rotation matrix (3, 3) about one axis, 0 to 2, radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[first, first] = rotation[second, second] = cosine
    rotation[second, first], rotation[first, second] = sine, -sine
    return rotation
