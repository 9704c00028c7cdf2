# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The whole way once: synthetic people, small networks trained on them, scored, exported, run.

Each step is a command of `pose3d` that is printed as a user would type it. The networks are
small and learn for some minutes from small crops of people who more or less face the camera: the
figures say that nothing on the way is broken, not how good the method is. Both have to beat what
needs no image by a margin, on true boxes (PoseNet at true roots) and in the graph.
"""

import argparse
import importlib
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from pose3d_ros import weights
from pose3d_ros.benchmarks import report
from pose3d_ros.benchmarks.training_scores import (
    Comparison,
    Score,
    matched,
    same_in_each_crop,
    saved,
    score_table,
    trivial,
)
from pose3d_ros.camera import Camera
from pose3d_ros.data import datasets
from pose3d_ros.data.annotations import Annotations
from pose3d_ros.data.images import read_image
from pose3d_ros.data.sheet import camera_of, page
from pose3d_ros.drawing import draw_overlay
from pose3d_ros.evaluation import root_files
from pose3d_ros.evaluation.results import HUMAN36M_FILE
from pose3d_ros.people import Poses
from pose3d_ros.stages import need_extra
from pose3d_ros.weights import WeightsError

NETWORKS = ('rootnet', 'posenet')
_DETECTOR = 'yolox_tiny'
_INTERRUPTED = 130
_POLL_S = 0.05
_TILE_PX = 384
# What the published recipes are changed by, so that there is something to see after minutes: small
# crops, and people as they are, since each is seen a few times only.
_RECIPE: tuple[object, ...] = (
    '--crop-px', 128, '--without', 'scale', 'rotation_deg', 'occlusion',
)  # fmt: skip
# The features of RTMPose say where joints are, and nothing of how far: RootNet learns its own.
_FIRST_WEIGHTS = {'rootnet': 'resnet18_imagenet', 'posenet': 'rtmpose_s'}
_RECIPES: dict[str, tuple[object, ...]] = {
    'rootnet': ('--backbone', 'resnet18', '--batch', 16, '--learning-rate', 5e-4),
    'posenet': (
        '--backbone', 'cspnext_s', '--backbone-rate', 0, '--batch', 8, '--learning-rate', 1e-3,
        '--heatmap-weight', 2,
    ),
}  # fmt: skip
# Who turns the back looks much like who faces, and telling them apart takes longer.
_FACING_DEG = 60


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
    for name, default, text in (
        ('images', 600, 'to train on'),
        ('test-images', 96, 'to score on'),
        ('epochs', 2, 'of RootNet, at least 2, as the last is interrupted'),
        ('pose-epochs', 3, 'of PoseNet, at least 2 too'),
        ('cameras', 6, 'whose held-out images go through the pipeline'),
    ):
        text = f'{text} (default: %(default)s)'
        add(f'--{name}', type=int, default=default, metavar='N', help=text)
    for name, ratio, metric in (('margin', 0.9, 'MRPE'), ('pose-margin', 0.97, 'MPJPE')):
        text = f"largest {metric} that passes, of the trivial predictor's (default: %(default)s)"
        add(f'--{name}', type=float, default=ratio, metavar='RATIO', help=text)


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d train-smoke`; return 0, 1 (a step failed, or learned too little), 2 or 130."""
    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _refuse(f'{out} is not an empty folder: remove it, or give another --out')
    if min(_epochs(arguments).values()) < 2:
        return _refuse('--epochs and --pose-epochs have to be 2 or more')
    try:
        extras = ('torch', 'accelerate', 'tensorboard', 'onnxscript', 'anny', 'warp')
        need_extra('pose3d train-smoke', *extras, extra='train,synth')
        importlib.import_module('pose3d_ros.nodes.replay')  # with ROS, which may not be there
        for name in (*_FIRST_WEIGHTS.values(), _DETECTOR):  # now, not after minutes of work
            weights.path(name)
        return _run(arguments)
    except (WeightsError, RuntimeError, OSError) as error:  # SmokeError, and those of the graph
        print(f'pose3d train-smoke: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('pose3d train-smoke: interrupted', file=sys.stderr)
        return _INTERRUPTED


def _epochs(arguments: argparse.Namespace) -> dict[str, int]:
    """Return the epochs of each network."""
    return {'rootnet': arguments.epochs, 'posenet': arguments.pose_epochs}


def _refuse(message: str) -> int:
    print(f'pose3d train-smoke: {message}', file=sys.stderr)
    return 2


def _run(arguments: argparse.Namespace) -> int:
    """Go the whole way."""
    out: Path = arguments.out
    data, began = out / 'data', time.monotonic()
    _command('synth', '--out', data, '--images', arguments.images, '--test-images',
             arguments.test_images, '--facing-deg', _FACING_DEG)  # fmt: skip
    for network in NETWORKS:
        _train(network, arguments)
    scored = ('--data', 'human36m', '--root', data, '--baseline-split', 'train')
    _command('evaluate', 'rootnet', *scored, '--weights', out / 'rootnet', '--out', out / 'roots')
    _command('evaluate', 'posenet', *scored, '--weights', out / 'posenet', '--out', out / 'poses')
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
    epochs = _epochs(arguments)[network]
    recipe = ['--weights', _FIRST_WEIGHTS[network], *_RECIPE, *_RECIPES[network]]
    recipe += ['--epochs', epochs, '--decay-epochs', epochs - 1]
    with _ctrl_c_after(out / 'snapshot_0.pth.tar'):
        _command(*words, *recipe, expected=_INTERRUPTED)
    _command(*words, '--resume')


@contextmanager
def _ctrl_c_after(file: Path) -> Iterator[None]:
    """Press Ctrl-C in this process once a file has come: an epoch later may be short."""
    left = threading.Event()

    def press() -> None:
        while not file.exists():
            if left.wait(_POLL_S):
                return
        if not left.is_set():
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
    in_graph = matched(truth, poses)
    if not len(in_graph.rows):
        raise SmokeError(f'the graph found nobody; see {out / "pipeline.jpg"}')
    on_true_boxes = saved(
        truth, out / 'roots' / root_files.FILES['human36m'][0], out / 'poses' / HUMAN36M_FILE
    )
    mean_poses = trivial(training, truth, in_graph.rows)
    constant = trivial(training, truth, on_true_boxes.rows)
    # true roots, which PoseNet has there, tell more of a pose than the mean pose knows
    in_crops = same_in_each_crop(training, truth, constant.rows)
    constant = replace(constant, joints=in_crops.joints)
    return [
        Comparison(
            Score.of('RootNet; PoseNet at true roots', truth, on_true_boxes),
            Score.of('trivial; the same in each crop', truth, constant),
        ),
        Comparison(
            Score.of("the graph with them, YOLOX's boxes", truth, in_graph),
            Score.of('trivial at true boxes; mean pose', truth, mean_poses),
        ),
    ]


def _verdict(
    comparisons: Sequence[Comparison],
    training: Annotations,
    elapsed_s: float,
    arguments: argparse.Namespace,
) -> int:
    """Give the table out; return 0 where the networks beat the trivial predictors, else 1."""
    title = f'small networks that learned from {len(training)} synthetic people'
    note = (
        f'{elapsed_s / 60:.1f} minutes in all. Whole: people whose joints all lie in their crop, '
        'of whom MPJPE is. Trivial: the middle of the box at the best gamma * k. Mean pose: in '
        'metres, around the true root. The same in each crop: the pose that is in the middle of '
        "the training's, in cells of the crop, at true boxes and roots. Ratios: to the trivial "
        'predictor below.'
    )
    table = score_table(title, comparisons, note)
    (arguments.out / 'scores.md').write_text(table.markdown() + '\n')
    print(f'\n{report.describe(report.machine())}\n\n{table.text()}')
    print(f'\nleft in {arguments.out}: data/, the trainings, tables, .onnx files, pipeline.jpg')
    status = 0
    for metric, ratios, margin in (
        ('MRPE', [c.mrpe_ratio for c in comparisons], arguments.margin),
        ('MPJPE', [c.mpjpe_ratio for c in comparisons], arguments.pose_margin),
    ):
        if all(ratio <= margin for ratio in ratios):
            continue
        status = 1
        print(
            f"pose3d train-smoke: {metric} is {max(ratios):.2f} of the trivial predictor's, and "
            f'was to be {margin} at most',
            file=sys.stderr,
        )
    return status


def _draw(
    truth: Annotations, held_out: Sequence[HeldOut], poses: Mapping[int, Poses], path: Path
) -> None:
    """Leave a page of what the graph found: the middle image of each camera."""
    pictures = []
    for some in held_out:
        number = some.images[len(some.images) // 2]
        image = read_image(truth.images[number], truth.image_sizes[number])
        pictures.append(draw_overlay(image, some.camera, poses[number]))
    cv2.imwrite(str(path), page(pictures, _TILE_PX))
