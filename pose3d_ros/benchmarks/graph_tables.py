# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The tables of `benchmark graph`, and the plot of the load curves."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pose3d_ros.benchmarks.graph_settings import (
    Baseline,
    Closed,
    Load,
    Memory,
    Method,
    Round,
    Setting,
)
from pose3d_ros.stages import STAGES
from pose3d_ros.tables import Table

_NAN = float('nan')
_Row = tuple[str | float, ...]
_SETTING = (('image', ''), ('people', ''), ('graph', ''), ('streams', ''))
_PERCENTILES = (50, 95, 99)
_AGES = tuple((f'age p{p} ms', '.0f') for p in _PERCENTILES)
_DISTURBANCE = (('stolen %', '.0f'), ('others %', '.0f'))
#: Where the people of an image come from.
_SCENES = (
    'Images: real frames of two or three people each, scaled down and laid side by side, in as few '
    "rows as have enough people for the detector; its 'max_people' is the number in the table, and "
    'so many crops go into each network.'
)


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def _named(setting: Setting) -> _Row:
    image = f'{setting.size[0]}x{setting.size[1]}'
    return image, str(setting.people), setting.layout, str(setting.streams)


def _ages(rounds: Sequence[Round]) -> list[float]:
    ages = np.concatenate([r.graph.ages_ms for r in rounds])
    return [float(p) for p in np.percentile(ages, _PERCENTILES)]


def _frame_ms(result: Closed) -> float:
    return _median(1e3 / r.graph.rate_hz for r in result.full)


def _efficiency(result: Closed) -> float:
    return _median(r.graph.rate_hz * r.alone.sum_ms / 1e3 for r in result.full)


def _rounds_of(method: Method) -> str:
    return (
        f'medians of {method.rounds} rounds of {method.frames} frames, '
        f'{method.in_flight} in the graph at a time for each stream'
    )


def speed(results: Sequence[Closed], method: Method) -> Table:
    """Return rates and ages, one row for each setting."""
    fewest: dict[object, float] = {}
    rows: list[_Row] = []
    for r in results:
        of_kind = (r.setting.size, r.setting.layout, r.setting.streams)
        first_ms = fewest.setdefault(of_kind, _frame_ms(r))
        rows.append(
            (
                *_named(r.setting),
                _median(np.concatenate([x.graph.people for x in r.full])),
                _median(x.graph.rate_hz for x in r.full),
                _median(1e3 / x.alone.sum_ms for x in r.full),
                _efficiency(r),
                _frame_ms(r),
                _median(1e3 / x.graph.rate_hz - x.alone.sum_ms for x in r.full),
                _frame_ms(r) / first_ms,
                *_ages(r.full),
                float(sum(x.graph.lost for x in (*r.full, *r.single))),
                r.disturbance.stolen,
                r.disturbance.others,
            )
        )
    return Table(
        f'the graph over topics, {method.posenet}: {_rounds_of(method)}',
        (
            *_SETTING, ('poses', '.0f'), ('frames/s', '.1f'), ('networks alone/s', '.1f'),
            ('efficiency', '.2f'), ('ms/frame', '.1f'), ('added ms', '.1f'),
            ('of first', '.2f'), *_AGES, ('lost', '.0f'), *_DISTURBANCE,
        ),
        rows,
        'poses: of a frame. networks alone: one after the other, each with all cores, timed before '
        'each round. efficiency: frames/s over that. added: what all that is not a network adds to '
        'the time between two results. streams: images that each stage works on at once; where '
        'there are more than one, their networks take less of the processor than the bound, since '
        'threads of one call wait for each other. of first: ms/frame over that of the first row of '
        'this image size, graph and streams. age: from the call that publishes an image to the '
        'arrival of its poses in that process. lost: frames without poses. stolen: processor time '
        'that the host of this virtual machine gave to others; others: that other processes of it '
        f'took; a quiet run has neither. {_SCENES}',
    )  # fmt: skip


def resources(results: Sequence[Closed], method: Method) -> Table:
    """Return processor time and memory."""
    rows: list[_Row] = []
    for r in results:
        cpu_ms = _median(x.cpu_ms for x in r.full)
        busy = _median(x.cpu_ms * x.graph.rate_hz / 1e3 for x in r.full)
        first = r.peak_mib.get('pipeline', r.peak_mib.get('detector', _NAN))
        behind = (r.peak_mib.get(stage, _NAN) for stage in STAGES[1:])
        rows.append((*_named(r.setting), cpu_ms, busy, first, *behind))
    return Table(
        'processor time and memory',
        (
            *_SETTING, ('CPU ms/frame', '.0f'), ('cores busy', '.2f'),
            ('peak MiB', '.0f'), ('rootnet', '.0f'), ('posenet', '.0f'),
        ),
        rows,
        'CPU: user and system time of the processes of the graph, all threads, without the camera. '
        'peak: of the one process, or of detector, rootnet and posenet, with the shared memory '
        f'that they have touched. Of the rounds with {method.in_flight} frames a stream in the '
        'graph.',
    )  # fmt: skip


def overhead(results: Sequence[Closed], method: Method) -> Table:
    """Return where the time of a lone frame goes."""
    rows: list[_Row] = []
    for r in results:
        rests = [_median(x.alone.rest_ms(stage) for x in r.single) for stage in STAGES]
        d, root, pose = (r.stages[stage] for stage in STAGES)
        in_graph = sum(v['processing_ms'] - v['network_ms'] for v in (d, root, pose))
        age_ms = _median(float(np.median(x.graph.ages_ms)) for x in r.single)
        networks_ms = sum(v['network_ms'] for v in (d, root, pose))
        between = sum(
            after['age_ms'] - after['processing_ms'] - before['age_ms']
            for before, after in ((d, root), (root, pose))
        )
        rows.append(
            (
                *_named(r.setting),
                age_ms,
                networks_ms,
                age_ms - networks_ms,
                d['age_ms'] - d['processing_ms'],
                r.decode_ms,
                *rests,
                in_graph - sum(rests) - r.decode_ms,
                between,
                age_ms - pose['age_ms'],
            )
        )
    return Table(
        'where the time of a frame goes that is alone in the graph, ms',
        (
            *_SETTING, ('age', '.1f'), ('networks', '.1f'), ('all else', '.1f'),
            ('to detector', '.1f'), ('decode', '.1f'), ('detector', '.1f'), ('rootnet', '.1f'),
            ('posenet', '.1f'), ('messages', '.1f'), ('between', '.1f'), ('poses back', '.1f'),
        ),
        rows,
        'all else is the sum of what stands right of it, up to medians. to detector: publishing '
        'the image, transport, and until the detector begins. decode: reading the pixels, timed '
        'alone, once a process. detector, rootnet, posenet: crops, scaling and decoding of what '
        'the networks say, as timed without a graph. messages: what the stages take in the graph '
        'beyond that: making and publishing messages, caches gone cold. between: from a stage to '
        f'the next. Medians of {method.rounds} rounds of {method.frames} frames.',
    )  # fmt: skip


def load(result: Load, seconds: float) -> Table:
    """Return what comes of an input rate."""
    rows: list[_Row] = []
    for p in result.points:
        ages = np.percentile(p.graph.ages_ms, _PERCENTILES) if len(p.graph.ages_ms) else [_NAN] * 3
        rows.append(
            (
                f'{p.factor:g}',
                p.graph.input_hz,
                p.graph.rate_hz,
                p.graph.rate_hz / p.held_hz,
                *(float(age) for age in ages),
                float(p.graph.sent),
                float(p.not_received),
                *(float(p.dropped[stage]) for stage in STAGES),
                p.disturbance.stolen,
                p.disturbance.others,
            )
        )
    image, people, layout, streams = _named(result.setting)
    return Table(
        f'load, {layout}, streams {streams}: {image}, {people} people, {seconds:g} s each',
        (
            ('of held', ''), ('in/s', '.1f'), ('out/s', '.1f'), ('out of held', '.2f'), *_AGES,
            ('sent', '.0f'), ('not received', '.0f'),
            *((f'dropped: {stage}', '.0f') for stage in STAGES), *_DISTURBANCE,
        ),
        rows,
        'of held: input rate over the rate in a closed loop, measured anew before each row; images '
        'come at that rate whatever becomes of them. not received: what the detector does not know '
        'of. dropped: what a stage made no result of, since a newer one came or its time was over; '
        'of the detector, images that a newer one replaced before it took them. The camera shares '
        'the processor with the graph: at high rates its publishing costs frames.',
    )  # fmt: skip


def choices(results: Sequence[tuple[Setting, Closed | None]], method: Method) -> Table:
    """Return executors, transports and what is watched side by side; of None nothing arrived."""
    reference = _efficiency(results[0][1]) if results[0][1] is not None else _NAN
    rows: list[_Row] = []
    for setting, r in results:
        watched = ', '.join(setting.watched) or '-'
        named = (setting.layout, setting.images, setting.fastdds, watched)
        if r is None:
            rows.append((*named, *[_NAN] * 10))
            continue
        rows.append(
            (
                *named,
                _median(x.graph.rate_hz for x in r.full),
                _efficiency(r),
                _efficiency(r) / reference,
                *_ages(r.full),
                _median(x.cpu_ms for x in r.full),
                float(sum(x.graph.lost for x in (*r.full, *r.single))),
                r.disturbance.stolen,
                r.disturbance.others,
            )
        )
    image, people, *_ = _named(results[0][0])
    return Table(
        f'executors, transports, watchers: {image}, {people} people, {_rounds_of(method)}',
        (
            ('graph', ''), ('images', ''), ('Fast DDS', ''), ('watched', ''), ('frames/s', '.1f'),
            ('efficiency', '.2f'), ('of first', '.2f'), *_AGES, ('CPU ms/frame', '.0f'),
            ('lost', '.0f'), *_DISTURBANCE,
        ),
        rows,
        f'lost: of {2 * method.rounds * method.frames} frames; - in a row: none of the first '
        'frames arrived. of first: efficiency over that of the first row. compressed: '
        'JPEG, made before the clock starts, decoded once in each process. composed and separate '
        'have an executor for inputs alone; one executor and many threads: composed, all spun by '
        "one of rclpy's, SingleThreadedExecutor and MultiThreadedExecutor. watched: what posenet "
        'makes only while somebody subscribes, here the camera, which shares the processor.',
    )  # fmt: skip


def baseline(result: Baseline) -> Table:
    """Return the graph beside the plain sequential way."""
    rates, plain = zip(*result.rounds, strict=True)
    image, people, layout, _ = _named(result.setting)
    return Table(
        f'beside the plain sequential way: {image}, {people} people, medians of '
        f'{len(rates)} rounds in turn',
        (
            ('', ''), ('frames/s', '.2f'), ('of sequential', '.1f'), ('least', '.1f'),
            ('most', '.1f'),
        ),
        [
            ('sequential', 1 / _median(plain), 1.0, 1.0, 1.0),
            (
                f'graph, {layout}',
                _median(rates),
                _median(np.multiply(rates, plain)),
                float(np.min(np.multiply(rates, plain))),
                float(np.max(np.multiply(rates, plain))),
            ),
        ],
        'sequential: DETR R50, then RootNet and PoseNet (ResNet-50) crop by crop in eager PyTorch, '
        'f32, the image read from its JPEG file by every stage; random weights of the published '
        'sizes, and the people of the default detector. least, most: of the rounds.',
    )  # fmt: skip


def memory(results: Sequence[Memory]) -> Table:
    """Return the memory of each process over many frames."""
    rows: list[_Row] = []
    for result in results:
        frames = np.array(result.frames)
        for process, samples in result.resident_mib.items():
            mib = np.array(samples)
            half = len(mib) // 2
            slopes = [
                1e3 * float(np.polyfit(frames[part], mib[part], 1)[0])
                for part in (slice(None), slice(half, None))
            ]
            row = (mib[0], mib[half], mib[-1], *slopes, result.lost)
            named = _named(result.setting)[2:]
            rows.append((*named, process, *map(float, row)))
    first = results[0]
    image, people, *_ = _named(first.setting)
    return Table(
        f'memory over {first.frames[-1]} frames: {image}, {people} people',
        (
            *_SETTING[2:], ('process', ''), ('start MiB', '.1f'), ('middle', '.1f'),
            ('end', '.1f'), ('per 1000 frames', '+.2f'), ('2nd half', '+.2f'), ('lost', '.0f'),
        ),
        rows,
        'Resident memory. start: after frames that warm up, not counted. per 1000 frames: slope in '
        f'MiB by least squares over {len(first.frames)} samples, and over the second half of them.',
    )  # fmt: skip


def plot_load(results: Sequence[Load], path: Path) -> None:
    """Draw output rate and ages over the input rate, as PNG."""
    # takes half a second to import, and nothing else here needs it
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout='constrained')
    rates, ages = figure.subplots(1, 2)
    for i, result in enumerate(results):
        points = sorted(result.points, key=lambda p: p.graph.input_hz / p.held_hz)
        x = [p.graph.input_hz / p.held_hz for p in points]
        colour = f'C{i}'
        y = [p.graph.rate_hz / p.held_hz for p in points]
        rates.plot(x, y, 'o-', color=colour, label=result.setting.layout)
        for percentile, style in zip(_PERCENTILES, ('o-', 's--', '^:'), strict=True):
            y = [
                float(np.percentile(p.graph.ages_ms, percentile)) if len(p.graph.ages_ms) else _NAN
                for p in points
            ]
            label = f'{result.setting.layout}, p{percentile}'
            ages.plot(x, y, style, color=colour, markersize=4, label=label)
    factors = np.array([p.factor for result in results for p in result.points])
    ideal = np.geomspace(factors.min(), factors.max(), 100)
    rates.plot(ideal, np.minimum(ideal, 1), color='0.7', zorder=0, label='all that can be held')
    ticks = 2.0 ** np.arange(np.floor(np.log2(ideal[0])), np.ceil(np.log2(ideal[-1])) + 1)
    rates.set(ylim=(0, None), ylabel='output / held rate')
    ages.set(ylim=(0, None), ylabel='age of poses, ms')
    for axes in (rates, ages):
        axes.set(xscale='log', xlabel='input / held rate')
        axes.set_xticks(ticks, [f'{tick:g}' for tick in ticks], minor=False)
        axes.minorticks_off()
        axes.legend(fontsize='small')
        axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=110, format='png')
