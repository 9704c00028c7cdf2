# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How the people of the calibrated clip of several people really move: four cameras say so.

The nodes' stages look at every frame of every camera. In the first frame, roots of different
cameras that are near each other in the world are one person; from then on the keypoints of a
person's hips tell which one he is, as they move by some pixels from frame to frame. The hips are
triangulated, and a parabola through 0.4 s of them gives the velocity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from pose3d_ros.benchmarks.ground_truth import HIPS, LIMBS, triangulated
from pose3d_ros.benchmarks.motion_scores import Look
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.models.limbs import LIMB_JOINTS
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.offline import Stages
from pose3d_ros.people import Keypoints, Persons

# Unknown stature puts a root up to a fifth of its distance away from where others see it.
_SAME_PERSON_M = 1.5
_SAME_HIPS_PX = 40.0
_PARABOLA_REACH_S = 0.2
_LEAST_WEIGHT = 1e-9  # of what is not seen: triangulation takes no zeros


@dataclass(frozen=True)
class ClipMotion:
    """What is seen and what is true in a clip of c cameras, f frames and p people.

    :param found: of each camera, the people found in each frame, with roots.
    :param who: (c, f, p) which of those is the person; -1 = none.
    :param roots: (c, f, p, 3) true pelvises in the cameras' optical frames, metres.
    :param velocities: (c, f, p, 3) m/s.
    :param residual_px: (p,) between projected limbs and keypoints, the median.
    """

    found: Sequence[Sequence[Persons]]
    who: np.ndarray
    roots: np.ndarray
    velocities: np.ndarray
    residual_px: np.ndarray
    rate_hz: float

    def looks(self, skip: int) -> list[list[Look]]:
        """Return the sequences that every skip-th frame of each camera makes."""
        cameras, frames, _ = self.who.shape
        return [
            [self._look(camera, frame) for frame in range(first, frames, skip)]
            for camera in range(cameras)
            for first in range(skip)
        ]

    def _look(self, camera: int, frame: int) -> Look:
        persons, rows = self.found[camera][frame], self.who[camera, frame]
        who = np.full(len(persons), -1)
        known = np.flatnonzero(rows >= 0)
        who[rows[known]] = known
        return Look(
            frame / self.rate_hz,
            persons,
            who,
            self.roots[camera, frame],
            self.velocities[camera, frame],
            (self.who[camera] >= 0).any(axis=0),
        )


def clip_motion(clip: Clip, precision: str) -> ClipMotion:
    """Look at a clip and triangulate its people.

    :raises weights.WeightsError: the networks are not there.
    """
    found = [_found(clip, camera, precision) for camera in range(len(clip.cameras))]
    who = _identified(found, _first_people(clip, [frames[0] for frames in found]))
    xy, scores = _limbs(found, who)
    cameras, frames, people = who.shape
    flat = (cameras, frames, people * len(LIMB_JOINTS))
    truth = triangulated(clip, xy.reshape(*flat, 2), scores.reshape(flat))
    pelvises = truth.joints.reshape(frames, people, -1, 3)[:, :, list(HIPS)].mean(axis=2)
    places, velocities = _parabolas(pelvises, clip.frame_rate_hz)
    turned = np.einsum('cij,fpj->cfpi', truth.rotations, places)
    residual = truth.residual_px.reshape(scores.shape)
    return ClipMotion(
        found,
        who,
        turned + truth.translations[:, None, None],
        np.einsum('cij,fpj->cfpi', truth.rotations, velocities),
        np.array([np.median(residual[:, :, p][who[:, :, p] >= 0]) for p in range(people)]),
        clip.frame_rate_hz,
    )


def _found(clip: Clip, camera: int, precision: str) -> list[Persons]:
    """Return the people of every frame of a camera, with the roots that posenet publishes."""
    stages = Stages.default(RuntimeOptions(precision=precision))
    lens, people = clip.cameras[camera].camera, []
    frames = tqdm(clip.frames(camera), 'looking', clip.frame_count, unit='image', disable=None)
    for image in frames:
        persons, poses = stages.place(image, stages.detect(image), lens)
        people.append(persons.with_roots(poses.roots, poses.root_depth_stddev_m, persons.keypoints))
    return people


def _first_people(clip: Clip, found: Sequence[Persons]) -> list[dict[int, int]]:
    """Return each person whom two cameras or more see in the first frame, as camera -> row."""
    groups = [
        [(camera, row, (root - c.translation) @ c.rotation)]
        for camera, (c, persons) in enumerate(zip(clip.cameras, found, strict=True))
        for row, root in enumerate(persons.roots)
    ]
    while len(groups) > 1:
        centres = np.array([np.mean([place for *_, place in g], axis=0) for g in groups])
        apart = np.linalg.norm(centres[:, None] - centres, axis=2)
        for i, group in enumerate(groups):
            cameras = {camera for camera, *_ in group}
            for k, other in enumerate(groups):
                if i == k or cameras & {camera for camera, *_ in other}:
                    apart[i, k] = np.inf
        i, k = np.unravel_index(apart.argmin(), apart.shape)
        if apart[i, k] > _SAME_PERSON_M:
            break
        groups[i] += groups.pop(k)
    return [{camera: row for camera, row, _ in g} for g in groups if len(g) > 1]


def _identified(found: Sequence[Sequence[Persons]], first: Sequence[dict[int, int]]) -> np.ndarray:
    """Return which of those found each person is (c, f, p), -1 = none, from the first frame on."""
    who = np.full((len(found), len(found[0]), len(first)), -1)
    for p, rows in enumerate(first):
        for camera, row in rows.items():
            who[camera, 0, p] = row
            last = _hips(found[camera][0])[row]
            for frame, persons in enumerate(found[camera][1:], start=1):
                away_px = np.linalg.norm(_hips(persons) - last, axis=1)
                if len(away_px) and away_px.min() < _SAME_HIPS_PX:
                    who[camera, frame, p] = away_px.argmin()
                    last = _hips(persons)[away_px.argmin()]
    return who


def _hips(persons: Persons) -> np.ndarray:
    """Return the middle of the hips of each person (n, 2), pixels."""
    return np.asarray(_keypoints(persons).xy[:, LIMBS][:, list(HIPS)].mean(axis=1))


def _keypoints(persons: Persons) -> Keypoints:
    if persons.keypoints is None:
        raise ValueError('the rootnet gave people without keypoints')
    return persons.keypoints


def _limbs(found: Sequence[Sequence[Persons]], who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return keypoints (c, f, p, 12, 2) and weights (c, f, p, 12) of the people's limbs."""
    xy, scores = np.zeros((*who.shape, 12, 2)), np.full((*who.shape, 12), _LEAST_WEIGHT)
    for camera, frame, p in np.argwhere(who >= 0):
        keypoints = _keypoints(found[camera][frame])
        row = who[camera, frame, p]
        xy[camera, frame, p] = keypoints.xy[row, LIMBS]
        scores[camera, frame, p] += keypoints.scores[row, LIMBS]
    return xy, scores


def _parabolas(pelvises: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Return smooth places and velocities (f, p, 3) of pelvises: a parabola around each frame."""
    reach, frames = round(_PARABOLA_REACH_S * rate_hz), len(pelvises)
    flat = pelvises.reshape(frames, -1)
    fits = []
    for frame in range(frames):
        near = np.arange(max(0, frame - reach), min(frames, frame + reach + 1))
        times = np.vander((near - frame) / rate_hz, 3, increasing=True)
        fits.append(np.linalg.lstsq(times, flat[near], rcond=None)[0])
    places, velocities, _ = np.moveaxis(np.array(fits), 1, 0)
    return places.reshape(pelvises.shape), velocities.reshape(pelvises.shape)
