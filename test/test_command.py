# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The command `pose3d`: what all its commands have in common."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pose3d_ros.cli import main, rescale
from pose3d_ros.models.batches import OutOfMemory

# None in sys.modules is what Python takes for a module that is not there.
WITHOUT_ROS = (
    'import sys\n'
    "sys.modules.update(dict.fromkeys(('rclpy', 'sensor_msgs', 'geometry_msgs', 'std_msgs')))\n"
    'from pose3d_ros.cli import main\n'
    'sys.exit(main(sys.argv[1:]))\n'
)


@pytest.mark.parametrize(
    'words', ['bag {0} {0}/out', 'demo --out {0}', 'parameters', 'train-smoke --out {0}/out']
)
def test_what_needs_ros_says_so_at_once(tmp_path: Path, words: str) -> None:
    command = [sys.executable, '-c', WITHOUT_ROS, *words.format(tmp_path).split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f'pose3d {words.split()[0]}: needs ROS 2 and the messages of this')
    assert 'Traceback' not in done.stderr
    assert not list(tmp_path.iterdir())


def test_memory_that_runs_out_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(given: argparse.Namespace) -> int:
        raise OutOfMemory('device cuda has not enough memory for one image: leave it more')

    monkeypatch.setattr(rescale, 'run', out_of_memory)
    words = ['rescale', 'a', '--out', 'b', '--focal-px', '1000']
    assert main(words) == 1
    assert capsys.readouterr().err == (
        'pose3d rescale: device cuda has not enough memory for one image: leave it more\n'
    )


@pytest.mark.parametrize('error', [RuntimeError('a fault of ours'), ModuleNotFoundError(name='x')])
def test_an_error_that_nobody_expected_keeps_its_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(given: Any) -> int:
        raise error

    monkeypatch.setattr(rescale, 'run', fails)
    with pytest.raises(type(error)):
        main(['rescale', 'a', '--out', 'b', '--focal-px', '1000'])
