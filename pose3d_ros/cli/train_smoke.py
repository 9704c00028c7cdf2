"""The whole way once: synthetic people, small networks trained on them, scored, exported, run.

Each step is a command of `pose3d` that is printed as a user would type it. The networks are
ResNet-18s that learn for some minutes: the figures say that nothing on the way is broken, not how
good the method is. RootNet has to beat what needs no image by a margin; PoseNet needs more time
than this for more than the mean pose, and its figure is only shown.
"""

import argparse
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from pose3d_ros import weights
from pose3d_ros.benchmarks import report
from pose3d_ros.benchmarks.training_scores import (
    Comparison,
    Score,
    matched,
    score_table,
    trivial,
)
from pose3d_ros.camera import Camera
from pose3d_ros.data import datasets
from pose3d_ros.data.annotations import Annotations
from pose3d_ros.data.sheet import camera_of, page
from pose3d_ros.drawing import draw_overlay
from pose3d_ros.evaluation.outcome import Evaluation
from pose3d_ros.evaluation.running import read_image
from pose3d_ros.people import Poses
from pose3d_ros.stages import need_extra
from pose3d_ros.weights import WeightsError

NETWORKS = ('rootnet', 'posenet')
_FIRST_WEIGHTS, _DETECTOR = 'resnet18_imagenet', 'yolox_tiny'
_INTERRUPTED = 130
_POLL_S = 0.05
_INTO_EPOCH_S = 1.0
_TILE_PX = 384
# What the published recipes are changed by, so that there is something to see after minutes.
_RECIPES: dict[str, list[object]] = {
    'rootnet': [],
    'posenet': ['--crop-px', 128, '--heatmap-weight', 0.5],
}


class SmokeError(RuntimeError):
    """A step did not do what it is for; the message says which, and what it did instead."""


@dataclass(frozen=True)
class HeldOut:
    """The held-out images of one camera.

    :param images: which of the data set's.
    """

    folder: Path
    images: tuple[int, ...]
    camera: Camera


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d train-smoke`."""
    add = parser.add_argument
    add(
        '--out',
        type=Path,
        default=Path('out/train-smoke'),
        metavar='DIR',
        help='an empty or a new folder (default: %(default)s)',
    )
    add('--images', type=int, default=400, metavar='N', help='to train on (default: %(default)s)')
    add(
        '--test-images',
        type=int,
        default=96,
        metavar='N',
        help='to score on (default: %(default)s)',
    )
    add(
        '--epochs',
        type=int,
        default=2,
        metavar='N',
        help='at least 2, as the last is interrupted (default: %(default)s)',
    )
    add(
        '--cameras',
        type=int,
        default=6,
        metavar='N',
        help='whose held-out images go through the pipeline (default: %(default)s)',
    )
    add(
        '--margin',
        type=float,
        default=0.9,
        metavar='RATIO',
        help="largest MRPE that passes, of the trivial predictor's (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d train-smoke`; return 0, 1 (a step failed, or learned too little), 2 or 130."""
    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _refuse(f'{out} is not an empty folder: remove it, or give another --out')
    if arguments.epochs < 2:
        return _refuse(f'--epochs {arguments.epochs} is below 2')
    try:
        extras = ('torch', 'accelerate', 'tensorboard', 'onnxscript', 'anny', 'warp')
        need_extra('pose3d train-smoke', *extras, extra='train,synth')
        for name in (_FIRST_WEIGHTS, _DETECTOR):  # now, not after minutes of work
            weights.path(name)
        return _run(arguments)
    except (WeightsError, RuntimeError, OSError) as error:  # SmokeError, and those of the graph
        print(f'pose3d train-smoke: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('pose3d train-smoke: interrupted', file=sys.stderr)
        return _INTERRUPTED


def _refuse(message: str) -> int:
    print(f'pose3d train-smoke: {message}', file=sys.stderr)
    return 2


def _run(arguments: argparse.Namespace) -> int:
    """Go the whole way."""
    out: Path = arguments.out
    data, began = out / 'data', time.monotonic()
    _command('synth', '--out', data, '--images', arguments.images, '--test-images',
             arguments.test_images)  # fmt: skip
    for network in NETWORKS:
        _train(network, arguments)
    scored = ('--data', 'human36m', '--root', data, '--baseline-split', 'train')
    _command('evaluate', 'rootnet', *scored, '--weights', out / 'rootnet', '--out', out / 'roots')
    _command('evaluate', 'posenet', *scored, '--weights', out / 'posenet', '--rootnet-weights',
             out / 'rootnet', '--out', out / 'poses')  # fmt: skip
    for network in NETWORKS:
        _command('export', network, '--weights', out / network, '--out', out / f'{network}.onnx')
    training, truth = (datasets.load('human36m', data, split) for split in ('train', 'test'))
    held_out = _by_camera(truth)[: arguments.cameras]
    poses = _through_the_pipeline(held_out, out)
    _draw(truth, held_out, poses, out / 'pipeline.jpg')
    comparisons = _comparisons(training, truth, poses, out)
    return _verdict(comparisons, training, time.monotonic() - began, arguments)


def _command(*words: object, expected: int = 0) -> None:
    """Run a command of `pose3d` in this process.

    :raises SmokeError: it ended with another status than it should.
    """
    from pose3d_ros.cli import main

    given = [str(word) for word in words]
    print(f'\n$ pose3d {shlex.join(given)}', flush=True)
    status = main(given)
    if status != expected:
        raise SmokeError(f'pose3d {given[0]} ended with status {status}, not {expected}')


def _train(network: str, arguments: argparse.Namespace) -> None:
    """Train a network, interrupt its second epoch by Ctrl-C, and go on."""
    out: Path = arguments.out / network
    data = f'human36m={arguments.out / "data"}'
    words: list[object] = ['train', network, '--data', data, '--validate', data, '--out', out]
    words += ['--workers', 1, '--cpu']
    recipe: list[object] = ['--weights', _FIRST_WEIGHTS, '--backbone', 18, '--batch', 16]
    recipe += ['--epochs', arguments.epochs, '--decay-epochs', arguments.epochs - 1]
    recipe += ['--learning-rate', 5e-4, *_RECIPES[network]]
    recipe += ['--precision', 'bf16' if report.machine()['bf16_is_faster'] else 'f32']
    with _ctrl_c_after(out / 'snapshot_0.pth.tar'):
        _command(*words, *recipe, expected=_INTERRUPTED)
    _command(*words, '--resume')


@contextmanager
def _ctrl_c_after(file: Path) -> Iterator[None]:
    """Press Ctrl-C in this process some time after a file has come."""
    left = threading.Event()

    def press() -> None:
        while not file.exists():
            if left.wait(_POLL_S):
                return
        if not left.wait(_INTO_EPOCH_S):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press, daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def _by_camera(truth: Annotations) -> list[HeldOut]:
    """Return the images of a data set by folder, which is by camera."""
    folders: dict[Path, list[int]] = {}
    for image, path in enumerate(truth.images):
        folders.setdefault(path.parent, []).append(image)
    return [
        HeldOut(folder, tuple(images), _camera_of(truth, images))
        for folder, images in folders.items()
    ]


def _camera_of(truth: Annotations, images: Sequence[int]) -> Camera:
    """Return the camera of images that are of one; somebody is annotated in one of them."""
    return camera_of(truth, next(i for i in truth.image_indices.tolist() if i in images))


def _through_the_pipeline(held_out: Sequence[HeldOut], out: Path) -> dict[int, Poses]:
    """Return the poses that the exported networks find in the graph, by image."""
    from pose3d_ros.nodes.replay import replay  # needs ROS, which --help does not

    print('\nplaying the held-out images into the graph with the exported networks', flush=True)
    parameters = ['posenet:flip_test:=true']
    for network in NETWORKS:
        path = (out / f'{network}.onnx').absolute()
        parameters += [f'{network}:model:=3dmppe', f'{network}:weights:={path}']
    images = [image for some in held_out for image in some.images]
    folders = [(some.folder, some.camera) for some in held_out]
    found = replay(folders, len(images), parameters, out / 'graph')
    return dict(zip(images, found, strict=True))


def _comparisons(
    training: Annotations, truth: Annotations, poses: Mapping[int, Poses], out: Path
) -> list[Comparison]:
    """Return the errors of the networks on true boxes and in the graph, beside trivial ones."""
    roots, joints = (
        Evaluation.from_json((out / folder / f'{folder}.json').read_text())
        for folder in ('roots', 'poses')
    )
    on_true_boxes = [
        Score(name, roots.people[-1], root.total[0], root.total[3], joint.total[0])
        for name, root, joint in zip(
            ('RootNet and PoseNet', 'trivial'), roots.runs, joints.runs, strict=True
        )
    ]
    found = matched(truth, poses)
    if not len(found.rows):
        raise SmokeError(f'the graph found nobody; see {out / "pipeline.jpg"}')
    return [
        Comparison(*on_true_boxes),
        Comparison(
            Score.of("the graph with them, YOLOX's boxes", truth, found),
            Score.of('trivial, true boxes', truth, trivial(training, truth, found.rows)),
        ),
    ]


def _verdict(
    comparisons: Sequence[Comparison],
    training: Annotations,
    elapsed_s: float,
    arguments: argparse.Namespace,
) -> int:
    """Give the table out; return 0 where the networks beat the trivial predictors, else 1."""
    title = f'ResNet-18 after {arguments.epochs} epochs of {len(training)} synthetic people'
    note = (
        f'{elapsed_s / 60:.1f} minutes in all. Trivial: the middle of the box at the best gamma * '
        'k, and the mean pose. Ratios: to the trivial predictor below.'
    )
    table = score_table(title, comparisons, note)
    (arguments.out / 'scores.md').write_text(table.markdown() + '\n')
    print(f'\n{report.describe(report.machine())}\n\n{table.text()}')
    print(f'\nleft in {arguments.out}: data/, the trainings, tables, .onnx files, pipeline.jpg')
    worst = max(c.mrpe_ratio for c in comparisons)
    if worst > arguments.margin:
        print(
            f"pose3d train-smoke: MRPE is {worst:.2f} of the trivial predictor's, and was to "
            f'be {arguments.margin} at most',
            file=sys.stderr,
        )
        return 1
    return 0


def _draw(
    truth: Annotations, held_out: Sequence[HeldOut], poses: Mapping[int, Poses], path: Path
) -> None:
    """Leave a page of what the graph found: the middle image of each camera."""
    pictures = []
    for some in held_out:
        image = some.images[len(some.images) // 2]
        pictures.append(draw_overlay(read_image(truth.images[image]), some.camera, poses[image]))
    cv2.imwrite(str(path), page(pictures, _TILE_PX))
