# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Small bags, and stages without networks that find what their images say."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bodies import body
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from std_msgs.msg import Header

from pose3d_ros import msg
from pose3d_ros.bags import BAG_VERSION, CAMERA_INFO, IMAGE, open_bag, our_typestore
from pose3d_ros.camera import Camera
from pose3d_ros.nodes.bag_poses import RESULTS
from pose3d_ros.nodes.messages import camera_to_info, image_to_message
from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import BLAZEPOSE

WIDTH, HEIGHT = 64, 48
CAMERA = Camera(np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]]), WIDTH, HEIGHT)
MYSTERY = 'mystery_msgs/msg/Mystery'

Message = tuple[str, str, int, bytes]


def picture(number: int) -> np.ndarray:
    """Image `number`: its grey says which it is."""
    return np.full((HEIGHT, WIDTH, 3), 8 * number, np.uint8)


def shot(number: int, **fields: Any) -> Message:
    """Return image `number` of a bag, 0.1 s behind the one before, with some fields changed."""
    at_ns = 10**9 + number * 10**8
    header = Header(stamp=Time(nanoseconds=at_ns).to_msg(), frame_id='camera')
    message = image_to_message(picture(number), header)
    for name, value in fields.items():
        setattr(message, name, value)
    return '/image_raw', IMAGE, at_ns, serialize_message(message)


def said_by_camera(at_s: float, camera: Camera = CAMERA, **fields: Any) -> Message:
    """Return a camera_info of a bag, with some fields changed."""
    at_ns = round(at_s * 1e9)
    header = Header(stamp=Time(nanoseconds=at_ns).to_msg(), frame_id='camera')
    message = camera_to_info(camera, header)
    for name, value in fields.items():
        setattr(message, name, value)
    return '/camera_info', CAMERA_INFO, at_ns, serialize_message(message)


def read(path: Path) -> list[Message]:
    """Return topic, type, log time and bytes of all messages of a bag."""
    with open_bag(path) as bag:
        return [(c.topic, c.msgtype, at, bytes(data)) for c, at, data in bag.raw(bag.connections)]


def plain(path: Path) -> list[tuple[str, str, int, str | bytes]]:
    """Return the messages of a bag, ours decoded: rclpy leaves chance bytes between fields."""
    types = {name: getattr(msg, name.rpartition('/')[2]) for name in set(RESULTS.values())
             if name.startswith('pose3d_ros/')}  # fmt: skip
    return [
        (topic, kind, at, str(deserialize_message(data, types[kind])) if kind in types else data)
        for topic, kind, at, data in read(path)
    ]


def write(
    path: Path,
    content: Iterable[Message],
    plugin: StoragePlugin = StoragePlugin.MCAP,
    definitions: bool = True,
    silent: Iterable[tuple[str, str]] = (),
) -> Path:
    """Write a bag of messages, in this order; of /mystery nobody but the bag knows the type.

    :param silent: topics, with their types, without a message.
    """
    store = get_typestore(Stores.EMPTY)
    store.register(our_typestore().fielddefs)
    store.register(get_types_from_msg('float32 value\nstring[] names', MYSTERY))
    writer = Writer(path, version=BAG_VERSION, storage_plugin=plugin)
    writer.open()
    connections: dict[str, Connection] = {}
    for topic, kind in silent:
        writer.add_connection(topic, kind, typestore=store)
    for topic, kind, at_ns, data in content:
        if topic not in connections:
            # a bag from before Iron has neither definitions nor hashes
            known: dict[str, Any] = {'typestore': store}
            if not definitions:
                known = {'msgdef': '', 'rihs01': 'RIHS01_' + 64 * '0'}
            connections[topic] = writer.add_connection(topic, kind, **known)
        writer.write(connections[topic], at_ns, data)
    writer.close()
    return path


@dataclass
class Fakes:
    """The three stages: one person in each image, farther to the right by its number.

    :param at_image: called with the number of each image that is looked at.
    """

    images: list[int] = field(default_factory=list)
    cameras: dict[int, Camera] = field(default_factory=dict)
    at_image: Callable[[int], None] = lambda _number: None
    nobody: bool = False

    def detect(self, image: np.ndarray, _options: object) -> Persons:
        number = round(float(image.mean()) / 8)
        self.images.append(number)
        time.sleep(0.002 * (number % 3))  # later images are often done first
        self.at_image(number)
        if self.nobody:
            return Persons.none()
        return Persons(np.array([[number / 3, 10.1, 20, 30]]), np.array([0.9]))

    def root(self, image: np.ndarray, persons: Persons, camera: Camera, _body: object) -> Persons:
        n = len(persons)
        self.cameras[round(float(image.mean()) / 8)] = camera
        roots = camera.back_project(persons.boxes[:, :2], np.full(n, 3.0))
        return persons.with_roots(roots, np.full(n, 0.1), None)

    def pose(self, _image: np.ndarray, persons: Persons, _camera: Camera) -> Poses:
        joints = body(BLAZEPOSE) + persons.roots[:, None]
        return Poses(
            BLAZEPOSE, joints, np.full(joints.shape[:2], 0.9), persons.roots,
            persons.root_depth_stddev_m, persons.scores, persons.ids,
        )  # fmt: skip


@dataclass
class StopAt:
    """Asks to stop while an image is looked at, as Ctrl-C does.

    :param number: of the image.
    """

    number: int
    event: threading.Event = field(default_factory=threading.Event)

    def __call__(self, number: int) -> None:
        if number == self.number:
            self.event.set()
