# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The launch files beside pipeline.launch.py: their arguments, and what they start.

As in test_launch.py: what needs `launch` runs where it is installed, the rest everywhere.
"""

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
import yaml
from real import people_image
from test_launch import LAUNCH, seen
from test_launch import function as of_pipeline

from pose3d_ros.share import share_file

OURS = share_file('config/pose3d.yaml')
NAMES = ('pipeline', 'from_video', 'from_bag', 'multi_camera')
#: Arguments that have to be given.
REQUIRED = {'from_video': {'source'}, 'from_bag': {'bag'}, 'multi_camera': {'cameras'}}
by_name = pytest.mark.parametrize('name', NAMES)


def file_of(name: str) -> Path:
    """Return a launch file."""
    return share_file(f'launch/{name}.launch.py')


def declared(name: str) -> dict[str, dict[str, ast.expr]]:
    """Return the keywords of each DeclareLaunchArgument that a launch file writes out."""
    return {
        ast.literal_eval(call.args[0]): {str(k.arg): k.value for k in call.keywords}
        for call in ast.walk(ast.parse(file_of(name).read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, 'id', '') == 'DeclareLaunchArgument'
    }


def function(file: str, name: str) -> Callable[..., Any]:
    """Return a function of a launch file that needs nothing of `launch`."""
    scope: dict[str, Any] = {'re': re}
    for source, names in (('pipeline', {'number'}), (file, {name, 'number'})):
        tree = ast.parse(file_of(source).read_text())
        tree.body = [n for n in tree.body if getattr(n, 'name', '') in names]
        exec(compile(tree, source, 'exec'), scope)
        scope['pipeline_launch'] = SimpleNamespace(number=scope['number'])
    return scope[name]  # type: ignore[no-any-return]


def test_these_are_all_launch_files() -> None:
    files = file_of('pipeline').parent.glob('*.py')
    assert {file.name for file in files} == {f'{name}.launch.py' for name in NAMES}


@by_name
def test_a_launch_file_compiles_and_explains_its_arguments(name: str) -> None:
    text = file_of(name).read_text()
    compile(text, name, 'exec')
    required = set()
    for argument, keywords in declared(name).items():
        assert len(ast.literal_eval(keywords['description'])) > 20
        if 'default_value' not in keywords:
            required.add(argument)
        code = text[text.index('def generate_launch_description') :]
        mentioned = f"'{argument}'" in code or argument.endswith('_weights')
        assert mentioned or argument in ('detector', 'rootnet', 'posenet'), argument
    assert required == REQUIRED.get(name, set())


@pytest.mark.parametrize('name', ['from_video', 'from_bag', 'multi_camera'])
def test_what_a_launch_file_tells_another_is_an_argument_of_it(name: str) -> None:
    """By the dictionary that it hands to the file that it includes."""
    other = re.findall(r"'(\w+)\.launch\.py'", file_of(name).read_text())[0]
    known = set(declared(other))
    told = {
        'from_video': set(constant('from_video', 'FIXED')),
        'from_bag': {'source'},
        'multi_camera': set(constant('multi_camera', 'OWN')),
    }[name]
    assert told <= known


def constant(file: str, name: str) -> Any:
    """Return a constant of a launch file."""
    for node in ast.parse(file_of(file).read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def footage(**given: str) -> dict[str, str]:
    """Return the arguments of from_video, those that are not given at their defaults."""
    names = {'source', 'camera', 'field_of_view_deg', 'rate', 'image_topic', 'image_transport'}
    return dict.fromkeys(names, '') | {'loop': 'false', 'composed': 'true'} | given


def test_arguments_become_parameters_of_the_player() -> None:
    pytest.importorskip('rclpy')
    parameters_of = function('from_video', 'player_parameters')
    assert parameters_of(footage(source='a.mp4')) == {'source': 'a.mp4', 'subscribers': 1}
    everything = footage(
        source='bag', camera='c.yaml', field_of_view_deg='65', rate='0', loop='true',
        image_topic='/front/image_raw', image_transport='compressed', composed='false',
    )  # fmt: skip
    given = parameters_of(everything)
    assert given == {
        'source': 'bag', 'camera': 'c.yaml', 'field_of_view_deg': 65.0, 'rate': 0.0, 'loop': True,
        'image_topic': '/front/image_raw', 'image_transport': 'compressed', 'subscribers': 3,
    }  # fmt: skip
    table = {p.name: p for p in importlib.import_module('pose3d_ros.nodes.player').PARAMETERS}
    for name, value in given.items():
        assert type(value) is type(table[name].default), name
        assert table[name].fault(value) == '', name
    with pytest.raises(ValueError, match='rate: fast is not a number'):
        parameters_of(footage(rate='fast'))


def test_an_argument_wins_over_the_parameter_file_for_the_player_too(tmp_path: Path) -> None:
    file = tmp_path / 'users.yaml'
    player = '/**/player:\n  ros__parameters: {rate: 2.0, loop: true}\n'
    file.write_text(OURS.read_text() + player)
    given = function('from_video', 'player_parameters')(footage(source='a.mp4', rate='0.5'))
    overrides = of_pipeline('write_parameters')({'player': given})
    try:
        got = seen('player', [file, overrides], ('source', 'rate', 'loop'))
    finally:
        overrides.unlink()
    assert got == ['a.mp4', 0.5, True]


def views(cameras: str, **given: str) -> dict[str, str]:
    """Return the arguments of multi_camera that it looks into."""
    defaults = {'cameras': cameras, 'rviz': '', 'image': 'image_raw', 'camera_info': ''}
    return defaults | given


def test_cameras_are_names_with_commas_between_them() -> None:
    names = function('multi_camera', 'camera_names')
    assert names(views('front')) == ['front']
    assert names(views('front,rear/left', rviz='front')) == ['front', 'rear/left']


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        (views(''), "cameras: '' is no namespace"),
        (views('front,'), "cameras: '' is no namespace"),
        (views('front, rear'), "cameras: ' rear' is no namespace"),
        (views('front,2nd'), "cameras: '2nd' is no namespace"),
        (views('front,front'), 'cameras: front is there twice'),
        (views('front,rear', rviz='true'), 'rviz: true is none of the cameras front, rear'),
        (views('front,rear', image='/image'), 'image: /image is one topic for all cameras'),
    ],
)
def test_cameras_that_cannot_be_meant_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        function('multi_camera', 'camera_names')(given)


# With `launch`: what is started, each program only printing its command line.


def launched(name: str, *arguments: str, ok: bool = True) -> str:
    """Return what launching prints."""
    for module in ('launch_ros', 'launch'):
        pytest.importorskip(module, reason=f'{module} comes with a ROS installation only')
    command = [sys.executable, '-c', LAUNCH, str(file_of(name)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout


def started(name: str, *arguments: str) -> dict[str, str]:
    """Return the command line of each program that launching starts, by its name and namespace."""
    return commands_of(launched(name, *arguments))


def commands_of(said: str) -> dict[str, str]:
    """Return the command line of each program from what launching printed."""
    lines = said.partition('COMMANDS\n')[2].splitlines()
    commands = {}
    for line in lines:
        program = re.findall(r'/lib/\w+/(\w+) ', line)[0]
        namespace = re.findall(r'-r __ns:=(\S+)', line) or ['/']
        commands[f'{namespace[0].rstrip("/")}/{program}'] = line
    assert len(commands) == len(lines)
    return commands


def players_parameters(said: str) -> dict[str, Any]:
    """Return what arguments gave the player, by a file behind the user's, gone at the end."""
    (command,) = (line for name, line in commands_of(said).items() if name.endswith('/player'))
    users, own = re.findall(r'--params-file (\S+)', command)
    assert Path(users).name == OURS.name
    text = json.loads(said.partition('FILES\n')[2].splitlines()[0])[own]
    assert not Path(own).exists()
    ((name, section),) = yaml.safe_load(text).items()
    assert name == '**/player'
    return dict(section['ros__parameters'])


def test_from_video_starts_player_and_pipeline_in_one_namespace(tmp_path: Path) -> None:
    said = launched(
        'from_video', f'source:={tmp_path}', 'field_of_view_deg:=65', 'namespace:=front'
    )
    commands = commands_of(said)
    assert set(commands) == {'/front/player', '/front/pipeline'}
    assert '-r camera_info:=camera_info' in commands['/front/pipeline']
    # the pipeline takes the player's camera_info: the angle is not for it
    assert constant('from_video', 'FIXED')['field_of_view_deg'] == ''
    given = {'source': str(tmp_path), 'field_of_view_deg': 65.0, 'subscribers': 1}
    assert players_parameters(said) == given


def test_from_bag_plays_the_bag_into_three_processes(tmp_path: Path) -> None:
    said = launched('from_bag', f'bag:={tmp_path}', 'composed:=false', 'image_topic:=/front/image')
    assert set(commands_of(said)) == {'/player', '/detector', '/rootnet', '/posenet'}
    given = {'source': str(tmp_path), 'image_topic': '/front/image', 'subscribers': 3}
    assert players_parameters(said) == given


def test_multi_camera_starts_a_pipeline_for_each() -> None:
    commands = started('multi_camera', 'cameras:=front,rear', 'log_level:=debug')
    assert set(commands) == {'/front/pipeline', '/rear/pipeline'}
    for command in commands.values():
        assert '-r image_raw:=image_raw -r camera_info:=camera_info' in command
        assert '--log-level debug' in command


@pytest.mark.parametrize(
    ('name', 'arguments', 'said'),
    [
        ('from_video', (), 'source'),
        ('from_bag', (), 'bag'),
        ('multi_camera', (), 'cameras'),
        ('from_video', ('source:=a.mp4',), 'there is no file or folder a.mp4'),
        ('from_video', ('source:=0', 'rate:=fast'), 'rate: fast is not a number'),
        ('from_video', ('source:=0', 'image:=/image'), 'image: the player decides this here'),
        ('from_bag', ('bag:=0', 'params_file:=nowhere.yaml'), 'nowhere.yaml does not exist'),
        ('multi_camera', ('cameras:=front,front',), 'front is there twice'),
    ],
)
def test_what_is_missing_or_cannot_be_meant_is_named(
    name: str, arguments: tuple[str, ...], said: str
) -> None:
    assert said in launched(name, *arguments, ok=False)


def test_from_video_finds_the_people_of_a_film_and_ends_with_it(graph: Any, tmp_path: Path) -> None:
    """The real programs, from images in a folder to poses on the topic."""
    for module in ('launch_ros', 'launch'):
        pytest.importorskip(module, reason=f'{module} comes with a ROS installation only')
    for i in range(3):
        cv2.imwrite(str(tmp_path / f'{i}.jpg'), people_image())
    poses = graph.collect(importlib.import_module('pose3d_ros.msg').Pose3DArray, '/front/poses')
    script = LAUNCH.replace("SetLaunchConfiguration('launch-prefix', 'echo'),", '')
    assert script != LAUNCH
    arguments = [f'source:={tmp_path}', 'field_of_view_deg:=65', 'rate:=0', 'namespace:=front']
    command = [sys.executable, '-c', script, str(file_of('from_video')), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [len(message.poses) for message in poses] == [3, 3, 3]
    assert poses[0].intrinsics == 'camera_info'


def test_launch_testing_finds_poses_and_a_good_end() -> None:
    for module in ('launch_testing', 'launch_ros', 'launch'):
        pytest.importorskip(module, reason=f'{module} comes with a ROS installation only')
    file = Path(__file__).parent / 'launch_tests' / 'film.py'
    command = [sys.executable, '-m', 'launch_testing.launch_test', str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
