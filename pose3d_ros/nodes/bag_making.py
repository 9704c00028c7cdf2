# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A bag of given images, for benchmarks and tests."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from pose3d_ros.bags import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, BagWriter
from pose3d_ros.camera import Camera
from pose3d_ros.nodes.inputs import stamp_of
from pose3d_ros.nodes.messages import bytes_of, camera_to_info, image_to_message

TRANSPORT_NS = 2_000_000  # between stamp and log time


def write_images(
    path: Path,
    images: Iterable[np.ndarray],
    camera: Camera | None,
    start_ns: int = 10**9,
    gap_ns: int = 10**8,
    raw: bool = True,
    frame_id: str = 'camera',
) -> None:
    """Write images with camera_info of their stamps; raw or as JPEG.

    :param camera: None = without camera_info.
    """
    bag = BagWriter(path)
    for number, image in enumerate(images):
        stamp_ns = start_ns + number * gap_ns
        header = Header(stamp=stamp_of(stamp_ns), frame_id=frame_id)
        at_ns = stamp_ns + TRANSPORT_NS
        if camera is not None:
            info = serialize_message(camera_to_info(camera, header))
            bag.write('/camera_info', CAMERA_INFO, at_ns, info)
        if raw:
            content = serialize_message(image_to_message(image, header))
            bag.write('/image_raw', IMAGE, at_ns, content)
        else:
            jpeg = CompressedImage(header=header, format='bgr8; jpeg compressed bgr8')
            jpeg.data = bytes_of(cv2.imencode('.jpg', image)[1])
            bag.write('/image_raw/compressed', COMPRESSED_IMAGE, at_ns, serialize_message(jpeg))
    bag.close()
