# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The launch file, its parameter file and its RViz layout agree with each other and the nodes.

`launch` comes with a ROS installation only. What can be known without it is read from the text
of the launch file; the rest is skipped where it is not there.
"""

import ast
import importlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from pose3d_ros.share import share_file
from pose3d_ros.transport import child_environment

STAGES = ('detector', 'rootnet', 'posenet')
SOURCE = share_file('launch/pipeline.launch.py')
TEXT = SOURCE.read_text()
#: Arguments whose value is a parameter of the nodes.
PARAMETERS = ('device', 'precision', 'image_transport', 'overlay', 'autostart')
#: Those of them that only the stages with a camera have.
CAMERA = ('field_of_view_deg', 'assumed_focal_px')


def declared() -> dict[str, dict[str, Any]]:
    """Return the arguments of each DeclareLaunchArgument that the launch file writes out."""
    calls: dict[str, dict[str, Any]] = {}
    for call in ast.walk(ast.parse(TEXT)):
        if isinstance(call, ast.Call) and getattr(call.func, 'id', '') == 'DeclareLaunchArgument':
            keywords = {str(keyword.arg): keyword.value for keyword in call.keywords}
            name = ast.literal_eval(call.args[0])
            calls[name] = {
                key: ast.unparse(value) if key == 'default_value' else ast.literal_eval(value)
                for key, value in keywords.items()
            }
    return calls


def function(name: str, **given: Any) -> Any:
    """Return a function of the launch file that needs nothing of `launch`, but what is given."""
    tree = ast.parse(TEXT)
    # `number` is called by others
    tree.body = [node for node in tree.body if getattr(node, 'name', '') in (name, 'number')]
    scope = {'STAGES': STAGES, 'Path': Path, 'os': os, 'tempfile': tempfile, 'yaml': yaml, **given}
    exec(compile(tree, SOURCE, 'exec'), scope)
    return scope[name]


def arguments(**given: str) -> dict[str, str]:
    """Return the values of all arguments: those given, the others with an empty default."""
    return dict.fromkeys(declared(), '') | {'use_sim_time': 'false'} | given


def test_the_arguments_are_those_that_the_readme_and_users_know() -> None:
    assert set(declared()) == {
        *('image', 'camera_info', 'namespace', 'composed', *STAGES, *PARAMETERS, *CAMERA),
        *(f'{stage}_weights' for stage in STAGES),
        *(
            'respawn',
            'respawn_delay',
            'params_file',
            'use_sim_time',
            'log_level',
            'rviz',
            'rviz_frame',
        ),
    }


@pytest.mark.parametrize('name', list(declared()))
def test_an_argument_is_described_has_a_default_and_is_used(name: str) -> None:
    argument = declared()[name]
    assert len(argument['description']) > 20
    assert 'default_value' in argument
    if 'choices' in argument:
        assert ast.literal_eval(argument['default_value']) in argument['choices']
    code = TEXT[TEXT.index('def generate_launch_description') :]
    assert name.removesuffix('_weights') in STAGES or f"'{name}'" in code


def test_the_choices_are_the_models_there_are() -> None:
    stages = importlib.import_module('pose3d_ros.stages')
    tables = (stages.DETECTORS, stages.ROOTNETS, stages.POSENETS)
    for stage, table in zip(STAGES, tables, strict=True):
        assert declared()[stage]['choices'] == ['', *table]


def parameter_table(stage: str) -> dict[str, Any]:
    """Return the parameters of a node as it declares them."""
    pytest.importorskip('rclpy')
    own = importlib.import_module(f'pose3d_ros.nodes.{stage}').PARAMETERS
    shared = importlib.import_module('pose3d_ros.nodes.stage_parameters').STAGE
    return {parameter.name: parameter for parameter in (*shared, *own)}


@pytest.mark.parametrize('name', (*PARAMETERS, *CAMERA))
def test_the_choices_are_those_of_the_parameter(name: str) -> None:
    parameter = parameter_table('posenet')[name]
    expected = ('true', 'false') if parameter.default is True else parameter.choices
    assert declared()[name].get('choices', []) == (['', *expected] if expected else [])


@pytest.mark.parametrize('stage', STAGES)
def test_the_parameter_file_lists_every_parameter_with_its_default(stage: str) -> None:
    content = yaml.safe_load(share_file('config/pose3d.yaml').read_text())
    assert set(content) == {'/**', *(f'/**/{name}' for name in STAGES)}
    listed = content['/**']['ros__parameters'] | content[f'/**/{stage}']['ros__parameters']
    assert listed == {name: p.default for name, p in parameter_table(stage).items()}


@pytest.mark.parametrize(
    ('image', 'camera_info'),
    [
        ('image_raw', 'camera_info'),
        ('/image_raw', '/camera_info'),
        ('/front/camera/image_rect_color', '/front/camera/camera_info'),
    ],
)
def test_camera_info_lies_beside_the_image(image: str, camera_info: str) -> None:
    assert function('beside')(image) == camera_info


def test_arguments_that_are_not_given_leave_the_parameter_file_alone() -> None:
    assert function('overrides_of')(arguments()) == {stage: {} for stage in STAGES}


def test_arguments_become_parameters_of_the_nodes_that_have_them() -> None:
    values = arguments(device='GPU', posenet='blazepose_lite', overlay='false')
    assert function('overrides_of')(values) == {
        'detector': {'device': 'GPU'},
        'rootnet': {'device': 'GPU'},
        'posenet': {'device': 'GPU', 'model': 'blazepose_lite', 'overlay': False},
    }
    values = arguments(field_of_view_deg='70')
    with_camera = {'field_of_view_deg': 70.0}  # a double: an integer would be refused by the nodes
    assert function('overrides_of')(values) == {
        'detector': {}, 'rootnet': with_camera, 'posenet': with_camera
    }  # fmt: skip
    assert function('overrides_of')(arguments(assumed_focal_px='1500'))['rootnet'] == {
        'assumed_focal_px': 1500.0
    }
    with pytest.raises(ValueError, match='assumed_focal_px: wide is not a number'):
        function('overrides_of')(arguments(assumed_focal_px='wide'))
    values = arguments(detector='detr', detector_weights='/n/detr', posenet_weights='/n/19.pth')
    assert function('overrides_of')(values) == {
        'detector': {'model': 'detr', 'weights': '/n/detr'},
        'rootnet': {},
        'posenet': {'weights': '/n/19.pth'},
    }
    values = arguments(autostart='false')
    assert function('overrides_of')(values) == {stage: {'autostart': False} for stage in STAGES}
    values = arguments(use_sim_time='true')
    assert function('overrides_of')(values) == {stage: {'use_sim_time': True} for stage in STAGES}


#: Parameter files of users, by what is particular about them. rcl adds the section of a file to
#: one of the same name in a file before, behind which others may follow that count more.
USERS_FILES = {
    'ours': share_file('config/pose3d.yaml').read_text(),
    'one camera has a section': share_file('config/pose3d.yaml').read_text()
    + '/front/posenet:\n  ros__parameters: {model: 3dmppe, precision: bf16}\n',
    'the widest section comes last': """
/**/posenet:
  ros__parameters: {model: 3dmppe, overlay: true}
/**:
  ros__parameters: {precision: bf16, device: CPU}
""",
    'sections within sections': """
/**:
  posenet:
    ros__parameters: {model: 3dmppe, overlay: true}
  '*':
    ros__parameters: {precision: bf16, device: CPU}
""",
}


def seen(name: str, files: list[Path], parameters: tuple[str, ...]) -> list[Any]:
    """Return parameters as a real node /front/NAME has them from parameter files."""
    rclpy = pytest.importorskip('rclpy')
    rclpy_arguments = ['--ros-args', '-r', '__ns:=/front']
    for file in files:
        rclpy_arguments += ['--params-file', str(file)]
    context = rclpy.Context()
    # native handlers of a context that is not the default one would stay behind for ever
    handlers = rclpy.signals.SignalHandlerOptions.NO
    rclpy.init(args=rclpy_arguments, context=context, signal_handler_options=handlers)
    try:
        options = {'context': context, 'automatically_declare_parameters_from_overrides': True}
        node = rclpy.create_node(name, **options)
        got = [node.get_parameter(parameter).value for parameter in parameters]
        node.destroy_node()
    finally:
        context.try_shutdown()
    return got


@pytest.mark.parametrize('users', USERS_FILES)
def test_an_argument_wins_over_the_parameter_file(users: str, tmp_path: Path) -> None:
    """By the rules of ROS: of two sections that hold for a node, the later counts."""
    file = tmp_path / 'users.yaml'
    file.write_text(USERS_FILES[users])
    given = arguments(posenet='blazepose_lite', precision='f32')
    overrides = function('write_parameters')(function('overrides_of')(given))
    try:
        got = seen('posenet', [file, overrides], ('model', 'precision', 'device', 'overlay'))
    finally:
        overrides.unlink()
    assert got == ['blazepose_lite', 'f32', 'CPU', True]


def test_rviz_that_is_not_there_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DISTRO', 'kilted')

    def nowhere(_package: str) -> str:
        raise LookupError

    check = function('check_rviz', get_package_prefix=nowhere, PackageNotFoundError=LookupError)
    with pytest.raises(ValueError, match='apt install ros-kilted-rviz2'):
        check()
    function('check_rviz', get_package_prefix=str, PackageNotFoundError=LookupError)()


TOPIC = 'Topic:Value,Depth,History Policy,Reliability Policy,Durability Policy'
#: What RViz of Jazzy (14.1) declares in its sources, of what our layout sets: all else would be
#: passed over without a word. After a colon are the properties within a property.
RVIZ_PROPERTIES = {
    'rviz_default_plugins/Grid': {
        *('Plane', 'Plane Cell Count', 'Cell Size', 'Color', 'Alpha', 'Reference Frame'),
        *('Offset:X,Y,Z', 'Line Style:Value,Line Width'),
    },
    'rviz_default_plugins/Axes': {'Length', 'Radius', 'Reference Frame'},
    'rviz_default_plugins/MarkerArray': {'Namespaces:bones,label,root,velocity', TOPIC},
    'rviz_default_plugins/Image': {'Normalize Range', TOPIC},
    'rviz_default_plugins/MoveCamera': set(),
    'rviz_default_plugins/Select': set(),
    'rviz_default_plugins/FocusCamera': set(),
    'rviz_default_plugins/Measure': {'Line color'},
    'rviz_default_plugins/Orbit': {
        *('Distance', 'Yaw', 'Pitch', 'Target Frame', 'Invert Z Axis', 'Near Clip Distance'),
        'Focal Point:X,Y,Z',
    },
}
RVIZ_TYPES = {
    'rviz_default_plugins/MarkerArray': 'visualization_msgs/msg/MarkerArray',
    'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
}


def layout() -> dict[str, Any]:
    """Return what the RViz layout shows and how."""
    return yaml.safe_load(share_file('config/pose3d.rviz').read_text())['Visualization Manager']


def test_the_rviz_layout_sets_only_what_rviz_has() -> None:
    for plugin in [*layout()['Displays'], *layout()['Tools'], layout()['Views']['Current']]:
        known = {p.partition(':')[0]: p.partition(':')[2] for p in RVIZ_PROPERTIES[plugin['Class']]}
        for name in plugin.keys() - {'Class', 'Name', 'Enabled', 'Value'}:
            assert name in known, plugin['Class']
            if isinstance(plugin[name], dict):
                assert plugin[name].keys() <= set(known[name].split(',')), plugin['Class']
    assert layout()['Global Options'].keys() <= {'Background Color', 'Fixed Frame', 'Frame Rate'}


def test_the_rviz_layout_names_the_namespaces_of_the_markers() -> None:
    pytest.importorskip('rclpy')
    markers = importlib.import_module('pose3d_ros.nodes.markers')
    (given,) = [d['Namespaces'] for d in layout()['Displays'] if 'Namespaces' in d]
    assert given == dict.fromkeys(markers.NAMESPACES, True)


def test_rviz_subscribes_to_what_the_nodes_publish(graph: Any) -> None:
    """By name, by type, and with a QoS that the publisher's satisfies."""
    qos = importlib.import_module('rclpy.qos')
    graph.add(*importlib.import_module('pose3d_ros.nodes.pipeline').make_pipeline())
    shown = {d['Topic']['Value']: d for d in layout()['Displays'] if 'Topic' in d}
    assert set(shown) == {'markers', 'overlay'}
    for topic, display in shown.items():
        graph.wait(lambda t=topic: graph.node.get_publishers_info_by_topic(t), topic, 10)
        publishers = graph.node.get_publishers_info_by_topic(topic)
        assert {p.topic_type for p in publishers} == {RVIZ_TYPES[display['Class']]}
        words = {
            k: v.upper().replace(' ', '_') for k, v in display['Topic'].items() if k != 'Depth'
        }
        wanted = qos.QoSProfile(
            depth=display['Topic']['Depth'],
            history=qos.HistoryPolicy[words['History Policy']],
            reliability=qos.ReliabilityPolicy[words['Reliability Policy']],
            durability=qos.DurabilityPolicy[words['Durability Policy']],
            liveliness=qos.LivelinessPolicy.AUTOMATIC,
        )
        for publisher in publishers:
            compatibility, reason = qos.qos_check_compatible(publisher.qos_profile, wanted)
            assert compatibility == qos.QoSCompatibility.OK, f'{topic}: {reason}'


def test_rviz_is_in_the_frame_of_the_player() -> None:
    pytest.importorskip('rclpy')
    frame = layout()['Global Options']['Fixed Frame']
    player = importlib.import_module('pose3d_ros.nodes.player')
    assert [p.default for p in player.PARAMETERS if p.name == 'frame_id'] == [frame]
    assert ast.literal_eval(declared()['rviz_frame']['default_value']) == frame


# With a ROS installation, the launch file itself. It is launched in a process of its own, since
# launch takes over the handling of signals; every program of ours only prints its command line.

LAUNCH = """
import json, os, sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, SetLaunchConfiguration
from launch.event_handlers import OnProcessIO, OnProcessStart
from launch.launch_description_sources import PythonLaunchDescriptionSource

file, *arguments = sys.argv[1:]
printed, given, before, changed = [], {}, dict(os.environ), {}

def read(event, context):
    changed.update(os.environ.items() - before.items())
    # some are removed at the end
    words = event.cmd
    for option, name in zip(words, words[1:]):
        if option == '--params-file':
            given[name] = open(name).read()

service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([
    SetLaunchConfiguration('launch-prefix', 'echo'),
    RegisterEventHandler(OnProcessIO(on_stdout=lambda event: printed.append(event.text.decode()))),
    RegisterEventHandler(OnProcessStart(on_start=read)),
    IncludeLaunchDescription(
        PythonLaunchDescriptionSource(file),
        launch_arguments=[argument.split(':=') for argument in arguments],
    ),
]))
status = service.run()
sys.__stdout__.write('ENVIRONMENT\\n' + json.dumps(changed) + '\\n')
sys.__stdout__.write('FILES\\n' + json.dumps(given) + '\\nCOMMANDS\\n' + ''.join(printed))
sys.exit(status)
"""


def launched(*arguments: str) -> str:
    """Return what launching with these arguments prints."""
    for name in ('launch_ros', 'launch'):
        pytest.importorskip(name, reason=f'{name} comes with a ROS installation only')
    command = [sys.executable, '-c', LAUNCH, str(SOURCE), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def started(*arguments: str) -> list[str]:
    """Return the command lines that launching with these arguments starts."""
    return launched(*arguments).partition('COMMANDS\n')[2].splitlines()


def test_it_starts_one_process_or_three() -> None:
    (one,) = started()
    assert re.match(r'\S+/lib/pose3d_ros/pipeline ', one)
    three = sorted(started('composed:=false'))
    names = [re.findall(r'/lib/pose3d_ros/(\w+) ', command) for command in three]
    assert names == [[stage] for stage in sorted(STAGES)]


def test_topics_namespace_and_log_level_reach_the_process() -> None:
    (command,) = started('image:=/front/image_raw', 'namespace:=front', 'log_level:=debug')
    assert '-r image_raw:=/front/image_raw -r camera_info:=/front/camera_info' in command
    assert '-r __ns:=/front' in command
    assert '--log-level debug' in command


@pytest.mark.parametrize(
    'argument',
    [
        'params_file:=nowhere.yaml',
        'detector:=none',
        'assumed_focal_px:=wide',
        'respawn_delay:=soon',
    ],
)
def test_what_cannot_be_meant_is_refused(argument: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        started(argument)
    value = argument.partition(':=')[2]
    assert re.search(
        rf'{value}"? (does not exist|is not valid|is not a number)', str(refusal.value.stdout)
    )


def test_rviz_is_started_or_missed_before_anything_is() -> None:
    pytest.importorskip('launch_ros', reason='launch_ros comes with a ROS installation only')
    if 'rviz2' in importlib.import_module('ament_index_python').get_packages_with_prefixes():
        commands = started('rviz:=true')
        assert len(commands) == 2
        assert any(re.match(r'\S+/lib/rviz2/rviz2 .*pose3d\.rviz', command) for command in commands)
        return
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        started('rviz:=true')
    said = str(refusal.value.stdout)
    assert 'RViz is not installed' in said
    assert 'process started' not in said


def test_what_is_launched_beside_it_keeps_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our programs set up their own transport and memory."""
    for name in os.environ.keys() & set(child_environment({})):
        if name != 'AMENT_PREFIX_PATH':
            monkeypatch.delenv(name)
    said = launched('composed:=false')
    assert said.partition('ENVIRONMENT\n')[2].splitlines()[0] == '{}'


def test_nothing_is_left_behind() -> None:
    (command,) = started('device:=CPU')
    (overrides,) = re.findall(r'--params-file (\S+/pose3d_ros_\w+\.yaml)', command)
    assert not Path(overrides).exists()
