# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How well people whose true ways are known are followed: ids, velocities, who is hidden."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import Skeleton
from pose3d_ros.tracking import Tracker, TrackerOptions
from pose3d_ros.tracking3d import MotionOptions, Tracker3D

#: A joint set of the pelvis alone.
PELVIS = Skeleton('pelvis', ('pelvis',), (), (), (0,))
# Nobody's velocity is known at first: it is scored once a person was seen for so long.
_SETTLED_S = 0.5
# What a velocity without a filter may be taken over: the last two images, or a longer time.
_LONG_S = 0.5


@dataclass(frozen=True)
class Look:
    """An image: what is found in it, and what is true.

    :param stamp_s: its time.
    :param found: the people found, with roots.
    :param who: (n,) which person each of them is, -1 = nobody's.
    :param roots: (p, 3) where all persons are, in the camera's optical frame, metres.
    :param velocities: (p, 3) m/s.
    :param in_view: (p,) bool: also who is hidden by others.
    """

    stamp_s: float
    found: Persons
    who: np.ndarray
    roots: np.ndarray
    velocities: np.ndarray
    in_view: np.ndarray


@dataclass
class Scores:
    """What following people through sequences came to.

    :param switches: times a person's id is not the one before.
    :param forgotten: of those, after more time unseen than a track of boxes lives.
    :param fragments: times a person in view was lost, and found again.
    :param filtered: errors of the filter's velocities, (3,) m/s each.
    :param between: of those from the last two images' roots.
    :param over: of those from roots half a second apart.
    :param standing: of saying that everybody stands.
    :param nees: e' P^-1 e of the filter's velocities: 3 in the mean where P is what it says.
    :param drifts_m: of roots while nobody sees the person, since the last time somebody did.
    """

    people: int = 0
    looks: int = 0
    switches: int = 0
    forgotten: int = 0
    fragments: int = 0
    filtered: list[np.ndarray] = field(default_factory=list)
    between: list[np.ndarray] = field(default_factory=list)
    over: list[np.ndarray] = field(default_factory=list)
    standing: list[np.ndarray] = field(default_factory=list)
    nees: list[float] = field(default_factory=list)
    drifts_m: list[float] = field(default_factory=list)


def follow(sequences: Sequence[Sequence[Look]], focal_px: float) -> Scores:
    """Follow people through sequences with the trackers of the nodes."""
    scores = Scores()
    for sequence in sequences:
        follower = _Follower(scores, focal_px)
        for look in sequence:
            follower.take(look)
        scores.people += len(sequence[0].roots)
        scores.looks += len(sequence)
    return scores


@dataclass
class _Person:
    """One person so far: ids, and roots as found, with their stamps."""

    person_id: str = ''
    lost: bool = False
    found: list[tuple[float, np.ndarray]] = field(default_factory=list)
    error: np.ndarray | None = None


class _Follower:
    """The trackers on one sequence."""

    def __init__(self, scores: Scores, focal_px: float) -> None:
        self._scores, self._focal_px = scores, focal_px
        self._boxes, self._space = Tracker(), Tracker3D(PELVIS)
        self._people: dict[int, _Person] = {}

    def take(self, look: Look) -> None:
        """Follow people into an image, and score."""
        persons = self._boxes.update(look.found, look.stamp_s)
        poses = as_poses(persons)
        poses = self._space.update(poses, look.stamp_s, self._focal_px, MotionOptions())
        rows = {int(who): row for row, who in enumerate(look.who) if who >= 0}
        for who in range(len(look.roots)):
            person = self._people.setdefault(who, _Person())
            if who in rows and poses.ids[rows[who]]:
                self._score_seen(person, look, who, poses, rows[who])
            elif look.in_view[who]:
                self._score_hidden(person, look, who, poses)

    def _score_seen(self, person: _Person, look: Look, who: int, poses: Poses, row: int) -> None:
        if person.person_id not in ('', poses.ids[row]):
            self._scores.switches += 1
            unseen_s = look.stamp_s - person.found[-1][0]
            self._scores.forgotten += unseen_s > TrackerOptions().lifetime_s
        self._scores.fragments += person.lost
        person.person_id, person.lost = poses.ids[row], False
        root, truth = poses.roots[row], look.velocities[who]
        person.found.append((look.stamp_s, root))
        person.error = root - look.roots[who]
        if look.stamp_s - person.found[0][0] < _SETTLED_S or not poses.tracks.has_velocity[row]:
            return
        error = poses.tracks.motions[row, 3:] - truth
        spread = poses.tracks.covariances[row, 3:, 3:]
        self._scores.filtered.append(error)
        self._scores.nees.append(float(error @ np.linalg.solve(spread, error)))
        self._scores.between.append(_slope(person.found, 0.0) - truth)
        self._scores.over.append(_slope(person.found, _LONG_S) - truth)
        self._scores.standing.append(-truth)

    def _score_hidden(self, person: _Person, look: Look, who: int, poses: Poses) -> None:
        if not person.person_id:
            return
        person.lost = True
        coasting = dict(zip(poses.ids, poses.coasting, strict=True))
        if coasting.get(person.person_id) and person.error is not None:
            error = poses.roots[poses.ids.index(person.person_id)] - look.roots[who]
            self._scores.drifts_m.append(float(np.linalg.norm(error - person.error)))


def _slope(found: Sequence[tuple[float, np.ndarray]], over_s: float) -> np.ndarray:
    """Return the velocity from the last root to the latest one at least so long before it."""
    now_s, root = found[-1]
    then_s, before = next(
        (one for one in islice(reversed(found), 1, None) if now_s - one[0] >= over_s - 1e-6),
        found[0],
    )
    return np.asarray((root - before) / (now_s - then_s))


def as_poses(persons: Persons) -> Poses:
    """Return people as poses of a single joint, the pelvis."""
    return Poses(
        PELVIS,
        persons.roots[:, None],
        np.ones((len(persons), 1)),
        persons.roots,
        persons.root_depth_stddev_m,
        persons.scores,
        persons.ids,
    )
