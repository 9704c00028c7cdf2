# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The launched graph at work: managed, killed and started again, ended by Ctrl-C.

With a ROS installation only, as in test_launch.py; real processes and networks.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flow import header_at
from managing import Manager
from rclpy.parameter import parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from real import people_image
from sensor_msgs.msg import Image
from test_launch import SOURCE, USERS_FILES

from pose3d_ros.msg import Pose3DArray
from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.messages import image_to_message
from pose3d_ros.stages import STAGES
from pose3d_ros.transport import child_environment

pytest.importorskip('launch_ros', reason='launch_ros comes with a ROS installation only')

# What `ros2 launch` does with a file and its arguments.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

file, *arguments = sys.argv[1:]
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([
    IncludeLaunchDescription(
        PythonLaunchDescriptionSource(file),
        launch_arguments=[argument.split(':=') for argument in arguments],
    ),
]))
sys.exit(service.run())
"""


@contextmanager
def launched(*arguments: str, file: Path = SOURCE) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the running launch; what it started ends with it."""
    command = [sys.executable, '-c', LAUNCH, str(file), *arguments]
    process = subprocess.Popen(command, env=child_environment(os.environ), start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def pid_of(executable: str, session: int) -> int:
    """Return the newest process of an executable of ours that a launch started; 0 = none."""
    found = []
    for entry in Path('/proc').iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                words = (entry / 'cmdline').read_bytes().split(b'\0')
                started = int((entry / 'stat').read_text().rpartition(')')[2].split()[19])
                ours = os.getsid(int(entry.name)) == session
            except OSError:  # it has ended meanwhile
                continue
            if ours and any(word.endswith(f'/pose3d_ros/{executable}'.encode()) for word in words):
                found.append((started, int(entry.name)))
    return max(found, default=(0, 0))[1]


class Watcher:
    """Publishes images until poses of one come."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.poses: list[Pose3DArray] = graph.collect(Pose3DArray, 'poses')
        self.publisher = graph.publisher(Image, 'image_raw')
        self.pixels = np.array(people_image())

    def sees(self, seconds: float) -> None:
        """Wait for the poses of an image that is sent from now on."""
        start_ns = self.graph.node.get_clock().now().nanoseconds

        def seen() -> bool:
            now_s = self.graph.node.get_clock().now().nanoseconds / 1e9
            self.publisher.publish(image_to_message(self.pixels, header_at(now_s)))
            time.sleep(0.2)
            return any(m.poses and stamp_ns(m.header) > start_ns for m in self.poses)

        self.graph.wait(seen, 'poses', seconds)


def test_stages_of_a_launched_graph_go_through_their_states(graph: Any) -> None:
    with launched('composed:=false', 'autostart:=false', 'field_of_view_deg:=60'):
        managers = [Manager(graph, stage) for stage in STAGES]
        assert [manager.state() for manager in managers] == 3 * ['unconfigured']
        for transition, state in (('configure', 'inactive'), ('activate', 'active')):
            assert all(manager.change(transition) for manager in managers)
            assert [manager.state() for manager in managers] == 3 * [state]
        watcher = Watcher(graph)
        watcher.sees(60)
        for transition, state in (('deactivate', 'inactive'), ('cleanup', 'unconfigured')):
            assert all(manager.change(transition) for manager in managers)
            assert [manager.state() for manager in managers] == 3 * [state]


def test_a_stage_that_is_killed_comes_back_and_ctrl_c_ends_all(graph: Any) -> None:
    arguments = ('composed:=false', 'respawn:=true', 'respawn_delay:=0.2', 'field_of_view_deg:=60')
    with launched(*arguments) as launch:
        watcher = Watcher(graph)
        watcher.sees(60)
        for stage in STAGES:
            before = pid_of(stage, launch.pid)
            os.kill(before, signal.SIGKILL)
            watcher.sees(60)
            assert pid_of(stage, launch.pid) not in (0, before)
        os.kill(launch.pid, signal.SIGINT)
        assert launch.wait(timeout=30) == 0
        graph.wait(lambda: not any(pid_of(s, launch.pid) for s in STAGES), 'the end of all', 10)


def told(graph: Any, node: str, *parameters: str) -> list[Any]:
    """Return what a running node says of its parameters."""
    client = AsyncParameterClient(graph.node, node)
    graph.wait(client.services_are_ready, f'the parameters of {node}', 60)
    answer = client.get_parameters(parameters)
    graph.wait(answer.done, f'an answer of {node}', 10)
    return [parameter_value_to_python(value) for value in answer.result().values]


@pytest.mark.parametrize('users', USERS_FILES)
def test_an_argument_wins_over_the_users_file_in_nodes_that_run(
    graph: Any, users: str, tmp_path: Path
) -> None:
    file = tmp_path / 'users.yaml'
    file.write_text(USERS_FILES[users])
    given = ('posenet:=blazepose_lite', 'precision:=f32', 'autostart:=false')
    cameras = SOURCE.with_name('multi_camera.launch.py')
    with launched('cameras:=front', f'params_file:={file}', *given, file=cameras):
        wanted = ('model', 'precision', 'device', 'overlay', 'autostart')
        got = told(graph, '/front/posenet', *wanted)
    assert got == ['blazepose_lite', 'f32', 'CPU', True, False]


def test_an_argument_wins_over_the_users_file_in_a_player_that_runs(
    graph: Any, tmp_path: Path
) -> None:
    file = tmp_path / 'users.yaml'
    player = '/**/player:\n  ros__parameters: {rate: 2.0, loop: true}\n'
    file.write_text(SOURCE.parent.with_name('config').joinpath('pose3d.yaml').read_text() + player)
    cv2.imwrite(str(tmp_path / '0.jpg'), people_image())
    # stages that wait subscribe to nothing, and the player waits for them
    given = (f'source:={tmp_path}', 'rate:=0.5', f'params_file:={file}', 'autostart:=false')
    with launched(*given, file=SOURCE.with_name('from_video.launch.py')):
        assert told(graph, '/player', 'rate', 'loop') == [0.5, True]
