# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Timing the graph from outside: a camera that publishes frames and waits for their poses."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from pose3d_ros.camera import Camera
from pose3d_ros.msg import Pose3D, Pose3DArray
from pose3d_ros.nodes.cdr import read_image
from pose3d_ros.nodes.diagnosis import frame_values
from pose3d_ros.nodes.inputs import RESULT_QOS, SENSOR_QOS, Frame, stamp_ns
from pose3d_ros.nodes.messages import bytes_of, camera_to_info, image_to_message
from pose3d_ros.nodes.processes import Starter, processes
from pose3d_ros.nodes.spinning import node_beside
from pose3d_ros.stages import STAGES
from pose3d_ros.transport import prepare_process

_QOS = QoSProfile(depth=2)
_VIEWS = {'markers': (MarkerArray, RESULT_QOS), 'overlay': (Image, SENSOR_QOS)}
_READY_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 5.0
#: Behind the last image of an open loop: a graph that gives no poses for so long gives none more.
_SILENCE_S = 1.0
_DEFAULT_SPACING_S = 0.03


@dataclass(frozen=True)
class Timing:
    """What came of a run.

    :param sent: frames published.
    :param rate_hz: frames with poses per second.
    :param input_hz: frames published per second.
    :param ages_ms: (frames,) from the call that publishes an image to the arrival of its poses.
    :param people: (frames,) poses of each.
    """

    sent: int
    rate_hz: float
    input_hz: float
    ages_ms: np.ndarray
    people: np.ndarray

    @property
    def lost(self) -> int:
        """Return how many frames have no poses."""
        return self.sent - len(self.ages_ms)


@dataclass(frozen=True)
class _Answer:
    at_s: float
    people: int


class CameraDriver(Node):
    """Publish frames from memory and note when their poses come.

    Its methods raise TimeoutError when no frame gets through.

    :param images: (h, w, 3) uint8 BGR, published in turn.
    :param transport: 'raw' or 'compressed', as the stages' parameter `image_transport`.
    :param watched: keys of _VIEWS that it subscribes to.
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        camera: Camera,
        transport: str = 'raw',
        watched: Sequence[str] = (),
    ) -> None:
        super().__init__('camera_driver')
        self._camera = camera
        # made before: what a camera does to get its image is no part of the graph, nor its load
        if transport == 'compressed':
            self._frames = [_compressed(image) for image in images]
            topic, kind = 'image_raw/compressed', CompressedImage
        else:
            self._frames = [image_to_message(image, Header()) for image in images]
            topic, kind = 'image_raw', Image
        self._images = self.create_publisher(kind, topic, _QOS)
        self._infos = self.create_publisher(CameraInfo, 'camera_info', _QOS)
        self.create_subscription(Pose3DArray, 'poses', self._take_poses, RESULT_QOS)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._take_values, RESULT_QOS)
        for topic in watched:  # as bytes: what a viewer makes of them is its own affair
            kind, qos = _VIEWS[topic]
            self.create_subscription(kind, topic, lambda _: None, qos, raw=True)
        self._changed = threading.Condition()
        self._answers: dict[int, _Answer] = {}
        self._values: dict[str, tuple[int, dict[str, float]]] = {}
        self._spacing_s, self._patience_s = _DEFAULT_SPACING_S, _ANSWER_TIMEOUT_S
        self._published = 0

    def wait_for(self, subscribers: int, check: Callable[[], None]) -> None:
        """Wait until the graph is there; TimeoutError when it does not come.

        :param check: raises when there is nothing to wait for any more.
        """
        end = time.monotonic() + _READY_TIMEOUT_S
        while self._images.get_subscription_count() < subscribers or len(self._values) < len(
            STAGES
        ):
            if time.monotonic() > end:
                raise TimeoutError(f'the graph was not ready within {_READY_TIMEOUT_S:g} s')
            check()
            time.sleep(0.05)

    def values(self) -> dict[str, dict[str, float]]:
        """Return the diagnostic values of each stage, with all that it has done until now."""
        now_ns = self.get_clock().now().nanoseconds
        self._wait_until(lambda: all(self._values[stage][0] > now_ns for stage in STAGES))
        return {stage: self._values[stage][1] for stage in STAGES}

    def run(self, count: int, in_flight: int) -> Timing:
        """Publish `count` frames, at most `in_flight` of them without poses, and time them.

        A frame goes out only when the one before is in work: two at once, as at the start, and
        the second would replace the first at the door. That takes no more than the time to get
        there, of which a quarter of a lone frame's age, by the last run with one, is well above.
        """
        sent: dict[int, float] = {}
        self._forget()
        last_s = 0.0
        for _ in range(count):
            self._wait_until(lambda: self._unanswered(sent) < in_flight, self._patience_s)
            time.sleep(max(0.0, last_s + self._spacing_s - time.perf_counter()))
            stamp, last_s = self._publish()
            sent[stamp] = last_s
        self._wait_until(lambda: self._unanswered(sent) == 0, self._patience_s)
        answers = self._answers_to(sent)
        times = sorted(answer.at_s for answer in answers.values())
        if not times:
            raise TimeoutError(f'none of {count} frames got through the graph')
        rate_hz = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else float('nan')
        timing = _timing(sent, answers, rate_hz, times[-1])
        if in_flight == 1:
            age_s = float(np.median(timing.ages_ms)) / 1e3
            self._spacing_s, self._patience_s = age_s / 4, 10 * age_s
        return timing

    def play(self, rate_hz: float, seconds: float) -> Timing:
        """Publish at a rate, whatever the graph makes of it; the rate is that of these seconds.

        Where publishing takes longer than the rate allows, the next frame goes out at once.
        """
        sent: dict[int, float] = {}
        self._forget()
        start = due = time.perf_counter()
        while due < start + seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            stamp, at_s = self._publish()
            sent[stamp] = at_s
            due = max(due + 1 / rate_hz, time.perf_counter())
        end = start + seconds
        self._wait_for_silence(sent)
        answers = self._answers_to(sent)
        in_time = sum(answer.at_s <= end for answer in answers.values())
        return _timing(sent, answers, in_time / seconds, end)

    def decode_ms(self) -> float:
        """Return what reading the pixels of a received image takes, alone."""
        message = self._frames[0]
        serialised = serialize_message(message)
        times = []
        for _ in range(9):
            start = time.perf_counter()
            raw = isinstance(message, Image)
            _ = Frame(read_image(serialised) if raw else message).image
            times.append(time.perf_counter() - start)
        return float(np.median(times)) * 1e3

    def _forget(self) -> None:
        with self._changed:
            self._answers.clear()

    def _answers_to(self, sent: dict[int, float]) -> dict[int, _Answer]:
        with self._changed:
            return {stamp: self._answers[stamp] for stamp in sorted(set(sent) & set(self._answers))}

    def _unanswered(self, sent: dict[int, float]) -> int:
        """Return how many frames are newer than the newest answer: the older ones are lost."""
        newest = max(self._answers, default=0)
        return sum(stamp > newest for stamp in sent)

    def _wait_until(
        self, condition: Callable[[], bool], timeout_s: float = _ANSWER_TIMEOUT_S
    ) -> None:
        with self._changed:
            self._changed.wait_for(condition, timeout_s)

    def _wait_for_silence(self, sent: dict[int, float]) -> None:
        """Wait until the newest frame is answered, or nothing comes any more."""
        seen = -1

        def more() -> bool:
            return len(self._answers) > seen

        with self._changed:
            while self._unanswered(sent) and more():
                seen = len(self._answers)
                self._changed.wait_for(more, _SILENCE_S)

    def _publish(self) -> tuple[int, float]:
        """Publish the next image with the time of now; return its stamp, and when that began."""
        message = self._frames[self._published % len(self._frames)]
        self._published += 1
        header = Header(frame_id='camera_optical_frame')
        header.stamp = self.get_clock().now().to_msg()
        self._infos.publish(camera_to_info(self._camera, header))
        message.header = header
        published_s = time.perf_counter()
        self._images.publish(message)
        return stamp_ns(header), published_s

    def _take_poses(self, message: Pose3DArray) -> None:
        with self._changed:
            seen = sum(pose.state != Pose3D.COASTING for pose in message.poses)
            answer = _Answer(time.perf_counter(), seen)
            self._answers[stamp_ns(message.header)] = answer
            self._changed.notify_all()

    def _take_values(self, message: DiagnosticArray) -> None:
        for stage, told in frame_values(message):
            values = {}
            for key, value in told.items():
                try:
                    values[key] = float(value)
                except ValueError:
                    continue  # model and precision are text
            with self._changed:
                self._values[stage] = stamp_ns(message.header), values
                self._changed.notify_all()


def _timing(
    sent: dict[int, float], answers: dict[int, _Answer], rate_hz: float, end_s: float
) -> Timing:
    ages = [(answer.at_s - sent[stamp]) * 1e3 for stamp, answer in answers.items()]
    people = [answer.people for answer in answers.values()]
    input_hz = len(sent) / (end_s - min(sent.values()))
    return Timing(len(sent), rate_hz, input_hz, np.array(ages), np.array(people))


def _compressed(image: np.ndarray) -> CompressedImage:
    _, data = cv2.imencode('.jpg', image)
    return CompressedImage(format='jpeg', data=bytes_of(data))


@dataclass(frozen=True)
class RunningGraph:
    """The graph as processes, and its camera.

    :param pids: node -> process; all stages are in one where that is the pipeline.
    """

    camera: CameraDriver
    pids: dict[str, int]


@contextmanager
def graph_under_test(
    images: Sequence[np.ndarray],
    camera: Camera,
    log_dir: Path,
    parameters: dict[str, tuple[str, ...]],
    composed: str = '',
    transport: str = 'raw',
    watched: Sequence[str] = (),
) -> Iterator[RunningGraph]:
    """Start the graph as processes and a camera in this one.

    :param parameters: node -> its parameters as 'name:=value'.
    :param composed: module of this package that has all stages in one process; '' = one each.
    :param transport: of the images, 'raw' or 'compressed'.
    :param watched: topics for people's eyes that the camera subscribes to.
    :raises ProcessError: one of the processes ended badly.
    :raises TimeoutError: the graph does not come, or does not answer.
    """
    prepare_process()
    given = {node: (*parameters.get(node, ()), f'image_transport:={transport}') for node in STAGES}
    with processes(log_dir) as start:
        pids = _start(start, composed, given)
        try:
            with node_beside(
                lambda: CameraDriver(images, camera, transport, watched), start.domain_id
            ) as driver:
                driver.wait_for(1 if composed else 3, start.check)
                yield RunningGraph(driver, pids)
        except TimeoutError:
            start.check()  # a process that has ended is the better reason
            raise


def _start(start: Starter, composed: str, parameters: dict[str, tuple[str, ...]]) -> dict[str, int]:
    if composed:
        # in one process parameters are addressed by node
        given = (f'{node}:{p}' for node, values in parameters.items() for p in values)
        return {'pipeline': start(composed, *given).pid}
    return {node: start(node, *parameters[node]).pid for node in STAGES}
