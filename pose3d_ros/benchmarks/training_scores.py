"""What a trained pair is worth on held-out people, beside predictors that have learned nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose3d_ros.benchmarks.report import Table
from pose3d_ros.data.annotations import Annotations
from pose3d_ros.evaluation import baselines, mpjpe, root_errors
from pose3d_ros.evaluation.running import projected
from pose3d_ros.evaluation.subjects import Subjects
from pose3d_ros.people import Poses

#: Of the true box's longer side: a pose whose median joint is nearer than this is that person's.
_NEAR = 0.25


@dataclass(frozen=True)
class Found:
    """Poses of some of the people of a data set.

    :param rows: (n,) which of its people.
    :param roots: (n, 3) in the optical frame, metres.
    :param joints: (n, j, 3) the same, in the data set's joint set.
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
    """

    name: str
    people: int
    mrpe_mm: float
    depth_mm: float
    mpjpe_mm: float

    @classmethod
    def of(cls, name: str, truth: Annotations, found: Found) -> 'Score':
        """Return the errors of what was found, over the joints that are annotated."""
        some = truth[found.rows]
        errors = root_errors(found.roots, some.roots)
        poses = mpjpe(found.joints, some.joints, some.skeleton.root)
        means = (errors.distance.mean(), np.abs(errors.xyz[:, 2]).mean(), poses.mean())
        return cls(name, len(found.rows), *(1000 * float(mean) for mean in means))


def trivial(training: Annotations, truth: Annotations, rows: np.ndarray) -> Found:
    """Return the best that needs no image: true boxes at one gamma * k, and the mean pose.

    :param rows: whom to predict; people without a box that can be cut are left out.
    """
    people = Subjects.annotated(truth)
    people = people[np.isin(people.rows, rows)]
    placed = baselines.roots_at_k(people, baselines.best_gamma(training))
    poses = baselines.poses_of(placed, baselines.mean_pose(training), training)
    return Found(placed.rows, placed.roots, poses.joints)


def matched(truth: Annotations, images: Sequence[int], poses: Sequence[Poses]) -> Found:
    """Return which of the poses of some images are of which of their true people.

    Pairs are made from the nearest in the image on, each person and each pose once; the distance is
    the median of the joints', in the image.

    :param images: which of the data set's.
    :param poses: of each of these images, in the data set's joint set.
    """
    rows: list[int] = []
    chosen: list[tuple[np.ndarray, np.ndarray]] = []
    for image, found in zip(images, poses, strict=True):
        people = np.flatnonzero(truth.image_indices == image)
        apart = _apart(truth[people], found)
        while apart.size and apart.min() < _NEAR:
            person, pose = np.unravel_index(apart.argmin(), apart.shape)
            rows.append(int(people[person]))
            chosen.append((found.roots[pose], found.joints[pose]))
            apart[person], apart[:, pose] = np.inf, np.inf
    roots = np.array([root for root, _ in chosen]).reshape(-1, 3)
    joints = np.array([pose for _, pose in chosen]).reshape(-1, len(truth.skeleton), 3)
    return Found(np.array(rows, np.int64), roots, joints)


def _apart(people: Annotations, found: Poses) -> np.ndarray:
    """Return how far poses are from people (t, p), in longer sides of their boxes."""
    apart = np.full((len(people), len(found)), np.inf)
    for pose in np.flatnonzero(np.isfinite(found.joints).all(axis=(1, 2))):
        joints = np.broadcast_to(found.joints[pose], people.joints.shape)
        pixels = projected(joints, people.focal_px, people.centre_px)
        offsets = np.linalg.norm(pixels - people.pixels, axis=2)
        apart[:, pose] = np.median(offsets, axis=1) / people.boxes[:, 2:].max(axis=1)
    return apart


def score_table(title: str, scores: Sequence[Score], note: str) -> Table:
    """Return scores, each of networks before that of the trivial predictor for the same people."""
    rows: list[tuple[str | float, ...]] = []
    for i, s in enumerate(scores):
        ratios = (float('nan'), float('nan'))
        if i % 2 == 0:
            trivial_one = scores[i + 1]
            ratios = s.mrpe_mm / trivial_one.mrpe_mm, s.mpjpe_mm / trivial_one.mpjpe_mm
        rows.append((s.name, s.people, s.mrpe_mm, s.depth_mm, s.mpjpe_mm, *ratios))
    columns = (
        ('predictor', ''), ('people', 'd'), ('MRPE mm', '.0f'), ('of it depth', '.0f'),
        ('MPJPE mm', '.0f'), ('MRPE ratio', '.2f'), ('MPJPE ratio', '.2f'),
    )  # fmt: skip
    return Table(title, columns, rows, note)
