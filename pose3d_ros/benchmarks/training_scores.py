"""What a trained pair is worth on held-out people, beside predictors that have learned nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pose3d_ros.benchmarks.report import Table
from pose3d_ros.data.annotations import Annotations
from pose3d_ros.evaluation import baselines, mpjpe, root_errors
from pose3d_ros.evaluation.metrics import best_pairs
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


def trivial(training: Annotations, truth: Annotations, rows: np.ndarray) -> Found:
    """Return the best that needs no image: true boxes at one gamma * k, and the mean pose.

    :param rows: whom to predict; people without a box that can be cut are left out.
    """
    people = Subjects.annotated(truth)
    people = people[np.isin(people.rows, rows)]
    placed = baselines.roots_at_k(people, baselines.best_gamma(training))
    poses = baselines.poses_of(placed, baselines.mean_pose(training), training)
    return Found(placed.rows, placed.roots, poses.joints)


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
            joints.append(found.joints[pose])
    return Found(
        np.array(rows, np.int64),
        np.array(roots).reshape(-1, 3),
        np.array(joints).reshape(-1, len(truth.skeleton), 3),
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
            rows.append((s.name, s.people, s.mrpe_mm, s.depth_mm, s.mpjpe_mm, *ratios))
    columns = (
        ('predictor', ''), ('people', 'd'), ('MRPE mm', '.0f'), ('of it depth', '.0f'),
        ('MPJPE mm', '.0f'), ('MRPE ratio', '.2f'), ('MPJPE ratio', '.2f'),
    )  # fmt: skip
    return Table(title, columns, rows, note)
