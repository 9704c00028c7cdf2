# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Make a data set of synthetic people, in Human3.6M's format, to train and test on."""

import argparse
import os
import sys
from pathlib import Path

import cv2

from pose3d_ros.data import datasets
from pose3d_ros.data.annotations import DataError
from pose3d_ros.data.sheet import draw_sheet
from pose3d_ros.models.session import RuntimeUnavailable
from pose3d_ros.stages import need_extra
from pose3d_ros.weights import WeightsError
from pose3d_ros.weights_table import MOTION_CLIPS

_SUFFIXES = {'.bmp', '.jpeg', '.jpg', '.png', '.webp'}
_SIDES_PX = (64, 4096)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d synth`."""
    add = parser.add_argument
    add('--out', type=Path, required=True, metavar='DIR', help='the folder to make; '
        'run the same command again to go on with one that was interrupted')  # fmt: skip
    add('--images', type=int, required=True, metavar='N', help='images to train on')
    add('--test-images', type=int, metavar='N', help='images to test on, of other people before '
        'other cameras (default: a tenth of --images)')  # fmt: skip
    add('--seed', type=int, default=0, metavar='S', help='the same gives the same data set '
        '(default: %(default)s)')  # fmt: skip
    add('--size', default='512x512', metavar='WIDTHxHEIGHT', help='of the images, pixels '
        '(default: %(default)s)')  # fmt: skip
    add('--facing-deg', type=float, default=180.0, metavar='DEG', help='the most that people are '
        'turned away from the camera (default: 180, any way)')  # fmt: skip
    add('--backdrops', type=Path, metavar='DIR', help='pictures to put behind the people of half '
        'of the cameras (default: ground, houses and sky)')  # fmt: skip
    add('--processes', type=int, default=os.cpu_count() or 1, metavar='N', help='at work at once, '
        'about 1.2 GB of memory each (default: %(default)s, one per core)')  # fmt: skip
    add('--device', choices=('cpu', 'cuda'), default='cpu', help='where pictures are rendered '
        '(default: %(default)s)')  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d synth`; return 0, 1 (not written), 2 (bad input) or 130 (interrupted)."""
    try:
        return _run(arguments)
    except (DataError, RuntimeUnavailable, WeightsError) as error:
        print(f'pose3d synth: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'pose3d synth: cannot write {arguments.out}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('pose3d synth: interrupted; run the same command again to go on', file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace) -> int:
    width, height = _size(arguments.size)
    test = arguments.test_images
    if test is None:
        test = arguments.images // 10
    _check_numbers(arguments, test)
    backdrops = _pictures(arguments.backdrops) if arguments.backdrops else ()
    need_extra('pose3d synth', 'anny', 'warp', extra='synth')
    import warp

    if arguments.device == 'cuda' and not warp.is_cuda_available():
        raise DataError('--device cuda: there is no NVIDIA GPU that Warp can use here')
    from pose3d_ros.data.synthetic import motions, production
    from pose3d_ros.data.synthetic.body_file import body_file

    for name in MOTION_CLIPS:
        motions.clip_path(name)
    body_file()  # once, not by each process
    settings = production.Settings(
        arguments.images, test, arguments.seed, width, height, arguments.facing_deg, backdrops
    )
    made = production.make(arguments.out, settings, arguments.processes, arguments.device)
    if not made.images:
        print(f'{arguments.out}: complete already')
        return 0
    print(
        f'{arguments.out}: {made.images} images of {width}x{height} with {made.people} people in '
        f'{made.seconds:.0f} s, {made.start_s:.0f} s of which to start: '
        f'{made.images_per_s:.1f} images/s with {arguments.processes} processes'
    )
    _draw(arguments.out, 'train' if arguments.images else 'test')
    return 0


def _check_numbers(arguments: argparse.Namespace, test: int) -> None:
    if arguments.images < 0 or test < 0 or not arguments.images + test:
        raise DataError(f'--images {arguments.images} --test-images {test}: there is none to make')
    if arguments.processes < 1 or arguments.seed < 0:
        raise DataError('--processes has to be 1 or more, --seed 0 or more')
    if not 0 <= arguments.facing_deg <= 180:
        raise DataError(f'--facing-deg {arguments.facing_deg:g} is not within 0 to 180')


def _draw(out: Path, split: str) -> None:
    """Leave a page of pictures with their annotations, as they are read."""
    page, path = draw_sheet(datasets.load('human36m', out, split)), out / 'sheet.jpg'
    path.write_bytes(cv2.imencode('.jpg', page, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
    print(f'{path}: some of them with their annotations')


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split('x')
    least, most = _SIDES_PX
    if len(sides) != 2 or not all(
        side.isdecimal() and least <= int(side) <= most for side in sides
    ):
        raise DataError(f'--size {text}: give WIDTHxHEIGHT, each {least} to {most} pixels')
    return int(sides[0]), int(sides[1])


def _pictures(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise DataError(f'--backdrops {folder}: there is no such folder')
    found = sorted(path for path in folder.rglob('*') if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise DataError(f'--backdrops {folder}: there is no picture in it ({", ".join(_SUFFIXES)})')
    return tuple(str(path.absolute()) for path in found)
