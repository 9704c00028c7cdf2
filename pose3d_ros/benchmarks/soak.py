# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Let the graph run for long and tell whether memory, threads, handles, age or losses grow."""

import argparse
import os
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from pose3d_ros.benchmarks import report
from pose3d_ros.benchmarks.graph_settings import COMPOSED, SEPARATE
from pose3d_ros.benchmarks.growth import growth, least_per_hour
from pose3d_ros.benchmarks.usage import handle_count, resident_mib, thread_count
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.stages import STAGES
from pose3d_ros.tables import Table

if TYPE_CHECKING:
    from pose3d_ros.nodes.graph_watch import Watched, WatchedGraph

_FIELD_OF_VIEW_DEG = 60.0
_LEAST_SAMPLES = 8  # two in each quarter
#: Rises that count, of what each process holds: a page less or more is the allocator's.
_OF_PROCESSES = (('memory MiB', resident_mib, 1.0), ('threads', thread_count, 0.5),
                 ('open handles', handle_count, 0.5))  # fmt: skip
#: Of the age and of lost frames: what another load of the machine makes of them is no growth.
_AGE_MS, _LOST_PERCENT = 10.0, 1.0
_LOSSES = ('dropped', 'stale', 'skipped', 'failed')
#: Sent while a stage stands still: more than the stages behind it keep (parameter `buffer`).
_IMAGES_IN_A_STALL = 20
_STALL_S = 5.0  # at no set rate
_LONGEST_STALL_S = 15.0  # Fast DDS gives a process up that is silent for 20 s


@dataclass
class Soak:
    """The samples of a soak.

    :param at_s: (n,) when each was taken, from the end of the warming up.
    :param held: (process, quantity) -> (n,) values.
    :param watched: (n,) what the graph had done.
    """

    at_s: list[float] = field(default_factory=list)
    held: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    watched: 'list[Watched]' = field(default_factory=list)

    def take(self, graph: 'WatchedGraph', at_s: float) -> None:
        """Take a sample."""
        self.at_s.append(at_s)
        self.watched.append(graph.watch.look())
        for process, pid in graph.pids.items():
            for name, count, _ in _OF_PROCESSES:
                self.held.setdefault((process, name), []).append(float(count(pid)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark soak`."""
    add = parser.add_argument
    add('--minutes', type=_above_zero, default=60.0, metavar='N', help='default: %(default)g')
    add('--warm-up', type=_above_zero, default=60.0, metavar='SECONDS',
        help='before the first sample, all buffers full (default: %(default)g)')  # fmt: skip
    add('--interval', type=_above_zero, default=5.0, metavar='SECONDS',
        help='between samples (default: %(default)g)')  # fmt: skip
    add('--layout', choices=(COMPOSED, SEPARATE), default=SEPARATE,
        help='composed: the stages in one process; separate: one each (default: %(default)s)',
        )  # fmt: skip
    add('--rate-hz', type=float, default=5.0, metavar='HZ',
        help='of the images; 0 = as fast as they are taken (default: %(default)g)')  # fmt: skip
    report.add_arguments(parser)


def _above_zero(text: str) -> float:
    value = float(text)  # argparse tells of what is no number
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return value


def run(arguments: argparse.Namespace) -> int:
    """Soak and give the tables out; return 1 if anything grows.

    :raises OSError: a process of the graph ended, or gave no poses.
    """
    if 60 * arguments.minutes < _LEAST_SAMPLES * arguments.interval:
        raise OSError(
            f'--minutes {arguments.minutes:g} is too short for {_LEAST_SAMPLES} samples '
            f'--interval {arguments.interval:g} seconds apart'
        )
    soak = _soak(arguments)
    held, frames = held_table(soak), frames_table(soak)
    report.give_out('soak', [held, frames], arguments)
    return int(any('grows' in row for row in (*held.rows, *frames.rows)))


def _soak(arguments: argparse.Namespace) -> Soak:
    """Run the graph and take samples; an interrupt ends it early with what there is by then."""
    from pose3d_ros.nodes.graph_watch import watched_graph
    from pose3d_ros.nodes.processes import ProcessError

    clip = Clip.load('multi')
    player = (
        f'source:={clip.cameras[0].film}',
        f'rate:={arguments.rate_hz / clip.frame_rate_hz}',
        f'field_of_view_deg:={_FIELD_OF_VIEW_DEG}',
        'loop:=true',
    )
    composed = arguments.layout == COMPOSED
    try:
        with (
            tempfile.TemporaryDirectory() as logs,
            watched_graph(player, Path(logs), composed) as graph,
        ):
            _fill(graph, _stall_s(arguments.rate_hz))
            time.sleep(arguments.warm_up)
            return _samples(graph, 60 * arguments.minutes, arguments.interval)
    except ProcessError as error:
        raise OSError(str(error)) from error


def _stall_s(rate_hz: float) -> float:
    return min(_LONGEST_STALL_S, _IMAGES_IN_A_STALL / rate_hz) if rate_hz else _STALL_S


def _fill(graph: 'WatchedGraph', stall_s: float) -> None:
    """Let each stage stand still for a while, so that all that waits comes to its bounds.

    The memory of an image that once had to wait stays with its process, for the next one. Without
    this, a stage that the machine holds up for a moment, after an hour, would show as growth: one
    image more than ever waited before.
    """
    for process, pid in graph.pids.items():
        if process != 'player':
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(stall_s)
            finally:
                os.kill(pid, signal.SIGCONT)
            time.sleep(stall_s / 2)  # the stage behind it has to get people to wait for again
            graph.check()


def _samples(graph: 'WatchedGraph', seconds: float, interval_s: float) -> Soak:
    soak, start_s = Soak(), time.monotonic()
    graph.watch.start()  # what was sent while it warmed up is not of the first sample
    try:
        for number in tqdm(range(1 + round(seconds / interval_s)), unit='sample', disable=None):
            time.sleep(max(0.0, start_s + number * interval_s - time.monotonic()))
            graph.check()
            soak.take(graph, time.monotonic() - start_s)
    except KeyboardInterrupt:
        if len(soak.at_s) < _LEAST_SAMPLES:
            raise
    return soak


def held_table(soak: Soak) -> Table:
    """Return what each process holds, at first and at last, and whether that grows."""
    at_s = np.array(soak.at_s)
    rows: list[tuple[str | float, ...]] = []
    for process in dict.fromkeys(process for process, _ in soak.held):
        for name, _, rise in _OF_PROCESSES:
            rows.append((process, *_row(name, at_s, np.array(soak.held[process, name]), rise)))
    least_mib = least_per_hour(at_s, _OF_PROCESSES[0][2])
    return Table(
        f'soak of {(at_s[-1] - at_s[0]) / 60:.1f} minutes: what each process holds',
        (('process', ''), *_COLUMNS),
        rows,
        'first, last: medians of the first and the last quarter of the time. per hour: the median '
        'slope of all pairs of samples (Theil and Sen), with the ends of its 95 % interval. grows: '
        'the lower end makes, in this time, and last is above first by, more than '
        + ', '.join(f'{rise:g} {name}' for name, _, rise in _OF_PROCESSES)
        + f'. Memory that grows by less than {least_mib:.2g} MiB an hour does not show in so long.',
    )


_COLUMNS = (('quantity', ''), ('first', '.1f'), ('last', '.1f'), ('per hour', '+.2f'),
            ('from', '+.2f'), ('to', '+.2f'), ('verdict', ''))  # fmt: skip


def _row(name: str, at_s: np.ndarray, values: np.ndarray, rise: float) -> tuple[str | float, ...]:
    g = growth(at_s, values, rise)
    verdict = 'grows' if g.grows else 'does not grow'
    return name, g.first, g.last, g.per_hour, g.low, g.high, verdict


def frames_table(soak: Soak) -> Table:
    """Return the age of poses and the share of lost frames over time, and what became of all.

    :raises OSError: poses came in too few of the intervals to tell whether their age grows.
    """
    at_s = np.array(soak.at_s)[1:]
    aged = [bool(w.ages_ms) for w in soak.watched[1:]]
    if sum(aged) < _LEAST_SAMPLES // 2:
        raise OSError(
            f'poses came in {sum(aged)} of {len(aged)} intervals, too few to tell whether their '
            'age grows: give a longer --interval and more --minutes'
        )
    ages = np.array([np.median(w.ages_ms) for w in soak.watched[1:] if w.ages_ms])
    sent = np.diff([w.sent for w in soak.watched])
    lost = np.diff([w.sent - w.posed for w in soak.watched])
    rows = [
        _row('age of poses, ms', at_s[aged], ages, _AGE_MS),
        _row('images without poses, %', at_s, 100 * lost / np.maximum(sent, 1), _LOST_PERCENT),
    ]
    return Table('images and their poses', _COLUMNS, rows, _account(soak))


def _account(soak: Soak) -> str:
    """Return what became of all images, in words."""
    first, last = soak.watched[0], soak.watched[-1]
    sent, posed = last.sent, last.posed  # since the start, which is before the first sample
    counted = {
        name: sum(last.counts[s][name] - first.counts[s][name] for s in STAGES) for name in _LOSSES
    }
    uncounted = sent - posed - sum(counted.values())
    told = ', '.join(f'{number} {name}' for name, number in counted.items())
    return (
        f'Of {sent} images {posed} have poses; the stages count {told}. The other {uncounted} are '
        'on their way, or were replaced by a newer image in the middleware: diagnostics, which '
        'count the rest, come once a second, so that some more or less are no loss. The age is '
        'from the stamp to the arrival of the poses, the median of each interval.'
    )
