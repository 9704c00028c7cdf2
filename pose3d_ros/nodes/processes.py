# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Nodes of this package as processes of their own: started, watched, stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pose3d_ros.domains import own_domain_id
from pose3d_ros.parent import environment_of_child
from pose3d_ros.transport import child_environment

_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.1


class ProcessError(RuntimeError):
    """A process of the graph ended badly; the message names it and its log."""


@contextmanager
def processes(log_dir: Path) -> Iterator['Starter']:
    """Yield what starts nodes; at the end stop them all.

    :raises ProcessError: one of them ended badly.
    """
    starter = Starter(log_dir)
    try:
        yield starter
    finally:
        starter.stop()
    starter.check()


class Starter:
    """Start nodes of this package as processes, each logging to a file; stop them in order."""

    def __init__(self, log_dir: Path) -> None:
        log_dir.mkdir(parents=True, exist_ok=True)
        self._log_dir = log_dir
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = environment_of_child(child_environment(os.environ))
        # a graph of its own, whatever else runs on this machine or network
        self._environment.setdefault('ROS_DOMAIN_ID', str(own_domain_id()))

    @property
    def domain_id(self) -> int:
        """Return the ROS domain of the processes."""
        return int(self._environment['ROS_DOMAIN_ID'])

    def __call__(self, name: str, *parameters: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, '-m', 'pose3d_ros.nodes.programs', name]
        if parameters:
            command += ['--ros-args', *(a for p in parameters for a in ('-p', p))]
        with (self._log_dir / f'{name}.log').open('wb') as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )
        self._running[name] = process
        return process

    def stop(self) -> None:
        """Ask all to finish; the recorder first, so that its bag is whole."""
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        end = time.monotonic() + _STOP_TIMEOUT_S
        for process in self._running.values():
            try:
                process.wait(timeout=max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def check(self) -> None:
        """Raise for the first process that did not end well, with the end of its log."""
        for name, process in self._running.items():
            if process.poll():
                raise self._end_of(name)

    def wait_for(self, name: str) -> bool:
        """Wait for a process to end; return whether it ended well.

        :raises ProcessError: another ended before, well or not: it would be waited for in vain.
        """
        others = {n: process for n, process in self._running.items() if n != name}
        while self._running[name].poll() is None:
            for other, process in others.items():
                if process.poll() is not None:
                    raise self._end_of(other)
            time.sleep(_POLL_S)
        return self._running[name].returncode == 0

    def _end_of(self, name: str) -> ProcessError:
        log = self._log_dir / f'{name}.log'
        lines = log.read_text(errors='replace').splitlines()[-5:]
        status = self._running[name].returncode
        return ProcessError(
            f'{name} ended with status {status}; {log} ends with:\n' + '\n'.join(lines)
        )
