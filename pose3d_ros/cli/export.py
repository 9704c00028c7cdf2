# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Write a network of PyTorch as an ONNX file, which the nodes run without PyTorch."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pose3d_ros.models.session import RuntimeUnavailable, WeightFileError
from pose3d_ros.stages import DETR_EXTRA, MASK_RCNN_EXTRA, ONNX, need_extra

if TYPE_CHECKING:  # with PyTorch, which is an extra
    from pose3d_ros.models.export import Exportable

#: Network -> what its weights are.
NETWORKS = {
    'rootnet': 'RootNet of 3DMPPE: a snapshot_EPOCH.pth.tar, or a folder of them',
    'posenet': 'PoseNet of 3DMPPE: a snapshot_EPOCH.pth.tar, or a folder of them',
    'mask_rcnn': 'Mask R-CNN: a checkpoint of torchvision',
    'detr': "DETR, RT-DETR, D-FINE: a folder of transformers, or DETR's original file",
}
PRECISIONS = ('f32', 'f16')
_DETECTORS = {'mask_rcnn': MASK_RCNN_EXTRA, 'detr': DETR_EXTRA}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d export`."""
    add = parser.add_argument
    add(
        'network',
        choices=tuple(NETWORKS),
        metavar='|'.join(NETWORKS),
        help='; '.join(f'{k}: {v}' for k, v in NETWORKS.items()),
    )
    add('--weights', type=Path, required=True, metavar='PATH', help='what is exported')
    add('--epoch', type=int, metavar='N', help="which of a folder's snapshots (default: the last)")
    add(
        '--input-long-side',
        type=int,
        default=0,
        metavar='PIXELS',
        help='of a detector: longer side of the input; of a network that takes images of one '
        'shape, side of the square, to the nearest multiple of 32 (default: 0, as published)',
    )
    add('--out', type=Path, required=True, metavar='FILE.onnx', help='the file to write')
    add(
        '--precision',
        choices=PRECISIONS,
        default='f32',
        help='of the weights and, but for the detectors, most sums; f16 is half as large (default: '
        '%(default)s)',
    )
    add('--overwrite', action='store_true', help='replace FILE.onnx')


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d export`; return 0, 1 (not written), 2 (bad input) or 130 (interrupted)."""
    try:
        return _run(arguments)
    except (WeightFileError, RuntimeUnavailable) as error:
        print(f'pose3d export: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'pose3d export: cannot write {arguments.out}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('pose3d export: interrupted; nothing was written', file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    if out.suffix != ONNX:
        raise WeightFileError(f'--out {out}: the name has to end in {ONNX}')
    if out.is_dir() or (out.exists() and not arguments.overwrite):
        raise WeightFileError(f'--out {out} exists; give another, or --overwrite to replace it')
    if not out.parent.is_dir():
        raise WeightFileError(f'--out {out}: there is no folder {out.parent}')
    need_extra('pose3d export', 'torch', 'onnxscript')
    from pose3d_ros.models import export

    try:
        network = _network(arguments)
        differences = export.write(network, out, arguments.precision)
    except export.ExportError as error:
        print(f'pose3d export: {error}', file=sys.stderr)
        return 1
    print(f'{out}: {out.stat().st_size / 1e6:.0f} MB, in OpenVINO against PyTorch:')
    for difference in differences:
        print(f'  {difference}')
    for key, value in network.metadata.items():
        print(f'  {key}: {value}')
    return 0


def _network(arguments: argparse.Namespace) -> 'Exportable':
    """Return the network to write; what is given for another one is refused."""
    weights: Path = arguments.weights.expanduser()
    if arguments.network in _DETECTORS:
        if arguments.epoch is not None:
            raise WeightFileError('--epoch is of snapshots: for rootnet and posenet')
        if arguments.input_long_side < 0:
            raise WeightFileError(f'--input-long-side {arguments.input_long_side} is below 0')
        need_extra(f'pose3d export {arguments.network}', *_DETECTORS[arguments.network])
        return _detector(arguments.network, weights, arguments.input_long_side)
    if arguments.input_long_side:
        raise WeightFileError(
            '--input-long-side is for the detectors: the others take crops of one size'
        )
    from pose3d_ros.models import export

    return export.NETWORKS[arguments.network](weights, arguments.epoch)


def _detector(name: str, weights: Path, long_side: int) -> 'Exportable':
    if name == 'mask_rcnn':
        from pose3d_ros.models import export_mask_rcnn

        return export_mask_rcnn.mask_rcnn(weights, long_side)
    from pose3d_ros.models import export_detr

    return export_detr.detr(weights, long_side)
