# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How results are given out, to people and programs, and the machine they were measured on."""

import argparse
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import openvino as ov

from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.precision import fastest, native_precisions
from pose3d_ros.tables import Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how results are given out."""
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='write results and machine to this file, as JSON'
    )
    parser.add_argument(
        '--markdown', action='store_true', help='print Markdown instead of plain text'
    )


def positive(text: str) -> int:
    """Return the number that an argument is, for argparse: 1 or more."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'{text} is not a number of 1 or more')
    return int(text)


def check_arguments(arguments: argparse.Namespace) -> None:
    """Raise OSError now, not after minutes of work, where the results could not be written."""
    if arguments.out is not None:
        arguments.out.open('a').close()


def give_out(name: str, tables: Sequence[Table], arguments: argparse.Namespace) -> None:
    """Print the tables and write them to the file that was asked for."""
    on = machine()
    print(f'pose3d benchmark {name}: {describe(on)}')
    for table in tables:
        print('\n' + (table.markdown() if arguments.markdown else table.text()))
    if arguments.out is not None:
        document = {'benchmark': name, 'machine': on, 'tables': [_plain(t) for t in tables]}
        arguments.out.write_text(json.dumps(document, indent=1, allow_nan=False) + '\n')


def _plain(table: Table) -> dict[str, object]:
    """Return the table for JSON, which knows no NaN."""
    rows = [
        [None if isinstance(value, float) and math.isnan(value) else value for value in row]
        for row in table.rows
    ]
    names = [name for name, _ in table.columns]
    return {**asdict(table), 'columns': names, 'rows': rows}


def machine() -> dict[str, str | int | bool]:
    """Return what of this machine bears on results."""
    native = native_precisions(core(), 'CPU')
    return {
        'processor': core().get_property('CPU', 'FULL_DEVICE_NAME').strip(),
        'cores': len(os.sched_getaffinity(0)),
        'bf16': 'bf16' in native,
        'bf16_is_faster': fastest('CPU', ('f32', 'bf16'), native) == 'bf16',
        'i8': 'i8' in native,
        'i8_is_faster': fastest('CPU', ('f32', 'i8'), native) == 'i8',
        'system': f'{platform.system()} {platform.machine()}',
        'kernel': platform.release(),
        'python': platform.python_version(),
        'openvino': ov.__version__.partition('-')[0],
        'opencv': cv2.__version__,
        'numpy': np.__version__,
        'rclpy': _version('rclpy'),
        'pose3d_ros': _version('pose3d_ros'),
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # the core runs without ROS
        return 'none'


def describe(on: dict[str, str | int | bool]) -> str:
    """Return the machine in one line."""
    words = [f'{on["processor"]}, {on["cores"]} cores']
    for reduced, name in (('bf16', 'bf16'), ('i8', '8 bits')):
        slower = '' if on[f'{reduced}_is_faster'] else ' (slower than f32)'
        words.append(f'with {name}{slower}' if on[reduced] else f'no {name}')
    return ', '.join([*words, str(on['system']), f'OpenVINO {on["openvino"]}'])
