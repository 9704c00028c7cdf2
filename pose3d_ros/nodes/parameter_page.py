# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The page of all parameters, from the tables that declare them."""

from collections.abc import Sequence

from pose3d_ros.nodes import detector, player, posenet, recorder, rootnet
from pose3d_ros.nodes.parameters import Param
from pose3d_ros.nodes.stage_parameters import CAMERA, STAGE
from pose3d_ros.stages import STAGES

_HEAD = """# Parameters

Written by `pose3d parameters > docs/parameters.md`, from the tables that the nodes declare them by.

When a parameter may change: **any time**, also while the node works; **unconfigured**, before the
node is configured, from a file, the command line or `ros2 param set`, and again after it is cleaned
up ([lifecycle.md](lifecycle.md)); **start**, on the command line or from a file only. What cannot
be used is refused with the reason; a double may be written without a point (`rate:=1`). Besides
these every node has `use_sim_time`, and the stages have
`qos_overrides.TOPIC.subscription.*` for each input (`reliability`, `history`, `depth`), at the
start.
"""

#: As ROS calls them.
_TYPES = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}


def page() -> str:
    """Return the page in Markdown."""
    tables = (detector.PARAMETERS, rootnet.PARAMETERS, posenet.PARAMETERS)
    sections = [
        _section('Every stage: `detector`, `rootnet`, `posenet`', STAGE, managed=True),
        _section('The stages with a camera: `rootnet`, `posenet`', CAMERA, managed=True),
    ]
    for name, table in zip(STAGES, tables, strict=True):
        sections.append(_section(f'`{name}`', [p for p in table if p not in CAMERA], managed=True))
    for name, table in (('player', player.PARAMETERS), ('recorder', recorder.PARAMETERS)):
        sections.append(_section(f'`{name}`', table, managed=False))
    return '\n'.join([_HEAD, *sections])


def _section(title: str, table: Sequence[Param], managed: bool) -> str:
    lines = [
        f'## {title}\n',
        '| parameter | type | default | takes | may change | what it does |',
        '| --- | --- | --- | --- | --- | --- |',
        *(_row(param, managed) for param in table),
    ]
    return '\n'.join(lines) + '\n'


def _row(param: Param, managed: bool) -> str:
    default = str(param.default).lower() if isinstance(param.default, bool) else param.default
    cells = (
        f'`{param.name}`',
        _TYPES[type(param.default)],
        f'`{default}`' if default != '' else "`''`",
        _takes(param),
        _when(param, managed),
        param.description,
    )
    return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'


def _takes(param: Param) -> str:
    if param.choices:
        return ', '.join(f'`{choice}`' for choice in param.choices)
    if param.minimum is None or param.maximum is None:
        return 'true, false' if isinstance(param.default, bool) else ''
    return f'{param.minimum:.12g} to {param.maximum:.12g}'


def _when(param: Param, managed: bool) -> str:
    if not param.fixed:
        return 'any time'
    return 'unconfigured' if managed and not param.at_start else 'start'
