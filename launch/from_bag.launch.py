# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Absolute 3D poses of the people in a rosbag2 bag, whose images are played as a camera would.

    ros2 launch pose3d_ros from_bag.launch.py bag:=drive image_topic:=/front/image_raw rviz:=true

The camera is the bag's own camera_info, unless `camera` or `field_of_view_deg` gives another.
Arguments beside `bag` are those of from_video.launch.py.
Images get the present time as their stamp, and nothing else of the bag is played; for that, and for
/clock, let `ros2 bag play --clock` play it into pipeline.launch.py with use_sim_time:=true.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

FROM_VIDEO = str(
    Path(get_package_share_directory('pose3d_ros')) / 'launch' / 'from_video.launch.py'
)

ARGUMENTS = [
    DeclareLaunchArgument('bag', description='a rosbag2 folder or .mcap file with images'),
]


def generate_launch_description() -> LaunchDescription:
    """Return the player and the pipeline of from_video.launch.py, with a bag as the source."""
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(FROM_VIDEO),
        launch_arguments={'source': LaunchConfiguration('bag')}.items(),
    )
    return LaunchDescription([*ARGUMENTS, include])
