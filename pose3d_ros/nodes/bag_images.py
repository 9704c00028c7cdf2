# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The images of a bag, each with its camera, among all its other messages: for all who read them.

An image that cannot be decoded, or whose camera cannot be used, is `Unusable`: whoever reads it
skips it, counts it, says why, and goes on, unless there are no others (`refuse_useless`).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from pose3d_ros.bags import IMAGE, Bag, BagError, BagMessage, messages
from pose3d_ros.camera import Camera
from pose3d_ros.nodes.cdr import deserialized, read_image, read_stamp_ns
from pose3d_ros.nodes.inputs import Unusable, stamp_ns
from pose3d_ros.nodes.messages import (
    camera_from_info,
    camera_mismatch,
    image_from_compressed,
    image_from_message,
    is_rectified,
)
from pose3d_ros.overlapping import Picture

# How many camera_info are remembered for an image that was recorded behind them.
_INFOS = 16
# How long an image waits for its own, by the log: the rest of a bag may be without images.
_WAIT_NS = 10**9
# So many images of which none can be used, and it is the bag: hours of it are not gone through.
_USELESS = 100


@dataclass(frozen=True)
class BagImages:
    """Where a bag's images are, and what took them.

    :param topic: of the images.
    :param info_topic: of their camera_info; '' = `given` knows the camera.
    :param given: the camera of images of a width and height; None = camera_info does.
    :param remedy: what to do where camera_info does not.
    """

    topic: str
    info_topic: str
    given: Callable[[int, int], Camera] | None
    remedy: str


@dataclass(frozen=True)
class Recorded:
    """A message of the bag.

    :param info: the camera_info of an image, serialised; b'' = it is no image, or needs none.
    :param is_image: one of the topic.
    """

    message: BagMessage
    is_image: bool = False
    info: bytes = b''


def recorded(bag: Bag, images: BagImages, topics: list[str] | None = None) -> Iterator[Recorded]:
    """Yield messages of a bag in their order, images with the camera_info of their stamp.

    Where none has the image's stamp, it is the last one recorded before the image, or, of images
    before the first camera_info, that first one. A camera_info may be recorded behind its image:
    an image and what follows it wait for it until the next image.

    :param topics: None = all.
    :raises BagError: the bag is damaged, or has not the topics.
    """
    waiting: deque[Recorded] = deque()
    infos: OrderedDict[int, bytes] = OrderedDict()  # by stamp, in the order of recording
    last = _first_info(bag, images)
    for message in messages(bag, topics):
        is_image = message.topic == images.topic
        if waiting and (is_image or message.at_ns - waiting[0].message.at_ns > _WAIT_NS):
            yield from waiting
            waiting.clear()
        record = Recorded(message, is_image, last if is_image else b'')
        if is_image and last:
            own = infos.get(_stamp_ns(message))
            if own is None:
                waiting.append(record)
                continue
            record = Recorded(message, True, own)
        if message.topic == images.info_topic:
            stamp, last = _stamp_ns(message), message.data
            infos[stamp] = last
            while len(infos) > _INFOS:
                infos.popitem(last=False)
            if waiting and _stamp_ns(waiting[0].message) == stamp:
                waiting[0] = Recorded(waiting[0].message, True, last)
                yield from waiting
                waiting.clear()
        if waiting:
            waiting.append(record)
        else:
            yield record
    yield from waiting


def _first_info(bag: Bag, images: BagImages) -> bytes:
    first = next(messages(bag, [images.info_topic]), None)
    return b'' if first is None else first.data


def _stamp_ns(message: BagMessage) -> int:
    """Return the stamp of a message's header; -1 = it is broken."""
    try:
        return read_stamp_ns(message.data)
    except ValueError:
        return -1


class Decoder:
    """Reads the images of a bag, in any thread."""

    def __init__(self, images: BagImages) -> None:
        self._images = images
        self._rectified = is_rectified(images.topic)
        self._known: tuple[bytes, Camera, str] | None = None

    def picture(self, record: Recorded) -> Picture[Header]:
        """Return an image of the bag.

        :raises Unusable: it cannot be decoded, or its camera is not known; the message names it.
        """
        message = record.message
        try:
            header, image = _decoded(message)
            camera = self._camera(record.info, header, image)
        except ValueError as error:  # of the bytes, the message, or the camera
            raise Unusable(f'{message.topic} at {message.at_ns / 1e9:.3f} s: {error}') from error
        return Picture(header, image, camera, time_s(header, message.at_ns))

    def _camera(self, info: bytes, header: Header, image: np.ndarray) -> Camera:
        if self._images.given is not None:
            return self._images.given(image.shape[1], image.shape[0])
        topic, remedy, known = self._images.info_topic, self._images.remedy, self._known
        # all but the stamp, which is 8 bytes behind the 4 of the encapsulation
        if known is None or known[0] != info[12:]:
            try:
                content = deserialized(info, CameraInfo)
                camera = camera_from_info(content, self._rectified)
            except ValueError as error:
                fault = f'camera_info on {topic} cannot be used: {error}'
                raise ValueError(f'{fault}; {remedy}') from error
            known = self._known = (info[12:], camera, content.header.frame_id)
        if fault := camera_mismatch(topic, known[1], known[2], image, header.frame_id):
            raise ValueError(f'{fault} {remedy[:1].upper()}{remedy[1:]}')
        return known[1]


def refuse_useless(
    path: Path, images: int, unusable: int, first: str, at_end: bool = False
) -> None:
    """Check that there is something to go on for.

    :param images: of the bag, so far.
    :param unusable: among them.
    :param first: why the first of these is.
    :raises BagError: they are all of the bag, or so many that it is not worth going on.
    """
    if 0 < unusable == images and (at_end or images >= _USELESS):
        raise BagError(f'{path}: none of {images} images can be used; the first, {first}')


def time_s(header: Header, at_ns: int) -> float:
    """Return the time of an image that was recorded at `at_ns`: its stamp, if it has one.

    A driver that knows no time stamps nothing; the recorder's clock ran all the same.
    """
    return (stamp_ns(header) or at_ns) / 1e9


def _decoded(message: BagMessage) -> tuple[Header, np.ndarray]:
    if message.type_name == IMAGE:
        raw = read_image(message.data)
        return raw.header, image_from_message(raw)
    compressed = deserialized(message.data, CompressedImage)
    return compressed.header, image_from_compressed(compressed)
