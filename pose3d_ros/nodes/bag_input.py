# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The images of a bag, each with its camera, among all its other messages."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from pose3d_ros.bags import CAMERA_INFO, IMAGE, Bag, BagError, BagMessage, messages, topics_of
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.nodes.cdr import read_image, read_stamp_ns
from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.messages import (
    MessageError,
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
_REMEDY = 'give --camera or --field-of-view, or another --camera-info-topic'


@dataclass(frozen=True)
class BagImages:
    """Where a bag's images are, and what took them.

    :param topic: of the images.
    :param info_topic: of their camera_info; '' = `given` knows the camera.
    :param given: the camera of images of a width and height; None = camera_info does.
    """

    topic: str
    info_topic: str
    given: Callable[[int, int], Camera] | None


@dataclass(frozen=True)
class Recorded:
    """A message of the bag.

    :param info: the camera_info of an image, serialised; b'' = it is no image, or needs none.
    :param is_image: one that people are looked for in.
    """

    message: BagMessage
    is_image: bool = False
    info: bytes = b''


def info_topic_of(bag: Bag, wanted: str, beside: str) -> str:
    """Return the topic of the camera_info: the wanted one, or the one beside the images.

    :raises BagError: there is none.
    """
    topic = wanted or f'{beside}/camera_info'
    found = topics_of(bag, CAMERA_INFO)
    if topic in found:
        return topic
    others = ', '.join(found) or 'none'
    raise BagError(f'{bag.path} has no camera_info on {topic} (it has: {others}); {_REMEDY}')


def recorded(bag: Bag, images: BagImages) -> Iterator[Recorded]:
    """Yield all messages of a bag in their order, images with the camera_info of their stamp.

    Where none has the image's stamp, it is the last one recorded before the image, or, of images
    before the first camera_info, that first one. A camera_info may be recorded behind its image:
    an image and what follows it wait for it until the next image.
    """
    waiting: deque[Recorded] = deque()
    infos: OrderedDict[int, bytes] = OrderedDict()  # by stamp, in the order of recording
    last = _first_info(bag, images)
    for message in messages(bag):
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
    if not images.info_topic:
        return b''
    first = next(messages(bag, [images.info_topic]), None)
    if first is None:
        raise BagError(f'{bag.path} has not one message on {images.info_topic}; {_REMEDY}')
    return first.data


def _stamp_ns(message: BagMessage) -> int:
    """Return the stamp of a message's header; -1 = it is broken."""
    try:
        return read_stamp_ns(message.data)
    except ValueError:
        return -1


class Decoder:
    """Reads the images of a bag, in any thread.

    :param path: of the bag, for messages.
    """

    def __init__(self, path: object, images: BagImages) -> None:
        self._path, self._images = path, images
        self._rectified = is_rectified(images.topic)
        self._known: tuple[bytes, Camera, str] | None = None

    def picture(self, record: Recorded) -> Picture[Header] | None:
        """Return an image of the bag; None = it cannot be read.

        :raises BagError: its camera_info is not one of its camera, or of none.
        """
        message = record.message
        try:
            header, image = _decoded(message)
        except (MessageError, ValueError, RuntimeError):  # RuntimeError: rclpy's of broken bytes
            return None
        camera = self._camera(record, header, image)
        return Picture(header, image, camera, time_s(header, message.at_ns))

    def _camera(self, record: Recorded, header: Header, image: np.ndarray) -> Camera:
        if self._images.given is not None:
            return self._images.given(image.shape[1], image.shape[0])
        topic = self._images.info_topic
        known = self._known
        # all but the stamp, which is 8 bytes behind the 4 of the encapsulation
        if known is None or known[0] != record.info[12:]:
            try:
                info = deserialize_message(record.info, CameraInfo)
                camera = camera_from_info(info, self._rectified)
            except (CameraError, RuntimeError) as error:  # RuntimeError: rclpy's of broken bytes
                raise BagError(
                    f'{self._path}: camera_info on {topic} cannot be used: {error}; {_REMEDY}'
                ) from error
            known = self._known = (record.info[12:], camera, info.header.frame_id)
        if fault := camera_mismatch(topic, known[1], known[2], image, header.frame_id):
            raise BagError(f'{self._path}: {fault} {_REMEDY[0].upper()}{_REMEDY[1:]}')
        return known[1]


def time_s(header: Header, at_ns: int) -> float:
    """Return the time of an image that was recorded at `at_ns`: its stamp, if it has one.

    A driver that knows no time stamps nothing; the recorder's clock ran all the same.
    """
    return (stamp_ns(header) or at_ns) / 1e9


def _decoded(message: BagMessage) -> tuple[Header, np.ndarray]:
    if message.type_name == IMAGE:
        raw = read_image(message.data)
        return raw.header, image_from_message(raw)
    compressed = deserialize_message(message.data, CompressedImage)
    return compressed.header, image_from_compressed(compressed)
