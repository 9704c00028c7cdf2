"""Write a network of PyTorch as an ONNX file, which the nodes run without PyTorch."""

import argparse
import sys
from pathlib import Path

from pose3d_ros.models.runtime import RuntimeUnavailable, WeightFileError
from pose3d_ros.stages import ONNX, need_extra

#: Network -> what its weights are; models/export.py has what loads them under the same names.
NETWORKS = {
    'rootnet': 'RootNet of 3DMPPE: a snapshot_EPOCH.pth.tar, or a folder of them',
    'posenet': 'PoseNet of 3DMPPE: a snapshot_EPOCH.pth.tar, or a folder of them',
}
PRECISIONS = ('f32', 'f16')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d export`."""
    add = parser.add_argument
    add('network', choices=NETWORKS, help='; '.join(f'{k}: {v}' for k, v in NETWORKS.items()))
    add('--weights', type=Path, required=True, metavar='PATH', help='what is exported')
    add('--epoch', type=int, metavar='N', help="which of a folder's snapshots (default: the last)")
    add('--out', type=Path, required=True, metavar='FILE.onnx', help='the file to write')
    add(
        '--precision',
        choices=PRECISIONS,
        default='f32',
        help='of the weights and most sums; f16 is half as large (default: %(default)s)',
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

    network = export.NETWORKS[arguments.network](arguments.weights.expanduser(), arguments.epoch)
    try:
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
