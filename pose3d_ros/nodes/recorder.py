"""recorder: the graph's topics into an mcap bag, images as JPEG."""

import sys
import threading
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

from pose3d_ros.bags import BagError, BagWriter
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.interrupts import Interrupts
from pose3d_ros.nodes.messages import MessageError, bytes_of, image_from_message
from pose3d_ros.nodes.parameters import Param, declare, value_of
from pose3d_ros.transport import prepare_process

PARAMETERS = (
    Param('output', 'poses', "the bag's folder, which must not exist"),
    Param('jpeg_quality', 90, 'of the recorded images', 1, 100),
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
_QUIET_S, _DRAIN_S = 0.5, 2.0


class Recorder(Node):
    """Write what the graph says to a bag, in the order it comes, stamped with the arrival time."""

    def __init__(self) -> None:
        super().__init__('recorder')
        declare(self, PARAMETERS)
        self._bag = BagWriter(Path(value_of(self, 'output')))
        self._lock = threading.Lock()
        self._last_s = 0.0
        #: Topics of which something came.
        self.topics: set[str] = set()
        self.create_subscription(Image, 'image_raw', self._take_image, _BEST_EFFORT)
        for topic, message_type in _TOPICS:
            self._record_raw(topic, message_type)
        self.get_logger().info(f'recording into {value_of(self, "output")}')

    def _record_raw(self, topic: str, message_type: type) -> None:
        """Record a topic as it comes, without looking into its messages."""
        name = self.resolve_topic_name(topic)
        type_name = f'{message_type.__module__.split(".")[0]}/msg/{message_type.__name__}'
        # best effort connects with every publisher; only reliable ones lose nothing
        qos = _BEST_EFFORT if topic == 'camera_info' else _RELIABLE

        def take(data: bytes) -> None:
            self._write(name, type_name, data)

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
        topic = self.resolve_topic_name('image_raw') + '/compressed'
        self._write(topic, 'sensor_msgs/msg/CompressedImage', serialize_message(jpeg))

    def _write(self, topic: str, type_name: str, data: bytes) -> None:
        with self._lock:
            self._bag.write(topic, type_name, self.get_clock().now().nanoseconds, data)
        self._last_s = time.monotonic()
        if topic not in self.topics:
            self.topics.add(topic)
            self.get_logger().info(f'recording {topic}: its first message came')

    def record(self, stopped: Callable[[], bool]) -> None:
        """Record until told to stop, and then what waits by then."""
        executor = SingleThreadedExecutor()
        executor.add_node(self)
        while not stopped():
            executor.spin_once(timeout_sec=_POLL_S)
        stopped_s = time.monotonic()
        while time.monotonic() < min(stopped_s + _DRAIN_S, max(stopped_s, self._last_s) + _QUIET_S):
            executor.spin_once(timeout_sec=_POLL_S)

    def close(self) -> None:
        """Finish the bag."""
        with self._lock:
            self._bag.close()


def main(args: list[str] | None = None) -> None:
    """Record until told to stop; exit 1 when the bag cannot be made."""
    prepare_process()
    interrupts = Interrupts()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    recorder = None
    status = 0
    try:
        recorder = Recorder()
        recorder.record(lambda: interrupts.came)
    except BagError as error:
        print(f'error: {error}', file=sys.stderr)
        status = 1
    finally:
        if recorder is not None:
            recorder.close()
            recorder.destroy_node()
        rclpy.try_shutdown()
        interrupts.ignore()
    sys.exit(status)


if __name__ == '__main__':
    main()
