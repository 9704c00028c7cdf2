# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""from_video.launch.py under launch_testing: poses come, and all processes end when told to.

    launch_test test/launch_tests/film.py

`pytest` runs it too, where launch_testing is installed (test_launch_files.py).
"""

import os
import time
import unittest
from collections.abc import Callable
from typing import Any

import rclpy
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_testing import post_shutdown_test
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
from visualization_msgs.msg import MarkerArray

from pose3d_ros import weights
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.share import share_file

_DOMAIN_ID = int(os.environ.get('ROS_DOMAIN_ID', '0'))
_PATIENCE_S = 120.0


def generate_test_description() -> LaunchDescription:
    """Return the film of a calibrated clip, as fast as poses come, and the three stages."""
    film = weights.path('pose2sim_multi_cam01')
    arguments = {'source': str(film), 'field_of_view_deg': '60', 'rate': '0', 'composed': 'false'}
    launch_file = PythonLaunchDescriptionSource(str(share_file('launch/from_video.launch.py')))
    return LaunchDescription(
        [
            IncludeLaunchDescription(launch_file, launch_arguments=arguments.items()),
            ReadyToTest(),
        ]
    )


class TestWhileItRuns(unittest.TestCase):
    """What a subscriber sees."""

    def setUp(self) -> None:
        """Subscribe to the topics of all stages."""
        self.context = rclpy.Context()
        handlers = rclpy.signals.SignalHandlerOptions.NO
        rclpy.init(context=self.context, domain_id=_DOMAIN_ID, signal_handler_options=handlers)
        self.node = rclpy.create_node('launch_test', context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.came: dict[str, list[Any]] = {'roots': [], 'poses': [], 'markers': []}
        for topic, kind in (
            ('roots', PersonArray), ('poses', Pose3DArray), ('markers', MarkerArray)
        ):  # fmt: skip
            self.node.create_subscription(kind, topic, self.came[topic].append, 10)

    def tearDown(self) -> None:
        """Leave the graph."""
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def test_people_in_metres_come_under_the_header_of_their_image(self) -> None:
        """Poses of two or three people, some metres away, of images that have roots, too."""
        self._wait(lambda: len(self.came['poses']) > 10 and bool(self.came['markers']))
        headers = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in self.came['roots']]
        posed = [m for m in self.came['poses'] if m.poses]
        assert posed
        for message in posed:
            assert message.header.frame_id
            assert all(1.0 < pose.root.z < 12.0 for pose in message.poses)
        stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in posed]
        assert set(stamps) & set(headers)

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not condition():
            assert time.monotonic() < end, {topic: len(seen) for topic, seen in self.came.items()}
            self.executor.spin_once(timeout_sec=0.1)


@post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    """How the processes ended."""

    def test_all_processes_ended_well(self, proc_info: Any) -> None:
        """None crashed, and none had to be killed."""
        assertExitCodes(proc_info)
