# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measure time and memory of every detector, with the stages behind it, on the same real frames."""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from pose3d_ros import stages, weights
from pose3d_ros.benchmarks import report
from pose3d_ros.benchmarks.detector_process import Job, Measured, frames
from pose3d_ros.benchmarks.stages import EXPORTED, TORCH
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import (
    PRECISIONS,
    RuntimeOptions,
    RuntimeUnavailable,
    WeightFileError,
)
from pose3d_ros.models.yolox import LONG_SIDE
from pose3d_ros.tables import Table

DEFAULT = 'yolox'
#: What runs the default detector; what runs the others, `benchmarks.stages` names.
OPENVINO = 'OpenVINO'
_SQUARE = '640 x 640'
_PUBLISHED = '800, at most 1333'
#: Detector -> what it is called, model of the node, input pixels.
DETECTORS = {
    DEFAULT: ('YOLOX-tiny (default)', 'yolox', f'longer side {LONG_SIDE}'),
    'mask_rcnn': ('Mask R-CNN R50-FPN', 'mask_rcnn', _PUBLISHED),
    'mask_rcnn_v2': ('Mask R-CNN R50-FPN v2', 'mask_rcnn', _PUBLISHED),
    'detr_r50': ('DETR R50', 'detr', _PUBLISHED),
    'rtdetr_v2_r18': ('RT-DETR v2 R18', 'detr', _SQUARE),
    'dfine_small': ('D-FINE-S', 'detr', _SQUARE),
    'dfine_nano': ('D-FINE-N', 'detr', _SQUARE),
}


@dataclass(frozen=True)
class Row:
    """A detector and what it took.

    :param name: key of DETECTORS.
    :param random: its weights are random numbers.
    :param ran_in: TORCH, OPENVINO or EXPORTED.
    """

    name: str
    random: bool
    ran_in: str
    measured: Measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark detectors`."""
    add = parser.add_argument
    add('--detectors', nargs='+', choices=tuple(DETECTORS), default=list(DETECTORS), metavar='NAME',
        help=f'of {", ".join(DETECTORS)}; {DEFAULT}, which the others are compared with, is always '
        'measured (default: all)')  # fmt: skip
    add('--weights', nargs='+', type=_weights, default=[], metavar='NAME=PATH',
        help='published weights of a detector; without them it runs on random ones, which takes '
        'as long')  # fmt: skip
    add('--frames', type=int, default=5, help='real frames, after one that warms up')
    add('--precision', choices=PRECISIONS, default='auto')
    add(
        '--exported',
        action='store_true',
        help='also what `pose3d export` makes of each, which does not run in bf16',
    )
    add('--paper', action='store_true',
        help="RootNet and PoseNet of the paper, with random weights, instead of the default ones",
        )  # fmt: skip
    report.add_arguments(parser)


def _weights(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition('=')
    if not equals or name not in DETECTORS or name == DEFAULT:
        known = ', '.join(name for name in DETECTORS if name != DEFAULT)
        raise argparse.ArgumentTypeError(f'{text} is not NAME=PATH with NAME of {known}')
    return name, Path(path)


def run(arguments: argparse.Namespace) -> int:
    """Measure the detectors, each in a process of its own; return the exit status."""
    if arguments.exported:
        if arguments.precision == 'bf16':
            raise RuntimeUnavailable(
                '--exported: exported detectors do not run in bf16; use --precision f32 or auto'
            )
        stages.need_extra('--exported', *stages.DETR_EXTRA, 'onnxscript')
    people = people_of_frames(arguments.frames)
    given = dict(arguments.weights)
    rows = []
    for name in DETECTORS:
        if name == DEFAULT or name in arguments.detectors:
            rows += _rows(name, given.get(name), arguments, people)
    report.give_out('detectors', [table(rows, arguments)], arguments)
    return 0


def _rows(
    name: str, path: Path | None, arguments: argparse.Namespace, people: list[list[list[float]]]
) -> list[Row]:
    """Measure a detector as it is, and exported where that is asked for."""
    title, model, _ = DETECTORS[name]

    def row(ran_in: str, weights_path: Path | None) -> Row:
        print(f'measuring {title} in {ran_in}', file=sys.stderr, flush=True)
        file = None if weights_path is None else str(weights_path)
        job = Job(name, model, file, arguments.precision, arguments.paper, people)
        return Row(name, name != DEFAULT and path is None, ran_in, measure(job))

    if name == DEFAULT:
        return [row(OPENVINO, path)]
    if path is not None and path.suffix == stages.ONNX:
        return [row(EXPORTED, path)]
    rows = [row(TORCH, path)]
    if arguments.exported:
        print(f'exporting {title}', file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(EXPORTED, _exported(name, path, Path(folder))))
    return rows


def _exported(name: str, path: Path | None, folder: Path) -> Path:
    """Return what `pose3d export` makes of a detector, with random weights where none are given.

    :raises weights.WeightsError: it cannot be exported.
    """
    from pose3d_ros.benchmarks import random_detectors  # with PyTorch, which is an extra
    from pose3d_ros.models import export

    try:
        return random_detectors.write_onnx(name, path, folder)
    except (export.ExportError, WeightFileError) as error:
        raise weights.WeightsError(f'{name}: {error}') from error


def people_of_frames(count: int) -> list[list[list[float]]]:
    """Return, for each frame, the boxes of the people whom the default detector finds.

    :raises weights.WeightsError: the detector or the clip is not there.
    """
    detector = stages.DETECTORS[DEFAULT](None, RuntimeOptions())
    images = frames(Clip.load('multi'), count)
    return [detector(image, DetectorOptions()).boxes.tolist() for image in images]


def measure(job: Job) -> Measured:
    """Return what a job took in a process of its own.

    :raises weights.WeightsError: it failed, for a reason that its last words say.
    """
    command = [sys.executable, '-m', 'pose3d_ros.benchmarks.detector_process']
    done = subprocess.run(command, input=json.dumps(asdict(job)), capture_output=True, text=True)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f'exit status {done.returncode}']
        raise weights.WeightsError(f'{job.name}: {words[-1]}')
    return Measured(**json.loads(done.stdout))


def table(rows: list[Row], arguments: argparse.Namespace) -> Table:
    """Return the table of all detectors, the first of which is the default one."""
    reference = rows[0].measured
    cells: list[tuple[str | float, ...]] = []
    for row in rows:
        m = row.measured
        cells.append(
            (
                DETECTORS[row.name][0],
                DETECTORS[row.name][2],
                'random' if row.random else 'published',
                row.ran_in,
                m.precision,
                m.detect_ms,
                m.root_ms,
                m.pose_ms,
                m.total_ms,
                m.detect_ms / reference.detect_ms,
                m.total_ms / reference.total_ms,
                m.peak_mib,
            )
        )
    behind = "the paper's, ResNet-50 in PyTorch, random weights" if arguments.paper else 'default'
    return Table(
        f'{arguments.frames} frames of 1088 x 1920, {reference.people:.1f} people each; '
        f'RootNet and PoseNet: {behind}',
        (
            ('detector', ''), ('input px', ''), ('weights', ''), ('runs in', ''), ('precision', ''),
            ('DetectNet ms', '.0f'), ('RootNet ms', '.0f'), ('PoseNet ms', '.0f'),
            ('total ms', '.0f'), ('DetectNet / default', '.1f'), ('total / default', '.1f'),
            ('peak MiB', '.0f'),
        ),
        cells,
        'Medians over the frames, each stage with all that belongs to it, on all cores. Random '
        'weights: the network is of the published size, and its time does not depend on them; '
        'what it finds is not used. RootNet and PoseNet get the people of the default detector, '
        'so they are the same for all. Peak MiB: resident memory of a process that has done '
        'nothing but detect, with Python, its libraries and the frames.',
    )  # fmt: skip
