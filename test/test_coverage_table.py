# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether `make test MEASURED=1` sees what falls short."""

import io
import json
from typing import Any

import coverage_table
import pytest


def measured(lines: int, branches: int) -> dict[str, Any]:
    """Return what `coverage json` has of a file of 100 lines and 10 branches."""
    names = 'num_statements', 'covered_lines', 'num_branches', 'covered_branches'
    return {'summary': dict(zip(names, (100, lines, 10, branches), strict=True))}


@pytest.mark.parametrize(
    ('path', 'group'),
    [
        ('pose3d_ros/camera.py', 'core'),
        ('/home/me/pose3d_ros/pose3d_ros/data/nodes/cli.py', 'core'),
        ('pose3d_ros/nodes/joining.py', 'nodes'),
        ('/home/me/pose3d_ros/pose3d_ros/cli/bag.py', 'cli'),
    ],
)
def test_files_are_of_their_part(path: str, group: str) -> None:
    assert coverage_table.group_of(path) == group


@pytest.mark.parametrize(
    ('core', 'nodes', 'short'),
    [
        ((90, 9), (80, 8), ''),
        ((89, 9), (80, 8), '89.0 % of the lines of core are reached by tests, less than 90 %'),
        ((90, 8), (80, 8), '80.0 % of the branches of core are'),
        ((90, 9), (79, 8), '79.0 % of the lines of nodes are'),
        ((90, 9), (80, 7), '70.0 % of the branches of nodes are reached by tests, less than 80 %'),
    ],
)
def test_too_little_is_told_and_fails(
    core: tuple[int, int],
    nodes: tuple[int, int],
    short: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {
        'pose3d_ros/camera.py': measured(*core),
        'pose3d_ros/nodes/a.py': measured(*nodes),
        'pose3d_ros/cli/a.py': measured(0, 0),
    }
    monkeypatch.setattr('sys.stdin', io.StringIO(json.dumps({'files': files})))
    assert coverage_table.main() == bool(short)
    said = capsys.readouterr()
    assert said.err.count('%') == 2 * bool(short) and said.err.startswith(short)
    assert f'| core | 100 | {core[0]} | {core[0]:.1f} | 10 |' in said.out


def test_nothing_measured_is_too_little() -> None:
    _, short = coverage_table.table({})
    assert len(short) == 4  # lines and branches, of core and nodes
