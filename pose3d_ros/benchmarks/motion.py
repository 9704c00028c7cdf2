# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Score ids, velocities and smoothing, on made-up walkers and on the clip of several people."""

import argparse
from collections.abc import Sequence

import numpy as np

from pose3d_ros.benchmarks import report, walks
from pose3d_ros.benchmarks.clip_motion import ClipMotion, clip_motion
from pose3d_ros.benchmarks.motion_scores import PELVIS, Scores, as_poses, follow
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.models.session import PRECISIONS
from pose3d_ros.one_euro import OneEuro
from pose3d_ros.people import Persons
from pose3d_ros.tables import Table
from pose3d_ros.tracking3d import MotionOptions, Tracker3D

PARTS = ('walks', 'clip', 'smoothing')
_RATES_HZ = (30, 15, 5)
_PEOPLE, _SEQUENCES = 5, 3
# The arm that is waved for the lag of smoothing.
_WAVE_M, _WAVES_HZ = 0.3, (0.5, 1.0, 2.0)
_SHAKE_M = 0.01
_SETTLED_S, _MEASURED_S = 4.0, 8.0
# Who starts to walk, for the lag of velocities.
_WALK_M_S, _START_M, _START_FOCAL_PX = 1.2, np.array([0.0, 0.0, 4.0]), 1000.0
_DIRECTIONS = {'across': (1.0, 0.0, 0.0), 'away': (0.0, 0.0, 1.0)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark motion`."""
    add = parser.add_argument
    add('--parts', choices=PARTS, nargs='+', default=PARTS)
    add('--seconds', type=report.positive, default=30, metavar='S', help='of each made-up walk')
    add('--precision', choices=PRECISIONS, default='auto', help="of the clip's networks")
    report.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score the parts asked for and give the tables out; return 0."""
    tables: list[Table] = []
    if 'clip' in arguments.parts:  # first: clip or networks may not be there
        clip = Clip.load('multi')
        motion = clip_motion(clip, arguments.precision)
        tables += [_clip(clip, motion), _root_errors(motion)]
    if 'walks' in arguments.parts:
        tables.append(_walks(arguments.seconds))
    if 'smoothing' in arguments.parts:
        tables += [_smoothing(), _starts()]
    report.give_out('motion', tables, arguments)
    return 0


_SCORES = (
    ('frames/s', '.3g'), ('people', 'd'), ('images', 'd'), ('id switches', 'd'),
    ('after over 1 s', 'd'),
    ('fragments', 'd'), ('velocity error m/s: filter', '.2f'), ('between images', '.2f'),
    ('over 0.5 s', '.2f'), ('standing', '.2f'), ('NEES / 3', '.2f'),
    ('drift while hidden m', '.2f'),
)  # fmt: skip
_SCORES_NOTE = (
    'id switches: a person has another id than before; after over 1 s: unseen for longer than '
    'ids live. fragments: a person in view is lost and '
    'found again. velocity error: root mean square of the vector, of who was seen for 0.5 s; '
    'between images and over 0.5 s: differences of roots instead of a filter; standing: had all '
    'been said to stand. NEES / 3: 1 where the covariance of the velocity is right, below 1 where '
    'it says too much. drift while hidden: of coasting roots, beyond the error with which they '
    'were seen last.'
)


def _row(rate_hz: float, scores: Scores) -> tuple[str | float, ...]:
    errors = (scores.filtered, scores.between, scores.over, scores.standing)
    return (
        rate_hz,
        scores.people,
        scores.looks,
        scores.switches,
        scores.forgotten,
        scores.fragments,
        *(_rms(error) for error in errors),
        float(np.mean(scores.nees)) / 3 if scores.nees else np.nan,
        float(np.mean(scores.drifts_m)) if scores.drifts_m else np.nan,
    )


def _rms(errors: Sequence[np.ndarray]) -> float:
    return float(np.sqrt((np.square(errors)).sum(axis=1).mean())) if len(errors) else np.nan


def _walks(seconds: float) -> Table:
    """Follow made-up walkers at several rates."""
    rows = []
    for rate_hz in _RATES_HZ:
        made = [walks.sequence(seed, _PEOPLE, seconds, rate_hz) for seed in range(_SEQUENCES)]
        rows.append(_row(rate_hz, follow(made, walks.CAMERA.focal_px)))
    title = f'Made-up walkers: {_SEQUENCES} sequences of {seconds:g} s, {_PEOPLE} people who cross'
    note = 'Boxes and roots are made of known ways, with errors like those on the clip; no network.'
    return Table(title, _SCORES, rows, f'{note} {_SCORES_NOTE}', keys=2)


def _clip(clip: Clip, motion: ClipMotion) -> Table:
    """Follow the people of the clip at several rates."""
    focal_px = clip.cameras[0].camera.focal_px
    rows = [
        _row(motion.rate_hz / skip, follow(motion.looks(skip), focal_px)) for skip in (1, 4, 12)
    ]
    seconds = motion.who.shape[1] / motion.rate_hz
    residuals = ', '.join(f'{px:.1f}' for px in motion.residual_px)
    title = f'Calibrated clip: {len(clip.cameras)} cameras, {seconds:.1f} s'
    note = (
        'Truth: triangulated hips, limbs of the people within a median of '
        f'{residuals} px of their keypoints. One walks a few steps, two crouch or sit.'
    )
    return Table(title, _SCORES, rows, f'{note} {_SCORES_NOTE}', keys=2)


def _root_errors(motion: ClipMotion) -> Table:
    """Tell what in the errors of roots lasts, and what changes from image to image."""
    rows: list[tuple[str | float, ...]] = []
    cameras, _, people = motion.who.shape
    for p in range(people):
        for camera in range(cameras):
            frames = np.flatnonzero(motion.who[camera, :, p] >= 0)
            if not len(frames):
                continue
            persons = [motion.found[camera][f][[motion.who[camera, f, p]]] for f in frames.tolist()]
            roots = np.concatenate([person.roots for person in persons])
            stated_m = np.concatenate([person.root_depth_stddev_m for person in persons])
            truth = motion.roots[camera, frames, p]
            depth = np.log(roots[:, 2] / truth[:, 2])
            across = roots[:, 0] / roots[:, 2] - truth[:, 0] / truth[:, 2]
            rows.append(
                (
                    p + 1,
                    camera + 1,
                    float(truth[:, 2].mean()),
                    100 * float(np.median(stated_m / roots[:, 2])),
                    100 * float(depth.mean()),
                    100 * float(depth.std()),
                    1e3 * float(across.std() * truth[:, 2].mean()),
                    *(_likeness(depth, round(s * motion.rate_hz)) for s in (0.05, 0.1, 0.2)),
                )
            )
    return Table(
        'Errors of roots on the clip',
        (
            ('person', 'd'), ('camera', 'd'), ('m', '.1f'), ('stated %', '.1f'),
            ('depth: lasting %', '.1f'), ('changing %', '.1f'), ('across: changing mm', '.0f'),
            ('likeness after 0.05 s', '.2f'), ('0.1 s', '.2f'), ('0.2 s', '.2f'),
        ),
        rows,
        'stated: standard deviation of depth as published. lasting, changing: mean and standard '
        'deviation of the error. likeness: autocorrelation of the error of depth.',
        keys=2,
    )  # fmt: skip


def _likeness(errors: np.ndarray, lag: int) -> float:
    left = errors - errors.mean()
    return float((left[lag:] * left[:-lag]).mean() / (left**2).mean())


def _smoothing() -> Table:
    """Wave a hand, and hold it still, through the 1 Euro filter."""
    euro = OneEuro()
    rows = [
        (
            float(rate_hz),
            waves_hz,
            *_wave(euro, rate_hz, waves_hz),
            _shaking(euro, rate_hz),
        )
        for rate_hz in _RATES_HZ
        for waves_hz in _WAVES_HZ
    ]
    return Table(
        f'1 Euro filter: a hand waved by {100 * _WAVE_M:.0f} cm to either side, and held still',
        (
            ('frames/s', '.3g'), ('waves/s', '.3g'), ('lag ms', '.0f'), ('size', '.2f'),
            ('shaking left', '.2f'),
        ),
        rows,
        'lag, size: of the filtered wave against the true one. shaking left: of the standard '
        f'deviation of a hand at rest that shakes by {1e3 * _SHAKE_M:.0f} mm from image to image.',
        keys=2,
    )  # fmt: skip


def _starts() -> Table:
    """Let somebody start to walk, and see how late the Kalman filter is."""
    rows = [
        (float(rate_hz), name, *_start(np.array(direction), float(rate_hz)))
        for rate_hz in _RATES_HZ
        for name, direction in _DIRECTIONS.items()
    ]
    return Table(
        f'Kalman filter: who stands {_START_M[2]:.0f} m away starts to walk at {_WALK_M_S:g} m/s',
        (
            ('frames/s', '.3g'), ('direction', ''), ('half the velocity after ms', '.0f'),
            ('nine tenths after ms', '.0f'), ('root behind by mm, at the most', '.0f'),
        ),
        rows,
        'Seen without noise, at once at full speed.',
        keys=2,
    )  # fmt: skip


def _start(direction: np.ndarray, rate_hz: float) -> tuple[float, float, float]:
    """Return when the filter has half, and nine tenths, of a velocity, ms, and its lag, mm."""
    times_s = np.arange(round((_SETTLED_S + _MEASURED_S) * rate_hz)) / rate_hz
    walked_m = _WALK_M_S * np.maximum(times_s - _SETTLED_S, 0)
    speeds, behind_m = [], []
    tracker = Tracker3D(PELVIS)
    for time_s, way_m in zip(times_s, walked_m, strict=True):
        root = np.array([_START_M + way_m * direction])
        found = Persons(np.array([[0.0, 0, 1, 1]]), np.ones(1), ('1',), root)
        poses = tracker.update(as_poses(found), float(time_s), _START_FOCAL_PX, MotionOptions())
        if poses.tracks.has_velocity[0]:
            motion = poses.tracks.motions[0]
            speeds.append((time_s - _SETTLED_S, motion[3:] @ direction / _WALK_M_S))
            behind_m.append(np.linalg.norm(motion[:3] - root[0]))
    after_s = [next(t for t, share in speeds if share >= wanted) for wanted in (0.5, 0.9)]
    return 1e3 * after_s[0], 1e3 * after_s[1], 1e3 * float(max(behind_m))


def _filtered(euro: OneEuro, points: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return points (s, 3) filtered one after the other."""
    smooth, velocity = points[None, :1], np.zeros((1, 1, 3))
    out = []
    for point in points:
        smooth, velocity = euro(point[None, None], smooth, velocity, np.array([1 / rate_hz]))
        out.append(smooth[0, 0])
    return np.array(out)


def _wave(euro: OneEuro, rate_hz: float, waves_hz: float) -> tuple[float, float]:
    """Return the lag, ms, and the relative size of a filtered wave, by its first harmonic."""
    times_s = np.arange(round((_SETTLED_S + _MEASURED_S) * rate_hz)) / rate_hz
    angles = 2 * np.pi * waves_hz * times_s
    points = np.outer(_WAVE_M * np.sin(angles), [1.0, 0.0, 0.0])
    kept = times_s >= _SETTLED_S
    parts = np.column_stack([np.sin(angles), np.cos(angles)])[kept]
    sine, cosine = np.linalg.lstsq(parts, _filtered(euro, points, rate_hz)[kept, 0], rcond=None)[0]
    lag_ms = 1e3 * np.arctan2(-cosine, sine) / (2 * np.pi * waves_hz)
    return float(lag_ms), float(np.hypot(sine, cosine) / _WAVE_M)


def _shaking(euro: OneEuro, rate_hz: float) -> float:
    """Return how much of the shaking of a point at rest is left."""
    count = round((_SETTLED_S + _MEASURED_S) * rate_hz)
    points = np.random.default_rng(0).normal(0, _SHAKE_M, (count, 3))
    return float(_filtered(euro, points, rate_hz)[round(_SETTLED_S * rate_hz) :].std() / _SHAKE_M)
