# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a trained pair is worth on held-out people, beside predictors that have learned nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations
from pose3d_ros.evaluation import mpjpe, root_errors
from pose3d_ros.evaluation.baselines import Trivial
from pose3d_ros.evaluation.metrics import best_pairs
from pose3d_ros.evaluation.results import read_human36m
from pose3d_ros.evaluation.root_files import read_roots
from pose3d_ros.evaluation.running import back_projected, projected
from pose3d_ros.evaluation.subjects import Subjects, each_once, processed
from pose3d_ros.models import crops3dmppe
from pose3d_ros.people import Poses
from pose3d_ros.skeletons import HUMAN36M_17
from pose3d_ros.tables import Table

#: Of the true box's longer side: a pose whose median joint is nearer than this is that person's.
_NEAR = 0.25


@dataclass(frozen=True)
class Found:
    """Poses of some of the people of a data set.

    :param rows: (n,) which of its people.
    :param roots: (n, 3) in the optical frame, metres.
    :param joints: (n, 17, 3) the same, of HUMAN36M_17: those that are scored, around their pelvis.
    """

    rows: np.ndarray
    roots: np.ndarray
    joints: np.ndarray


@dataclass(frozen=True)
class Score:
    """Mean errors, millimetres.

    :param name: what predicted, in which boxes.
    :param people: how many are scored.
    :param depth_mm: of the root, along z.
    :param whole: how many of them are `whole`.
    :param mpjpe_mm: of these alone; NaN = there are none.
    """

    name: str
    people: int
    mrpe_mm: float
    depth_mm: float
    whole: int
    mpjpe_mm: float

    @classmethod
    def of(cls, name: str, truth: Annotations, found: Found) -> 'Score':
        """Return the errors of what was found."""
        some = truth[found.rows].in_skeleton(HUMAN36M_17)
        errors = root_errors(found.roots, some.roots)
        in_crop = whole(truth)[found.rows]
        poses = mpjpe(found.joints[in_crop], some.joints[in_crop], some.skeleton.root)
        pose_m = poses.mean() if len(poses) else np.nan
        mrpe_m, depth_m = errors.distance.mean(), np.abs(errors.xyz[:, 2]).mean()
        return cls(
            name, len(some), 1000 * float(mrpe_m), 1000 * float(depth_m), len(poses),
            1000 * float(pose_m),
        )  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """The networks' errors, and those of the trivial predictor for the same people."""

    networks: Score
    trivial: Score

    @property
    def mrpe_ratio(self) -> float:
        """Return the networks' MRPE over the trivial predictor's."""
        return self.networks.mrpe_mm / self.trivial.mrpe_mm

    @property
    def mpjpe_ratio(self) -> float:
        """Return the networks' MPJPE over the trivial predictor's."""
        return self.networks.mpjpe_mm / self.trivial.mpjpe_mm


def whole(truth: Annotations) -> np.ndarray:
    """Return (n,) of whom all joints lie in the crop of the true box, and within 1 m of the root.

    PoseNet is taught no others, and has no cells for them: of people of whom a part is out of the
    image or behind something, whose boxes are of the rest, the mean pose knows more.
    """
    return _inside(_cells(truth))


def trivial(training: Annotations, truth: Annotations, rows: np.ndarray) -> Found:
    """Return the best that needs no image: true boxes at one gamma * k, and the mean pose.

    :param rows: whom to predict; people without a box that can be cut are left out.
    """
    people = Subjects.annotated(truth)
    people = people[np.isin(people.rows, rows)]
    predictor = Trivial.fitted(training)
    placed = predictor.roots(people)
    poses = predictor.poses(placed)
    return Found(placed.rows, placed.roots, poses.joints[:, : len(HUMAN36M_17)])


def same_in_each_crop(training: Annotations, truth: Annotations, rows: np.ndarray) -> Found:
    """Return one pose, in cells of the crop, for all: what PoseNet says that has learned no more.

    Placed by true boxes and roots, which tell it how large and how far people are, and so better
    than the mean pose in metres. Its joints are the middles of those of the training's people.

    :param rows: whom to predict.
    """
    people, of_training = truth[rows], _cells(training)
    middle = np.median(of_training[_inside(of_training)], axis=0)
    cells = np.broadcast_to(middle, people.joints.shape)
    pixels = crops3dmppe.to_pixels(cells[..., :2], _squares(people))
    depth_m = people.roots[:, 2:] + crops3dmppe.to_metres(cells[..., 2])
    joints = back_projected(pixels, depth_m, people.focal_px, people.centre_px)
    return Found(rows, people.roots, joints[:, : len(HUMAN36M_17)])


def _squares(people: Annotations) -> np.ndarray:
    """Return the crops (n, 4) of true boxes."""
    return processed(people, people.image_indices, people.boxes)[0]


def _cells(people: Annotations) -> np.ndarray:
    """Return where joints (n, j, 3) lie in the crops of true boxes, in PoseNet's cells."""
    squares = _squares(people)
    in_crop = (people.pixels - squares[:, None, :2]) / squares[:, None, 2:] * crops3dmppe.HEATMAP
    behind = crops3dmppe.to_cells(people.joints[..., 2] - people.roots[:, 2:])
    return np.concatenate([in_crop, behind[..., None]], axis=2)


def _inside(cells: np.ndarray) -> np.ndarray:
    """Return (n,) of whom all cells (n, j, 3) are PoseNet's."""
    return np.asarray(((cells >= 0) & (cells < crops3dmppe.HEATMAP)).all(axis=(1, 2)))


def saved(truth: Annotations, roots: Path, poses: Path) -> Found:
    """Return what `pose3d evaluate` left of Human3.6M's format, of everybody.

    :param roots: RootNet's file.
    :param poses: PoseNet's file; its joints stand around the roots that it was given.
    :raises DataError: a file cannot be read, or somebody is missing.
    """
    placed, posed = read_roots(roots, 'human36m', truth), read_human36m(poses, truth)
    of_roots, of_poses = each_once(truth, placed), each_once(truth, posed.subjects)
    people = np.flatnonzero((of_roots >= 0) & (of_poses >= 0))
    return Found(people, placed.roots[of_roots[people]], posed.joints[of_poses[people]])


def matched(truth: Annotations, poses: Mapping[int, Poses]) -> Found:
    """Return which of the poses of some images are of which of their true people.

    Pairs are made from the nearest in the image on, each person and each pose once; the distance is
    the median of the joints', in the image.

    :param poses: those found, by which of the data set's images, in the data set's joint set.
    """
    rows, roots, joints = [], [], []
    for image, found in poses.items():
        people = np.flatnonzero(truth.image_indices == image)
        apart = _apart(truth[people], found)
        for person, pose in best_pairs(-apart, apart < _NEAR):
            rows.append(people[person])
            roots.append(found.roots[pose])
            joints.append(found.joints[pose, : len(HUMAN36M_17)])
    return Found(
        np.array(rows, np.int64),
        np.array(roots).reshape(-1, 3),
        np.array(joints).reshape(-1, len(HUMAN36M_17), 3),
    )


def _apart(people: Annotations, found: Poses) -> np.ndarray:
    """Return how far poses are from people (t, p), in longer sides of their boxes."""
    apart = np.full((len(people), len(found)), np.inf)
    for pose in np.flatnonzero(np.isfinite(found.joints).all(axis=(1, 2))):
        joints = np.broadcast_to(found.joints[pose], people.joints.shape)
        pixels = projected(joints, people.focal_px, people.centre_px)
        offsets = np.linalg.norm(pixels - people.pixels, axis=2)
        apart[:, pose] = np.median(offsets, axis=1) / people.boxes[:, 2:].max(axis=1)
    return apart


def score_table(title: str, comparisons: Sequence[Comparison], note: str) -> Table:
    """Return scores, each of networks before that of the trivial predictor for the same people."""
    nothing = float('nan')
    rows: list[tuple[str | float, ...]] = []
    for c in comparisons:
        for s, ratios in (
            (c.networks, (c.mrpe_ratio, c.mpjpe_ratio)),
            (c.trivial, (nothing, nothing)),
        ):
            numbers = (s.mrpe_mm, s.depth_mm, s.whole, s.mpjpe_mm)
            rows.append((s.name, s.people, *numbers, *ratios))
    columns = (
        ('predictor', ''), ('people', 'd'), ('MRPE mm', '.0f'), ('of it depth', '.0f'),
        ('whole', 'd'), ('MPJPE mm', '.0f'), ('MRPE ratio', '.2f'), ('MPJPE ratio', '.2f'),
    )  # fmt: skip
    return Table(title, columns, rows, note)
