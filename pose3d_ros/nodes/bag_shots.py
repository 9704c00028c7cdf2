# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The images of a bag, as the player publishes them: with the camera beside them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose3d_ros import bags
from pose3d_ros.bags import BagError, BagMessage, messages, namespace_of, open_bag, topics_of
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.messages import (
    MessageError,
    camera_from_info,
    camera_mismatch,
    image_from_compressed,
    image_from_message,
    is_rectified,
)

_IMAGE_TYPES = {
    bags.IMAGE: image_from_message,
    bags.COMPRESSED_IMAGE: image_from_compressed,
}


@dataclass(frozen=True)
class Shot:
    """One image to publish.

    :param image: (h, w, 3) uint8 BGR.
    :param at_ns: by which it is played: of a bag, when it was recorded, which never jumps.
    :param stamp_ns: by the clock of the camera, which may jump; 0 = it has none.
    :param camera: the camera that the source itself names, or None.
    """

    image: np.ndarray
    at_ns: int
    stamp_ns: int
    camera: Camera | None = None


def _raise(error: Exception) -> None:
    raise error


def bag_shots(
    path: Path,
    wanted: str,
    skip: Callable[[Exception], None] = _raise,
    do_without: Callable[[BagError], None] = _raise,
) -> Iterator[Shot]:
    """Yield the images of one camera of a bag, with the camera_info beside them.

    That is the last one recorded before an image, or, before the first, that first one.

    :param wanted: the topic of its images; '' = its only one.
    :param skip: is told why an image cannot be decoded, if it does not end the playback.
    :param do_without: is told why a camera_info cannot be used, if its images are to have none.
    :raises BagError: not a bag, no images in it, or several cameras and none named; none of its
        images can be decoded, or the topic has none.
    """
    with open_bag(path) as bag:
        topic = bags.image_topic(bag, wanted, "'image_topic'")
        info_topic = namespace_of(topic) + '/camera_info'
        infos = [info_topic] if info_topic in topics_of(bag, bags.CAMERA_INFO) else []
        info = next(messages(bag, infos), None)
        cameras = _InfoCameras(path, is_rectified(topic), do_without)
        whole = unreadable = 0
        for message in messages(bag, [topic, *infos]):
            if message.topic == info_topic:
                info = message
                continue
            try:
                content = message.decoded()
                image = _IMAGE_TYPES[message.type_name](content)
            except (BagError, MessageError) as error:
                unreadable, reason = unreadable + 1, error
                skip(error)
                continue
            whole += 1
            yield Shot(image, message.at_ns, stamp_ns(content.header), cameras.of(info, image))
    if unreadable and not whole:
        raise BagError(f'{path}: none of {unreadable} images can be decoded: {reason}')
    if not whole:
        raise BagError(f'{path} has no images: {topic} is in its list, without a message')


class _InfoCameras:
    """The cameras of camera_info, each worked out when an image needs it.

    :param path: of the bag, for messages.
    :param do_without: is told why one cannot be used.
    """

    def __init__(self, path: Path, rectified: bool, do_without: Callable[[BagError], None]) -> None:
        self._path, self._rectified, self._do_without = path, rectified, do_without
        self._known: tuple[bytes, Camera | None] | None = None

    def of(self, info: BagMessage | None, image: np.ndarray) -> Camera | None:
        """Return the camera of an image by a camera_info; None = by none that can be used."""
        if info is None:
            return None
        # all but the stamp, which is 8 bytes behind the 4 of the encapsulation
        content = info.data[12:]
        if self._known is None or self._known[0] != content:
            self._known = content, self._read(info)
        camera = self._known[1]
        if camera is None:
            return None
        # whatever their frames: both are published in the player's own
        if fault := camera_mismatch(info.topic, camera, '', image, ''):
            self._do_without(BagError(f'{self._path}: {fault}'))
            return None
        return camera

    def _read(self, info: BagMessage) -> Camera | None:
        try:
            return camera_from_info(info.decoded(), self._rectified)
        except BagError as error:
            self._do_without(error)
        except CameraError as error:
            fault = f'{self._path}: camera_info on {info.topic} cannot be used: {error}'
            self._do_without(BagError(fault))
        return None
