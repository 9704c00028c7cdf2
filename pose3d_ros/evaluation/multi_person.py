# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The metrics of MuPoTS-3D: several people in an image, who have to be told apart first.

3DPCK is what Mehta et al.'s MATLAB script computes ("Single-Shot Multi-Person 3D Pose Estimation
From Monocular RGB", 3DV 2018, `mpii_mupots_multiperson_eval.m` and its `util` folder), AP_root what
RootNet's code computes (Moon et al., ICCV 2019). Published numbers hang on what is odd in both; it
is kept, and named where it is. Lengths are metres.
"""

from collections.abc import Mapping

import numpy as np

from pose3d_ros.skeletons import MUPOTS

PCK_THRESHOLD_M = 0.15
#: 31 of them, and below the first nobody can be: a perfect AUC is 30/31 = 96.8 %.
AUC_THRESHOLDS_M = np.arange(0, 151, 5) / 1000
AP_THRESHOLD_M = 0.25
#: How near a joint must be in x and in y to count for a match.
MATCH_PX = 40.0

#: The 14 joints that are scored, by the groups of the published tables.
JOINT_GROUPS = {
    'Head': (0,), 'Neck': (1,), 'Shoulder': (2, 5), 'Elbow': (3, 6), 'Wrist': (4, 7),
    'Hip': (8, 11), 'Knee': (9, 12), 'Ankle': (10, 13),
}  # fmt: skip
_SCORED = [joint for group in JOINT_GROUPS.values() for joint in group]
_MATCHED = slice(1, 14)
_PARENTS = (1, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, 14, 14, 1)
#: From the pelvis outwards, each joint after its parent; the pelvis stays where it is.
_OUTWARDS = (15, 1, 0, 16, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)


def match_people(truth_px: np.ndarray, predicted_px: np.ndarray) -> np.ndarray:
    """Return for each true person of an image the row of the prediction that is it, -1 = none.

    In the order of the true people, each takes of the free predictions the one with most joints
    less than 40 pixels away in x and in y; one joint is enough. Joints predicted at (0, 0) count as
    not predicted. That the first of the people choose first, also against a better match of the
    next, is the script's way.

    :param truth_px: (t, 17, 2) joints of MuPoTS.
    :param predicted_px: (p, 17, 2).
    """
    near = (np.abs(truth_px[:, None] - predicted_px[None]) < MATCH_PX).all(axis=3)
    near &= (predicted_px != 0).any(axis=2)[None]
    votes = near[:, :, _MATCHED].sum(axis=2)
    matches = np.full(len(truth_px), -1)
    for person in range(len(truth_px) if len(predicted_px) else 0):
        best = int(votes[person].argmax())
        if votes[person, best] > 0:
            matches[person] = best
            votes[:, best] = 0
    return matches


def match_all(
    truth_images: np.ndarray,
    truth_px: np.ndarray,
    predicted_images: np.ndarray,
    predicted_px: np.ndarray,
) -> np.ndarray:
    """Return for each true person the row of the prediction in the same image, -1 = none.

    :param truth_images: (t,) which image a person is in.
    :param truth_px: (t, 17, 2) pixels.
    :param predicted_images: (p,).
    :param predicted_px: (p, 17, 2).
    """
    matches = np.full(len(truth_images), -1)
    predictions = rows_by_image(predicted_images)
    for image, people in rows_by_image(truth_images).items():
        found = predictions.get(image)
        if found is not None:
            chosen = match_people(truth_px[people], predicted_px[found])
            matches[people] = np.where(chosen < 0, -1, found[chosen])
    return matches


def rows_by_image(images: np.ndarray) -> Mapping[int, np.ndarray]:
    """Return image -> rows in which it stands, in their order."""
    order = np.argsort(images, kind='stable')
    found, first = np.unique(images[order], return_index=True)
    parts = np.split(order, first[1:]) if len(found) else []
    return dict(zip(found.tolist(), parts, strict=True))


def with_true_bones(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the poses (n, 17, 3) with the directions of their bones and the lengths of the true.

    The pelvis stays. A bone of no length has no direction: it and what hangs on it become NaN, and
    so wrong, as in the script.

    :param predicted: (n, 17, 3) joints of MuPoTS.
    :param truth: (n, 17, 3).
    """
    parents = list(_PARENTS)
    lengths = np.linalg.norm(truth - truth[:, parents], axis=2, keepdims=True)
    bones = predicted - predicted[:, parents]
    with np.errstate(invalid='ignore', divide='ignore'):
        bones = bones * lengths / np.linalg.norm(bones, axis=2, keepdims=True)
    found = np.array(predicted, dtype=np.float64)
    for joint in _OUTWARDS:
        found[:, joint] = found[:, _PARENTS[joint]] + bones[:, joint]
    return found


def matched_errors(
    truth: np.ndarray, predicted: np.ndarray, matches: np.ndarray, relative: bool
) -> np.ndarray:
    """Return the error (t, 17) of each joint of each true person; infinite where nobody matched.

    :param truth: (t, 17, 3) joints of MuPoTS, metres. Published figures are of `univ_annot3`, the
        poses at one stature, in relative and in absolute mode.
    :param predicted: (p, 17, 3) metres.
    :param matches: (t,) of `match_all`.
    :param relative: move pelvis onto pelvis first.
    """
    errors = np.full(truth.shape[:2], np.inf)
    found = matches >= 0
    poses, targets = predicted[matches[found]], truth[found]
    if relative:
        pelvis = list(MUPOTS.root)
        poses, targets = poses - poses[:, pelvis], targets - targets[:, pelvis]
    errors[found] = np.linalg.norm(with_true_bones(poses, targets) - targets, axis=2)
    return errors


def pck(errors: np.ndarray, threshold: float = PCK_THRESHOLD_M) -> float:
    """Return 3DPCK, percent: how many of the 14 scored joints are less than a threshold off.

    :param errors: (n, 17) of `matched_errors`: with those that nobody matched it is the mode 'all',
        without them 'matched'.
    """
    return _percent(errors[:, _SCORED] < threshold)


def auc(errors: np.ndarray) -> float:
    """Return the area under the curve of 3DPCK, percent: its mean over the 31 thresholds."""
    return float(np.mean([pck(errors, threshold) for threshold in AUC_THRESHOLDS_M]))


def pck_by_group(errors: np.ndarray, threshold: float = PCK_THRESHOLD_M) -> dict[str, float]:
    """Return 3DPCK, percent, of each group of joints."""
    right = errors < threshold
    return {name: _percent(right[:, list(joints)]) for name, joints in JOINT_GROUPS.items()}


def _percent(right: np.ndarray) -> float:
    return 100 * float(right.mean()) if right.size else float('nan')


def ap_root(
    truth_images: np.ndarray,
    truth: np.ndarray,
    predicted_images: np.ndarray,
    predicted: np.ndarray,
    scores: np.ndarray,
    threshold: float = AP_THRESHOLD_M,
) -> float:
    """Return AP_root, percent, as RootNet's code has it.

    The most certain prediction first, each looks at the true root that is nearest in its image: it
    is true where that is nearer than the threshold and was not found before, else false, also where
    another true root near by is still free. Images without people are passed over, and false
    predictions there with them. The area under the curve is a sum without interpolation that leaves
    out the first prediction, so that even perfect ones reach (n - 1) / n only.

    :param truth_images: (t,) which image a root is in.
    :param truth: (t, 3) metres.
    :param predicted_images: (p,).
    :param predicted: (p, 3).
    :param scores: (p,).
    """
    nearest, distance = _nearest(truth_images, truth, predicted_images, predicted)
    order = np.argsort(-scores, kind='stable')
    order = order[nearest[order] >= 0]
    near = order[distance[order] < threshold]
    # of several near the same root the first in order has found it
    is_true = np.zeros(len(scores), bool)
    is_true[near[np.unique(nearest[near], return_index=True)[1]]] = True
    found = np.cumsum(is_true[order])
    if not len(truth):
        return float('nan')
    precision = found / np.arange(1, len(found) + 1)
    return 100 * float((precision[1:] * np.diff(found)).sum() / len(truth))


def _nearest(
    truth_images: np.ndarray, truth: np.ndarray, images: np.ndarray, roots: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each prediction the row of the nearest true root in its image, and how far it is.

    -1 and infinity where the image has none.
    """
    nearest, distance = np.full(len(images), -1), np.full(len(images), np.inf)
    people = rows_by_image(truth_images)
    for image, rows in rows_by_image(images).items():
        there = people.get(image)
        if there is None:
            continue
        away = np.linalg.norm(roots[rows, None] - truth[None, there], axis=2)
        nearest[rows], distance[rows] = there[away.argmin(axis=1)], away.min(axis=1)
    return nearest, distance
