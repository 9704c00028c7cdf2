# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Targets of the fuzzers: messages, from the bytes of the middleware to arrays."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from bodies import body
from fuzz_mutations import message_changed
from fuzz_targets import MIB, Target, refusing
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.cdr import read_image, read_stamp_ns
from pose3d_ros.nodes.messages import (
    MessageError,
    bytes_of,
    camera_from_info,
    camera_to_info,
    image_from_compressed,
    image_from_message,
    persons_from_message,
    persons_to_message,
    poses_from_message,
    poses_to_message,
)
from pose3d_ros.people import Keypoints, Persons, Poses, Tracks, TrackState
from pose3d_ros.skeletons import BLAZEPOSE, HALPE26

HEADER = Header(frame_id='camera')
CAMERA = Camera.from_field_of_view(640, 480, 60)
LENSES = {
    'plumb_bob': (-0.2, 0.05, 0.001, -0.001, 0.0),
    'rational_polynomial': (0.1, 0.02, 0.0, 0.0, 0.001, 0.1, 0.02, 0.0),
    'equidistant': (-0.01, 0.02, -0.003, 0.001),
}


def _picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def check_image(image: np.ndarray) -> None:
    assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8 and image.size


def check_camera(camera: Camera) -> None:
    """Use a camera as the stages do: the corners of its image become rays, and pixels again."""
    corners = np.array([[0.0, 0], [camera.width - 1, 0], [camera.width / 2, camera.height - 1]])
    points = camera.back_project(corners, np.full(3, 2.0))
    assert points.shape == (3, 3) and camera.project(points).shape == (3, 2)
    assert camera.focal_px > 0


def image(_folder: Path) -> Target:
    """Raw images as bytes: nodes/cdr.py, then image_from_message."""
    encodings = {'bgr8': 3, 'rgb8': 3, 'bgra8': 4, 'mono8': 1, 'mono16': 2, 'rgb16': 6,
                 'bayer_rggb8': 1, 'yuv422': 2, 'yuv422_yuy2': 2}  # fmt: skip
    seeds = [
        Image(
            header=HEADER, height=6, width=4, encoding=encoding, step=4 * size,
            data=bytes_of(_picture(6, 4, size)),
        )
        for encoding, size in encodings.items()
    ]  # fmt: skip

    def run(data: bytes) -> None:
        with refusing(ValueError, RuntimeError):  # RuntimeError: rclpy's of broken bytes
            message = read_image(data)
        with refusing(MessageError):
            check_image(image_from_message(message))

    return Target([bytes(serialize_message(one)) for one in seeds], run, message_changed(Image))


def stamp(_folder: Path) -> Target:
    """The stamp in the bytes of a message."""

    def run(data: bytes) -> None:
        with refusing(ValueError):
            assert isinstance(read_stamp_ns(data), int)

    return Target([bytes(serialize_message(Header(frame_id='camera')))], run)


def compressed(_folder: Path) -> Target:
    """The file in a compressed image."""
    pictures = (_picture(48, 64), np.zeros((100, 100, 3), np.uint8))
    suffixes = ('.jpg', '.png', '.bmp', '.tiff')
    seeds = [
        cv2.imencode(suffix, picture)[1].tobytes() for suffix in suffixes for picture in pictures
    ]

    def run(data: bytes) -> None:
        message = CompressedImage(format='jpeg', data=bytes_of(np.frombuffer(data, np.uint8)))
        with refusing(MessageError):
            check_image(image_from_compressed(message))

    # of a byte 1032 pixels may come, each of 3 bytes
    return Target(seeds, run, base_bytes=8 * MIB, factor=4000)


def camera_info(_folder: Path) -> Target:
    """Cameras, raw and rectified."""
    seeds = [camera_to_info(CAMERA, HEADER)]
    for model, numbers in LENSES.items():
        camera = Camera(CAMERA.K, 640, 480, np.array(numbers), model)
        seeds.append(camera_to_info(camera, HEADER))
    cut = camera_to_info(CAMERA, HEADER)
    cut.roi.width, cut.roi.height, cut.roi.x_offset, cut.binning_x, cut.binning_y = 64, 48, 5, 2, 2
    seeds.append(cut)

    def run(data: bytes) -> None:
        with refusing(RuntimeError):
            info = deserialize_message(data, CameraInfo)
        with refusing(CameraError):
            check_camera(camera_from_info(info, rectified=len(data) % 2 == 0))

    return Target(
        [bytes(serialize_message(one)) for one in seeds], run, message_changed(CameraInfo)
    )


def _persons() -> Persons:
    keypoints = Keypoints(HALPE26, np.full((2, 26, 2), 9.0), np.full((2, 26), 0.5))
    boxes = np.array([[1.0, 2, 30, 40], [5, 6, 7, 8]])
    roots = np.array([[0.1, 0.2, 3], [np.nan] * 3])
    return Persons(boxes, np.array([0.9, 0.8]), ('1', ''), roots, np.array([0.1, 0]), keypoints)


def _poses() -> Poses:
    joints = np.add([body(BLAZEPOSE)] * 2, (0, 0, 3))
    n, j = joints.shape[:2]
    motions, covariances = np.zeros((n, 6)), np.stack([np.eye(6)] * n)
    tracks = Tracks(np.full(n, TrackState.CONFIRMED), np.full(n, 4), motions, covariances)
    return Poses(
        BLAZEPOSE, joints, np.full((n, j), 0.9), joints[:, 0], np.full(n, 0.1), np.full(n, 0.9),
        ('1', '2'), tracks,
    )  # fmt: skip


def persons(_folder: Path) -> Target:
    """People of the stage before."""
    messages = [persons_to_message(_persons(), HEADER, CAMERA), PersonArray(header=HEADER)]

    def run(data: bytes) -> None:
        with refusing(RuntimeError):
            message = deserialize_message(data, PersonArray)
        with refusing(MessageError):
            found = persons_from_message(message)
        assert np.isfinite(found.boxes).all() and len(found.ids) == len(found)
        persons_to_message(found, message.header)

    seeds = [bytes(serialize_message(one)) for one in messages]
    return Target(seeds, run, message_changed(PersonArray))


def poses(_folder: Path) -> Target:
    """Poses of a bag."""
    messages = [poses_to_message(_poses(), HEADER, CAMERA), Pose3DArray(header=HEADER)]

    def run(data: bytes) -> None:
        with refusing(RuntimeError):
            message = deserialize_message(data, Pose3DArray)
        with refusing(MessageError):
            found = poses_from_message(message)
        j = len(found.skeleton)
        assert all(0 <= index < j for edge in found.skeleton.edges for index in edge)
        assert all(TrackState(state) in TrackState for state in found.tracks.states)
        poses_to_message(found.seen, message.header, CAMERA)

    seeds = [bytes(serialize_message(one)) for one in messages]
    return Target(seeds, run, message_changed(Pose3DArray))


TARGETS: dict[str, Callable[[Path], Target]] = {
    'image': image,
    'stamp': stamp,
    'compressed image': compressed,
    'camera_info': camera_info,
    'persons': persons,
    'poses': poses,
}
