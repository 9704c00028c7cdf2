# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Stages without networks, whose time and boxes a test sets, and a camera on a real clock."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from pose3d_ros.nodes import detector, posenet, rootnet, stage
from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.messages import image_to_message
from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import BLAZEPOSE

WIDTH, HEIGHT = 320, 240
PICTURE = np.full((HEIGHT, WIDTH, 3), 80, np.uint8)


@dataclass
class FakeStage:
    """What stands for a network's stage: counts its calls, and takes its time.

    :param takes_s: how long a call takes, seconds.
    :param gate: closed, it holds a call until it is opened.
    """

    takes_s: float = 0.0
    calls: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    networks: tuple[Any, ...] = ()
    inside: int = 0  # calls in work
    most: int = 0  # of them at once

    def __post_init__(self) -> None:
        self.gate.set()

    def check(self, _options: object) -> None: ...

    def work(self) -> None:
        self.calls += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(self.takes_s)
        assert self.gate.wait(30)
        self.inside -= 1


@dataclass
class FakeDetector(FakeStage):
    """Finds what a function of the number of the call says."""

    boxes: Callable[[int], Any] = lambda _call: [(100, 60, 40, 120)]

    def __call__(self, _image: np.ndarray, _options: object) -> Persons:
        self.work()
        boxes = np.reshape(self.boxes(self.calls - 1), (-1, 4))
        return Persons(boxes, np.full(len(boxes), 0.9))


class FakeRootNet(FakeStage):
    def __call__(self, _image: object, persons: Persons, _camera: object, _body: object) -> Persons:
        self.work()
        n = len(persons)
        return persons.with_roots(np.tile([0.0, 0.0, 3.0], (n, 1)), np.full(n, 0.1), None)


class FakePoseNet(FakeStage):
    skeleton = BLAZEPOSE

    def __call__(self, _image: object, persons: Persons, _camera: object) -> Poses:
        self.work()
        n, k = len(persons), len(BLAZEPOSE)
        return Poses(
            BLAZEPOSE,
            np.tile([0.0, 0.0, 3.0], (n, k, 1)),
            np.ones((n, k)),
            persons.roots,
            persons.root_depth_stddev_m,
            persons.scores,
            persons.ids,
        )


@dataclass(frozen=True)
class Fakes:
    """The three stages."""

    detector: FakeDetector
    rootnet: FakeRootNet
    posenet: FakePoseNet


def put_in(monkeypatch: pytest.MonkeyPatch, diagnostics_every_s: float = 0.1) -> Fakes:
    """Let the nodes load stages without networks; return those.

    :param diagnostics_every_s: tests of what they say need not wait as long as people do.
    """
    monkeypatch.setattr(stage, 'DIAGNOSTICS_EVERY_S', diagnostics_every_s)
    fakes = Fakes(FakeDetector(), FakeRootNet(), FakePoseNet())
    for table, name, fake in (
        (detector.DETECTORS, 'yolox', fakes.detector),
        (rootnet.ROOTNETS, 'keypoints', fakes.rootnet),
        (posenet.POSENETS, 'blazepose', fakes.posenet),
    ):
        monkeypatch.setitem(table, name, lambda *_, fake=fake: fake)  # type: ignore[arg-type]
    return fakes


def settings(**values: Any) -> dict[str, Any]:
    """Return node options that set parameters."""
    return {'parameter_overrides': [Parameter(name, value=v) for name, v in values.items()]}


def header_at(stamp_s: float) -> Header:
    """Return the header of an image of a time, seconds."""
    return Header(stamp=Time(nanoseconds=round(stamp_s * 1e9)).to_msg(), frame_id='camera')


def now_s(graph: Any) -> float:
    """Return the time of day."""
    return float(graph.node.get_clock().now().nanoseconds) / 1e9


@dataclass
class Source:
    """Publishes images, of any time."""

    graph: Any

    def __post_init__(self) -> None:
        self.publisher = self.graph.publisher(Image, 'image_raw')

    def image(self, age_s: float = 0.0, picture: np.ndarray = PICTURE) -> Header:
        """Publish an image of so long ago; return its header."""
        return self.image_at(now_s(self.graph) - age_s, picture)

    def image_at(self, stamp_s: float, picture: np.ndarray = PICTURE) -> Header:
        """Publish an image of a time; return its header."""
        header = header_at(stamp_s)
        self.publisher.publish(image_to_message(picture, header))
        return header


def stamps(messages: list[Any]) -> list[int]:
    """Return the stamps of messages, nanoseconds."""
    return [stamp_ns(message.header) for message in messages]
