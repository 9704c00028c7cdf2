# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Absolute 3D poses of the people in a film, image folder or webcam, played as a camera would.

    ros2 launch pose3d_ros from_video.launch.py source:=film.mp4 field_of_view_deg:=65 rviz:=true

All ends when the film does, unless loop:=true. The arguments of pipeline.launch.py are taken too,
but for the topics and the clock, which are the player's.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.launch_description_sources.python_launch_file_utilities import (
    load_python_launch_file_as_module,
)
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PIPELINE = str(Path(get_package_share_directory('pose3d_ros')) / 'launch' / 'pipeline.launch.py')

ARGUMENTS = [
    DeclareLaunchArgument(
        'source',
        description='a video file, image folder, webcam index, rosbag2 folder or .mcap file',
    ),
    DeclareLaunchArgument(
        'camera',
        default_value='',
        description="a ROS camera_info YAML file; '' = the bag's own, or field_of_view_deg",
    ),
    DeclareLaunchArgument(
        'field_of_view_deg',
        default_value='',
        description='angle that the longer image side spans, where no camera file is given; '
        "'' = a guess, and the player says so",
    ),
    DeclareLaunchArgument(
        'rate',
        default_value='',
        description="speed against the footage; 0 = as fast as poses come, none is lost; '' = 1",
    ),
    DeclareLaunchArgument(
        'loop',
        default_value='false',
        choices=['true', 'false'],
        description='start again at the end',
    ),
    DeclareLaunchArgument(
        'image_topic',
        default_value='',
        description="of a bag with several cameras; '' = its only one",
    ),
]
#: What the pipeline is told here, and is not for the user to say.
FIXED = {'image': 'image_raw', 'camera_info': '', 'field_of_view_deg': '', 'use_sim_time': 'false'}
pipeline_launch = load_python_launch_file_as_module(PIPELINE)
SHARED = [a for a in pipeline_launch.ARGUMENTS if a.name not in FIXED]


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the pipeline with RViz, and the player."""
    pipeline = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PIPELINE), launch_arguments=FIXED.items()
    )
    return LaunchDescription(
        [
            *ARGUMENTS,
            *SHARED,
            OpaqueFunction(function=check),
            # in a scope of its own: field_of_view_deg means another thing there
            GroupAction([pipeline]),
            OpaqueFunction(function=player),
        ]
    )


def values_of(context: LaunchContext) -> dict[str, str]:
    """Return the values of all arguments."""
    names = [argument.name for argument in (*ARGUMENTS, *SHARED)]
    return {name: LaunchConfiguration(name).perform(context) for name in names}


def check(context: LaunchContext) -> None:
    """Refuse what would fail only after the networks are loaded.

    :raises ValueError: there is no such source, a number is none, or an argument was given that the
        player decides here.
    """
    values = values_of(context)
    source = values['source']
    if not source.isdecimal() and not Path(source).expanduser().exists():
        raise ValueError(f'there is no file or folder {source}')
    player_parameters(values)
    for name in FIXED.keys() - values.keys():
        if context.launch_configurations.get(name, FIXED[name]) != FIXED[name]:
            raise ValueError(f'{name}: the player decides this here; see pipeline.launch.py')


def player(context: LaunchContext) -> list[Action]:
    """Return the player, with whose end all ends."""
    values = values_of(context)
    overrides = pipeline_launch.write_parameters({'player': player_parameters(values)})
    node = Node(
        package='pose3d_ros',
        executable='player',
        namespace=values['namespace'],
        parameters=[values['params_file'], str(overrides)],
        ros_arguments=['--log-level', values['log_level']],
        output='screen',
        emulate_tty=True,
        on_exit=Shutdown(reason='the player has ended'),
    )
    return [pipeline_launch.removal(overrides), node]


def player_parameters(values: dict[str, str]) -> dict[str, str | bool | int | float]:
    """Return the player's parameters that the arguments set.

    :raises ValueError: what has to be a number is none.
    """
    # it begins when all have loaded their networks: in one process, only the detector subscribes
    subscribers = 1 if values['composed'] == 'true' else 3
    parameters: dict[str, str | bool | int | float] = {'subscribers': subscribers}
    for name in ('source', 'camera', 'image_topic', 'image_transport'):
        if values[name]:
            parameters[name] = values[name]
    for name in ('field_of_view_deg', 'rate'):
        if values[name]:
            parameters[name] = pipeline_launch.number(name, values[name])
    if values['loop'] == 'true':
        parameters['loop'] = True
    return parameters
