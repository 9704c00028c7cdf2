# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes, and a lifecycle manager that asks them by the standard services."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lifecycle_msgs.srv import ChangeState, GetState
from std_srvs.srv import SetBool

from pose3d_ros.transport import child_environment

TRANSITIONS = {'configure': 1, 'cleanup': 2, 'activate': 3, 'deactivate': 4}
#: Shutting down has a number for each state that it begins in.
SHUTDOWN = {'unconfigured': 5, 'inactive': 6, 'active': 7}


@contextmanager
def started(node: str, *parameters: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a node as a process, which is killed if the test leaves it."""
    given = [argument for parameter in parameters for argument in ('-p', parameter)]
    process = subprocess.Popen(
        [sys.executable, '-m', 'pose3d_ros.nodes.programs', node, '--ros-args', *given],
        env=child_environment(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass
class Manager:
    """Asks a node, from the node of a test's graph."""

    graph: Any
    name: str
    _clients: dict[str, Any] = field(default_factory=dict)

    def state(self) -> str:
        """Return the node's state."""
        return str(self._call(GetState, 'get_state', GetState.Request()).current_state.label)

    def change(self, transition: str | int, label: str = '') -> bool:
        """Ask for a transition by its name or number; return whether it was made."""
        number = TRANSITIONS.get(transition, transition)
        request = ChangeState.Request()
        request.transition.id = SHUTDOWN[self.state()] if number == 'shutdown' else number
        request.transition.label = label
        return bool(self._call(ChangeState, 'change_state', request).success)

    def enable(self, enabled: bool) -> str:
        """Ask the node to take images, or none; return what it says to that."""
        response = self.ask_to_enable(enabled)
        assert response.success
        return str(response.message)

    def ask_to_enable(self, enabled: bool) -> SetBool.Response:
        """Ask the node to take images, or none; return its answer."""
        return self._call(SetBool, 'enable', SetBool.Request(data=enabled))

    def _call(self, kind: type, service: str, request: object) -> Any:
        client = self._clients.get(service)
        if client is None:
            name = f'/{self.name}/{service}'
            client = self._clients[service] = self.graph.node.create_client(kind, name)
            self.graph.wait(client.service_is_ready, name)
        future = client.call_async(request)
        self.graph.wait(future.done, f'the answer of {service}')
        return future.result()
