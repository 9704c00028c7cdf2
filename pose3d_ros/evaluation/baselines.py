# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Trivial predictors: what a network has to beat, fitted on a training split."""

from dataclasses import dataclass

import numpy as np

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.evaluation.running import FoundPoses, back_projected, projected
from pose3d_ros.evaluation.subjects import Subjects
from pose3d_ros.models.crops3dmppe import k_values_of
from pose3d_ros.skeletons import Skeleton


@dataclass(frozen=True)
class Trivial:
    """Both predictors, fitted on a split.

    :param data: name of data set and split.
    :param skeleton: its joint set, j joints.
    :param gamma: of `best_gamma`.
    :param pose: (j, 3) of `mean_pose`.
    """

    data: str
    skeleton: Skeleton
    gamma: float
    pose: np.ndarray

    @classmethod
    def fitted(cls, training: Annotations) -> 'Trivial':
        """Return what fits a split best.

        :raises DataError: nobody there has a depth, or a joint.
        """
        gamma, pose = best_gamma(training), mean_pose(training)
        return cls(training.name, training.skeleton, gamma, pose)

    def roots(self, subjects: Subjects) -> Subjects:
        """Return the subjects with roots in the middle of their boxes at gamma * k."""
        middles = subjects.squares[:, :2] + subjects.squares[:, 2:] / 2
        depth_m = self.gamma * k_values_of(subjects.squares, subjects.focal_px) / 1000
        roots = back_projected(middles, depth_m, subjects.focal_px, subjects.centre_px)
        return subjects.with_roots(roots, f'{self.gamma:.3f} k')

    def poses(self, subjects: Subjects) -> FoundPoses:
        """Return the same pose around the root of everybody."""
        joints = subjects.roots[:, None] + self.pose
        pixels = projected(joints, subjects.focal_px, subjects.centre_px)
        return FoundPoses(subjects, self.skeleton, joints, pixels)


def best_gamma(training: Annotations) -> float:
    """Return the one gamma with which gamma * k has the least mean absolute error in depth.

    That is the median of depth / k, each weighted by k.

    :raises DataError: nobody in the split has a box and a depth.
    """
    people = Subjects.annotated(training)
    people = people[np.isfinite(people.roots).all(axis=1)]
    if not len(people):
        raise DataError(f'{training.name}: no depths to fit gamma to; choose a split with 3D poses')
    k = k_values_of(people.squares, people.focal_px) / 1000
    ratios = people.roots[:, 2] / k
    order = np.argsort(ratios)
    below = np.cumsum(k[order])
    return float(ratios[order][np.searchsorted(below, below[-1] / 2)])


def mean_pose(training: Annotations) -> np.ndarray:
    """Return the mean (j, 3) of the joints around the root, in the optical frame's axes, metres.

    :raises DataError: nobody in the split has a joint that counts.
    """
    around = training.joints.astype(np.float64) - training.roots[:, None]
    known = np.isfinite(around).all(axis=2)
    counts = known.sum(axis=0)
    if not counts.all():
        missing = [
            name for name, n in zip(training.skeleton.joint_names, counts, strict=True) if not n
        ]
        raise DataError(f'{training.name}: nobody has the joints {", ".join(missing[:3])} in 3D')
    return np.asarray(np.where(known[..., None], around, 0).sum(axis=0) / counts[:, None])
