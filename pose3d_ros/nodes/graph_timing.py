"""Timing the graph from outside: a camera that publishes frames and waits for their poses."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from pose3d_ros.camera import Camera
from pose3d_ros.msg import Pose3DArray
from pose3d_ros.nodes.inputs import RESULT_QOS, stamp_ns
from pose3d_ros.nodes.messages import camera_to_info, image_to_message
from pose3d_ros.nodes.processes import Starter, processes
from pose3d_ros.transport import prepare_process

_QOS = QoSProfile(depth=2)
_READY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Timing:
    """What came of a run.

    :param rate_hz: frames with poses per second.
    :param ages_ms: (frames,) from the call that publishes an image to the arrival of its poses.
    :param lost: frames without poses.
    :param stages: stage -> its diagnostic values, medians of the run's last frames.
    """

    rate_hz: float
    ages_ms: np.ndarray
    lost: int
    stages: dict[str, dict[str, float]]

    @property
    def network_ms(self) -> float:
        """Return the time that a frame spends in networks, ms."""
        return sum(values.get('network_ms', 0.0) for values in self.stages.values())


class CameraDriver(Node):
    """Publish frames from memory, so many at a time, and note when their poses come."""

    def __init__(self, images: Sequence[np.ndarray], camera: Camera) -> None:
        super().__init__('camera_driver')
        self._camera = camera
        # made before: what a camera does to get its image is no part of the graph, nor its load
        self._frames = [image_to_message(image, Header()) for image in images]
        self._images = self.create_publisher(Image, 'image_raw', _QOS)
        self._infos = self.create_publisher(CameraInfo, 'camera_info', _QOS)
        self.create_subscription(Pose3DArray, 'poses', self._take_poses, RESULT_QOS)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._take_values, RESULT_QOS)
        self._changed = threading.Condition()
        self._answers: dict[int, float] = {}
        self._stages: dict[str, dict[str, float]] = {}

    def wait_for(self, subscribers: int, stage_count: int) -> None:
        """Wait until the graph is there; TimeoutError when it does not come."""
        end = time.monotonic() + _READY_TIMEOUT_S
        while (
            self._images.get_subscription_count() < subscribers or len(self._stages) < stage_count
        ):
            if time.monotonic() > end:
                raise TimeoutError(f'the graph was not ready within {_READY_TIMEOUT_S:g} s')
            time.sleep(0.05)

    def run(self, count: int, in_flight: int) -> Timing:
        """Publish `count` frames, at most `in_flight` of them without poses, and time them."""
        sent: dict[int, float] = {}
        with self._changed:
            self._answers.clear()
        for number in range(count):
            self._wait_until(lambda: self._unanswered(sent) < in_flight)
            stamp, published_s = self._publish(self._frames[number % len(self._frames)])
            sent[stamp] = published_s
        self._wait_until(lambda: self._unanswered(sent) == 0)
        time.sleep(1.2)  # the last diagnostics of this run
        done = sorted(set(sent) & set(self._answers))
        span = max(self._answers[s] for s in done) - self._answers[done[0]]
        ages = np.array([self._answers[s] - sent[s] for s in done]) * 1e3
        return Timing((len(done) - 1) / span, ages, count - len(done), dict(self._stages))

    def _unanswered(self, sent: dict[int, float]) -> int:
        """Return how many frames are newer than the newest answer: the older ones are lost."""
        newest = max(self._answers, default=0)
        return sum(stamp > newest for stamp in sent)

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(condition, 5.0)

    def _publish(self, message: Image) -> tuple[int, float]:
        """Publish an image with the time of now; return its stamp, and when publishing began."""
        header = Header(frame_id='camera_optical_frame')
        header.stamp = self.get_clock().now().to_msg()
        self._infos.publish(camera_to_info(self._camera, header))
        message.header = header
        published_s = time.perf_counter()
        self._images.publish(message)
        return stamp_ns(header), published_s

    def _take_poses(self, message: Pose3DArray) -> None:
        with self._changed:
            self._answers[stamp_ns(message.header)] = time.perf_counter()
            self._changed.notify_all()

    def _take_values(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {}
            for pair in status.values:
                try:
                    values[pair.key] = float(pair.value)
                except ValueError:
                    continue  # model and precision are text
            self._stages[status.name.split(':')[0]] = values


@contextmanager
def graph_under_test(
    images: Sequence[np.ndarray],
    camera: Camera,
    log_dir: Path,
    composed: bool,
    parameters: dict[str, tuple[str, ...]],
) -> Iterator[CameraDriver]:
    """Start the graph as processes and a camera in this one; yield the camera.

    :param parameters: node -> its parameters as 'name:=value'.
    """
    prepare_process()
    os.environ.setdefault('ROS_DOMAIN_ID', str(101 + os.getpid() % 100))
    with processes(log_dir) as start:
        _start(start, composed, parameters)
        # Ctrl-C is Python's: ROS's own handlers would outlast the graph
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        driver = CameraDriver(images, camera)
        executor = SingleThreadedExecutor()
        executor.add_node(driver)
        thread = threading.Thread(target=_spin, args=(executor,), daemon=True)
        thread.start()
        try:
            driver.wait_for(subscribers=1 if composed else 3, stage_count=3)
            yield driver
        finally:
            executor.shutdown()
            thread.join(timeout=10)
            driver.destroy_node()
            rclpy.try_shutdown()


def _start(start: Starter, composed: bool, parameters: dict[str, tuple[str, ...]]) -> None:
    if composed:
        # in one process parameters are addressed by node
        start('pipeline', *(f'{node}:{p}' for node, given in parameters.items() for p in given))
        return
    for node in ('detector', 'rootnet', 'posenet'):
        start(node, *parameters.get(node, ()))


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        return  # the benchmark is over
