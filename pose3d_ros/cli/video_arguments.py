# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What `pose3d video` takes on the command line."""

import argparse
from pathlib import Path

from pose3d_ros.cli import models
from pose3d_ros.video import FOLDER_RATE_HZ


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d video`."""
    add = parser.add_argument
    add('input', help='video file, folder of images, or number of a webcam')
    add('--out', type=Path, required=True, metavar='DIR', help='folder for the results')
    add('--overwrite', action='store_true', help='replace the results of an earlier run in DIR')
    models.add_camera(parser, 'without any of these: 60 degrees are assumed')
    models.add_arguments(parser)
    add(
        '--fps',
        type=models.number(float, 0.1, 1000),
        default=FOLDER_RATE_HZ,
        help='frames per second of a folder of images (default: %(default)s)',
    )
    add(
        '--every',
        type=models.number(int, 1),
        default=1,
        metavar='N',
        help='take every Nth frame only',
    )
    add('--limit', type=models.number(int, 1), metavar='N', help='stop after N frames')
    add('--frames', action='store_true', help='keep the frames as JPEG in DIR/frames')
    add('--no-overlay', action='store_true', help='write no overlay.mp4')
