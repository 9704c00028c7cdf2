# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Real frames with people, and a camera that publishes them as its settings say."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from pose3d_ros.camera import Camera as Lens
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.nodes.messages import bytes_of, camera_to_info

FIELD_OF_VIEW_DEG = 60.0
#: As the player's: what is lost then is not the publisher's.
_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
#: Until the last image is through: who is gone sends nothing again.
_LAST_S = 0.5
#: Who is found has not found the camera yet, and would miss images that nobody can count.
_SETTLE_S = 0.5
_CONVERSIONS = {
    'bgr8': None,
    'rgb8': cv2.COLOR_BGR2RGB,
    'bgra8': cv2.COLOR_BGR2BGRA,
    'mono8': cv2.COLOR_BGR2GRAY,
}


@cache
def frames(width: int = 544) -> tuple[np.ndarray, ...]:
    """Return frames (h, width, 3) uint8 BGR of two or three people each, 1/10 s apart."""
    film = islice(Clip.load('multi').frames(0), 0, 72, 6)
    height = round(width * 1920 / 1088)
    return tuple(cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in film)


@cache
def pixels(width: int, encoding: str) -> tuple[tuple[int, int, Any], ...]:
    """Return the frames as messages have them: height, bytes a row, data."""
    code = _CONVERSIONS[encoding]
    images = [f if code is None else cv2.cvtColor(f, code) for f in frames(width)]
    return tuple((len(i), i.strides[0], bytes_of(np.ascontiguousarray(i))) for i in images)


@dataclass(frozen=True)
class Settings:
    """What a camera is.

    :param stamp_ns: returns the stamp of the next image.
    :param focal_scale: what camera_info's focal lengths are multiplied by.
    :param info_width: of camera_info, where it is not that of the images.
    """

    rate_hz: float = 2.0
    width: int = 544
    encoding: str = 'bgr8'
    frame_id: str = 'camera'
    stamp_ns: Callable[[], int] = time.time_ns
    focal_scale: float = 1.0
    info_width: int = 0


@dataclass
class Sent:
    """An image that went out, and when by the monotonic clock."""

    stamp_ns: int
    at_s: float


@dataclass
class Camera:
    """A camera of this process. Settings may change at any time; `sent` is what went out.

    :param subscribers: of the images, for which the first one waits, as the player's does.
    """

    node: Node
    subscribers: int
    settings: Settings = field(default_factory=Settings)
    sent: list[Sent] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def appear(self) -> None:
        """Publish from now on, by publishers of its own."""
        self._over.clear()
        self._thread = threading.Thread(target=self._work, name='camera')
        self._thread.start()

    def vanish(self) -> None:
        """Publish no more; the publishers are gone."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        images = self.node.create_publisher(Image, 'image_raw', _QOS)
        infos = self.node.create_publisher(CameraInfo, 'camera_info', _QOS)
        while images.get_subscription_count() < self.subscribers and not self._over.wait(0.02):
            pass
        self._over.wait(_SETTLE_S)
        due_s, number = time.monotonic(), 0
        while not self._over.wait(max(0.0, due_s - time.monotonic())):
            settings = self.settings
            self._publish(settings, number, images.publish, infos.publish)
            number += 1
            due_s = max(due_s + 1 / settings.rate_hz, time.monotonic())
        time.sleep(_LAST_S)
        self.node.destroy_publisher(images)
        self.node.destroy_publisher(infos)

    def _publish(
        self,
        settings: Settings,
        number: int,
        image: Callable[[Image], None],
        info: Callable[[CameraInfo], None],
    ) -> None:
        shots = pixels(settings.width, settings.encoding)
        height, step, data = shots[number % len(shots)]
        stamp_ns = settings.stamp_ns()
        header = Header(stamp=Time(nanoseconds=stamp_ns).to_msg(), frame_id=settings.frame_id)
        info(camera_to_info(_lens(settings, height), header))
        message = Image(
            header=header,
            height=height,
            width=settings.width,
            encoding=settings.encoding,
            step=step,
        )
        message.data = data
        self.sent.append(Sent(stamp_ns, time.monotonic()))
        image(message)


def _lens(settings: Settings, height: int) -> Lens:
    width = settings.info_width or settings.width
    lens = Lens.from_field_of_view(width, height, FIELD_OF_VIEW_DEG)
    return Lens.from_focal_length(width, height, lens.focal_px * settings.focal_scale)


def loop_of(stamps_ns: Sequence[int]) -> Callable[[], int]:
    """Return what gives these stamps again and again."""
    count = iter(range(10**9))
    return lambda: stamps_ns[next(count) % len(stamps_ns)]
