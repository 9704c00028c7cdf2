# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Processes that are asked to end, once or again and again, in work or before it."""

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from managing import started
from real import people_image
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from pose3d_ros import weights
from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes.messages import image_to_message
from pose3d_ros.transport import child_environment

#: An idle machine takes a quarter of it.
LIMIT_S = 5.0


def end(process: subprocess.Popen[str], *numbers: signal.Signals) -> tuple[int, str, float]:
    """Send signals, the last again and again, until a process ends; return status, output, time."""
    start = time.monotonic()
    for number in numbers:
        process.send_signal(number)
    while process.poll() is None and time.monotonic() < start + 15:
        time.sleep(0.02)
        if len(numbers) > 1:
            process.send_signal(numbers[-1])
    seconds = time.monotonic() - start
    process.kill()
    return process.wait(), process.stdout.read() if process.stdout else '', seconds


@pytest.mark.parametrize(
    'numbers',
    [
        [signal.SIGINT],
        [signal.SIGTERM],
        [signal.SIGINT, signal.SIGINT],  # Ctrl-C, and what launch sends beside it
        [signal.SIGINT, signal.SIGTERM],
    ],
)
def test_a_stage_at_work_ends_in_order(graph: Any, numbers: list[signal.Signals]) -> None:
    found = graph.collect(PersonArray, 'detections')
    with started('detector') as detector:
        publisher = graph.publisher(Image, 'image_raw')
        message = image_to_message(np.array(people_image()), Header(frame_id='camera'))
        done = threading.Event()

        def publish() -> None:
            while not done.wait(0.02):
                publisher.publish(message)

        publishing = threading.Thread(target=publish)
        publishing.start()
        try:
            graph.wait(lambda: len(found) > 3, 'a detector at work')
            status, said, seconds = end(detector, *numbers)
        finally:
            done.set()
            publishing.join()
    assert (status, 'Traceback' in said) == (0, False), said
    assert seconds < LIMIT_S


@pytest.mark.parametrize(
    ('number', 'wait_s'), [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.2), (signal.SIGINT, 0.5)]
)
def test_a_pipeline_that_loads_its_networks_ends_in_order(
    graph: Any, number: signal.Signals, wait_s: float
) -> None:
    with started('pipeline') as pipeline:
        graph.wait(lambda: 'rootnet' in graph.node.get_node_names(), 'the first node')
        time.sleep(wait_s)
        status, said, seconds = end(pipeline, number, number)
    assert (status, 'Traceback' in said) == (0, False), said
    assert seconds < LIMIT_S


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_player_ends_in_order(graph: Any, number: signal.Signals) -> None:
    images = graph.collect(Image, 'image_raw')
    source = weights.path('pose2sim_multi_cam01')
    with started('player', f'source:={source}', 'loop:=true', 'subscribers:=1') as player:
        graph.wait(lambda: len(images) > 3, 'a player at work')
        status, said, seconds = end(player, number, number)
    assert (status, 'Traceback' in said) == (0, False), said
    assert seconds < LIMIT_S


def test_an_error_of_the_player_is_not_taken_for_its_end() -> None:
    """What nobody asked for keeps its traceback and its status."""
    player = (
        'from pose3d_ros.nodes import player\n'
        'def fail(self): raise RuntimeError("broken")\n'
        'player.Player.play = fail\n'
        'player.main(["--ros-args", "-p", "source:=0"])\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', player],
        env=child_environment(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, 'RuntimeError: broken' in done.stderr) == (1, True), done.stderr


IMPORTING = (
    'import sys, time\n'
    'from pose3d_ros.nodes import programs\n'
    'class Slow:\n'
    '    def find_spec(self, name, *_given):\n'
    '        if name == "rclpy":\n'
    '            print("now", flush=True)\n'
    '            time.sleep(60)\n'
    'sys.meta_path.insert(0, Slow())\n'
    'programs.detector()\n'
)
#: C that does not return, and gives Python's lock away: as a compiler does.
COMPILING = (
    'import contextlib, ctypes\n'
    'from pose3d_ros.nodes import running\n'
    'def load():\n'
    '    lock, mutex = ctypes.CDLL(None).pthread_mutex_lock, ctypes.create_string_buffer(64)\n'
    '    lock(mutex)\n'
    '    while True:\n'
    '        with contextlib.suppress(KeyboardInterrupt):\n'  # the signal may come just before
    '            print("now", flush=True)\n'
    '            lock(mutex)\n'
    'running.run(load, [])\n'
)


def running(code: str) -> subprocess.Popen[str]:
    """Start Python with some code; what it says goes into one pipe."""
    return subprocess.Popen(
        [sys.executable, '-c', code],
        env=child_environment(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ('code', 'says'),
    [(IMPORTING, ''), (COMPILING, 'not waited longer than 1.5 s for what was in hand\n')],
    ids=['importing', 'compiling'],
)
def test_what_takes_long_is_not_waited_for(number: signal.Signals, code: str, says: str) -> None:
    with running(code) as process:
        assert process.stdout is not None and process.stdout.readline() == 'now\n'
        status, said, seconds = end(process, number)
    assert (status, said.replace('now\n', '')) == (0, says)
    assert seconds < LIMIT_S


def test_a_process_that_is_stuck_in_the_end_is_ended() -> None:
    """C that keeps Python's lock and does not return: as Fast DDS that waits for itself."""
    code = (
        'import ctypes\n'
        'from pose3d_ros.nodes import interrupts, running\n'
        'interrupts._STUCK_S = 1.0\n'
        'class Stuck:\n'
        '    def destroy_node(self):\n'
        '        while True: ctypes.PyDLL(None).pause()\n'
        'running.run(lambda: [Stuck()], [], lambda stages: 1 / 0)\n'
    )
    with running(code) as process:
        try:
            said, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 1
    assert 'Timeout' in said and 'destroy_node' in said
