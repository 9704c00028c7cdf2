# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""No two processes get the same ROS domain from us, and none is outside what Linux leaves alone."""

import os
import subprocess
import sys

import pytest

from pose3d_ros import domains
from pose3d_ros.domains import own_domain_id
from pose3d_ros.nodes.processes import Starter


def test_processes_at_the_same_time_get_domains_of_their_own() -> None:
    code = 'from pose3d_ros.domains import own_domain_id as d; print(d(), d("second"), flush=True)'
    command = [sys.executable, '-c', f'{code}; input()']
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'text': True}
    running = [subprocess.Popen(command, **pipes) for _ in range(4)]
    taken = [int(os.environ['ROS_DOMAIN_ID'])]  # ours, by conftest.py
    for process in running:
        taken += map(int, process.stdout.readline().split())
    for process in running:
        process.communicate('\n')
    assert len(set(taken)) == len(taken) == 9
    assert all(0 < domain_id < 102 for domain_id in taken)


def test_a_process_keeps_its_domain() -> None:
    assert own_domain_id() == own_domain_id() == int(os.environ['ROS_DOMAIN_ID'])
    assert own_domain_id('other') != own_domain_id()


def test_what_was_claimed_is_free_when_the_process_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when it was killed."""
    name = own_domain_id('to be shared')
    monkeypatch.setattr(domains, 'DOMAINS', [name])
    with pytest.raises(RuntimeError, match='all ROS domains from'):
        own_domain_id('no second')
    domains._claims.pop().close()
    code = (
        'import os, signal; from pose3d_ros import domains; '
        f'domains.DOMAINS = [{name}]; print(domains.own_domain_id(), flush=True); '
        'os.kill(os.getpid(), signal.SIGKILL)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f'{name}\n', -9)
    assert own_domain_id('now') == name


def test_processes_of_a_graph_are_where_the_user_says_or_where_nobody_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', '77')
    assert Starter(tmp_path).domain_id == 77
    monkeypatch.delenv('ROS_DOMAIN_ID')
    assert Starter(tmp_path).domain_id == own_domain_id()
