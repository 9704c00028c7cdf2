# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Made-up people who walk about before a camera, cross, stop and turn, as networks would see them.

Ways and velocities are known. The errors put onto roots are as large, and last as long, as those
measured on the calibrated clip (`pose3d benchmark motion`, errors of roots).
"""

from dataclasses import dataclass

import numpy as np

from pose3d_ros.benchmarks.motion_scores import Look
from pose3d_ros.camera import Camera
from pose3d_ros.people import Persons

CAMERA = Camera.from_field_of_view(1280, 720, 70.0)

_STATURE_M, _WIDTH_M = 1.7, 0.6
_PELVIS_BELOW_M = 0.6  # a camera 1.5 m above the ground
_FIELD_M = ((-4.0, 4.0), (3.0, 12.0))  # x and z, in which they walk from point to point
_SPEEDS = (0.8, 1.6)  # m/s
_PAUSE_S = 3.0  # at each point, at the most
_ACCELERATION = 1.0  # m/s^2, when they start, stop and turn
_STEPS_HZ, _SWAY_M = 2.0, 0.02  # of the pelvis, up and down
_SIMULATED_HZ = 60

_STATURE_STDDEV = 0.05  # of depth, the same in all images of a person
_DEPTH_STDDEV, _ACROSS_STDDEV_M, _NOISE_TIME_S = 0.02, 0.01, 0.1
_HALF_HIDDEN = 0.3  # from that share of the box on, depths are three times as bad
_HIDDEN = 0.7  # and from that on nobody is found
_MISSED = 0.02  # of those in full view
_BOX_STDDEV = 0.02  # of the box's height
_STATED_STDDEV = 0.07  # of depth


@dataclass(frozen=True)
class _Ways:
    """Pelvises of p people at s moments.

    :param roots: (s, p, 3) metres, with the sway of steps.
    :param velocities: (s, p, 3) m/s, without it.
    """

    roots: np.ndarray
    velocities: np.ndarray


def sequence(seed: int, people: int, seconds: float, rate_hz: float) -> list[Look]:
    """Return what is seen of people at a rate that divides 60."""
    rng = np.random.default_rng(seed)
    ways = _ways(rng, people, round(seconds * _SIMULATED_HZ))
    noise = _lasting_noise(rng, ways.roots.shape)
    stature = 1 + rng.normal(0, _STATURE_STDDEV, people)
    step = round(_SIMULATED_HZ / rate_hz)
    return [
        _look(rng, s / _SIMULATED_HZ, ways.roots[s], ways.velocities[s], noise[s], stature)
        for s in range(0, len(ways.roots), step)
    ]


def _ways(rng: np.random.Generator, people: int, steps: int) -> _Ways:
    """Let people walk from point to point; none makes way for another."""
    (left, right), (near, far) = _FIELD_M

    def points() -> np.ndarray:
        return rng.uniform((left, near), (right, far), (people, 2))

    places, goals, velocities = points(), points(), np.zeros((people, 2))
    speeds, pauses = rng.uniform(*_SPEEDS, people), np.zeros(people)
    roots, moved = np.zeros((steps, people, 3)), np.zeros((steps, people, 3))
    phases = rng.uniform(0, 2 * np.pi, people)
    for s in range(steps):
        away = goals - places
        distance = np.linalg.norm(away, axis=1)
        # slow enough to come to a stop there
        wanted = np.minimum(speeds, np.sqrt(2 * _ACCELERATION * distance)) * (pauses <= 0)
        change = wanted[:, None] * away / np.maximum(distance, 1e-6)[:, None] - velocities
        most = _ACCELERATION / _SIMULATED_HZ
        size = np.linalg.norm(change, axis=1, keepdims=True)
        velocities = velocities + change * np.minimum(1, most / np.maximum(size, 1e-9))
        places = places + velocities / _SIMULATED_HZ
        pauses = pauses - 1 / _SIMULATED_HZ
        there = distance < 0.1
        goals, pauses = (
            np.where(there[:, None], points(), goals),
            np.where(there, rng.uniform(0, _PAUSE_S, people), pauses),
        )
        sway = np.sin(2 * np.pi * _STEPS_HZ * s / _SIMULATED_HZ + phases) * _SWAY_M
        sway = sway * np.minimum(1, np.linalg.norm(velocities, axis=1))
        roots[s] = np.column_stack([places[:, 0], _PELVIS_BELOW_M + sway, places[:, 1]])
        moved[s, :, [0, 2]] = velocities.T
    return _Ways(roots, moved)


def _lasting_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return noise of variance 1 that fades within _NOISE_TIME_S, along the first axis."""
    kept = np.exp(-1 / (_SIMULATED_HZ * _NOISE_TIME_S))
    noise = rng.normal(size=shape)
    for s in range(1, len(noise)):
        noise[s] = kept * noise[s - 1] + np.sqrt(1 - kept**2) * noise[s]
    return noise


def _look(
    rng: np.random.Generator,
    stamp_s: float,
    roots: np.ndarray,
    velocities: np.ndarray,
    noise: np.ndarray,
    stature: np.ndarray,
) -> Look:
    """Return what is seen of people at roots (p, 3)."""
    boxes = _boxes(roots)
    hidden = _hidden_shares(boxes, roots[:, 2])
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    inside = (centres > 0) & (centres < np.array([CAMERA.width, CAMERA.height]))
    in_view = np.asarray(inside.all(axis=1))
    missed = rng.random(len(roots)) < _MISSED
    found = np.flatnonzero(in_view & (hidden < _HIDDEN) & ~missed)
    worse = np.where(hidden > _HALF_HIDDEN, 3.0, 1.0)
    scale = stature * (1 + worse * _DEPTH_STDDEV * noise[:, 2])
    seen = roots * scale[:, None]
    seen[:, :2] += _ACROSS_STDDEV_M * noise[:, :2]
    boxes = boxes + rng.normal(size=boxes.shape) * _BOX_STDDEV * boxes[:, 3:]
    persons = Persons(boxes, 0.9 * (1 - hidden), (), seen, _STATED_STDDEV * seen[:, 2])
    return Look(stamp_s, persons[found], found, roots, velocities, in_view)


def _boxes(roots: np.ndarray) -> np.ndarray:
    """Return the boxes (p, 4) of people who stand at roots (p, 3), pixels."""
    middle = CAMERA.project(roots)
    size = CAMERA.focal_px * np.array([_WIDTH_M, _STATURE_M]) / roots[:, 2:]
    return np.concatenate([middle - size / 2, size], axis=1)


def _hidden_shares(boxes: np.ndarray, depths_m: np.ndarray) -> np.ndarray:
    """Return the share (p,) of each box that the nearer person hides who hides the most."""
    ends = boxes[:, :2] + boxes[:, 2:]
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    common = np.maximum(np.minimum(ends[:, None], ends[None]) - low, 0).prod(axis=2)
    nearer = depths_m[None] < depths_m[:, None]
    return np.asarray((common * nearer).max(axis=1) / boxes[:, 2:].prod(axis=1))
