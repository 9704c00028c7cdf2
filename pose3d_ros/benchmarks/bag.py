# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measure `pose3d bag` against the networks alone, on a bag made of a clip."""

import argparse
import tempfile
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from threading import Event
from time import perf_counter

import numpy as np
from tqdm import tqdm

from pose3d_ros.benchmarks import report
from pose3d_ros.benchmarks.alone import StagesAlone
from pose3d_ros.benchmarks.report import positive
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.offline import Stages
from pose3d_ros.tables import Table

_ALONE = 10  # images that the networks take alone, before and after a bag
_FRAMES_APART = 5  # the clip stays in memory, and its people move between two images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark bag`."""
    add = parser.add_argument
    add('--images', type=positive, default=100, metavar='N', help='of the bag (default: 100)')
    add('--rounds', type=positive, default=3, metavar='N', help='default: %(default)s')
    add('--raw', action='store_true', help='images as they are, not as JPEG')
    add(
        '--streams',
        type=positive,
        nargs='+',
        metavar='N',
        help='calls that a network computes at once (default: as `pose3d bag`)',
    )
    report.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and give the table out; return the exit status."""
    from pose3d_ros.nodes.bag_making import write_images
    from pose3d_ros.nodes.bag_poses import streams_of

    clip = Clip.load('multi')
    images = list(islice(clip.frames(0), 0, _FRAMES_APART * 20, _FRAMES_APART))
    camera = clip.cameras[0].camera
    alone = StagesAlone(images, camera, DetectorOptions(), 'blazepose', RuntimeOptions())
    rows: list[tuple[str | float, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / 'bag'
        many = islice(cycle(images), arguments.images)
        write_images(bag, many, camera, raw=arguments.raw)
        alone.time(_ALONE)  # networks learn the sizes of images and batches
        for streams in arguments.streams or [streams_of(0)]:
            rows.append(_row(bag, streams, alone, arguments))
    kind = 'raw' if arguments.raw else 'JPEG'
    height, width = images[0].shape[:2]
    title = f'pose3d bag, {arguments.images} images of {width}x{height}, {kind}, two people'
    columns = (
        ('streams', 'd'), ('images/s', '.1f'), ('networks alone, images/s', '.1f'),
        ('of the bound', '.2f'), ('networks at work', '.2f'),
    )  # fmt: skip
    note = (
        f'Medians of {arguments.rounds} rounds, in each of which the networks run alone, image '
        'after image with nothing else going on, before and after the bag. Of the bound: the time '
        'that they need alone over the time of the bag, from its first message to the last part.'
    )
    report.give_out('bag', [Table(title, columns, rows, note, keys=1)], arguments)
    return 0


def _row(
    bag: Path, streams: int, alone: StagesAlone, arguments: argparse.Namespace
) -> tuple[float, ...]:
    """Measure with networks in so many streams."""
    from pose3d_ros.nodes.bag_images import BagImages
    from pose3d_ros.nodes.bag_poses import BagJob, Progress, find_people

    job = BagJob(bag, bag, BagImages('/image_raw', '/camera_info', None, ''), '', False, {})
    if not arguments.raw:
        images = replace(job.images, topic='/image_raw/compressed')
        job = replace(job, images=images)
    stages = Stages.default(RuntimeOptions(streams=streams))
    taken_s, bound_s, busy = [], [], []
    for number in tqdm(range(arguments.rounds), unit='round', disable=None):
        before_ms = alone.time(_ALONE).sum_ms
        out = bag.with_name(f'out_{streams}_{number}')
        start_s = perf_counter()
        outcome = find_people(replace(job, out=out), stages, Progress(), Event(), streams)
        taken_s.append((perf_counter() - start_s) / outcome.new_images)
        bound_s.append((before_ms + alone.time(_ALONE).sum_ms) / 2e3)
        busy.append(outcome.networks_s / outcome.new_images / taken_s[-1])
    ratios = np.divide(bound_s, taken_s).tolist()
    return streams, 1 / median(taken_s), 1 / median(bound_s), median(ratios), median(busy)
