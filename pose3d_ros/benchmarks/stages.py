# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measure time, accuracy and memory of the paper's RootNet and PoseNet in each runtime."""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

from pose3d_ros.benchmarks import report, usage
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.models.crops3dmppe import cut_boxes, process_boxes
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.onnx_files import load_posenet, load_rootnet
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.stages import DETECTORS, need_extra
from pose3d_ros.tables import Table

ORIGINAL = 'PyTorch, crop by crop (original)'
TORCH = 'PyTorch'
EXPORTED = 'OpenVINO, exported'
NETWORKS = {'rootnet': 'RootNet', 'posenet': 'PoseNet'}
_JOINTS = 18
# Between two turns, so that the threads of the process before have gone to sleep.
_PAUSE_S = 0.1
_FRAMES_APART = 10

_Call = Callable[[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class Way:
    """A way to run a network.

    :param runtime: ORIGINAL, TORCH or EXPORTED.
    :param precision: 'f32' or 'bf16'.
    """

    runtime: str
    precision: str


@dataclass(frozen=True)
class Result:
    """What a way took.

    :param times_ms: of each repeat, for all people.
    :param output: (n, ...) of the network.
    :param peak_mib: most memory that its process held, with the network's loading.
    """

    times_ms: list[float]
    output: np.ndarray
    peak_mib: float


@dataclass(frozen=True)
class Files:
    """One network's weights, as a snapshot and exported.

    :param name: 'rootnet' or 'posenet'.
    """

    name: str
    snapshot: Path
    onnx: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark stages`."""
    add = parser.add_argument
    add('--people', type=int, default=8, metavar='N', help='default: %(default)s')
    add('--repeats', type=int, default=7, metavar='N', help='default: %(default)s')
    add('--backbone', choices=('resnet50', 'resnet101', 'resnet152'), default='resnet50',
        help='default: %(default)s')  # fmt: skip
    for network in NETWORKS:
        add(
            f'--{network}-weights',
            type=Path,
            metavar='FILE',
            help='a snapshot_EPOCH.pth.tar (default: random weights; time does not depend on them)',
        )
    report.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure both networks and give the tables out; return the exit status."""
    need_extra('pose3d benchmark stages', 'torch', 'onnxscript')
    crops = crops_of_people(arguments.people)
    tables = []
    for name in NETWORKS:
        given: Path | None = getattr(arguments, f'{name}_weights')
        with tempfile.TemporaryDirectory() as folder:
            files = prepare(name, given, arguments.backbone, Path(folder))
            results = measure(files, ways(), crops, arguments.repeats)
        weights = 'random weights' if given is None else given.name
        tables.append(table(name, weights, results))
    report.give_out('stages', tables, arguments)
    return 0


def crops_of_people(count: int) -> np.ndarray:
    """Return crops (count, 256, 256, 3) uint8 BGR of the people of a clip, again from the start
    where they are not enough.

    :raises weights.WeightsError: the detector or the clip is absent; the message says what to run.
    """
    detect = DETECTORS['yolox'](None, RuntimeOptions(precision='f32'))
    parts: list[np.ndarray] = []
    for image in islice(Clip.load('multi').frames(0), 0, None, _FRAMES_APART):
        height, width = image.shape[:2]
        squares, valid = process_boxes(detect(image, DetectorOptions()).boxes, width, height)
        parts.append(cut_boxes(squares[valid]).cut(image))
        if sum(map(len, parts)) >= count:
            break
    crops = np.concatenate(parts)
    return crops[np.arange(count) % len(crops)]


def ways() -> list[Way]:
    """Return the ways that this machine knows; the first is the baseline."""
    precisions = ('f32', 'bf16') if report.machine()['bf16'] else ('f32',)
    others = [Way(runtime, p) for runtime in (TORCH, EXPORTED) for p in precisions]
    return [Way(ORIGINAL, 'f32'), *others]


def prepare(name: str, given: Path | None, backbone: str, folder: Path) -> Files:
    """Return the files of a network: a given snapshot, or random weights, and its export.

    :raises WeightFileError: the given snapshot cannot be used.
    """
    from pose3d_ros.benchmarks.original3dmppe import write_random_snapshot
    from pose3d_ros.models import export

    snapshot = folder / 'snapshot_0.pth.tar' if given is None else given
    if given is None:
        write_random_snapshot(name, backbone, _JOINTS, snapshot)
    files = Files(name, snapshot, folder / f'{name}.onnx')
    export.write(export.NETWORKS[name](snapshot, None), files.onnx, 'f32')
    return files


def measure(files: Files, ways: list[Way], crops: np.ndarray, repeats: int) -> dict[Way, Result]:
    """Run every way in a process of its own, taking turns, with a progress bar."""
    context = multiprocessing.get_context('spawn')  # nothing of this process, also no memory
    pipes: dict[Way, Connection] = {}
    workers = []
    try:
        for way in ways:
            pipes[way], other = context.Pipe()
            worker = context.Process(target=_work, args=(other, files, way, crops), daemon=True)
            worker.start()
            workers.append(worker)
            other.close()
            pipes[way].recv()  # ready; loaded one after the other
        times: dict[Way, list[float]] = {way: [] for way in ways}
        for _ in tqdm(range(repeats), desc=files.name, unit='turn', disable=None):
            for way, pipe in pipes.items():
                time.sleep(_PAUSE_S)
                pipe.send(True)
                times[way].append(pipe.recv())
        for pipe in pipes.values():
            pipe.send(False)
        return {way: Result(times[way], *pipe.recv()) for way, pipe in pipes.items()}
    except EOFError as error:
        raise OSError('a process of the benchmark has ended early; see its message') from error
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(pipe: Connection, files: Files, way: Way, crops: np.ndarray) -> None:
    """Be the process of a way: load, then run whenever told to; at the end say what came out."""
    call = load(files, way)
    for _ in range(2):  # the first call compiles
        (output,) = call(crops)
    pipe.send(None)
    while pipe.recv():
        start = perf_counter()
        (output,) = call(crops)
        pipe.send((perf_counter() - start) * 1e3)
    pipe.send((output, usage.peak_mib()))


def load(files: Files, way: Way) -> _Call:
    """Return what runs a network in a way."""
    options = RuntimeOptions(precision=way.precision)
    if way.runtime == EXPORTED:  # imports no PyTorch, which would count as its memory
        if files.name == 'rootnet':
            return load_rootnet(files.onnx, options)
        return load_posenet(files.onnx, options)[0]
    from pose3d_ros.benchmarks.original3dmppe import Original
    from pose3d_ros.models import snapshots
    from pose3d_ros.models.torch_network import TorchNetwork

    if way.runtime == ORIGINAL:
        return Original(files.name, files.snapshot)
    if files.name == 'rootnet':
        return TorchNetwork(snapshots.load_rootnet(files.snapshot), options)
    return TorchNetwork(snapshots.load_posenet(files.snapshot)[0], options)


def table(name: str, weights: str, results: dict[Way, Result]) -> Table:
    """Return the table of a network; the first way is the baseline."""
    (_, baseline), *_ = results.items()
    baseline_ms = float(np.median(baseline.times_ms))
    rows: list[tuple[str | float, ...]] = []
    for way, result in results.items():
        ms = float(np.median(result.times_ms))
        differences = _differences(name, result.output, baseline.output)
        rows.append(
            (way.runtime, way.precision, ms, ms / baseline_ms, *differences, result.peak_mib)
        )
    errors = {
        'rootnet': (('x, y px, largest', '.4f'), ('relative depth, largest', '.6f')),
        'posenet': (('x, y, z bins, largest', '.4f'), ('mean', '.4f')),
    }
    columns = (
        ('runs in', ''), ('precision', ''), ('ms', '.0f'), ('of baseline', '.2f'),
        *errors[name], ('peak MiB', '.0f'),
    )  # fmt: skip
    return Table(
        f'{NETWORKS[name]}, {len(baseline.output)} people, {weights}',
        columns,
        rows,
        f'Medians of {len(baseline.times_ms)} repeats, the ways taking turns, from crops to '
        'numbers. Differences from the first row, which is the baseline: px and bins are 64ths of '
        'the crop (bins also of 2 m). Peak: of a process that loads and runs only this.',
    )


def _differences(name: str, found: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Return what the last columns but one show."""
    off = np.abs(found - wanted)
    if name == 'rootnet':
        return float(off[:, :2].max()), float(np.abs(found[:, 2] / wanted[:, 2] - 1).max())
    return float(off.max()), float(off.mean())
