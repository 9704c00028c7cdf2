# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image out of its serialised bytes without copying the pixels.

rclpy's own deserialisation copies an image twice, into a C structure and from there into an
array, also when the image is then dropped for a newer one. Here the header is read and the pixels
stay where the middleware put them (OMG CDR: values aligned to their size, strings with a length
and a closing zero).
"""

import struct
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

_ENCAPSULATION = 4  # bytes before the message: representation and options
_PLAIN = {0: '>', 1: '<'}  # CDR big and little endian; anything else goes to rclpy


@dataclass(frozen=True, eq=False)
class ImageView:
    """The fields of a sensor_msgs/Image, its data a view of the received bytes."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


def deserialized(serialised: bytes, kind: type) -> Any:
    """Return the message of a kind of sensor_msgs in serialised bytes.

    :raises ValueError: they are of no such message.
    """
    try:
        return deserialize_message(serialised, kind)
    except RuntimeError as error:  # rclpy's, which names a line of its sources
        raise _no_message(serialised, kind) from error


def _no_message(serialised: bytes, kind: type) -> ValueError:
    return ValueError(f'{len(serialised)} bytes that are no sensor_msgs/{kind.__name__}')


def read_image(serialised: bytes) -> ImageView | Image:
    """Return the image in serialised bytes.

    :raises ValueError: the bytes end before the message does.
    """
    order = _PLAIN.get(serialised[1]) if len(serialised) > _ENCAPSULATION else None
    if order is None or serialised[0]:
        return deserialized(serialised, Image)
    reader = _Reader(memoryview(serialised)[_ENCAPSULATION:], order)
    try:
        sec, nanosec = reader.number('i'), reader.number('I')
        header = Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=reader.string())
        height, width = reader.number('I'), reader.number('I')
        encoding, is_bigendian = reader.string(), reader.number('B')
        step, size = reader.number('I'), reader.number('I')
        return ImageView(header, height, width, encoding, is_bigendian, step, reader.take(size))
    except (struct.error, UnicodeDecodeError) as error:
        raise _no_message(serialised, Image) from error


def read_stamp_ns(serialised: bytes) -> int:
    """Return the stamp of a message that begins with a header, nanoseconds.

    :raises ValueError: the bytes are too few, or not plain CDR.
    """
    order = _PLAIN.get(serialised[1]) if len(serialised) > _ENCAPSULATION else None
    if order is None or serialised[0]:
        raise ValueError(f'{len(serialised)} bytes that are no message with a header')
    try:
        sec, nanosec = struct.unpack_from(f'{order}iI', serialised, _ENCAPSULATION)
    except struct.error as error:
        raise ValueError(f'{len(serialised)} bytes that are no message with a header') from error
    return int(sec) * 10**9 + int(nanosec)


class _Reader:
    """Read values one after the other, each aligned to its size."""

    def __init__(self, data: memoryview, order: str) -> None:
        self._data, self._order, self._at = data, order, 0

    def number(self, kind: str) -> int:
        size = struct.calcsize(kind)
        self._at += -self._at % size
        value: int = struct.unpack_from(self._order + kind, self._data, self._at)[0]
        self._at += size
        return value

    def string(self) -> str:
        return bytes(self.take(self.number('I'))).rstrip(b'\0').decode()

    def take(self, size: int) -> memoryview:
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise struct.error(f'{size} bytes announced, {len(piece)} there')
        self._at += size
        return piece
