# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ids that last from frame to frame: ByteTrack (Zhang et al., ECCV 2022, arXiv 2110.06864).

Every track predicts its box; the certain boxes of the new image are joined with all tracks, then
the uncertain ones with those that are still without a box: a half-hidden person continues a track,
but never starts one. Changes to the paper:

- The motion filter is in seconds: a camera of any rate, and frames that are dropped, do no harm.
- Pairs are taken greedily, the best first, where the paper solves the assignment problem.
- A track counts the less, the less certain its prediction is, and the less the box is as high.
  Else who walks before somebody hidden takes that one's id, whose prediction moves along behind
  him, whenever it happens to fit better.
- Boxes are compared as larger by what the prediction is uncertain, as in C-BIoU (Yang et al., WACV
  2023), and uncertain ones may continue tracks that were lost: people come out from behind others
  by and by, and not quite where they were expected.

`pose3d benchmark motion` counts what that is worth (docs/tracking.md).
"""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from pose3d_ros.people import Persons

# The filter's noise, in heights of the person's box, so that near and far people move alike.
_POSITION_STDDEV = 0.05  # of a detected centre; the paper's 1/20
_START_SPEED_STDDEV = 0.7  # heights per second: people walk at 0.8
_ACCELERATION_DENSITY = 1.0  # heights^2 / s^3: speed changes by 1 height per second in a second
# Of the logarithm of a box's height: who stoops or is half hidden is still known.
_HEIGHT_STDDEV = 0.15
# Boxes are larger on all sides by that share of the deviation of their prediction.
_MARGIN_SHARE = 0.5


@dataclass(frozen=True)
class TrackerOptions:
    """When a box continues a track, starts one, or is left without an id.

    :param certain_score: boxes with this score or more are joined first, and may start tracks;
        0..1.
    :param min_iou: least overlap of a certain box with a track's prediction, times its score;
        0..1.
    :param min_iou_uncertain: the same for the uncertain boxes; 0..1.
    :param lifetime_s: a track that was not seen for longer ends, seconds; where images are far
        apart, only after two and a half times what lies between them, 20 s at the most.
    """

    certain_score: float = 0.5
    min_iou: float = 0.2
    min_iou_uncertain: float = 0.5
    lifetime_s: float = 1.0


@dataclass(frozen=True)
class _Tracks:
    """The tracks alive.

    :param numbers: (t,) the ids.
    :param seen_s: (t,) stamp of the last box, seconds.
    :param centres: (t, 2) pixels.
    :param speeds: (t, 2) pixels per second.
    :param sizes: (t, 2) width and height, pixels.
    :param variances: (t, 3) of centre, centre with speed, speed; heights and seconds.
    """

    numbers: np.ndarray
    seen_s: np.ndarray
    centres: np.ndarray
    speeds: np.ndarray
    sizes: np.ndarray
    variances: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: np.ndarray) -> '_Tracks':
        return _Tracks(*(array[rows] for array in vars(self).values()))

    def __add__(self, other: '_Tracks') -> '_Tracks':
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Tracks(*(np.concatenate(pair) for pair in pairs))

    @classmethod
    def starting(cls, boxes: np.ndarray, numbers: np.ndarray, stamp_s: float) -> '_Tracks':
        """Return tracks that stand still at boxes (t, 4)."""
        start = [_POSITION_STDDEV**2, 0.0, _START_SPEED_STDDEV**2]
        return cls(
            numbers,
            np.full(len(boxes), stamp_s),
            boxes[:, :2] + boxes[:, 2:] / 2,
            np.zeros((len(boxes), 2)),
            boxes[:, 2:],
            np.tile(start, (len(boxes), 1)),
        )

    @property
    def boxes(self) -> np.ndarray:
        """Return (t, 4) x, y, width, height, pixels."""
        return np.concatenate([self.centres - self.sizes / 2, self.sizes], axis=1)

    @property
    def likely_speeds(self) -> np.ndarray:
        """Return (t, 2) pixels per second: each speed as far as it stands out of its uncertainty.

        Limbs move the box of who stands or gestures in place, and a prediction that takes that for
        walking is farther off than one that stands still.
        """
        squares = self.speeds**2
        uncertain = self.variances[:, 2:] * self.sizes[:, 1:] ** 2
        return np.asarray(self.speeds * squares / (squares + uncertain))

    @property
    def margins(self) -> np.ndarray:
        """Return (t,) how far boxes may be off their predictions, pixels."""
        return np.asarray(_MARGIN_SHARE * np.sqrt(self.variances[:, 0]) * self.sizes[:, 1])

    def likelihoods(self, boxes: np.ndarray) -> np.ndarray:
        """Return (n, t) how likely the tracks say boxes (n, 4) are, wherever those are; 0..1.

        The peak of the normal distribution of a centre, against that of a box's own noise, times
        what the height says.
        """
        peaks = _POSITION_STDDEV**2 / (self.variances[:, 0] + _POSITION_STDDEV**2)
        taller = np.log(np.maximum(boxes[:, None, 3], 1e-9) / np.maximum(self.sizes[:, 1], 1e-9))
        return np.asarray(peaks * np.exp(-((taller / _HEIGHT_STDDEV) ** 2) / 2))

    def after(self, elapsed_s: float) -> '_Tracks':
        """Return where the tracks should be: constant speed, size as it was."""
        p, c, v = self.variances.T
        q, t = _ACCELERATION_DENSITY, elapsed_s
        grown = np.stack(
            [p + 2 * t * c + t**2 * v + q * t**3 / 3, c + t * v + q * t**2 / 2, v + q * t], axis=1
        )
        moved = self.centres + t * self.speeds
        return _Tracks(self.numbers, self.seen_s, moved, self.speeds, self.sizes, grown)

    def joined(self, boxes: np.ndarray, stamp_s: float) -> '_Tracks':
        """Return the tracks with a box (t, 4) each: a Kalman filter's update."""
        p, c, v = self.variances.T
        innovation = p + _POSITION_STDDEV**2
        gain, speed_gain = p / innovation, c / innovation
        missed = boxes[:, :2] + boxes[:, 2:] / 2 - self.centres
        return _Tracks(
            self.numbers,
            np.full(len(self), stamp_s),
            self.centres + gain[:, None] * missed,
            self.speeds + speed_gain[:, None] * missed,
            self.sizes + gain[:, None] * (boxes[:, 2:] - self.sizes),
            np.stack([(1 - gain) * p, (1 - gain) * c, v - speed_gain * c], axis=1),
        )


#: Times what lies between two images: who is missed in one or two of them is waited for.
_IMAGES = 2.5
#: Who has not been seen for so long may be anywhere, and whoever is there anybody.
_LONGEST_PATIENCE_S = 20.0
#: So many of the last intervals tell how far images are apart; a pause among them does not.
_INTERVALS = 9


class Tracker:
    """Give the people of one camera ids, image after image.

    Ids are '1', '2', ... and never used twice by one tracker, not even after `reset`.
    """

    def __init__(self, options: TrackerOptions = TrackerOptions()) -> None:
        self._options = options
        self._next_number = 1
        self.reset()

    def reset(self) -> None:
        """Forget everybody: whoever comes next is new."""
        self._tracks = _Tracks.starting(np.zeros((0, 4)), np.zeros(0, dtype=int), 0.0)
        self._stamp_s = -np.inf
        self._intervals_s: deque[float] = deque(maxlen=_INTERVALS)
        self._people = Persons.none()
        self._speeds = np.zeros((0, 2))  # of those people, pixels per second

    def update(self, persons: Persons, stamp_s: float) -> Persons:
        """Return the same people, in their order, with ids; '' = uncertain and of no track.

        :param stamp_s: the image's time, seconds. A time before the last one's is a clock that
            jumped back, and resets.
        """
        if stamp_s < self._stamp_s:
            self.reset()
        if np.isfinite(self._stamp_s):
            self._intervals_s.append(stamp_s - self._stamp_s)
        tracks = self._tracks[stamp_s - self._tracks.seen_s <= self._patience_s()]
        # every track's state is at the last image's stamp, joined there or not
        tracks = tracks.after(stamp_s - self._stamp_s) if len(tracks) else tracks
        matches = self._match(tracks, persons)
        joined = matches >= 0
        rows = matches[joined]
        lost = np.delete(np.arange(len(tracks)), rows)
        new = ~joined & (persons.scores >= self._options.certain_score)
        numbers = np.zeros(len(persons), dtype=int)
        numbers[joined] = tracks.numbers[rows]
        numbers[new] = self._next_number + np.arange(new.sum())
        self._next_number += int(new.sum())
        continued = tracks[rows].joined(persons.boxes[joined], stamp_s)
        started = _Tracks.starting(persons.boxes[new], numbers[new], stamp_s)
        self._tracks = continued + tracks[lost] + started
        self._stamp_s = stamp_s
        self._people = persons.with_ids([str(number) if number else '' for number in numbers])
        self._speeds = np.zeros((len(persons), 2))
        self._speeds[joined] = continued.likely_speeds
        return self._people

    def _patience_s(self) -> float:
        """Return after how long out of sight a track ends."""
        ordered = sorted(self._intervals_s)
        # of two the shorter: the other may be a pause
        usual_s = ordered[(len(ordered) - 1) // 2] if ordered else 0.0
        return max(self._options.lifetime_s, min(_IMAGES * usual_s, _LONGEST_PATIENCE_S))

    def predict(self, stamp_s: float) -> Persons | None:
        """Return where the people of the last image should be in one that nobody looked at.

        Their boxes as they were detected, moved on at the likely speed of their tracks; those
        without a track, or who have just come, stay where they were. None = it cannot be known:
        there was no image yet, it is longer ago than a track lives, or the clock jumped back.

        :param stamp_s: the time of the image between, seconds.
        """
        elapsed_s = stamp_s - self._stamp_s
        if not 0 <= elapsed_s <= self._options.lifetime_s:
            return None
        boxes = self._people.boxes.copy()
        boxes[:, :2] += elapsed_s * self._speeds
        return replace(self._people, boxes=boxes)

    def _match(self, tracks: _Tracks, persons: Persons) -> np.ndarray:
        """Return the track of each person (n,), -1 = none: ByteTrack's two rounds."""
        options = self._options
        certain = persons.scores[:, None] >= options.certain_score
        iou = overlaps(persons.boxes, tracks.boxes, tracks.margins)
        likely = iou * tracks.likelihoods(persons.boxes)
        # a sure box outweighs one that overlaps a little more, as in the paper's code
        scores = persons.scores[:, None]
        first = np.where(certain & (iou * scores >= options.min_iou), likely * scores, 0)
        matches = greedy_pairs(first)
        second = np.where(certain | (iou < options.min_iou_uncertain), 0, likely)
        second[:, matches[matches >= 0]] = 0
        return np.maximum(matches, greedy_pairs(second))


def overlaps(
    boxes: np.ndarray, others: np.ndarray, margins: np.ndarray | float = 0.0
) -> np.ndarray:
    """Return the intersection over union (n, m) of boxes (n, 4) with others (m, 4).

    :param margins: (m,) by which both boxes of a pair are first made larger, on all sides.
    """
    grown = 2 * np.broadcast_to(margins, len(others))[:, None]
    ends, other_ends = boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:]
    corner = np.maximum(boxes[:, None, :2], others[:, :2])
    size = np.maximum(np.minimum(ends[:, None], other_ends) - corner + grown, 0)
    shared = size.prod(axis=2)
    areas = (boxes[:, None, 2:] + grown).prod(axis=2)
    union = areas + (others[:, 2:] + grown).prod(axis=1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def greedy_pairs(scores: np.ndarray) -> np.ndarray:
    """Return the column (n,) of each row of scores (n, m), -1 = none, the best pairs first.

    Pairs with a score of 0 or less are none.
    """
    columns = np.full(scores.shape[0], -1)
    pairs = np.argwhere(scores > 0)
    order = np.argsort(-scores[pairs[:, 0], pairs[:, 1]], kind='stable')
    taken: set[int] = set()
    for row, column in pairs[order].tolist():
        if columns[row] < 0 and column not in taken:
            columns[row] = column
            taken.add(column)
    return columns
