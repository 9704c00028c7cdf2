#!/usr/bin/env python3
# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Print the nearest person of each message on `poses`, and when it will be nearest.

    ros2 run pose3d_ros nearest_person.py --ros-args -r poses:=/front/poses

nearest_person.cpp is the same in C++. docs/for_planners.md explains the numbers.
"""

import math
import signal
import threading
from collections.abc import Sequence

import rclpy
from geometry_msgs.msg import Point, Vector3
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time

from pose3d_ros.msg import Pose3D, Pose3DArray

MAX_AGE_S = 1.0  # poses that are older are of no use to whoever moves
STATES = {
    Pose3D.UNTRACKED: 'untracked',
    Pose3D.NEW: 'new',
    Pose3D.CONFIRMED: 'confirmed',
    Pose3D.COASTING: 'coasting',  # not in this image: moved along
}


def describe(message: Pose3DArray, age_s: float) -> str:
    """Return a line about the nearest person, as of now.

    :param age_s: the time since the image was taken.
    """
    if not 0.0 <= age_s <= MAX_AGE_S:
        return f'poses are {age_s:.1f} s old: not used'
    if not message.poses:
        return 'nobody'
    pose = min(message.poses, key=lambda pose: math.hypot(*position(pose, age_s)))
    distance_m = math.hypot(*position(pose, age_s))
    name = f'{pose.id or "?"} ({STATES[pose.state]}): {distance_m:.2f} m'
    if not pose.has_velocity:
        return f'{name}, velocity not known'
    name += f' +- {distance_stddev(pose, age_s):.2f} m'
    speed_m_s = math.hypot(*xyz(pose.velocity))
    if speed_m_s <= speed_stddev(pose):
        return f'{name}, stands as far as can be told'
    time_s, closest_m = closest_approach(position(pose, age_s), xyz(pose.velocity))
    name += f', {speed_m_s:.2f} m/s'
    if time_s == 0.0:
        return f'{name}, leaves'
    return f'{name}, nearest in {time_s:.1f} s at {closest_m:.2f} m'


def position(pose: Pose3D, age_s: float) -> list[float]:
    """Return where the pelvis is now, metres: it went on since the image was taken."""
    if not pose.has_velocity:
        return xyz(pose.root)
    then, velocity = xyz(pose.tracked_root), xyz(pose.velocity)
    return [p + v * age_s for p, v in zip(then, velocity, strict=True)]


def closest_approach(
    position_m: Sequence[float], velocity_m_s: Sequence[float]
) -> tuple[float, float]:
    """Return in how many seconds a person is nearest to the camera, and how near, metres.

    Both go on as they do: velocity is relative to the camera. 0 s: it only gets farther away.
    """
    approach = -sum(p * v for p, v in zip(position_m, velocity_m_s, strict=True))
    time_s = max(0.0, approach / sum(v * v for v in velocity_m_s))
    then = [p + v * time_s for p, v in zip(position_m, velocity_m_s, strict=True)]
    return time_s, math.hypot(*then)


def distance_stddev(pose: Pose3D, age_s: float) -> float:
    """Return the standard deviation of the distance now, metres."""
    away = position(pose, age_s)
    return stddev_along(pose, [*away, *(age_s * p for p in away)], math.hypot(*away))


def speed_stddev(pose: Pose3D) -> float:
    """Return the standard deviation of the speed, m/s."""
    velocity = xyz(pose.velocity)
    return stddev_along(pose, [0.0, 0.0, 0.0, *velocity], math.hypot(*velocity))


def stddev_along(pose: Pose3D, direction: Sequence[float], length: float) -> float:
    """Return the standard deviation along a direction in (x, y, z, vx, vy, vz)."""
    covariance = pose.track_covariance.reshape(6, 6)
    variance = direction @ covariance @ direction
    return math.sqrt(max(0.0, variance)) / length if length else 0.0


def xyz(vector: Point | Vector3) -> list[float]:
    """Return the coordinates of a message."""
    return [vector.x, vector.y, vector.z]


class NearestPerson(Node):
    """Subscribe to `poses` and print."""

    def __init__(self) -> None:
        super().__init__('nearest_person')
        # depth 1: only the newest counts
        self.create_subscription(Pose3DArray, 'poses', self._take, 1)

    def _take(self, message: Pose3DArray) -> None:
        age = self.get_clock().now() - Time.from_msg(message.header.stamp)
        print(describe(message, age.nanoseconds / 1e9), flush=True)


def main() -> None:
    """Print until interrupted."""
    # Signals only tell the loop. ROS's own handler shuts down in a thread, and Python's raises
    # KeyboardInterrupt anywhere, inside rclpy too: with either, Ctrl-C now and then ends in an
    # error or a segmentation fault.
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = NearestPerson()
    while not stopped.is_set():
        rclpy.spin_once(node, timeout_sec=0.1)  # a signal does not wake it
    node.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
