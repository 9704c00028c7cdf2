# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Absolute 3D poses of the people in the images of several cameras: a pipeline for each.

    ros2 launch pose3d_ros multi_camera.launch.py cameras:=front,rear

takes /front/image_raw and /front/camera_info, publishes /front/poses and so on, and the same below
/rear. Every pipeline is a process of its own, and ids of different cameras have nothing to do with
each other. The arguments of pipeline.launch.py are taken too and hold for all cameras; what differs
from one to another is set in params_file, under names such as "/front/detector".
"""

import re
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.launch_description_sources.python_launch_file_utilities import (
    load_python_launch_file_as_module,
)
from launch.substitutions import LaunchConfiguration

PIPELINE = str(Path(get_package_share_directory('pose3d_ros')) / 'launch' / 'pipeline.launch.py')

ARGUMENTS = [
    DeclareLaunchArgument(
        'cameras', description='namespaces of the cameras with commas between them: front,rear'
    ),
    DeclareLaunchArgument(
        'rviz',
        default_value='',
        description="the one of the cameras that RViz shows; '' = no RViz; its frame is rviz_frame",
    ),
]
#: What the pipeline is told here, camera by camera.
OWN = ('namespace', 'rviz')
SHARED = [
    argument
    for argument in load_python_launch_file_as_module(PIPELINE).ARGUMENTS
    if argument.name not in OWN
]


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and the pipelines."""
    return LaunchDescription([*ARGUMENTS, *SHARED, OpaqueFunction(function=pipelines)])


def pipelines(context: LaunchContext) -> list[Action]:
    """Return a pipeline for each camera, in a scope of its own."""
    names = ('cameras', 'rviz', 'image', 'camera_info')
    values = {name: LaunchConfiguration(name).perform(context) for name in names}
    cameras = camera_names(values)
    return [GroupAction([pipeline(camera, camera == values['rviz'])]) for camera in cameras]


def pipeline(camera: str, rviz: bool) -> IncludeLaunchDescription:
    """Return the pipeline of a camera; relative topics are below its namespace."""
    given = {'namespace': camera, 'rviz': 'true' if rviz else 'false'}
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PIPELINE), launch_arguments=given.items()
    )


def camera_names(values: dict[str, str]) -> list[str]:
    """Return the cameras that the arguments name.

    :raises ValueError: none, one twice or one that is no namespace; RViz for none of them; or a
        topic that all of them would share.
    """
    cameras = values['cameras'].split(',')
    for camera in cameras:
        if not re.fullmatch(r'/?[A-Za-z]\w*(/[A-Za-z]\w*)*', camera, re.ASCII):
            raise ValueError(
                f"cameras: '{camera}' is no namespace; give names: cameras:=front,rear"
            )
        if cameras.count(camera) > 1:
            raise ValueError(f'cameras: {camera} is there twice')
    if values['rviz'] and values['rviz'] not in cameras:
        raise ValueError(f'rviz: {values["rviz"]} is none of the cameras {", ".join(cameras)}')
    for name in ('image', 'camera_info'):
        if values[name].startswith('/'):
            raise ValueError(
                f'{name}: {values[name]} is one topic for all cameras; without the first / it is '
                "below each camera's namespace"
            )
    return cameras
