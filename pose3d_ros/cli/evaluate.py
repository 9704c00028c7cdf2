# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Score RootNet, PoseNet, or files of their results by the published protocols."""

import argparse
import sys
from pathlib import Path

from pose3d_ros import stages, weights
from pose3d_ros.data import datasets
from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.evaluation import protocols, results, root_files, running
from pose3d_ros.evaluation.baselines import Trivial
from pose3d_ros.evaluation.outcome import Evaluation
from pose3d_ros.evaluation.running import FoundPoses
from pose3d_ros.evaluation.subjects import Subjects
from pose3d_ros.loading import engine_dir
from pose3d_ros.models.session import PRECISIONS, RuntimeOptions, RuntimeUnavailable

#: The data sets that have a protocol here.
DATA = ('human36m', 'mupots', 'pw3d')
_WEIGHTS = 'snapshot_EPOCH.pth.tar, a folder of them, or an exported .onnx file'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d evaluate`."""
    subparsers = parser.add_subparsers(dest='what', required=True, metavar='WHAT')
    rootnet = subparsers.add_parser('rootnet', help='where people are: MRPE, AP of roots')
    posenet = subparsers.add_parser('posenet', help='their joints: MPJPE, PA MPJPE, 3DPCK')
    files = subparsers.add_parser('files', help='results that were saved before, of either')
    for subparser in (rootnet, posenet, files):
        _add_data(subparser)
    for subparser in (rootnet, posenet):
        _add_network(subparser)
    add = posenet.add_argument
    add('--roots', type=Path, metavar='FILE', help='boxes and roots that RootNet wrote to a file')
    add('--rootnet-weights', type=Path, metavar='PATH', help=f'find the roots first: {_WEIGHTS}')
    add('--rootnet-epoch', type=int, metavar='N', help="which of a folder's (default: the last)")
    add('--no-flip-test', action='store_true', help='look at crops alone, not at mirrored ones too')
    add = files.add_argument
    add('--roots', type=Path, metavar='FILE', help='bbox_root_..._output.json of RootNet')
    add(
        '--poses',
        type=Path,
        metavar='PATH',
        help='bbox_root_pose_human36m_output.json, or the folder of the two .mat files of mupots',
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--data', choices=DATA, required=True, help='the data set, and so the protocol')
    add('--root', type=Path, metavar='DIR', help='its folder (docs/training.md draws it)')
    add('--datasets', type=Path, metavar='FILE', help='YAML file that says where data sets lie')
    add('--split', default='test', help='what is scored (default: %(default)s)')
    add(
        '--protocol',
        type=int,
        choices=(1, 2),
        default=2,
        help='of human36m: subjects, and what comes first (default: %(default)s)',
    )
    add(
        '--baseline-split',
        metavar='SPLIT',
        help='also score the trivial predictor fitted on this split, such as train',
    )
    add('--out', type=Path, required=True, metavar='DIR', help='folder for tables and results')


def _add_network(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--weights', type=Path, required=True, metavar='PATH', help=_WEIGHTS)
    add('--epoch', type=int, metavar='N', help="which of a folder's snapshots (default: the last)")
    add('--boxes', type=Path, metavar='FILE', help="a detector's boxes instead of the true ones")
    add('--device', default='CPU', help='CPU, GPU, GPU.1, cuda, ... (default: %(default)s)')
    add(
        '--precision', choices=PRECISIONS, default='auto', help='auto is f32 (default: %(default)s)'
    )
    add('--batch', type=int, default=32, metavar='N', help='crops at once (default: %(default)s)')


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d evaluate`; return 0, 1 (not written), 2 (bad input) or 130 (interrupted)."""
    try:
        return _run(arguments)
    except (DataError, weights.WeightsError, RuntimeUnavailable) as error:
        print(f'pose3d evaluate: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'pose3d evaluate: cannot write to {arguments.out}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('pose3d evaluate: interrupted', file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    annotations = _load(arguments, arguments.split)
    trivial = _trivial(arguments)
    if arguments.what == 'rootnet':
        tables = _rootnet(arguments, annotations, trivial)
    elif arguments.what == 'posenet':
        tables = _posenet(arguments, annotations, trivial)
    else:
        tables = _files(arguments, annotations, trivial)
    for name, evaluation in tables.items():
        stem: Path = arguments.out / name
        stem.with_suffix('.json').write_text(evaluation.to_json())
        stem.with_suffix('.md').write_text(evaluation.markdown())
        evaluation.plot(stem.with_suffix('.png'))
        for table in evaluation.tables():
            print('\n' + table.text())
    print(f'\ntables, plots and results are in {arguments.out}')
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse now what could not be done after minutes of work."""
    if (arguments.root is None) == (arguments.datasets is None):
        raise DataError('where the data set lies is told by either --root or --datasets')
    if arguments.what == 'files' and (arguments.roots is None) == (arguments.poses is None):
        raise DataError('files takes either --roots or --poses')
    if arguments.what == 'posenet':
        if arguments.roots and (arguments.boxes or arguments.rootnet_weights):
            raise DataError(
                'boxes and roots come from --roots, or from --boxes and --rootnet-weights'
            )
        if arguments.boxes and not arguments.rootnet_weights:
            raise DataError(
                "a detector's boxes have no roots: find them with --rootnet-weights, or give what "
                'RootNet wrote as --roots'
            )
        if arguments.data == 'mupots':
            results.scipy_io()  # writes the results
    if arguments.what != 'files' and arguments.batch < 1:
        raise DataError(f'--batch {arguments.batch}: at least 1 crop is computed at once')
    if arguments.out.is_dir() and any(arguments.out.glob('*.md')):
        raise DataError(f'--out {arguments.out} has tables already; give another folder')
    arguments.out.mkdir(parents=True, exist_ok=True)


def _load(arguments: argparse.Namespace, split: str) -> Annotations:
    """Return a split of the data set; DataError where nobody is in it."""
    folders = {'root': arguments.root}
    if arguments.datasets is not None:
        told = datasets.folders_from_yaml(arguments.datasets)
        if arguments.data not in told:
            raise DataError(f'{arguments.datasets} does not say where {arguments.data} lies')
        folders = told[arguments.data]
    options = {'protocol': arguments.protocol} if arguments.data == 'human36m' else {}
    annotations = datasets.load(arguments.data, split=split, **folders, **options)
    if not len(annotations):
        raise DataError(f'{annotations.name}: nobody is annotated')
    return annotations


def _trivial(arguments: argparse.Namespace) -> Trivial | None:
    """Return the predictors that were asked for; what they cannot be fitted on is refused now."""
    split = arguments.baseline_split
    if split is None:
        return None
    try:
        return Trivial.fitted(_load(arguments, split))
    except DataError as error:
        raise DataError(f'--baseline-split {split}: {error}') from error


def _rootnet(
    arguments: argparse.Namespace, annotations: Annotations, trivial: Trivial | None
) -> dict[str, Evaluation]:
    subjects = _boxes(arguments, annotations)
    own = stages.OwnWeights(arguments.weights, arguments.epoch)
    subjects = _with_roots(arguments, annotations, subjects, own)
    root_files.write_roots(arguments.out, arguments.data, annotations, subjects)
    return _score_roots(arguments, annotations, subjects, trivial)


def _posenet(
    arguments: argparse.Namespace, annotations: Annotations, trivial: Trivial | None
) -> dict[str, Evaluation]:
    flip_test = not arguments.no_flip_test
    own = stages.OwnWeights(arguments.weights, arguments.epoch, flip_test)
    network, skeleton = stages.posenet_3dmppe(_options(arguments), own)
    name = _name('PoseNet', own) + ('' if flip_test else ', no flip test')
    protocols.need_joints(skeleton, name, protocols.POSE_JOINTS[arguments.data])
    tables = {}
    if arguments.roots is not None:
        subjects = root_files.read_roots(arguments.roots, arguments.data, annotations)
    else:
        subjects = _boxes(arguments, annotations)
    if arguments.rootnet_weights is not None:
        rootnet = stages.OwnWeights(arguments.rootnet_weights, arguments.rootnet_epoch)
        subjects = _with_roots(arguments, annotations, subjects, rootnet)
        root_files.write_roots(arguments.out, arguments.data, annotations, subjects)
    if arguments.roots is not None or arguments.rootnet_weights is not None:
        tables = _score_roots(arguments, annotations, subjects, trivial)
    found = running.find_poses(annotations, subjects, network, skeleton, flip_test, arguments.batch)
    if arguments.data in results.WRITERS:
        results.WRITERS[arguments.data](arguments.out, annotations, found)
    return tables | _score_poses(arguments, annotations, found, name, trivial)


def _files(
    arguments: argparse.Namespace, annotations: Annotations, trivial: Trivial | None
) -> dict[str, Evaluation]:
    path: Path | None = arguments.poses
    if path is None:
        subjects = root_files.read_roots(arguments.roots, arguments.data, annotations)
        return _score_roots(arguments, annotations, subjects, trivial)
    if arguments.data not in results.READERS:
        raise DataError(f'{arguments.data} has no format for poses; the networks can be run on it')
    found = results.READERS[arguments.data](path, annotations)
    return _score_poses(arguments, annotations, found, path.name, trivial)


def _boxes(arguments: argparse.Namespace, annotations: Annotations) -> Subjects:
    """Return whom to look at: those annotated, or those that a detector found."""
    if arguments.boxes is None:
        return Subjects.annotated(annotations)
    return root_files.read_detections(arguments.boxes, annotations)


def _with_roots(
    arguments: argparse.Namespace,
    annotations: Annotations,
    subjects: Subjects,
    own: stages.OwnWeights,
) -> Subjects:
    """Return the subjects with the roots that a RootNet finds."""
    network = stages.rootnet_3dmppe(_options(arguments), own)
    name = _name('RootNet', own)
    return running.find_roots(annotations, subjects, network, name, arguments.batch)


def _options(arguments: argparse.Namespace) -> RuntimeOptions:
    return RuntimeOptions(
        arguments.device, arguments.precision, arguments.batch, engine_dir=engine_dir()
    )


def _name(network: str, own: stages.OwnWeights) -> str:
    """Return what tables call a network: its file, in its folder, as snapshots are named alike."""
    path = own.path
    if path is not None and path.is_dir():
        from pose3d_ros.models import snapshots

        path = snapshots.find_snapshot(path, own.epoch)
    if path is None:
        return network
    path = path.resolve()
    return f'{network} {path.parent.name}/{path.name}'


def _score_roots(
    arguments: argparse.Namespace,
    annotations: Annotations,
    subjects: Subjects,
    trivial: Trivial | None,
) -> dict[str, Evaluation]:
    """Return the tables of roots by name, the trivial predictor in them if it was asked for."""
    score = protocols.ROOT_PROTOCOLS[arguments.data]
    evaluation = score(annotations, subjects, subjects.roots_from)
    if trivial is not None:
        name = f'{trivial.gamma:.3f} k, the best for {trivial.data}'
        evaluation = evaluation.joined(score(annotations, trivial.roots(subjects), name))
    return {'roots': evaluation}


def _score_poses(
    arguments: argparse.Namespace,
    annotations: Annotations,
    found: FoundPoses,
    name: str,
    trivial: Trivial | None,
) -> dict[str, Evaluation]:
    """Return the tables of poses by name, the trivial predictor in them if it was asked for."""
    scores = protocols.pose_protocols(arguments.data, arguments.protocol)
    tables = {stem: score(annotations, found, name) for stem, score in scores.items()}
    if trivial is not None:
        poses, named = trivial.poses(found.subjects), f'mean pose of {trivial.data}'
        tables = {
            stem: table.joined(scores[stem](annotations, poses, named))
            for stem, table in tables.items()
        }
    return tables
