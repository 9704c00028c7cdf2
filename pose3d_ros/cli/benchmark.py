# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measure accuracy, detection and speed on real films."""

import argparse
import sys

from pose3d_ros.bags import BagError
from pose3d_ros.benchmarks import (
    accuracy,
    bag,
    compare,
    detector,
    detectors,
    eight_bits,
    graph,
    motion,
    report,
    runtimes,
    soak,
    stages,
    tracking,
)
from pose3d_ros.data.pose2sim import ClipError
from pose3d_ros.models.session import RuntimeUnavailable, WeightFileError
from pose3d_ros.weights import WeightsError

BENCHMARKS = {
    'accuracy': accuracy,
    'bag': bag,
    'compare': compare,
    'detector': detector,
    'detectors': detectors,
    'eight_bits': eight_bits,
    'graph': graph,
    'motion': motion,
    'runtimes': runtimes,
    'soak': soak,
    'stages': stages,
    'tracking': tracking,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark`."""
    subparsers = parser.add_subparsers(dest='benchmark', required=True, metavar='BENCHMARK')
    for name, module in BENCHMARKS.items():
        summary = (module.__doc__ or '').splitlines()[0]
        module.add_arguments(subparsers.add_parser(name, help=summary, description=summary))


def run(arguments: argparse.Namespace) -> int:
    """Run one benchmark; return 0, 1 (something is missing) or 130 (interrupted)."""
    try:
        report.check_arguments(arguments)
        return int(BENCHMARKS[arguments.benchmark].run(arguments))
    except (
        WeightsError,
        WeightFileError,
        RuntimeUnavailable,
        ClipError,
        BagError,
        OSError,
    ) as error:
        print(f'pose3d benchmark: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('pose3d benchmark: interrupted', file=sys.stderr)
        return 130
