# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a command started for itself does not go on without it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pose3d_ros.parent import VARIABLE, end_with_parent

STARTS_A_NODE = (
    'import sys, time\n'
    'from pathlib import Path\n'
    'from pose3d_ros.nodes.processes import Starter\n'
    'node = Starter(Path(sys.argv[1]))("recorder", f"output:={sys.argv[1]}/bag")\n'
    'print(node.pid, flush=True)\n'
    'time.sleep(60)\n'
)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield a process and the node that it has started."""
    command = [sys.executable, '-c', STARTS_A_NODE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        node = int(parent.stdout.readline())
        yield parent, node
        parent.kill()
    if alive(node):
        os.kill(node, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except OSError:
        return False
    return state != 'Z'


def test_a_node_ends_with_the_command_that_started_it(
    started: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    parent, node = started
    log, end = tmp_path / 'recorder.log', time.monotonic() + 30
    while 'recording' not in log.read_text() and time.monotonic() < end:  # it is at work
        time.sleep(0.1)
    assert alive(node)
    parent.kill()
    end = time.monotonic() + 20
    while alive(node) and time.monotonic() < end:
        time.sleep(0.1)
    assert not alive(node)


def test_who_is_started_by_hand_stays() -> None:
    environment = {'HOME': '/'}
    end_with_parent(environment)
    assert environment == {'HOME': '/'}


def test_a_parent_that_ended_before_it_could_be_asked_for_ends_us_too() -> None:
    code = 'from pose3d_ros.parent import end_with_parent; end_with_parent(); print("went on")'
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, VARIABLE: '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, '')
