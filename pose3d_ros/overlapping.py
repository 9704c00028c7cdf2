# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The stages over images faster than one after the other, with the same results in the same order.

While the networks of one image run, others are decoded, cut into crops, and their outputs read, or
are in another network. One network takes as many images at once as it was loaded with `streams`.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.offline import Stages
from pose3d_ros.people import Persons, Poses
from pose3d_ros.tracking import Tracker

_Header = TypeVar('_Header')


@dataclass(frozen=True)
class Picture(Generic[_Header]):
    """An image, decoded.

    :param header: what its results carry.
    :param image: (h, w, 3) uint8 BGR.
    :param camera: that took it.
    :param time_s: when, seconds.
    """

    header: _Header
    image: np.ndarray
    camera: Camera
    time_s: float


@dataclass(frozen=True)
class Found(Generic[_Header]):
    """The people of a picture.

    :param detected: with ids, as the tracker left them.
    :param persons: the same with roots.
    :param poses: the same in joints.
    :param networks_s: how long the networks took for them, seconds.
    """

    header: _Header
    camera: Camera
    detected: Persons
    persons: Persons
    poses: Poses
    networks_s: float


class Overlapped(Generic[_Header]):
    """Finds people in several images at a time; the tracker sees them in the order of `submit`.

    :param workers: images in work at once.
    """

    def __init__(self, stages: Stages, tracker: Tracker, workers: int) -> None:
        self._stages, self._tracker = stages, tracker
        self._pool = ThreadPoolExecutor(workers, 'people')
        self._submitted = self._tracked = 0
        self._turn = threading.Condition()

    def submit(self, decode: Callable[[], Picture[_Header]]) -> 'Future[Found[_Header]]':
        """Begin with an image, soon.

        :param decode: returns it, or raises what the future raises then.
        """
        number, self._submitted = self._submitted, self._submitted + 1
        return self._pool.submit(self._find, number, decode)

    def close(self) -> None:
        """Wait for what was begun; what was not is dropped."""
        self._pool.shutdown(cancel_futures=True)

    def _find(self, number: int, decode: Callable[[], Picture[_Header]]) -> Found[_Header]:
        before_s, stages = self._stages.busy_s, self._stages
        try:
            picture = decode()
            people = as_in_message(stages.detect(picture.image))
        except BaseException:  # the images behind wait for this turn all the same
            with self._turn_of(number):
                raise
        with self._turn_of(number):
            detected = self._tracker.update(people, picture.time_s)
        persons, poses = stages.place(picture.image, detected, picture.camera)
        busy_s = stages.busy_s - before_s
        return Found(picture.header, picture.camera, detected, persons, poses, busy_s)

    @contextmanager
    def _turn_of(self, number: int) -> Iterator[None]:
        """Wait for the images before, and let the next one follow.

        They are in work already, as the pool takes them in order: this ends.
        """
        with self._turn:
            while self._tracked < number:
                self._turn.wait()
            try:
                yield
            finally:
                self._tracked += 1
                self._turn.notify_all()


def as_in_message(persons: Persons) -> Persons:
    """Return detected people with the numbers that a message holds: float32.

    A tracker that is fed with these can be fed again from messages, and gives the same ids.
    """
    boxes, scores = persons.boxes.astype(np.float32), persons.scores.astype(np.float32)
    return Persons(boxes.astype(np.float64), scores.astype(np.float64), persons.ids)


def poses_as_in_message(poses: Poses) -> Poses:
    """Return poses with the numbers that a message holds, for the same reason."""
    rounded = {
        name: getattr(poses, name).astype(np.float32).astype(np.float64)
        for name in ('joint_scores', 'root_depth_stddev_m', 'scores')
    }
    return replace(poses, **rounded)
