# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Find the people in rosbag2 bags: the same bags again, with the poses of everybody in metres."""

import argparse
import sys
from pathlib import Path

from pose3d_ros.cli import bag_many, bag_one, models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d bag`."""
    add = parser.add_argument
    add(
        'bags',
        nargs='+',
        type=Path,
        metavar='BAG',
        help='a rosbag2 folder, .mcap or .db3 file, and last the folder of the bag to write; of '
        'several bags each becomes one of its own name in that folder',
    )
    add('--overwrite', action='store_true', help='replace the bag that an earlier run wrote')
    add('--image-topic', default='', metavar='TOPIC', help="default: the bag's only one")
    add(
        '--camera-info-topic',
        default='',
        metavar='TOPIC',
        help='default: camera_info beside the images',
    )
    models.add_camera(parser, 'without any of these the camera_info of the bag counts')
    add(
        '--namespace',
        metavar='NS',
        help='of the topics detections, roots and poses (default: that of the images)',
    )
    add('--markers', action='store_true', help='write markers for RViz too')
    models.add_arguments(parser)
    bag_many.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d bag`; return 0, 1 (a bag failed, cannot write), 2 (bad input), 130 (stopped)."""
    *sources, out = arguments.bags
    if not sources:
        print('pose3d bag: give a bag, and the folder of the bag to write', file=sys.stderr)
        return 2
    if len(sources) == 1:
        return bag_one.run(arguments)
    return bag_one.in_good_order(
        out, lambda interrupted: bag_many.run(arguments, sources, out, interrupted)
    )
