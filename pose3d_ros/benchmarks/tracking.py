# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compare boxes that tracks predict between detections with detection on every frame."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import perf_counter

import numpy as np
from tqdm import tqdm

from pose3d_ros import stages, weights
from pose3d_ros.benchmarks import report
from pose3d_ros.data.pose2sim import CLIP_NAMES, Clip, ClipError
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import PRECISIONS, RuntimeOptions
from pose3d_ros.people import Persons
from pose3d_ros.tables import Table
from pose3d_ros.tracking import Tracker, greedy_pairs, overlaps
from pose3d_ros.video import Source, VideoError, open_source

# Less overlap than that is not the same person.
_MIN_IOU = 0.3
FILMS = (*CLIP_NAMES, 'vtest')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark tracking`."""
    add = parser.add_argument
    add(
        '--film',
        choices=FILMS,
        default='multi',
        help='multi: people who gesture and step about; vtest: pedestrians (default: %(default)s)',
    )
    add('--frames', type=report.positive, default=100, metavar='N', help='of each film, the first')
    add('--detect-every', type=report.positive, nargs='+', default=[1, 2, 3, 5], metavar='N')
    add(
        '--skip',
        type=report.positive,
        nargs='+',
        default=[1, 2, 4],
        metavar='N',
        help='take every N-th frame of the film only, for the rates that a graph holds',
    )
    add('--precision', choices=PRECISIONS, default='auto')
    report.add_arguments(parser)


@dataclass(frozen=True)
class Film:
    """A film to detect on.

    :param frames: called, yields the images (h, w, 3) uint8 BGR.
    """

    rate_hz: float
    frames: Callable[[], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Look:
    """A frame with what the detector found in it.

    :param time_s: of the frame.
    :param size: width and height, pixels.
    :param took_ms: how long detection took.
    """

    time_s: float
    size: tuple[int, int]
    persons: Persons
    took_ms: float


@dataclass(frozen=True)
class Outcome:
    """One setting on all sequences.

    :param ious: of people between detections with the box that detection gives them; those missed
        have none.
    :param standing_ious: the same, had all boxes stayed where they were detected.
    :param people: whom detection finds in the frames between.
    :param extra: boxes in the frames between where detection finds nobody.
    :param took_ms: (frames,) of the detector stage, detected or predicted.
    """

    ious: np.ndarray
    standing_ious: np.ndarray
    people: int
    extra: int
    took_ms: np.ndarray


def run(arguments: argparse.Namespace) -> int:
    """Detect on every frame once, compare, and give the table out; return 0."""
    films = films_of(arguments.film)
    detector = stages.DETECTORS['yolox'](None, RuntimeOptions(precision=arguments.precision))
    detector(next(films[0].frames()), DetectorOptions())  # the first one prepares
    looks = [
        list(islice(look(film, detector), arguments.frames))
        for film in tqdm(films, desc='detecting', unit='film', disable=None)
    ]
    rate_hz = films[0].rate_hz
    rows = [
        _row(rate_hz / skip, every, compare(_sequences(looks, skip), every))
        for skip in arguments.skip
        for every in arguments.detect_every
    ]
    title = f'{arguments.film}: {sum(map(len, looks))} frames of {len(films)} film(s)'
    report.give_out('tracking', [_table(title, rows)], arguments)
    return 0


def films_of(name: str) -> list[Film]:
    """Return the films of a name.

    :raises weights.WeightsError: they are absent; the message says what to run.
    :raises ClipError: a film cannot be read.
    """
    if name in CLIP_NAMES:
        clip = Clip.load(name)
        cameras = range(len(clip.cameras))
        return [Film(clip.frame_rate_hz, partial(clip.frames, camera)) for camera in cameras]
    try:
        source = open_source(str(weights.path(name)))
    except VideoError as error:
        raise ClipError(str(error)) from error
    return [Film(source.rate_hz, partial(_images, source))]


def _images(source: Source) -> Iterator[np.ndarray]:
    return (frame.image for frame in source.frames() if frame.image is not None)


def look(film: Film, detector: stages.Detector) -> Iterator[Look]:
    """Yield what the detector finds in each frame of a film."""
    for index, image in enumerate(film.frames()):
        start = perf_counter()
        persons = detector(image, DetectorOptions())
        took_ms = (perf_counter() - start) * 1e3
        size = (image.shape[1], image.shape[0])
        yield Look(index / film.rate_hz, size, persons, took_ms)


def _sequences(films: Sequence[Sequence[Look]], skip: int) -> list[Sequence[Look]]:
    """Return each film as the sequences that every skip-th frame of it makes."""
    return [film[first::skip] for film in films for first in range(skip)]


def compare(sequences: Sequence[Sequence[Look]], every: int) -> Outcome:
    """Detect on every so many frames of each sequence, predict in between, and compare."""
    ious: list[np.ndarray] = []
    standing_ious: list[np.ndarray] = []
    took_ms: list[float] = []
    people = extra = 0
    for sequence in sequences:
        tracker, last = Tracker(), Persons.none()
        for index, frame in enumerate(sequence):
            start = perf_counter()
            predicted = tracker.predict(frame.time_s) if index % every else None
            if predicted is None:
                last = tracker.update(frame.persons, frame.time_s)
                took_ms.append(frame.took_ms + (perf_counter() - start) * 1e3)
                continue
            predicted = predicted.inside(*frame.size)
            took_ms.append((perf_counter() - start) * 1e3)
            ious.append(_matched(frame.persons, predicted))
            standing_ious.append(_matched(frame.persons, last))
            people += len(frame.persons)
            extra += len(predicted) - len(ious[-1])
    nothing = np.zeros(0)
    return Outcome(
        np.concatenate([nothing, *ious]),
        np.concatenate([nothing, *standing_ious]),
        people,
        extra,
        np.array(took_ms),
    )


def _matched(wanted: Persons, found: Persons) -> np.ndarray:
    """Return the overlap of each pair of the same person."""
    iou = overlaps(wanted.boxes, found.boxes)
    columns = greedy_pairs(np.where(iou >= _MIN_IOU, iou, 0))
    rows = np.flatnonzero(columns >= 0)
    return np.asarray(iou[rows, columns[rows]])


def _row(rate_hz: float, every: int, outcome: Outcome) -> tuple[str | float, ...]:
    n = outcome.people
    share = [100 * (n - len(outcome.ious)) / n, 100 * outcome.extra / n] if n else [np.nan] * 2
    return (
        rate_hz,
        every,
        float(outcome.took_ms.mean()),
        *(_mean_and_low(outcome.ious)),
        *share,
        *(_mean_and_low(outcome.standing_ious)),
    )


def _mean_and_low(ious: np.ndarray) -> tuple[float, float]:
    return (float(ious.mean()), float(np.quantile(ious, 0.05))) if len(ious) else (np.nan, np.nan)


def _table(title: str, rows: Sequence[tuple[str | float, ...]]) -> Table:
    return Table(
        f'Boxes between detections, {title}',
        (
            ('frames/s', '.3g'), ('detect_every', 'd'), ('detector ms a frame', '.1f'),
            ('IoU mean', '.3f'), ('5 %', '.3f'), ('missed %', '.1f'), ('extra %', '.1f'),
            ('standing still: IoU mean', '.3f'), ('5 %', '.3f'),
        ),
        rows,
        'Of the frames that were not detected on, against the boxes of detection on every frame. '
        f'missed, extra: people without a box of IoU {_MIN_IOU:g}, boxes without such a person, in '
        '% of the people. standing still: boxes that stay where they were detected. frames/s: '
        'as if a graph of that rate had taken them up.',
        keys=2,
    )  # fmt: skip
