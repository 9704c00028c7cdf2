# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measure the graph over topics: rates, ages, what is not a network, load, transports, memory."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from pose3d_ros.benchmarks import graph_measuring as measuring
from pose3d_ros.benchmarks import graph_tables, report
from pose3d_ros.benchmarks.graph_settings import (
    COMPOSED,
    COMPRESSED,
    DEFAULTS,
    SEPARATE,
    WATCHED,
    Closed,
    Method,
    Setting,
)
from pose3d_ros.models.session import PRECISIONS
from pose3d_ros.stages import DETR_EXTRA, POSENETS, need_extra
from pose3d_ros.tables import Table

PARTS = ('speed', 'load', 'choices', 'baseline', 'memory')
_DEFAULT_PARTS = PARTS[:3]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark graph`."""
    add = parser.add_argument
    default = Method()
    add('--parts', nargs='+', choices=PARTS, default=list(_DEFAULT_PARTS), metavar='PART',
        help='speed: rate, efficiency, overhead, age, processor time and memory of every size, '
        'number of people, layout and streams; load: what comes of more and fewer images than are '
        'held; choices: executors, transports and what is watched; baseline: beside the plain '
        'sequential way (takes PyTorch); memory: over --frames frames. All but speed are of the '
        'first size and number of people, choices and baseline also of the first number of streams '
        '(default: speed load choices)')  # fmt: skip
    add('--sizes', type=_size, nargs='+', default=[(1920, 1080)], metavar='WIDTHxHEIGHT',
        help='of the images, pixels (default: 1920x1080)')  # fmt: skip
    add('--people', type=report.positive, nargs='+', default=[2], metavar='N',
        help='in each image (default: 2)')  # fmt: skip
    add('--layouts', nargs='+', choices=(COMPOSED, SEPARATE), default=[COMPOSED, SEPARATE],
        metavar='LAYOUT', help='composed: one process; separate: one for each stage (default: '
        'both)')  # fmt: skip
    add(
        '--rounds',
        type=report.positive,
        default=default.rounds,
        metavar='N',
        help='default: %(default)s',
    )
    add('--frames-per-round', type=report.positive, default=default.frames, metavar='N',
        help='default: %(default)s')  # fmt: skip
    add('--streams', type=report.positive, nargs='+', default=[1], metavar='N',
        help="the stages' parameter: images that each works on at once (default: 1)")  # fmt: skip
    add('--in-flight', type=report.positive, default=default.in_flight, metavar='N',
        help='frames in the graph at a time, for each stream; more than 2 may replace each other '
        'before work on them begins (default: %(default)s)')  # fmt: skip
    add('--load-factors', type=float, nargs='+', metavar='F',
        default=[0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 10.0],
        help='input rates, as multiples of the rate that the graph sustains (default: 0.25 to 10)',
        )  # fmt: skip
    add('--load-seconds', type=float, default=6.0, metavar='S', help='each (default: %(default)s)')
    add('--plot', type=Path, metavar='FILE', help='draw the load curves, as PNG')
    add('--frames', type=report.positive, default=20_000, metavar='N',
        help='of part memory (default: %(default)s)')  # fmt: skip
    add('--long-side', type=int, default=0, metavar='PIXELS',
        help="of the detector's input (default: the detector's own)")  # fmt: skip
    add('--posenet', choices=tuple(POSENETS), default=default.posenet)
    add('--precision', choices=PRECISIONS, default=default.precision)
    add('--threads', type=int, default=0, help='of each network; 0 = one a core')
    report.add_arguments(parser)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f'{text} is not WIDTHxHEIGHT, as 1920x1080')
    return int(width), int(height)


def run(arguments: argparse.Namespace) -> int:
    """Measure the parts that are asked for and give the tables out; return the exit status."""
    if 'baseline' in arguments.parts:
        need_extra('--parts baseline', *DETR_EXTRA)
    if arguments.plot is not None:
        arguments.plot.open('ab').close()  # now, not after minutes of work
    method = Method(
        arguments.rounds,
        arguments.frames_per_round,
        in_flight=arguments.in_flight,
        posenet=arguments.posenet,
        precision=arguments.precision,
        threads=arguments.threads,
        long_side=arguments.long_side,
    )
    tables = []
    for part in PARTS:
        if part in arguments.parts:
            tables += _MEASURE[part](arguments, method)
    report.give_out('graph', tables, arguments)
    return 0


def _speed(arguments: argparse.Namespace, method: Method) -> list[Table]:
    settings = [
        Setting(size, people, layout, streams)
        for size in arguments.sizes
        for people in arguments.people
        for layout in arguments.layouts
        for streams in arguments.streams
    ]
    results = [
        measuring.in_own_process(measuring.closed, setting, method)
        for setting in tqdm(settings, desc='speed', unit='graph', disable=None)
    ]
    return [
        graph_tables.speed(results, method),
        graph_tables.resources(results, method),
        graph_tables.overhead(results, method),
    ]


def _load(arguments: argparse.Namespace, method: Method) -> list[Table]:
    settings = _layouts(arguments)
    results = [
        measuring.in_own_process(
            measuring.load, setting, method, arguments.load_factors, arguments.load_seconds
        )
        for setting in tqdm(settings, desc='load', unit='graph', disable=None)
    ]
    if arguments.plot is not None:
        graph_tables.plot_load(results, arguments.plot)
    return [graph_tables.load(result, arguments.load_seconds) for result in results]


def _choices(arguments: argparse.Namespace, method: Method) -> list[Table]:
    composed = Setting(arguments.sizes[0], arguments.people[0], streams=arguments.streams[0])
    separate = replace(composed, layout=SEPARATE)
    settings = [
        composed,
        replace(composed, layout='one executor'),
        replace(composed, layout='many threads'),
        replace(composed, images=COMPRESSED),
        replace(composed, fastdds=DEFAULTS),
        *(replace(composed, watched=(topic,)) for topic in WATCHED),
        separate,
        replace(separate, images=COMPRESSED),
        replace(separate, fastdds=DEFAULTS),
    ]
    results: list[tuple[Setting, Closed | None]] = []
    for setting in tqdm(settings, desc='choices', unit='graph', disable=None):
        try:
            results.append((setting, measuring.in_own_process(measuring.closed, setting, method)))
        except TimeoutError:  # that nothing arrives is a result
            results.append((setting, None))
    return [graph_tables.choices(results, method)]


def _baseline(arguments: argparse.Namespace, method: Method) -> list[Table]:
    setting = Setting(arguments.sizes[0], arguments.people[0], streams=arguments.streams[0])
    return [graph_tables.baseline(measuring.in_own_process(measuring.baseline, setting, method))]


def _memory(arguments: argparse.Namespace, method: Method) -> list[Table]:
    results = [
        measuring.in_own_process(measuring.memory, setting, method, arguments.frames)
        for setting in tqdm(_layouts(arguments), desc='memory', unit='graph', disable=None)
    ]
    return [graph_tables.memory(results)]


def _layouts(arguments: argparse.Namespace) -> list[Setting]:
    size, people = arguments.sizes[0], arguments.people[0]
    return [
        Setting(size, people, layout, streams)
        for layout in arguments.layouts
        for streams in arguments.streams
    ]


_MEASURE: dict[str, Callable[[argparse.Namespace, Method], list[Table]]] = {
    'speed': _speed,
    'load': _load,
    'choices': _choices,
    'baseline': _baseline,
    'memory': _memory,
}
