# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the stages hand on: everybody of one image, as frozen dataclasses of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

from pose3d_ros.skeletons import Skeleton


def _floats(values: object, *shape: int) -> np.ndarray:
    """Return `values` as a float array of `shape` (-1 = any); ValueError when it is another."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape == (0,) and shape[0] in (-1, 0):  # [] is nobody, of any number of columns
        array = array.reshape(0, *shape[1:])
    wrong = array.ndim != len(shape) or any(
        wanted not in (-1, found) for wanted, found in zip(shape, array.shape, strict=False)
    )
    if wrong:
        raise ValueError(f'an array of shape {array.shape} where {shape} is needed')
    return array


#: Standard deviation of a root's depth, as a share of it, where none is stated: what the rootnet
#: `keypoints` states of people in full view.
UNSTATED_DEVIATION = 0.07
_MIN_DEPTH_M = 1e-3  # nearer than that nothing lies on a ray that could be told


def rescaled_roots(roots: np.ndarray, focal_ratio: float) -> np.ndarray:
    """Return roots (n, 3) that were found with a guessed focal length, for another one.

    Depth from apparent size is size * focal / pixels: RootNet's gamma * k as well as the apparent
    length of bones is linear in the focal length. x and y are (pixel - centre) / focal * depth, in
    which it cancels.

    :param focal_ratio: the other focal length over the guessed one.
    """
    return roots * np.array([1.0, 1.0, focal_ratio])


def rescaled_joints(joints: np.ndarray, roots: np.ndarray, focal_ratio: float) -> np.ndarray:
    """Return joints (n, j, 3) as `rescaled_roots` does roots.

    How far a joint lies behind its root is in metres from the start, and does not scale. The joint
    goes to that depth behind the new root, on the new ray of its pixel.

    :param roots: (n, 3) before rescaling.
    """
    x, y, z = np.moveaxis(joints, 2, 0)
    root_z = roots[:, 2:]
    new_z = focal_ratio * root_z + (z - root_z)
    ahead = z > _MIN_DEPTH_M
    sideways = np.where(ahead, new_z / (focal_ratio * np.where(ahead, z, 1.0)), 1.0)
    return np.stack([x * sideways, y * sideways, new_z], axis=2)


@dataclass(frozen=True)
class Keypoints:
    """2D keypoints of n people.

    :param skeleton: the joint set, k joints.
    :param xy: (n, k, 2) pixels of the original image.
    :param scores: (n, k) certainty, 0..1.
    """

    skeleton: Skeleton
    xy: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        k = len(self.skeleton)
        object.__setattr__(self, 'xy', _floats(self.xy, -1, k, 2))
        object.__setattr__(self, 'scores', _floats(self.scores, len(self.xy), k))

    def __getitem__(self, rows: np.ndarray | Sequence[int] | slice) -> 'Keypoints':
        return Keypoints(self.skeleton, self.xy[rows], self.scores[rows])


@dataclass(frozen=True)
class Persons:
    """The n people of one image.

    :param boxes: (n, 4) x, y of the top-left corner, width, height; pixels of the original image.
    :param scores: (n,) certainty of the detection, 0..1.
    :param ids: n strings, '' = not tracked.
    :param roots: (n, 3) pelvis, metres, optical frame (x right, y down, z forward); NaN = unknown.
    :param root_depth_stddev_m: (n,) standard deviation of roots[:, 2], metres; 0 = unknown.
    :param keypoints: 2D keypoints of the same n people, or None.
    """

    boxes: np.ndarray
    scores: np.ndarray
    ids: tuple[str, ...] = ()
    roots: np.ndarray = field(default=None)  # type: ignore[arg-type]
    root_depth_stddev_m: np.ndarray = field(default=None)  # type: ignore[arg-type]
    keypoints: Keypoints | None = None

    def __post_init__(self) -> None:
        boxes = _floats(self.boxes, -1, 4)
        n = len(boxes)
        roots = np.full((n, 3), np.nan) if self.roots is None else self.roots
        stddev = np.zeros(n) if self.root_depth_stddev_m is None else self.root_depth_stddev_m
        object.__setattr__(self, 'boxes', boxes)
        object.__setattr__(self, 'scores', _floats(self.scores, n))
        object.__setattr__(self, 'ids', tuple(self.ids) or ('',) * n)
        object.__setattr__(self, 'roots', _floats(roots, n, 3))
        object.__setattr__(self, 'root_depth_stddev_m', _floats(stddev, n))
        if len(self.ids) != n or (self.keypoints is not None and len(self.keypoints.xy) != n):
            raise ValueError(f'{n} boxes, but not as many ids or keypoints')

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: np.ndarray | Sequence[int] | slice) -> 'Persons':
        """Return some of the people, by indices or a slice, in that order."""
        indices = np.arange(len(self))[rows]
        return Persons(
            self.boxes[indices],
            self.scores[indices],
            tuple(self.ids[i] for i in indices),
            self.roots[indices],
            self.root_depth_stddev_m[indices],
            None if self.keypoints is None else self.keypoints[indices],
        )

    @property
    def has_root(self) -> np.ndarray:
        """Return (n,) bool: whose root is known."""
        return np.isfinite(self.roots).all(axis=1)

    def inside(self, width: int, height: int) -> 'Persons':
        """Return those of whom a pixel or more is in an image, with boxes cut at its border."""
        limit = np.array([width, height])
        corners = np.clip(self.boxes[:, :2], 0, limit)
        sizes = np.clip(self.boxes[:, :2] + self.boxes[:, 2:], 0, limit) - corners
        cut = replace(self, boxes=np.concatenate([corners, sizes], axis=1))
        return cut[np.flatnonzero((sizes >= 1).all(axis=1))]

    def with_ids(self, ids: Sequence[str]) -> 'Persons':
        """Return the same people under other ids."""
        return replace(self, ids=tuple(ids))

    def with_roots(
        self, roots: np.ndarray, stddev_m: np.ndarray, keypoints: Keypoints | None
    ) -> 'Persons':
        """Return the same people with their roots, and the keypoints they were found from."""
        return replace(self, roots=roots, root_depth_stddev_m=stddev_m, keypoints=keypoints)

    def rescaled(self, focal_ratio: float) -> 'Persons':
        """Return the same people, found with a guessed focal length, for another: ratio * it."""
        return replace(
            self,
            roots=rescaled_roots(self.roots, focal_ratio),
            root_depth_stddev_m=self.root_depth_stddev_m * focal_ratio,
        )

    @classmethod
    def none(cls) -> 'Persons':
        """Return nobody."""
        return cls(np.zeros((0, 4)), np.zeros(0))


class TrackState(IntEnum):
    """What is known of a person's id; the numbers are those of Pose3D.msg."""

    UNTRACKED = 0
    NEW = 1
    CONFIRMED = 2
    COASTING = 3


# Of a chi-square distribution with three degrees of freedom, 95 of 100 lie below.
_STANDS_OUT = 7.81


@dataclass(frozen=True)
class Tracks:
    """What is known of n people over time, beside what one image shows.

    :param states: (n,) of TrackState.
    :param ages_frames: (n,) images in which the id was seen so far; 0 = untracked.
    :param motions: (n, 6) x y z of the pelvis and its velocity, as filtered; metres, m/s, optical
        frame, relative to the camera; NaN = unknown.
    :param covariances: (n, 6, 6) of motions; m and s; NaN = unknown.
    """

    states: np.ndarray
    ages_frames: np.ndarray
    motions: np.ndarray
    covariances: np.ndarray

    def __post_init__(self) -> None:
        motions = _floats(self.motions, -1, 6)
        n = len(motions)
        object.__setattr__(self, 'motions', motions)
        object.__setattr__(self, 'covariances', _floats(self.covariances, n, 6, 6))
        object.__setattr__(self, 'states', _floats(self.states, n).astype(np.uint8))
        object.__setattr__(self, 'ages_frames', _floats(self.ages_frames, n).astype(np.int64))

    def __len__(self) -> int:
        return len(self.motions)

    def __getitem__(self, rows: np.ndarray | Sequence[int] | slice) -> 'Tracks':
        return Tracks(*(array[rows] for array in vars(self).values()))

    def __add__(self, other: 'Tracks') -> 'Tracks':
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Tracks(*(np.concatenate(pair) for pair in pairs))

    @property
    def has_velocity(self) -> np.ndarray:
        """Return (n,) bool: whose motion is known."""
        return np.isfinite(self.motions).all(axis=1)

    @property
    def moving(self) -> np.ndarray:
        """Return (n,) bool: whose velocity stands out of its uncertainty."""
        known = self.has_velocity
        velocities = np.where(known[:, None], self.motions[:, 3:], 0.0)
        spread = np.where(known[:, None, None], self.covariances[:, 3:, 3:], np.eye(3))
        solved = np.linalg.solve(spread, velocities[..., None])[..., 0]
        return np.asarray((velocities * solved).sum(axis=1) > _STANDS_OUT)

    def rescaled(self, focal_ratio: float) -> 'Tracks':
        """Return the same tracks, found with a guessed focal length, for another: ratio * it."""
        scale = np.array([1.0, 1.0, focal_ratio] * 2)
        covariances = self.covariances * scale[:, None] * scale
        return replace(self, motions=self.motions * scale, covariances=covariances)

    @classmethod
    def untracked(cls, n: int) -> 'Tracks':
        """Return n people of whom nothing is known."""
        nothing, unknown = np.zeros(n), np.nan
        return cls(nothing, nothing, np.full((n, 6), unknown), np.full((n, 6, 6), unknown))


@dataclass(frozen=True)
class Poses:
    """The absolute 3D poses of the n people of one image.

    :param skeleton: the joint set, j joints.
    :param joints: (n, j, 3) metres, optical frame (x right, y down, z forward).
    :param joint_scores: (n, j) certainty, 0..1; low = hidden or outside the image.
    :param roots: (n, 3) pelvis, metres, optical frame.
    :param root_depth_stddev_m: (n,) standard deviation of roots[:, 2], metres; 0 = unknown.
    :param scores: (n,) certainty that this is a person, 0..1.
    :param ids: n strings, '' = not tracked.
    :param tracks: of the same n people; who is COASTING there is not in the image. By default
        everybody is untracked.
    """

    skeleton: Skeleton
    joints: np.ndarray
    joint_scores: np.ndarray
    roots: np.ndarray
    root_depth_stddev_m: np.ndarray
    scores: np.ndarray
    ids: tuple[str, ...]
    tracks: Tracks = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        j = len(self.skeleton)
        joints = _floats(self.joints, -1, j, 3)
        n = len(joints)
        object.__setattr__(self, 'joints', joints)
        object.__setattr__(self, 'joint_scores', _floats(self.joint_scores, n, j))
        object.__setattr__(self, 'roots', _floats(self.roots, n, 3))
        object.__setattr__(self, 'root_depth_stddev_m', _floats(self.root_depth_stddev_m, n))
        object.__setattr__(self, 'scores', _floats(self.scores, n))
        object.__setattr__(self, 'ids', tuple(self.ids))
        tracks = Tracks.untracked(n) if self.tracks is None else self.tracks
        object.__setattr__(self, 'tracks', tracks)
        if len(self.ids) != n or len(tracks) != n:
            raise ValueError(f'{n} poses, but {len(self.ids)} ids and {len(tracks)} tracks')

    def __len__(self) -> int:
        return len(self.joints)

    def __getitem__(self, rows: np.ndarray | Sequence[int] | slice) -> 'Poses':
        """Return some of the poses, by indices or a slice, in that order."""
        indices = np.arange(len(self))[rows]
        return Poses(
            self.skeleton,
            self.joints[indices],
            self.joint_scores[indices],
            self.roots[indices],
            self.root_depth_stddev_m[indices],
            self.scores[indices],
            tuple(self.ids[i] for i in indices),
            self.tracks[indices],
        )

    def __add__(self, other: 'Poses') -> 'Poses':
        """Return these people and then those of `other`, who have the same skeleton."""
        stddev_m = np.concatenate([self.root_depth_stddev_m, other.root_depth_stddev_m])
        return Poses(
            self.skeleton,
            np.concatenate([self.joints, other.joints]),
            np.concatenate([self.joint_scores, other.joint_scores]),
            np.concatenate([self.roots, other.roots]),
            stddev_m,
            np.concatenate([self.scores, other.scores]),
            self.ids + other.ids,
            self.tracks + other.tracks,
        )

    @property
    def coasting(self) -> np.ndarray:
        """Return (n,) bool: who is not in the image, but is expected where he is drawn."""
        return np.asarray(self.tracks.states == TrackState.COASTING)

    @property
    def seen(self) -> 'Poses':
        """Return those who are in the image."""
        return self[~self.coasting]

    @property
    def has_joints(self) -> np.ndarray:
        """Return (n,) bool: whose joints are known."""
        return np.isfinite(self.joints).all(axis=(1, 2))

    def rescaled(self, focal_ratio: float) -> 'Poses':
        """Return the same poses, found with a guessed focal length, for another: ratio * it.

        Every joint stays at its pixel.
        """
        return replace(
            self,
            joints=rescaled_joints(self.joints, self.roots, focal_ratio),
            roots=rescaled_roots(self.roots, focal_ratio),
            root_depth_stddev_m=self.root_depth_stddev_m * focal_ratio,
            tracks=self.tracks.rescaled(focal_ratio),
        )

    @classmethod
    def none(cls, skeleton: Skeleton) -> 'Poses':
        """Return nobody."""
        j, nothing = len(skeleton), np.zeros(0)
        return cls(
            skeleton, np.zeros((0, j, 3)), np.zeros((0, j)), np.zeros((0, 3)), nothing, nothing, ()
        )
