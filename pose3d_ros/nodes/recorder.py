# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""recorder: the graph's topics into a bag of mcap files, images as JPEG."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from pose3d_ros.bag_parts import Topic
from pose3d_ros.bag_recording import Recording
from pose3d_ros.bags import COMPRESSED_IMAGE, BagError
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.inputs import image_name, image_topic
from pose3d_ros.nodes.interrupts import Interrupts
from pose3d_ros.nodes.messages import MessageError, bytes_of, image_from_message
from pose3d_ros.nodes.parameters import Param, declare, value_of
from pose3d_ros.transport import prepare_process

PARAMETERS = (
    Param('output', 'poses', "the bag's folder, which must not exist"),
    Param(
        'image_transport',
        'raw',
        'raw: Image, recorded as JPEG; compressed: CompressedImage on its /compressed, recorded as '
        'it comes',
        choices=('raw', 'compressed'),
    ),
    Param('jpeg_quality', 90, 'of the images that come raw', 1, 100),
    Param(
        'part_s',
        60.0,
        'seconds after which what was recorded is made whole, as a file of its own: a crash or a '
        'full disk costs so much at the most',
        1.0,
        3600.0,
    ),
)

_TOPICS = (
    ('camera_info', CameraInfo),
    ('detections', PersonArray),
    ('roots', PersonArray),
    ('poses', Pose3DArray),
    ('markers', MarkerArray),
    ('/diagnostics', DiagnosticArray),
)
_RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
_BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)

_POLL_S = 0.1
# Once it is told to stop, the recorder takes what waits until nothing came for so long, or until
# it was that long: whoever goes on publishing must not keep it.
_QUIET_S, _DRAIN_S = 0.5, 1.0
# What the disk has not taken by then is lost: the whole is to end within two seconds.
_WRITE_S = 0.5


class Recorder(Node):
    """Write what the graph says to a bag, in the order it comes, stamped with the arrival time."""

    def __init__(self) -> None:
        super().__init__('recorder')
        declare(self, PARAMETERS)
        is_raw = value_of(self, 'image_transport') == 'raw'
        images = image_topic(self)
        self._images = f'{images}/compressed' if is_raw else images
        topics = [Topic.ours(self._images, COMPRESSED_IMAGE)]
        topics += [Topic.ours(self.resolve_topic_name(t), _type_name(m)) for t, m in _TOPICS]
        #: What is recorded, by its name in the bag -> the topic that it comes from.
        self._sources = {topic.name: topic.name for topic in topics} | {self._images: images}
        output = Path(value_of(self, 'output')).expanduser()
        self._recording = Recording(output, topics, value_of(self, 'part_s'))
        self._last_s = 0.0
        #: Topics of which something came.
        self.topics: set[str] = set()
        if is_raw:
            self.create_subscription(Image, 'image_raw', self._take_image, _BEST_EFFORT)
        else:
            self._record_raw(image_name(self), CompressedImage)
        for topic, message_type in _TOPICS:
            self._record_raw(topic, message_type)
        self.get_logger().info(f'recording into {output}')

    def _record_raw(self, topic: str, message_type: type) -> None:
        """Record a topic as it comes, without looking into its messages."""
        name = self.resolve_topic_name(topic)
        # best effort connects with every publisher; only reliable ones lose nothing
        of_camera = message_type in (CameraInfo, CompressedImage)
        qos = _BEST_EFFORT if of_camera else _RELIABLE

        def take(data: bytes) -> None:
            self._write(name, data)

        self.create_subscription(message_type, topic, take, qos, raw=True)

    def _take_image(self, message: Image) -> None:
        try:
            image = image_from_message(message)
        except MessageError as error:
            self.get_logger().warning(f'image not recorded: {error}', throttle_duration_sec=5.0)
            return
        quality = [cv2.IMWRITE_JPEG_QUALITY, value_of(self, 'jpeg_quality')]
        jpeg = CompressedImage(header=message.header, format='bgr8; jpeg compressed bgr8')
        jpeg.data = bytes_of(cv2.imencode('.jpg', image, quality)[1])
        self._write(self._images, serialize_message(jpeg))

    def _write(self, topic: str, data: bytes) -> None:
        if not self._recording.add(topic, self.get_clock().now().nanoseconds, data):
            self.get_logger().warning(
                f'{self._recording.lost.total()} messages not recorded so far: more comes than the '
                'disk takes',
                throttle_duration_sec=5.0,
            )
        self._last_s = time.monotonic()
        if topic not in self.topics:
            self.topics.add(topic)
            self.get_logger().info(f'recording {topic}: its first message came')

    def record(self, stopped: Callable[[], bool]) -> None:
        """Record until told to stop, and then what waits by then.

        :raises BagError: nothing more can be written.
        """
        executor = SingleThreadedExecutor()
        executor.add_node(self)
        while not stopped():
            executor.spin_once(timeout_sec=_POLL_S)
            self._recording.check()
        stopped_s = time.monotonic()
        while time.monotonic() < min(stopped_s + _DRAIN_S, max(stopped_s, self._last_s) + _QUIET_S):
            executor.spin_once(timeout_sec=_POLL_S)

    def close(self) -> None:
        """Finish the bag, and name what is not in it.

        :raises BagError: it could not be finished.
        """
        if silent := sorted(self._sources[topic] for topic in self._sources.keys() - self.topics):
            transport = value_of(self, 'image_transport')
            self.get_logger().warning(
                f"nothing came on {', '.join(silent)} ('image_transport' is {transport})"
            )
        self._recording.close(_WRITE_S)
        if lost := self._recording.lost:
            told = ', '.join(f'{count} of {topic}' for topic, count in sorted(lost.items()))
            self.get_logger().warning(f'not recorded, as the disk was too slow: {told}')


def _type_name(message_type: type) -> str:
    return f'{message_type.__module__.split(".")[0]}/msg/{message_type.__name__}'


def main(args: list[str] | None = None) -> None:
    """Record until told to stop; exit 1 when the bag cannot be made, or not gone on with."""
    prepare_process()
    interrupts = Interrupts()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    recorder = None
    status = 0
    try:
        recorder = Recorder()
        try:
            recorder.record(lambda: interrupts.came)
        finally:
            recorder.close()
    except BagError as error:
        print(f'error: {error}', file=sys.stderr)
        status = 1
    finally:
        interrupts.leaving()
        if recorder is not None:
            recorder.destroy_node()
        rclpy.try_shutdown()
        interrupts.ignore()
    sys.exit(status)
