# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One bag of `pose3d bag`: its arguments to a job, the run, and what there is to say of it."""

import argparse
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pose3d_ros.bags import (
    CAMERA_INFO,
    Bag,
    BagError,
    has_camera_info,
    image_topic,
    namespace_of,
    open_bag,
    topics_of,
)
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.cli import models
from pose3d_ros.cli.interrupts import interrupts
from pose3d_ros.models.detection import OptionsError
from pose3d_ros.models.session import RuntimeUnavailable
from pose3d_ros.weights import WeightsError

if TYPE_CHECKING:
    from pose3d_ros.nodes.bag_poses import BagJob, Outcome

_REMEDY = 'give --camera or --field-of-view, or another --camera-info-topic'
_BAD_INPUT = (BagError, CameraError, OptionsError, RuntimeUnavailable, WeightsError)


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d bag` for one bag; return 0, 1 (cannot write), 2 (bad input), 130 (stopped)."""
    source, out = arguments.bags
    return in_good_order(out, lambda interrupted: _run(arguments, source, out, interrupted))


def in_good_order(out: Path, work: Callable[[threading.Event], int]) -> int:
    """Do work that a signal stops in good order; return its status, or that of its error, said.

    :param out: what it writes into.
    """
    try:
        with interrupts() as interrupted:
            return work(interrupted)
    except _BAD_INPUT as error:
        print(f'pose3d bag: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f'pose3d bag: cannot write into {out}: {error}; what it holds is whole, and the same '
            'command goes on from there',
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print('pose3d bag: stopped at once; the same command goes on', file=sys.stderr)
        return 130


def _run(
    arguments: argparse.Namespace, source: Path, out: Path, interrupted: threading.Event
) -> int:
    from pose3d_ros.nodes.bag_poses import earlier_progress, find_people, streams_of

    models.refuse_stature(arguments)
    with open_bag(source) as bag:
        job = _job(arguments, bag, source, out)
    earlier = earlier_progress(job, arguments.overwrite)
    if earlier.complete:
        print(f'{out} has all {earlier.images} images; nothing left to do')
        return 0
    print(f'{source}: images on {job.images.topic}, camera: {_camera_text(arguments, job)}')
    threads = arguments.threads or 0
    streams = streams_of(threads)
    stages = models.load(arguments, threads, streams)
    outcome = find_people(job, stages, earlier, interrupted, streams)
    _report(job, outcome)
    if interrupted.is_set() and not outcome.progress.complete:
        print('pose3d bag: interrupted; the same command goes on from here', file=sys.stderr)
        return 130
    return 0


def _job(arguments: argparse.Namespace, bag: Bag, source: Path, out: Path) -> 'BagJob':
    """Return what the arguments ask for.

    :raises BagError: the bag has not what they name, or `out` is the bag itself.
    """
    from pose3d_ros.nodes.bag_images import BagImages
    from pose3d_ros.nodes.bag_poses import BagJob

    if out.resolve() in (source.resolve(), *source.resolve().parents):
        raise BagError(f'{out} is the bag to read, or the folder it is in; give another output')
    topic = image_topic(bag, arguments.image_topic, '--image-topic')
    beside = namespace_of(topic)
    given = _given_camera(arguments)
    info_topic = '' if given else _info_topic(bag, arguments.camera_info_topic, beside)
    namespace = beside if arguments.namespace is None else _namespace(arguments.namespace)
    settings = {
        'input': str(source.absolute()),
        'input_messages': bag.message_count,
        'image_topic': topic,
        'camera_info_topic': info_topic,
        'camera': None if arguments.camera is None else arguments.camera.read_text(),
        'field_of_view': arguments.field_of_view,
        'assumed_focal_px': arguments.assumed_focal_px,
        'namespace': namespace,
        'markers': arguments.markers,
        **models.settings(arguments),
    }
    images = BagImages(topic, info_topic, given, _REMEDY)
    return BagJob(source, out, images, namespace, arguments.markers, settings)


def _info_topic(bag: Bag, wanted: str, beside: str) -> str:
    topic = wanted or f'{beside}/camera_info'
    if has_camera_info(bag, topic):
        return topic
    others = ', '.join(t for t in topics_of(bag, CAMERA_INFO) if t != topic) or 'none'
    raise BagError(f'{bag.path} has no camera_info on {topic} (it has: {others}); {_REMEDY}')


def _given_camera(arguments: argparse.Namespace) -> Callable[[int, int], Camera] | None:
    """Return the camera of images of a width and height; None = camera_info knows.

    :raises CameraError: the file of the camera cannot be used.
    """
    values = arguments.camera, arguments.field_of_view, arguments.assumed_focal_px
    if values == (None, None, None):
        return None
    if arguments.camera is not None:
        Camera.from_yaml(arguments.camera)  # now, not at the first image

    name = str(arguments.bags[0])

    @lru_cache(maxsize=4)
    def of_size(width: int, height: int) -> Camera:
        # one of the three is given, so there is a camera
        return cast(Camera, models.given_camera(name, width, height, *values))

    return of_size


def _namespace(text: str) -> str:
    return '/' + text.strip('/') if text.strip('/') else ''


def _camera_text(arguments: argparse.Namespace, job: 'BagJob') -> str:
    if arguments.camera is not None:
        return str(arguments.camera)
    if job.images.given is None:
        return job.images.info_topic
    return job.images.given(640, 480).source


def _report(job: 'BagJob', outcome: 'Outcome') -> None:
    """Say what there is now, and how fast it came."""
    p, seconds = outcome.progress, max(outcome.elapsed_s, 1e-9)
    rate = (
        f' at {outcome.new_images / seconds:.1f} images/s (networks at work at a time: '
        f'{outcome.networks_s / seconds:.1f})'
        if outcome.new_images
        else ''
    )
    print(f'{p.images} images{rate}, {outcome.people} people, {p.messages} messages: {job.out}')
    if p.unusable:
        print(
            f'{p.unusable} images could not be used, and are copied without results; the first, '
            f'{p.first_unusable}'
        )
    if p.complete and p.messages < outcome.announced:
        print(
            f'{job.source} announces {outcome.announced - p.messages} messages more than it '
            'holds: is it cut short?'
        )
