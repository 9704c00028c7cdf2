# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measure the default networks in OpenVINO and in ONNX Runtime, in one run."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

from pose3d_ros import weights
from pose3d_ros.benchmarks import report
from pose3d_ros.models.blazepose import BlazePose
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.runtime import Network
from pose3d_ros.models.session import ANY, DeviceUnavailable, RuntimeOptions, RuntimeUnavailable
from pose3d_ros.models.yolox import YOLOX
from pose3d_ros.tables import Table

_YOLOX_SIZE = (416, 736)
# Between two turns, so that the threads of the runtime before have gone to sleep.
_PAUSE_S = 0.05
_WARM_UPS = 3


def _network(make: Callable[[Path, RuntimeOptions], object], name: str) -> Callable[..., Network]:
    def load(options: RuntimeOptions) -> Network:
        network: Network = make(weights.path(name), options).network  # type: ignore[attr-defined]
        return network

    return load


#: Row -> what makes the network.
NETWORKS = {
    'YOLOX-tiny': _network(YOLOX, 'yolox_tiny'),
    'RTMPose-s': _network(RTMPose, 'rtmpose_s'),
    'BlazePose lite': _network(BlazePose, 'blazepose_lite'),
    'BlazePose full': _network(BlazePose, 'blazepose_full'),
    'BlazePose heavy': _network(BlazePose, 'blazepose_heavy'),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark runtimes`."""
    add = parser.add_argument
    add('--people', type=int, default=4, metavar='N', help='besides 1 (default: %(default)s)')
    add('--repeats', type=int, default=20, metavar='N', help='default: %(default)s')
    add('--networks', nargs='+', choices=tuple(NETWORKS), default=list(NETWORKS), metavar='NAME')
    add(
        '--devices',
        nargs='+',
        default=['CPU', 'onnxruntime'],
        metavar='DEVICE',
        help='also GPU, cuda, tensorrt, ...; the first in f32 is the baseline (default: '
        '%(default)s)',
    )
    report.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and give the table out; return the exit status."""
    ways = [(device, p) for device in arguments.devices for p in ('f32', 'bf16', 'f16', 'i8')]
    rows: list[tuple[str | float, ...]] = []
    for name in arguments.networks:
        networks = loaded(name, ways)
        yolox = networks[0][2].image.height == ANY
        for people in (1,) if yolox else (1, arguments.people):
            rows += measure(name, people, networks, arguments.repeats)
    report.give_out('runtimes', [table(rows, arguments.repeats)], arguments)
    return 0


def loaded(name: str, ways: list[tuple[str, str]]) -> list[tuple[str, str, Network]]:
    """Return a network in every way that this machine knows: device, precision, network.

    :raises DeviceUnavailable: there is no such device; a precision it lacks is left out.
    """
    networks = []
    for device, precision in ways:
        try:
            network = NETWORKS[name](RuntimeOptions(device, precision))
        except DeviceUnavailable:
            raise
        except RuntimeUnavailable:  # this device lacks the precision: a row less
            continue
        if network.precision != precision:
            continue  # nor has the network such a form
        networks.append((device, precision, network))
    return networks


def measure(
    name: str, people: int, networks: list[tuple[str, str, Network]], repeats: int
) -> list[tuple[str | float, ...]]:
    """Return the rows of a network: the ways take turns."""
    image = networks[0][2].image
    size = _YOLOX_SIZE if image.height == ANY else (image.height, image.width)
    images = np.random.default_rng(0).integers(0, 256, (people, *size, 3), dtype=np.uint8)
    times_ms: list[list[float]] = [[] for _ in networks]
    for turn in tqdm(range(repeats + _WARM_UPS), desc=f'{name}, {people}', disable=None):
        for (_, _, network), taken in zip(networks, times_ms, strict=True):
            time.sleep(_PAUSE_S)
            start = perf_counter()
            network(images)
            if turn >= _WARM_UPS:
                taken.append((perf_counter() - start) * 1e3)
    medians = [float(np.median(taken)) for taken in times_ms]
    return [
        (name, float(people), device, precision, ms, ms / medians[0])
        for (device, precision, _), ms in zip(networks, medians, strict=True)
    ]


def table(rows: list[tuple[str | float, ...]], repeats: int) -> Table:
    """Return the table."""
    columns = (
        ('network', ''), ('images', '.0f'), ('device', ''), ('precision', ''), ('ms', '.1f'),
        ('of baseline', '.2f'),
    )  # fmt: skip
    height, width = _YOLOX_SIZE
    return Table(
        f'The default networks; YOLOX at {width} x {height}',
        columns,
        rows,
        f'Medians of {repeats} repeats, the ways taking turns, from uint8 images to numbers. CPU: '
        'OpenVINO. f16 of onnxruntime rounds the weights only: on a processor it computes in f32.',
        keys=4,
    )
