# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detection of pedestrians in labelled frames of vtest.avi (pose3d fetch vtest)."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pose3d_ros import stages, weights
from pose3d_ros.benchmarks import report
from pose3d_ros.data.pose2sim import ClipError
from pose3d_ros.evaluation import BoxMatches, average_precision, match_boxes, precision_recall
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.models.yolox import input_size
from pose3d_ros.tables import Table

MIN_HEIGHT_PX = 40.0  # lower people are not labelled
# Low enough for the whole precision-recall curve, and nobody cut off by the limit on people.
OPTIONS = DetectorOptions(score_threshold=0.05, max_people=1000)
THRESHOLD = DetectorOptions().score_threshold
NATIVE_SIDES = (416, 576, 736, 960, 1280)
HD_SIDES = (736, 960, 1280, 1920)
NATIVE_BINS_PX = (40, 60, 80, 100, 160)
HD_BINS_PX = (40, 50, 70, 90)
HD_SIZE = (1920, 1080)
# People of 57 to 114 px in the film are 40 to 80 px tall then.
HD_SCALE = 0.7


@dataclass(frozen=True)
class Labelled:
    """An image and who is in it.

    :param image: (h, w, 3) uint8 BGR.
    :param people: (t, 4) x, y, width, height, pixels.
    :param ignored: (i, 4) regions where detections do not count.
    """

    image: np.ndarray
    people: np.ndarray
    ignored: np.ndarray


def labelled_frames() -> list[Labelled]:
    """Return the labelled frames of vtest.avi.

    :raises weights.WeightsError: the film is absent; the message says what to run.
    :raises ClipError: the film cannot be decoded.
    """
    film = weights.path('vtest')
    text = resources.files('pose3d_ros.data').joinpath('vtest_labels.json').read_text()
    labels = {entry['index']: entry for entry in json.loads(text)['frames']}
    images = _frames(film, sorted(labels))
    return [
        Labelled(image, _boxes(labels[index]['people']), _boxes(labels[index]['ignore']))
        for index, image in images.items()
    ]


def _boxes(rows: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _frames(film: Path, wanted: Sequence[int]) -> dict[int, np.ndarray]:
    """Return some frames by index. One after another: seeking is not exact in all films."""
    capture = cv2.VideoCapture(str(film))
    images = {}
    try:
        for index in range(wanted[-1] + 1):
            if not capture.grab():
                raise ClipError(f'{film} ends after {index} frames; frame {wanted[-1]} is needed')
            if index in wanted:
                images[index] = capture.retrieve()[1]
    finally:
        capture.release()
    return images


def tiled(frames: Sequence[Labelled], scale: float, size: tuple[int, int]) -> list[Labelled]:
    """Return images of `size` (width, height) that are filled with the scaled frames."""
    height, width = (round(n * scale) for n in frames[0].image.shape[:2])
    columns, rows = size[0] // width, size[1] // height
    pages = []
    for first in range(0, len(frames), columns * rows):
        canvas = np.full((size[1], size[0], 3), 114, np.uint8)
        people, ignored = [], []
        for place, frame in enumerate(frames[first : first + columns * rows]):
            x, y = place % columns * width, place // columns * height
            small = cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA)
            canvas[y : y + height, x : x + width] = small
            offset = np.array([x, y, 0, 0])
            people.append(frame.people * scale + offset)
            ignored.append(frame.ignored * scale + offset)
        pages.append(Labelled(canvas, np.concatenate(people), np.concatenate(ignored)))
    return pages


@dataclass(frozen=True)
class Result:
    """What the detector found at one input size.

    :param ran_in: 'f32' or 'bf16'.
    :param input_size: width x height, pixels.
    :param matches: of all images.
    :param heights_px: (t,) of the true boxes, in the order of matches.found_with.
    """

    ran_in: str
    input_size: str
    matches: BoxMatches
    heights_px: np.ndarray

    def recall_between(self, low_px: float, high_px: float) -> float:
        """Return the recall at the default threshold of people of some heights; NaN of nobody."""
        chosen = (self.heights_px >= low_px) & (self.heights_px < high_px)
        found = self.matches.found_with[chosen] > THRESHOLD
        return float(found.mean()) if found.size else float('nan')


def detect(
    detector: stages.Detector, images: Sequence[Labelled], long_side: int, min_height_px: float
) -> Result:
    """Run the detector on the images and match what it finds."""
    options = replace(OPTIONS, input_long_side=long_side)
    parts = []
    for labelled in images:
        found = detector(labelled.image, options)
        parts.append(
            match_boxes(
                found.boxes,
                found.scores,
                labelled.people,
                labelled.ignored,
                min_height=min_height_px,
            )
        )
    shape = images[0].image.shape
    height, width = input_size(shape[1], shape[0], long_side)
    return Result(
        detector.networks[0].precision,
        f'{width} x {height}',
        BoxMatches.joined(parts),
        np.concatenate([labelled.people[:, 3] for labelled in images]),
    )


def measure() -> tuple[list[Result], list[Result]]:
    """Return the results on the film as it is, and inside 1080p images, with a progress bar.

    In f32 and, where 'auto' chooses another precision on this machine, in that.
    """
    frames = labelled_frames()
    pages = tiled(frames, HD_SCALE, HD_SIZE)
    detectors = [
        stages.DETECTORS['yolox'](None, RuntimeOptions(precision=precision))
        for precision in ('f32', 'auto')
    ]
    native: list[Result] = []
    hd: list[Result] = []
    steps = len(detectors) * (len(NATIVE_SIDES) + len(HD_SIDES))
    with tqdm(total=steps, desc='detector', unit='size', disable=None) as bar:
        for detector in detectors:
            for side in NATIVE_SIDES:
                native.append(detect(detector, frames, side, MIN_HEIGHT_PX))
                bar.update()
            for side in HD_SIDES:
                hd.append(detect(detector, pages, side, MIN_HEIGHT_PX * HD_SCALE))
                bar.update()
    return _distinct(native), _distinct(hd)


def _distinct(results: Sequence[Result]) -> list[Result]:
    """Return one result for each size and precision."""
    by_kind: Mapping[tuple[str, str], Result] = {(r.input_size, r.ran_in): r for r in results}
    return list(by_kind.values())


def table(title: str, results: Sequence[Result], bins_px: Sequence[int], note: str) -> Table:
    """Return a table with one row for each result."""
    heights = results[0].heights_px
    ranges = list(pairwise(bins_px))
    counts = [int(((heights >= low) & (heights < high)).sum()) for low, high in ranges]
    rows: list[tuple[str | float, ...]] = []
    for r in results:
        precision, recall = precision_recall(r.matches, THRESHOLD)
        by_height = (r.recall_between(*limits) for limits in ranges)
        ap = average_precision(r.matches)
        rows.append((r.input_size, r.ran_in, ap, recall, precision, *by_height))
    columns = (
        ('input', ''), ('precision', ''), ('AP50', '.3f'), (f'recall at {THRESHOLD:g}', '.2f'),
        ('precision', '.2f'),
        *(
            (f'{low}-{high} px ({count})', '.2f')
            for (low, high), count in zip(ranges, counts, strict=True)
        ),
    )  # fmt: skip
    return Table(title, columns, rows, note)


def tables(native: Sequence[Result], hd: Sequence[Result]) -> list[Table]:
    """Return all that `pose3d benchmark detector` prints."""
    return [
        table(
            'YOLOX-tiny on vtest.avi, 768 x 576, 24 frames',
            native,
            NATIVE_BINS_PX,
            'Right: recall by height of the person (people of that height). The labels were '
            'seeded by this detector and flatter it.',
        ),
        table(
            f'The same frames at {HD_SCALE:g} of their size, 6 to an image of '
            f'{HD_SIZE[0]} x {HD_SIZE[1]}',
            hd,
            HD_BINS_PX,
            'Heights in that image. Shrunk frames are sharper than a far camera would see.',
        ),
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark detector`."""
    report.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; return 0."""
    report.give_out('detector', tables(*measure()), arguments)
    return 0
