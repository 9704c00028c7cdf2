# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM in a command that writes files."""

import signal
import subprocess
import sys

import pytest

# A process of its own: signals to one that runs tests once ended it.
COMMAND = (
    'import signal, sys\n'
    'from pose3d_ros.cli.interrupts import interrupts\n'
    'number = int(sys.argv[1])\n'
    'before = signal.getsignal(number)\n'
    'with interrupts() as interrupted:\n'
    '    assert not interrupted.is_set()\n'
    '    signal.raise_signal(number)\n'
    '    assert interrupted.is_set()\n'
    '    print("goes on")\n'
    '    try:\n'
    '        signal.raise_signal(number)\n'
    '    except KeyboardInterrupt:\n'
    '        print("stops")\n'
    'assert signal.getsignal(number) == before\n'
)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_first_says_what_is_waited_for_and_the_second_stops(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, '-c', COMMAND, str(int(number))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split('\n')[:2] == ['goes on', 'stops']
    assert done.stderr.count('writing what is in hand; Ctrl-C again stops at once') == 1
