# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where people are and how they move, in metres: a Kalman filter for each id of `tracking`.

What makes roots wrong is mostly the unknown stature of a person, which is the same in every image:
it puts the whole walk too far or too near by some percent, and does not shake the velocity. So the
filter takes only the part of the stated deviation that changes from image to image for noise. What
stays is a scale about the camera, and is counted into the covariance that is given out (as in a
Schmidt-Kalman filter, which considers a bias without estimating it).

The constants are measured: `pose3d benchmark motion`, docs/tracking.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose3d_ros.kalman import Motions
from pose3d_ros.one_euro import OneEuro
from pose3d_ros.people import UNSTATED_DEVIATION, Poses, Tracks, TrackState
from pose3d_ros.skeletons import Skeleton

# The share of the stated deviation of a root's depth that changes from image to image.
_CHANGING_SHARE = 0.3
# Across the viewing ray: the pelvis is found to about a centimetre, and to a pixel at the best.
_ACROSS_STDDEV_M = 0.01
_ACROSS_STDDEV_PX = 1.0
# Errors of images that follow each other are alike: they fade within that time.
_NOISE_TIME_S = 0.1
# A velocity drifts by the root of that within a second: people who walk hardly change theirs, who
# stops or turns round changes it by more. Larger, and the filter makes motion up of noise.
_ACCELERATION_DENSITY = 0.3  # (m/s)^2 / s
_START_SPEED_STDDEV = 1.0  # m/s: people stand, or walk at 1.4
# Five standard deviations: who starts to walk all at once, seen five times a second, is believed.
_GATE = 25.0
# A track whose roots all fall outside its gate for so long, and more than one of them, starts anew
# where they are.
_PATIENCE_S = 0.5
# Two images farther apart than that say nothing of a velocity.
_MEMORY_S = 2.0
_NEAREST_M = 0.1  # who is nearer, or behind, the camera has passed


@dataclass(frozen=True)
class MotionOptions:
    """What becomes of tracks.

    :param coast_s: for how long a confirmed person who is not seen is still given out, seconds; 0 =
        not at all.
    :param smoothing: of joints, or None. Roots are then the filter's own.
    :param confirm_frames: images in which an id has to be seen to be confirmed.
    """

    coast_s: float = 0.5
    smoothing: OneEuro | None = None
    confirm_frames: int = 3


@dataclass(frozen=True)
class _Tracks:
    """The t people known, all at the stamp of the last image.

    :param last: as they were last seen, t poses with ids.
    :param motions: t of them.
    :param seen_s: (t,) stamp of the last image each was in, seconds.
    :param fitted_s: (t,) stamp of the last one whose root was believed.
    :param fits: (t,) how many such since the filter started.
    :param misfits: (t,) how many images since then whose root was not believed.
    :param ages: (t,) images in which each was seen.
    :param anchors: (t, 3) where the filter had the pelvis in the last image each was in.
    :param joint_velocities: (t, j, 3) of joints around the pelvis, the smoothing's, m/s.
    """

    last: Poses
    motions: Motions
    seen_s: np.ndarray
    fitted_s: np.ndarray
    fits: np.ndarray
    misfits: np.ndarray
    ages: np.ndarray
    anchors: np.ndarray
    joint_velocities: np.ndarray

    def __len__(self) -> int:
        return len(self.last)

    def __getitem__(self, rows: np.ndarray) -> '_Tracks':
        return _Tracks(*(value[rows] for value in vars(self).values()))

    def with_rows(self, rows: np.ndarray, others: '_Tracks') -> '_Tracks':
        """Return the tracks with others in the place of some rows."""
        order = np.arange(len(self))
        order[rows] = len(self) + np.arange(len(others))
        return (self + others)[order]

    def __add__(self, other: '_Tracks') -> '_Tracks':
        means = np.concatenate([self.motions.means, other.motions.means])
        covariances = np.concatenate([self.motions.covariances, other.motions.covariances])
        arrays = [
            np.concatenate([getattr(self, name), getattr(other, name)])
            for name in (
                'seen_s',
                'fitted_s',
                'fits',
                'misfits',
                'ages',
                'anchors',
                'joint_velocities',
            )
        ]
        return _Tracks(self.last + other.last, Motions(means, covariances), *arrays)

    @classmethod
    def starting(cls, poses: Poses, noises: np.ndarray, stamp_s: float) -> '_Tracks':
        """Return tracks of people who were not known before."""
        n = len(poses)
        now, one, none = np.full(n, stamp_s), np.ones(n, int), np.zeros(n, int)
        motions = Motions.starting(poses.roots, noises, _START_SPEED_STDDEV)
        still = np.zeros_like(poses.joints)
        return cls(poses, motions, now, now, one, none, one, poses.roots, still)


class Tracker3D:
    """Follow the people of one camera, who have ids already, through space."""

    def __init__(self, skeleton: Skeleton) -> None:
        self._skeleton = skeleton
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        nobody = Poses.none(self._skeleton)
        self._tracks = _Tracks.starting(nobody, np.zeros((0, 3, 3)), 0.0)
        self._stamp_s = -np.inf

    def update(
        self, poses: Poses, stamp_s: float, focal_px: float, options: MotionOptions
    ) -> Poses:
        """Return the same people with their tracks, and behind them those who coast.

        :param poses: of an image. Those without id or root, and all but the first of an id that
            comes twice, stay untracked.
        :param stamp_s: the image's time, seconds. A time before the last one's is a clock that
            jumped back, and resets.
        :param focal_px: of the camera.
        """
        tracks = self._expected(stamp_s)
        followed = _followed(poses)
        rows = _rows(poses.ids, followed, tracks.last.ids)
        again, new = rows >= 0, rows < 0
        seen = poses[followed]
        noises = root_noises(seen.roots, seen.root_depth_stddev_m, focal_px)
        if again.any():
            joined = _joined(tracks[rows[again]], seen[again], noises[again], stamp_s, options)
            tracks = tracks.with_rows(rows[again], joined)
        if new.any():
            rows[new] = len(tracks) + np.arange(new.sum())
            tracks += _Tracks.starting(seen[new], noises[new], stamp_s)
        found = _with_tracks(poses, followed, tracks[rows], options)
        lost = np.delete(np.arange(len(tracks)), rows)
        if lost.size:
            found += _coasting(tracks[lost], stamp_s, options)
            tracks = tracks[np.flatnonzero(stamp_s - tracks.seen_s <= _MEMORY_S)]
        self._tracks, self._stamp_s = tracks, stamp_s
        return found

    def _expected(self, stamp_s: float) -> _Tracks:
        """Return the tracks as they should be at a time; nobody after a jump back."""
        if stamp_s < self._stamp_s:
            self.reset()
        if not len(self._tracks):
            return self._tracks
        elapsed_s = stamp_s - self._stamp_s
        moved = self._tracks.motions.after(elapsed_s, _ACCELERATION_DENSITY)
        return replace(self._tracks, motions=moved)


def root_noises(roots: np.ndarray, depth_stddev_m: np.ndarray, focal_px: float) -> np.ndarray:
    """Return the covariance (n, 3, 3) of what changes in roots (n, 3) from image to image, m^2.

    :param depth_stddev_m: (n,) stated, 0 = unknown.
    """
    return root_covariances(roots, depth_stddev_m, focal_px, _CHANGING_SHARE)


def root_covariances(
    roots: np.ndarray, depth_stddev_m: np.ndarray, focal_px: float, share: float = 1.0
) -> np.ndarray:
    """Return the covariance (n, 3, 3) of roots (n, 3) of one image each, m^2; none is singular.

    :param depth_stddev_m: (n,) stated, 0 = unknown.
    :param share: of the deviation along the viewing ray.
    """
    along = share * relative_deviations(roots, depth_stddev_m)[:, None] * roots
    across_m2 = _ACROSS_STDDEV_M**2 + (_ACROSS_STDDEV_PX * roots[:, 2] / focal_px) ** 2
    return np.asarray(along[:, :, None] * along[:, None] + across_m2[:, None, None] * np.eye(3))


def relative_deviations(roots: np.ndarray, depth_stddev_m: np.ndarray) -> np.ndarray:
    """Return the deviation (n,) of each root's distance, as a share of it."""
    stated = depth_stddev_m / np.maximum(roots[:, 2], _NEAREST_M)
    return np.where(depth_stddev_m > 0, stated, UNSTATED_DEVIATION)


def _followed(poses: Poses) -> np.ndarray:
    """Return the indices of those who can be followed."""
    firsts = {person_id: i for i, person_id in reversed(list(enumerate(poses.ids)))}
    rooted = np.isfinite(poses.roots).all(axis=1)
    return np.array(sorted(i for name, i in firsts.items() if name and rooted[i]), int)


def _rows(ids: Sequence[str], followed: np.ndarray, known: Sequence[str]) -> np.ndarray:
    """Return the track of each of those followed, -1 = none."""
    numbers = {person_id: row for row, person_id in enumerate(known)}
    return np.array([numbers.get(ids[i], -1) for i in followed], int)


def _joined(
    tracks: _Tracks, seen: Poses, noises: np.ndarray, stamp_s: float, options: MotionOptions
) -> _Tracks:
    """Return tracks with what an image shows of the same people, in the same order."""
    away_s = stamp_s - tracks.fitted_s
    believed = (tracks.motions.misfits(seen.roots, noises) <= _GATE) & (away_s <= _MEMORY_S)
    again = (tracks.misfits > 0) & (away_s > _PATIENCE_S)
    anew = ~believed & (again | (away_s > _MEMORY_S))
    # errors that last weigh as much as if they came less often, and changed each time
    alike = 1 / np.tanh(np.maximum(stamp_s - tracks.seen_s, 1e-6) / (2 * _NOISE_TIME_S))
    fitted = tracks.motions.joined(seen.roots, noises * alike[:, None, None])
    fresh = Motions.starting(seen.roots, noises, _START_SPEED_STDDEV)
    motions = tracks.motions.with_rows(believed, fitted).with_rows(anew, fresh)
    now = np.full(len(seen), stamp_s)
    last, velocities = _smoothed(tracks, seen, motions, stamp_s, options.smoothing)
    return _Tracks(
        last,
        motions,
        now,
        np.where(believed | anew, now, tracks.fitted_s),
        np.where(anew, 1, tracks.fits + believed),
        np.where(believed | anew, 0, tracks.misfits + 1),
        tracks.ages + 1,
        motions.means[:, :3],
        velocities,
    )


def _smoothed(
    tracks: _Tracks, seen: Poses, motions: Motions, stamp_s: float, smoothing: OneEuro | None
) -> tuple[Poses, np.ndarray]:
    """Return the poses as they are given out, and the velocities of the smoothing (t, j, 3)."""
    if smoothing is None:
        return seen, np.zeros_like(seen.joints)
    relative = seen.joints - seen.roots[:, None]
    before = tracks.last.joints - tracks.last.roots[:, None]
    elapsed_s = stamp_s - tracks.seen_s
    points, velocities = smoothing(relative, before, tracks.joint_velocities, elapsed_s)
    known = np.isfinite(points)  # another joint starts where it is
    roots = motions.means[:, :3]
    joints = roots[:, None] + np.where(known, points, relative)
    return replace(seen, roots=roots, joints=joints), np.where(known, velocities, 0.0)


def _with_tracks(
    poses: Poses, followed: np.ndarray, tracks: _Tracks, options: MotionOptions
) -> Poses:
    """Return everybody of an image, with what is known of those followed."""
    confirmed = tracks.ages >= options.confirm_frames
    states = np.where(confirmed, TrackState.CONFIRMED, TrackState.NEW)
    found, known = Tracks.untracked(len(poses)), _tracks_of(tracks, states)
    for name, values in vars(found).items():
        values[followed] = getattr(known, name)
    roots, joints = poses.roots.copy(), poses.joints.copy()
    roots[followed], joints[followed] = tracks.last.roots, tracks.last.joints
    return replace(poses, roots=roots, joints=joints, tracks=found)


def _coasting(tracks: _Tracks, stamp_s: float, options: MotionOptions) -> Poses:
    """Return those who are to be given out although nobody saw them, as they should be now."""
    hidden_s = stamp_s - tracks.seen_s
    wanted = (hidden_s <= options.coast_s) & (options.coast_s > 0)
    wanted &= (tracks.ages >= options.confirm_frames) & (tracks.fits > 1)
    wanted &= tracks.motions.means[:, 2] > _NEAREST_M
    tracks, hidden_s = tracks[np.flatnonzero(wanted)], hidden_s[wanted]
    shifts = tracks.motions.means[:, :3] - tracks.anchors
    last = tracks.last
    return replace(
        last,
        roots=last.roots + shifts,
        joints=last.joints + shifts[:, None],
        joint_scores=np.zeros_like(last.joint_scores),
        scores=last.scores * (1 - hidden_s / max(options.coast_s, 1e-9)),
        tracks=_tracks_of(tracks, np.full(len(tracks), TrackState.COASTING)),
    )


def _tracks_of(tracks: _Tracks, states: np.ndarray) -> Tracks:
    """Return what is told of tracks: with the stature's part of the covariance."""
    means = tracks.motions.means
    deviations = relative_deviations(tracks.last.roots, tracks.last.root_depth_stddev_m)
    off = deviations[:, None] * means  # another stature scales places and velocities alike
    covariances = tracks.motions.covariances + off[:, :, None] * off[:, None]
    known = tracks.fits > 1
    return Tracks(
        states,
        tracks.ages,
        np.where(known[:, None], means, np.nan),
        np.where(known[:, None, None], covariances, np.nan),
    )
