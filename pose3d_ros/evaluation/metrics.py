# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How good are boxes, roots and poses: the usual metrics, as functions of arrays.

Every 3D metric returns one value per pose, so that the caller averages, and can say how far the
values scatter. Units are those of the input (metres in this package).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def joint_errors(predicted: np.ndarray, truth: np.ndarray, root: Sequence[int]) -> np.ndarray:
    """Return the error (n, j) of each joint after moving root onto root.

    :param predicted: (n, j, 3).
    :param truth: (n, j, 3).
    :param root: the joints whose mean is the root.
    """
    difference = predicted - truth
    difference = difference - difference[:, list(root)].mean(axis=1, keepdims=True)
    return np.asarray(np.linalg.norm(difference, axis=2))


def mpjpe(predicted: np.ndarray, truth: np.ndarray, root: Sequence[int]) -> np.ndarray:
    """Return the mean per-joint position error (n,) after moving root onto root.

    Ionescu et al., "Human3.6M", TPAMI 2014; protocol 2 of 3DMPPE (Moon et al., ICCV 2019).

    :param predicted: (n, j, 3).
    :param truth: (n, j, 3).
    :param root: the joints whose mean is the root.
    """
    return np.asarray(joint_errors(predicted, truth, root).mean(axis=1))


def aligned(predicted: np.ndarray, truth: np.ndarray, with_scale: bool) -> np.ndarray:
    """Return the poses (n, j, 3) moved onto the truth with least squared error, each by itself.

    :param predicted: (n, j, 3).
    :param truth: (n, j, 3).
    :param with_scale: fit rotation, translation and scale; else rotation and translation.
    """
    middle = truth.mean(axis=1, keepdims=True)
    centred, target = predicted - predicted.mean(axis=1, keepdims=True), truth - middle
    turned = centred @ fitted_rotations(centred, target).transpose(0, 2, 1)
    if with_scale:
        # the s that minimises the sum of |s a - b|^2; a body that is one point has none
        size = (turned**2).sum(axis=(1, 2))
        scale = (turned * target).sum(axis=(1, 2)) / np.maximum(size, 1e-12)
        turned = turned * scale[:, None, None]
    return np.asarray(turned + middle)


def pa_mpjpe(predicted: np.ndarray, truth: np.ndarray, with_scale: bool) -> np.ndarray:
    """Return the mean per-joint position error (n,) after the best alignment of each pose.

    Without scale it is what 3DMPPE calls PA MPJPE (protocol 1 of Human3.6M); most later papers
    also fit the scale.

    :param predicted: (n, j, 3).
    :param truth: (n, j, 3).
    :param with_scale: fit rotation, translation and scale; else rotation and translation.
    """
    difference = aligned(predicted, truth, with_scale) - truth
    return np.asarray(np.linalg.norm(difference, axis=2).mean(axis=1))


def fitted_rotations(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotations (n, 3, 3) that turn `source` onto `target` with least squared error.

    Kabsch's method without reflections (Umeyama, TPAMI 1991); no translation is fitted.

    :param source: (n, k, 3).
    :param target: (n, k, 3).
    """
    u, _, vt = np.linalg.svd(np.einsum('nki,nkj->nij', target, source))
    # the last axis is turned round where the best orthogonal matrix is a reflection
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return np.asarray(u @ vt)


@dataclass(frozen=True)
class RootErrors:
    """Errors of n roots.

    :param distance: (n,) distance between estimate and truth; its mean is MRPE.
    :param xyz: (n, 3) estimate minus truth, along the axes of the optical frame.
    :param depth: (n,) (z - true z) / true z.
    """

    distance: np.ndarray
    xyz: np.ndarray
    depth: np.ndarray


def root_errors(predicted: np.ndarray, truth: np.ndarray) -> RootErrors:
    """Return the errors of roots: MRPE of 3DMPPE (Moon et al., ICCV 2019) and its parts.

    :param predicted: (n, 3) in the optical frame.
    :param truth: (n, 3), z > 0.
    """
    xyz = predicted - truth
    return RootErrors(np.linalg.norm(xyz, axis=1), xyz, xyz[:, 2] / truth[:, 2])


def triangulate(
    rays: np.ndarray, rotations: np.ndarray, translations: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the points (..., 3) that several cameras see, by the linear method (DLT).

    Hartley and Sturm, "Triangulation", CVIU 1997: the homogeneous point X that minimises the
    weighted sum of squares of (x P_3 - P_1) X and (y P_3 - P_2) X over the cameras P = (R | t).

    :param rays: (c, ..., 2) undistorted directions x/z and y/z in each camera.
    :param rotations: (c, 3, 3) world to camera.
    :param translations: (c, 3).
    :param weights: (c, ...) of each ray's residuals; 0 = not used. Two at least must be above 0.
    """
    cameras = np.concatenate([rotations, translations[..., None]], axis=2)
    axes = (len(rays),) + (1,) * (rays.ndim - 2) + (2, 4)
    rows = rays[..., None] * cameras[:, None, 2].reshape(*axes[:-2], 1, 4)
    rows = (rows - cameras[:, :2].reshape(axes)) * weights[..., None, None]
    rows = np.moveaxis(rows, 0, -3)
    rows = rows.reshape(*rows.shape[:-3], -1, 4)
    homogeneous = np.linalg.svd(rows, full_matrices=False)[2][..., -1, :]
    return np.asarray(homogeneous[..., :3] / homogeneous[..., 3:])


def box_overlaps(boxes: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return intersection over union (n, m) and intersection over the first's area (n, m).

    :param boxes: (n, 4) x, y, width, height.
    :param others: (m, 4).
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], (others[:, :2] + others[:, 2:])[None])
    common = np.maximum(high - low, 0).prod(axis=2)
    area = boxes[:, 2:].prod(axis=1)[:, None]
    union = area + others[:, 2:].prod(axis=1)[None] - common
    return common / np.maximum(union, 1e-9), common / np.maximum(area, 1e-9)


@dataclass(frozen=True)
class BoxMatches:
    """Which of the detections of an image (or of several, joined) are true.

    :param scores: (d,) of the detections that count: those on ignored regions are left out.
    :param is_true: (d,) bool.
    :param found_with: (t,) for each true box the score of the detection that found it; 0 = none.
    """

    scores: np.ndarray
    is_true: np.ndarray
    found_with: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence['BoxMatches']) -> 'BoxMatches':
        """Return the matches of many images as one."""
        return cls(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.is_true for part in parts]),
            np.concatenate([part.found_with for part in parts]),
        )


def best_pairs(likeness: np.ndarray, allowed: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of rows and columns, the most alike first, each row and column once at most.

    :param likeness: (m, n).
    :param allowed: (m, n) which pairs may be made at all.
    """
    left = np.where(allowed, likeness, -np.inf)
    pairs = []
    while left.max(initial=-np.inf) > -np.inf:
        row, column = np.unravel_index(left.argmax(), left.shape)
        pairs.append((int(row), int(column)))
        left[row], left[:, column] = -np.inf, -np.inf
    return pairs


def match_boxes(
    boxes: np.ndarray,
    scores: np.ndarray,
    truth: np.ndarray,
    ignored: np.ndarray,
    min_iou: float = 0.5,
    min_height: float = 0.0,
) -> BoxMatches:
    """Match the detections of one image with its true boxes as COCO does (Lin et al., ECCV 2014).

    The most certain detection comes first and takes the free true box that it overlaps most, from
    an IoU of `min_iou` on. A detection without one is false, unless more than half of it lies in
    an ignored region, or it is lower than `min_height`: then it does not count.

    :param boxes: (d, 4) x, y, width, height.
    :param scores: (d,) above 0.
    :param truth: (t, 4).
    :param ignored: (i, 4).
    """
    iou = box_overlaps(boxes, truth)[0]
    found_with = np.zeros(len(truth))
    is_true = np.zeros(len(boxes), dtype=bool)
    order = np.argsort(-scores, kind='stable')
    for row in order:
        free = np.where(found_with == 0, iou[row], -1.0)
        if free.size and free.max() >= min_iou:
            found_with[free.argmax()] = scores[row]
            is_true[row] = True
    inside = box_overlaps(boxes, ignored)[1].max(axis=1, initial=0.0) > 0.5
    counts = is_true | ~(inside | (boxes[:, 3] < min_height))
    order = order[counts[order]]
    return BoxMatches(scores[order], is_true[order], found_with)


def precision_recall(matches: BoxMatches, threshold: float) -> tuple[float, float]:
    """Return precision and recall of the detections with scores above `threshold`; NaN of none."""
    kept = matches.is_true[matches.scores > threshold]
    found = matches.found_with > threshold
    precision = kept.mean() if kept.size else np.nan
    return float(precision), float(found.mean() if found.size else np.nan)


def average_precision(matches: BoxMatches) -> float:
    """Return the area under the precision-recall curve, its precision made monotonous.

    Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2015 (the area itself,
    as since 2010); COCO samples the same curve at 101 recalls.
    """
    is_true = matches.is_true[np.argsort(-matches.scores, kind='stable')]
    precision = np.cumsum(is_true) / np.arange(1, len(is_true) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    # recall rises by one over the number of true boxes at each true detection
    return float(envelope[is_true].sum() / max(len(matches.found_with), 1))
