# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""player: a video, image folder, webcam or bag as a camera: image_raw and camera_info."""

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from pose3d_ros.bags import (
    Bag,
    BagError,
    has_camera_info,
    image_topic,
    is_bag,
    namespace_of,
    open_bag,
)
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.bag_images import BagImages, Decoder, recorded, refuse_useless
from pose3d_ros.nodes.inputs import RESULT_QOS, Unusable, stamp_ns, stamp_of
from pose3d_ros.nodes.interrupts import Interrupts
from pose3d_ros.nodes.messages import (
    bytes_of,
    camera_to_info,
    image_to_message,
)
from pose3d_ros.nodes.parameters import Param, ParameterError, declare, value_of
from pose3d_ros.nodes.spinning import spinning
from pose3d_ros.transport import prepare_process
from pose3d_ros.video import FOLDER_RATE_HZ, MAX_STILL_S, Source, VideoError, open_source

PARAMETERS = (
    Param(
        'source',
        '',
        'a video file, image folder, webcam index, rosbag2 folder, .mcap or .db3 file',
        number_too=True,
    ),
    Param('camera', '', "a ROS camera_info YAML file; '' = field_of_view_deg, or the bag's own"),
    Param(
        'field_of_view_deg',
        0.0,
        "view angle across the longer image side, where no camera file is given; 0 = the bag's own "
        'camera_info, or assume one',
        0.0,
        179.0,
    ),
    Param('frame_id', 'camera_optical_frame', 'of the published headers'),
    Param(
        'rate',
        1.0,
        'speed against the footage; 0 = as fast as frames are taken: the next one goes out when '
        '`detections` of the last and `poses` of an earlier one came back, and none is lost',
        0.0,
        100.0,
    ),
    Param('loop', False, 'start again at the end'),
    Param('stamps', 'now', 'now: the time of publishing; source: the stamps in the bag, as they '
          'are, or the times in the video, from one frame after 0', choices=('now', 'source')),
    Param('image_transport', 'raw', 'raw: Image; compressed: JPEG on image_raw/compressed',
          choices=('raw', 'compressed')),
    Param('subscribers', 0, 'begin once so many subscribe to the images', 0, 100),
    Param('image_topic', '', "of a bag with several cameras; '' = its only one"),
)  # fmt: skip

# One frame in work and one waiting at every stage's door: the most that cannot displace another,
# if the next is not sent before the detector is done with the last.
_IN_FLIGHT = 2
_ANSWER_TIMEOUT_S = 10.0
_POLL_S = 0.1  # a signal does not end a wait
_LOG_EVERY_S = 5.0
# A subscriber that the player has found has not found the player yet, and would miss frames.
_SETTLE_S = 0.5
_IMAGE_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
_REMEDY = "give parameter 'camera' or 'field_of_view_deg'"
_START_ERRORS = (BagError, CameraError, ParameterError, VideoError)


@dataclass(frozen=True)
class Shot:
    """One image to publish.

    :param image: (h, w, 3) uint8 BGR.
    :param camera: that took it.
    :param at_ns: by which it is played: of a bag, when it was recorded, which never jumps.
    :param stamp_ns: by the clock of the camera, which may jump; 0 = it has none.
    """

    image: np.ndarray
    camera: Camera
    at_ns: int
    stamp_ns: int


class _Pace:
    """When images are due: as far apart as in the source, at a rate.

    :param rate: above 0.
    :param logger: is told of what is cut.
    """

    def __init__(self, rate: float, logger: RcutilsLogger) -> None:
        self._rate, self._logger = rate, logger
        self._last_ns: int | None = None
        self._interval_s = 1 / FOLDER_RATE_HZ
        self._due_s = 0.0

    def due_s(self, at_ns: int) -> float:
        """Return when the next image is due, by time.monotonic(); the first is at once."""
        if self._last_ns is None:
            self._due_s = time.monotonic()
        elif at_ns > self._last_ns:
            self._interval_s = (at_ns - self._last_ns) / 1e9
            if self._interval_s > MAX_STILL_S:
                self._logger.warning(
                    f'{self._interval_s:.0f} s without an image, cut to {MAX_STILL_S:g} s'
                )
                self._interval_s = MAX_STILL_S
            self._due_s += self._interval_s / self._rate
        self._last_ns = at_ns
        return self._due_s

    def end_s(self) -> float:
        """Return until when the last image is shown: as long as the one before."""
        return self._due_s + self._interval_s / self._rate


class Player(Node):
    """Publish footage as a camera would, until it ends or the process is asked to.

    :param options: of the node, as rclpy's.
    """

    def __init__(self, interrupts: Interrupts, **options: Any) -> None:
        super().__init__('player', **options)
        self._interrupts = interrupts
        declare(self, PARAMETERS)
        if value_of(self, 'source') == '':
            raise ParameterError(
                "parameter 'source' is empty: give a video file, image folder, webcam index or bag "
                '(--ros-args -p source:=FILE)'
            )
        compressed = value_of(self, 'image_transport') == 'compressed'
        self._images = (
            self.create_publisher(CompressedImage, 'image_raw/compressed', _IMAGE_QOS)
            if compressed
            else self.create_publisher(Image, 'image_raw', _IMAGE_QOS)
        )
        self._infos = self.create_publisher(CameraInfo, 'camera_info', _IMAGE_QOS)
        self._given_camera = self._camera_from_file()
        self._camera: Camera | None = None
        self._skipped = 0
        self._unanswered: list[int] = []  # stamps without poses
        self._undetected: list[int] = []
        self._answered = threading.Condition()
        if value_of(self, 'rate') == 0:
            self._await(Pose3DArray, 'poses', self._unanswered)
            self._await(PersonArray, 'detections', self._undetected)

    def _camera_from_file(self) -> Camera | None:
        path = value_of(self, 'camera')
        return Camera.from_yaml(Path(path).expanduser()) if path else None

    def play(self) -> None:
        """Publish the footage to its end, or for ever when it loops.

        :raises BagError: not a bag, or no image of it can be used.
        :raises CameraError: the camera file is of frames of another size.
        :raises VideoError: the source cannot be read.
        """
        self._wait_for_subscribers()
        count, rounds = 0, 0
        while not self._interrupts.came and (rounds == 0 or value_of(self, 'loop')):
            rounds += 1
            count += self._play_once()
        self._wait_for_answers(below=1)
        lost = f', {self._skipped} images could not be used' if self._skipped else ''
        self.get_logger().info(f'published {count} frames{lost}')

    def _wait_for_subscribers(self) -> None:
        wanted, last_said = value_of(self, 'subscribers'), 0.0
        while (found := self._images.get_subscription_count()) < wanted:
            if self._interrupts.came:
                return
            if time.monotonic() - last_said > 5:
                last_said = time.monotonic()
                self.get_logger().info(
                    f'{found} of {wanted} subscribers of {self._images.topic_name} are there'
                )
            time.sleep(0.05)
        if wanted:
            self._interrupts.sleep(_SETTLE_S)

    def _play_once(self) -> int:
        rate, count = value_of(self, 'rate'), 0
        pace = _Pace(rate, self.get_logger()) if rate > 0 else None
        with closing(self._shots()) as shots:
            for shot in shots:
                if pace:
                    self._interrupts.sleep(pace.due_s(shot.at_ns) - time.monotonic())
                else:
                    self._wait_for_answers(below=_IN_FLIGHT)
                if self._interrupts.came:
                    break
                self._publish(shot)
                count += 1
        if pace and value_of(self, 'loop'):
            self._interrupts.sleep(pace.end_s() - time.monotonic())
        return count

    def _shots(self) -> Generator[Shot, None, None]:
        source = str(value_of(self, 'source'))
        path = Path(source).expanduser()
        if is_bag(path):
            with open_bag(path) as bag:
                yield from bag_shots(bag, self._images_of(bag), self._skip)
        else:
            yield from self._frames(open_source(source))

    def _images_of(self, bag: Bag) -> BagImages:
        """Return where a bag's images are; their camera is a parameter's, the bag's or a guess."""
        topic = image_topic(bag, value_of(self, 'image_topic'), "'image_topic'")
        info_topic = f'{namespace_of(topic)}/camera_info'
        given = self._given_camera is not None or value_of(self, 'field_of_view_deg')
        if given or not has_camera_info(bag, info_topic):
            return BagImages(topic, '', self._camera_of, '')
        return BagImages(topic, info_topic, None, _REMEDY)

    def _frames(self, source: Source) -> Generator[Shot, None, None]:
        """Yield the frames of footage; the first at one frame's time, as 0 means 'no stamp'."""
        count = 0
        for frame in source.frames():
            count += 1
            if frame.image is None:
                self._skip(f'{source.name}: cannot be used: {frame.name}')
            else:
                height, width = frame.image.shape[:2]
                at_ns = round((frame.time_s + 1 / source.rate_hz) * 1e9)
                yield Shot(frame.image, self._camera_of(width, height), at_ns, at_ns)
        if count < source.frame_count:
            self.get_logger().warning(
                f'{source.name} announces {source.frame_count - count} frames more than it holds: '
                'is it cut short?',
                once=True,
            )

    def _skip(self, reason: str) -> None:
        """Count an image that cannot be used, and name it once in a while."""
        self._skipped += 1
        self.get_logger().warning(
            f'image skipped, {self._skipped} so far: {reason}',
            throttle_duration_sec=_LOG_EVERY_S,
        )

    def _publish(self, shot: Shot) -> None:
        header = Header(frame_id=value_of(self, 'frame_id'))
        stamp = shot.stamp_ns
        if value_of(self, 'stamps') == 'now':
            stamp = self.get_clock().now().nanoseconds
        header.stamp = stamp_of(stamp)
        self._infos.publish(camera_to_info(shot.camera, header))
        if value_of(self, 'rate') == 0:
            with self._answered:
                self._unanswered.append(stamp)
                self._undetected.append(stamp)
        if value_of(self, 'image_transport') == 'raw':
            self._images.publish(image_to_message(shot.image, header))
        else:
            jpeg = CompressedImage(header=header, format='bgr8; jpeg compressed bgr8')
            jpeg.data = bytes_of(cv2.imencode('.jpg', shot.image)[1])
            self._images.publish(jpeg)

    def _camera_of(self, width: int, height: int) -> Camera:
        """Return the camera of images of a size by file, else by field of view, else a guess."""
        given, degrees = self._given_camera, value_of(self, 'field_of_view_deg')
        if given is not None and (given.width, given.height) != (width, height):
            raise CameraError(
                f'{given.source} is for {given.width} x {given.height} pixels, but the images '
                f'have {width} x {height}'
            )
        camera = given or self._camera
        if camera is not None and (camera.width, camera.height) == (width, height):
            return camera
        self._camera = (
            Camera.from_field_of_view(width, height, degrees)
            if degrees
            else Camera.fallback(width, height)
        )
        if not degrees:
            self.get_logger().warning(
                f'no camera is known: {self._camera.source}. Distances scale with the error of '
                f'this guess; {_REMEDY}'
            )
        return self._camera

    def _await(self, message_type: type, topic: str, waiting: list[int]) -> None:
        """Take the stamps of what comes on a topic off those that are waited for."""

        def take(message: Pose3DArray | PersonArray) -> None:
            answered = stamp_ns(message.header)
            with self._answered:
                # an answer also ends the wait for frames sent before: they were skipped or dropped;
                # by the order of sending, as stamps of a bag that loops jump back
                if answered in waiting:
                    del waiting[: waiting.index(answered) + 1]
                self._answered.notify_all()

        self.create_subscription(message_type, topic, take, RESULT_QOS)

    def _wait_for_answers(self, below: int) -> None:
        end = time.monotonic() + _ANSWER_TIMEOUT_S
        with self._answered:
            while not self._interrupts.came and (
                len(self._unanswered) >= below
                or (self._undetected and self.count_publishers('detections'))
            ):
                if time.monotonic() > end:
                    self._unanswered.clear()
                    self._undetected.clear()
                    self.get_logger().warning(
                        f'no poses for {_ANSWER_TIMEOUT_S:g} s: going on with the next frame'
                    )
                    return
                self._answered.wait(_POLL_S)


def bag_shots(
    bag: Bag, images: BagImages, skip: Callable[[str], None]
) -> Generator[Shot, None, None]:
    """Yield the images of a bag with their cameras.

    :param skip: is told which image cannot be used, and why.
    :raises BagError: the bag is damaged, or none of its images can be used.
    """
    decoder, count, unusable, first = Decoder(images), 0, 0, ''
    for record in recorded(bag, images, [images.topic, images.info_topic]):
        if not record.is_image:
            continue
        count += 1
        try:
            picture = decoder.picture(record)
        except Unusable as error:
            unusable, first = unusable + 1, first or str(error)
            skip(str(error))
            refuse_useless(bag.path, count, unusable, first)
            continue
        at_ns = record.message.at_ns
        yield Shot(picture.image, picture.camera, at_ns, stamp_ns(picture.header))
    refuse_useless(bag.path, count, unusable, first, at_end=True)


def main(args: list[str] | None = None) -> None:
    """Play the source; exit 0 at its end, 1 when it cannot be played."""
    prepare_process()
    interrupts = Interrupts()
    interrupts.bound()
    status = 0
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        _play(Player(interrupts), interrupts)
    except _START_ERRORS as error:
        print(f'error: {error}', file=sys.stderr)
        status = 1
    finally:
        rclpy.try_shutdown()
        interrupts.ignore()
    sys.exit(status)


def _play(player: Player, interrupts: Interrupts) -> None:
    """Play while a thread takes what comes."""
    try:
        with spinning(player):
            player.play()
    finally:
        interrupts.leaving()
        player.destroy_node()
