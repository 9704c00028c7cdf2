# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Images read out of their bytes are what rclpy reads."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from pose3d_ros.nodes.cdr import read_image
from pose3d_ros.nodes.messages import bytes_of

UINT32 = st.integers(0, 2**32 - 1)
FRAME_IDS = st.text(st.characters(codec='ascii', exclude_characters='\0'), max_size=9)
IMAGES = st.builds(
    lambda sec, nanosec, frame_id, height, width, encoding, big, step, data: Image(
        header=Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id),
        height=height, width=width, encoding=encoding, is_bigendian=big, step=step,
        data=bytes_of(np.frombuffer(data, np.uint8)),
    ),
    st.integers(-(2**31), 2**31 - 1), UINT32, FRAME_IDS, UINT32, UINT32,
    st.sampled_from(['bgr8', 'mono8', 'bayer_rggb8', '']), st.integers(0, 1), UINT32,
    st.binary(max_size=40),
)  # fmt: skip
FIELDS = ('header', 'height', 'width', 'encoding', 'is_bigendian', 'step')


@given(IMAGES)
def test_every_field_is_as_rclpy_reads_it(image: Image) -> None:
    serialised = bytes(serialize_message(image))
    view, expected = read_image(serialised), deserialize_message(serialised, Image)
    for name in FIELDS:
        assert getattr(view, name) == getattr(expected, name)
    assert bytes(view.data) == expected.data.tobytes()


def test_the_pixels_are_not_copied() -> None:
    serialised = bytes(serialize_message(Image(data=bytes_of(np.arange(100, dtype=np.uint8)))))
    view = read_image(serialised)
    assert np.shares_memory(np.frombuffer(view.data, np.uint8), np.frombuffer(serialised, np.uint8))


@settings(max_examples=300)
@given(IMAGES, st.data())
def test_cut_bytes_are_refused_and_never_read_beyond(image: Image, data: st.DataObject) -> None:
    whole = bytes(serialize_message(image))
    # the last bytes may be padding, so cut behind the header and before the pixels' end
    length = data.draw(st.integers(5, len(whole) - len(image.data) - 4))
    with pytest.raises(ValueError, match=f'{length} bytes that are no'):
        read_image(whole[:length])


def test_a_length_beyond_the_bytes_is_refused() -> None:
    whole = bytearray(
        serialize_message(Image(encoding='bgr8', data=bytes_of(np.zeros(8, np.uint8))))
    )
    position = len(whole) - 8 - 4
    whole[position : position + 4] = (2**32 - 1).to_bytes(4, 'little')
    with pytest.raises(ValueError, match='no sensor_msgs/Image'):
        read_image(bytes(whole))


def test_big_endian_bytes_are_read() -> None:
    text = b'\0\0\0\5bgr8\0'
    big = (
        b'\0\0\0\0' + b'\0\0\0\7\0\0\0\x09' + b'\0\0\0\1\0' + b'\0\0\0' + b'\0\0\0\1\0\0\0\2'
        + text + b'\0' + b'\0\0' + b'\0\0\0\6' + b'\0\0\0\6' + b'abcdef'
    )  # fmt: skip
    view = read_image(big)
    assert (view.header.stamp.sec, view.height, view.width, view.step) == (7, 1, 2, 6)
    assert (view.encoding, bytes(view.data)) == ('bgr8', b'abcdef')


@pytest.mark.parametrize('whole', [b'', b'\0\1', b'\0\7\0\0' + bytes(9), b'\1\1\0\0' + bytes(9)])
def test_what_only_rclpy_may_know_is_refused_in_our_words(whole: bytes) -> None:
    """Its own error is no ValueError, and would have ended a node."""
    with pytest.raises(ValueError, match=f'^{len(whole)} bytes that are no sensor_msgs/Image$'):
        read_image(whole)
