# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Absolute 3D poses of the people in a camera's images.

A camera that publishes /camera/image_raw and /camera/camera_info:

    ros2 launch pose3d_ros pipeline.launch.py image:=/camera/image_raw

The results are on detections, roots, poses, markers and overlay, below `namespace`. With RViz
beside it, and three processes instead of one:

    ros2 launch pose3d_ros pipeline.launch.py image:=/camera/image_raw rviz:=true composed:=false

`ros2 launch pose3d_ros pipeline.launch.py --show-args` explains all arguments. Parameters beyond
them are set in a file of your own, given as `params_file`; an argument wins over the file.
"""

import os
import tempfile
from pathlib import Path

import yaml
from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnShutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory('pose3d_ros'))
STAGES = ('detector', 'rootnet', 'posenet')

ARGUMENTS = [
    DeclareLaunchArgument(
        'image', default_value='image_raw', description='topic of the images (sensor_msgs/Image)'
    ),
    DeclareLaunchArgument(
        'camera_info',
        default_value='',
        description="topic of the camera_info; '' = the one beside the images",
    ),
    DeclareLaunchArgument(
        'namespace',
        default_value='',
        description='namespace of the nodes and their results, e.g. one for each camera',
    ),
    DeclareLaunchArgument(
        'composed',
        default_value='true',
        choices=['true', 'false'],
        description='the three nodes in one process, which decodes each image once, or in three',
    ),
    DeclareLaunchArgument(
        'detector',
        default_value='',
        choices=['', 'yolox', 'mask_rcnn', 'detr'],
        description="network that finds people; '' = as params_file says",
    ),
    DeclareLaunchArgument(
        'rootnet',
        default_value='',
        choices=['', 'keypoints', '3dmppe'],
        description="estimate of each person's place in metres; '' = as params_file says",
    ),
    DeclareLaunchArgument(
        'posenet',
        default_value='',
        choices=['', 'blazepose', 'blazepose_heavy', 'blazepose_lite', '3dmppe'],
        description="network that finds the joints in metres; '' = as params_file says",
    ),
    DeclareLaunchArgument(
        'detector_weights',
        default_value='',
        description='weights for the detectors mask_rcnn and detr: a file or folder; '
        "'' = as params_file says",
    ),
    DeclareLaunchArgument(
        'rootnet_weights',
        default_value='',
        description="weights for rootnet 3dmppe: a file or folder; '' = as params_file says",
    ),
    DeclareLaunchArgument(
        'posenet_weights',
        default_value='',
        description="weights for posenet 3dmppe: a file or folder; '' = as params_file says",
    ),
    DeclareLaunchArgument(
        'device',
        default_value='',
        description="where the networks run: CPU, GPU, cuda, ...; '' = as params_file says",
    ),
    DeclareLaunchArgument(
        'precision',
        default_value='',
        choices=['', 'auto', 'f32', 'bf16', 'f16', 'i8'],
        description="precision of the networks; '' = as params_file says",
    ),
    DeclareLaunchArgument(
        'field_of_view_deg',
        default_value='',
        description='angle that the longer image side spans, of a camera without calibration: '
        "camera_info is not used then; '' = as params_file says",
    ),
    DeclareLaunchArgument(
        'assumed_focal_px',
        default_value='',
        description='focal length in pixels that is assumed for an unknown camera (1500): '
        "camera_info is not used then; '' = as params_file says",
    ),
    DeclareLaunchArgument(
        'image_transport',
        default_value='',
        choices=['', 'raw', 'compressed'],
        description="raw: Image; compressed: CompressedImage on the image topic's /compressed; "
        "'' = as params_file says",
    ),
    DeclareLaunchArgument(
        'overlay',
        default_value='',
        choices=['', 'true', 'false'],
        description='publish the images with the skeletons drawn in while somebody subscribes; '
        "'' = as params_file says",
    ),
    DeclareLaunchArgument(
        'params_file',
        default_value=str(SHARE / 'config' / 'pose3d.yaml'),
        description='YAML file with the parameters of the nodes',
    ),
    DeclareLaunchArgument(
        'autostart',
        default_value='',
        choices=['', 'true', 'false'],
        description='the nodes configure and activate themselves, or wait for a lifecycle manager; '
        "'' = as params_file says",
    ),
    DeclareLaunchArgument(
        'respawn',
        default_value='false',
        choices=['true', 'false'],
        description='start a process again when it ends, whatever for',
    ),
    DeclareLaunchArgument(
        'respawn_delay',
        default_value='2.0',
        description='seconds before it is started again',
    ),
    DeclareLaunchArgument(
        'use_sim_time',
        default_value='false',
        choices=['true', 'false'],
        description='take the time from /clock, as with a simulator or `ros2 bag play --clock`',
    ),
    DeclareLaunchArgument(
        'log_level',
        default_value='info',
        choices=['debug', 'info', 'warn', 'error', 'fatal'],
        description='least severity that the nodes log',
    ),
    DeclareLaunchArgument(
        'rviz',
        default_value='false',
        choices=['true', 'false'],
        description='show the poses and the overlay in RViz',
    ),
    DeclareLaunchArgument(
        'rviz_frame',
        default_value='camera_optical_frame',
        description='fixed frame of RViz: the frame_id of the images, as no TF is needed then',
    ),
]


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the nodes and RViz."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=nodes), rviz()])


def nodes(context: LaunchContext) -> list[Action]:
    """Return `pipeline`, or the three nodes that it would hold.

    :raises ValueError: there is no such params_file, which launch_ros would pass over, or no RViz,
        which it would miss when the nodes have begun to load.
    """
    values = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    if not Path(values['params_file']).is_file():
        raise ValueError(f'params_file {values["params_file"]} does not exist')
    if values['rviz'] == 'true':
        check_rviz()
    overrides = write_parameters(overrides_of(values))
    executables = ['pipeline'] if values['composed'] == 'true' else STAGES
    return [removal(overrides), *(node(name, values, overrides) for name in executables)]


def node(executable: str, values: dict[str, str], overrides: Path) -> Node:
    """Return an executable of ours with the topics and parameters that the arguments ask for."""
    return Node(
        package='pose3d_ros',
        executable=executable,
        namespace=values['namespace'],
        remappings=[
            ('image_raw', values['image']),
            ('camera_info', values['camera_info'] or beside(values['image'])),
        ],
        parameters=[values['params_file'], str(overrides)],
        ros_arguments=['--log-level', values['log_level']],
        output='screen',
        emulate_tty=True,
        respawn=values['respawn'] == 'true',
        respawn_delay=number('respawn_delay', values['respawn_delay']),
    )


def beside(image: str) -> str:
    """Return the camera_info topic that belongs to an image topic: the last name is another."""
    namespace, slash, _ = image.rpartition('/')
    return f'{namespace}{slash}camera_info'


def overrides_of(values: dict[str, str]) -> dict[str, dict[str, str | bool | float]]:
    """Return the parameters of each stage that arguments set.

    :raises ValueError: what has to be a number is none.
    """
    common = {name: values[name] for name in ('device', 'precision', 'image_transport')}
    overrides: dict[str, dict[str, str | bool | float]] = {
        stage: {'model': values[stage], 'weights': values[f'{stage}_weights'], **common}
        for stage in STAGES
    }
    overrides = {name: {k: v for k, v in o.items() if v} for name, o in overrides.items()}
    for name in ('field_of_view_deg', 'assumed_focal_px'):
        if values[name]:
            overrides['rootnet'][name] = overrides['posenet'][name] = number(name, values[name])
    if values['overlay']:
        overrides['posenet']['overlay'] = values['overlay'] == 'true'
    if values['autostart']:
        for stage in STAGES:
            overrides[stage]['autostart'] = values['autostart'] == 'true'
    if values['use_sim_time'] == 'true':
        for stage in STAGES:
            overrides[stage]['use_sim_time'] = True
    return overrides


def number(name: str, text: str) -> float:
    """Return the number that an argument holds.

    :raises ValueError: it holds none.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'{name}: {text} is not a number') from None


def write_parameters(parameters: dict[str, dict[str, str | bool | float]]) -> Path:
    """Write parameters node by node to a temporary file, which wins over a params_file before it.

    Of all sections that hold for a node, the last one counts, but rcl adds a section to the one of
    the same name in a file before. So these have a name that is not in params_file: it means the
    same as "/**/detector", and YAML would take it in quotes only.
    """
    content = {f'**/{name}': {'ros__parameters': given} for name, given in parameters.items()}
    with tempfile.NamedTemporaryFile('w', prefix='pose3d_ros_', suffix='.yaml', delete=False) as f:
        yaml.safe_dump(content, f)
    return Path(f.name)


def removal(file: Path) -> Action:
    """Return what removes a file when all ends."""
    remove = OnShutdown(on_shutdown=lambda event, context: file.unlink(missing_ok=True))
    return RegisterEventHandler(remove)


def check_rviz() -> None:
    """Refuse to go on without RViz.

    :raises ValueError: it is not installed, with the command that does it.
    """
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        distribution = os.environ.get('ROS_DISTRO', 'jazzy')
        raise ValueError(
            f'rviz:=true, but RViz is not installed: sudo apt install ros-{distribution}-rviz2, or '
            'leave rviz:=true out (poses are published all the same)'
        ) from None


def rviz() -> Node:
    """Return RViz with our layout, which names our topics relative to its namespace."""
    return Node(
        package='rviz2',
        executable='rviz2',
        namespace=LaunchConfiguration('namespace'),
        arguments=[
            *('--display-config', str(SHARE / 'config' / 'pose3d.rviz')),
            *('--fixed-frame', LaunchConfiguration('rviz_frame')),
        ],
        parameters=[{'use_sim_time': LaunchConfiguration('use_sim_time')}],
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
