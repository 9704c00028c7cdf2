"""Measure frames per second, time per stage, and what of it is not a network."""

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from pose3d_ros.benchmarks import report
from pose3d_ros.camera import Camera
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.runtime import PRECISIONS, RuntimeOptions
from pose3d_ros.models.yolox import input_size
from pose3d_ros.stages import DETECTORS, POSENETS, ROOTNETS

if TYPE_CHECKING:
    from pose3d_ros.nodes.graph_timing import Timing

_STAGES = ('detector', 'rootnet', 'posenet')
_WARM_UP_FRAMES = 20
_FRAMES_PER_ROUND = 40
_FRAMES_ALONE = 12
# One in work and one waiting at the first door: a third could replace the second.
_FRAMES_IN_FLIGHT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark speed`."""
    parser.add_argument(
        '--long-sides', type=int, nargs='+', default=[736, 1280], metavar='PIXELS',
        help='longer sides of the detector input to compare',
    )  # fmt: skip
    parser.add_argument('--people', type=int, default=2, help='at most so many per frame')
    parser.add_argument('--rounds', type=int, default=6, help='of all that is compared')
    parser.add_argument('--separate', action='store_true', help='three processes, not one')
    parser.add_argument('--posenet', choices=tuple(POSENETS), default='blazepose')
    parser.add_argument('--precision', choices=PRECISIONS, default='auto')
    parser.add_argument('--threads', type=int, default=0, help='of each network; 0 = one a core')
    report.add_arguments(parser)


@dataclass(frozen=True)
class Alone:
    """The stages without a graph, one after the other: ms per frame, medians.

    :param networks_ms: stage -> time in its networks.
    :param stages_ms: stage -> its whole call, crops and decoding included.
    """

    networks_ms: dict[str, float]
    stages_ms: dict[str, float]

    @property
    def sum_ms(self) -> float:
        """Return the time of all networks, one after the other."""
        return sum(self.networks_ms.values())


@dataclass(frozen=True)
class Round:
    """The networks alone, and right after them the graph: what may be compared.

    The speed of a machine that others share changes by half within minutes.
    """

    alone: Alone
    graph: 'Timing'


@dataclass(frozen=True)
class Measured:
    """One setting.

    :param size: height and width of the detector's input, pixels.
    :param single: rounds with one frame at a time in the graph.
    :param full: rounds with as many frames as it holds.
    """

    size: tuple[int, int]
    single: list[Round]
    full: list[Round]


def run(arguments: argparse.Namespace) -> int:
    """Measure every input size and give the tables out; return the exit status."""
    clip = Clip.load('multi')
    camera = clip.cameras[0].camera
    images = [image for i, image in enumerate(clip.frames(0)) if i % 5 == 0]
    measured = [measure(images, camera, side, arguments) for side in arguments.long_sides]
    report.give_out('speed', [_graph_table(measured, arguments), _stage_table(measured)], arguments)
    return 0


def measure(
    images: list[np.ndarray], camera: Camera, long_side: int, arguments: argparse.Namespace
) -> Measured:
    """Time the networks alone and the graph in turn, with one frame and with many in it."""
    from pose3d_ros.nodes.graph_timing import graph_under_test

    alone = StagesAlone(images, camera, long_side, arguments)
    runs = (f'precision:={arguments.precision}', f'threads:={arguments.threads}')
    parameters = {
        'detector': (
            *runs,
            f'input_long_side:={long_side}',
            f'max_people:={arguments.people}',
        ),
        'rootnet': runs,
        'posenet': (*runs, f'model:={arguments.posenet}'),
    }
    composed = not arguments.separate
    with (
        tempfile.TemporaryDirectory() as logs,
        graph_under_test(images, camera, Path(logs), composed, parameters) as driver,
    ):
        driver.run(_WARM_UP_FRAMES, in_flight=1)
        alone.time(_FRAMES_ALONE)
        single, full = (
            [
                Round(alone.time(_FRAMES_ALONE), driver.run(_FRAMES_PER_ROUND, in_flight))
                for _ in range(arguments.rounds)
            ]
            for in_flight in (1, _FRAMES_IN_FLIGHT)
        )
    return Measured(input_size(camera.width, camera.height, long_side), single, full)


class StagesAlone:
    """The three stages on real frames, without topics or threads."""

    def __init__(
        self,
        images: list[np.ndarray],
        camera: Camera,
        long_side: int,
        arguments: argparse.Namespace,
    ) -> None:
        runtime = RuntimeOptions(precision=arguments.precision, threads=arguments.threads)
        self._images, self._camera = images, camera
        self._options = DetectorOptions(input_long_side=long_side, max_people=arguments.people)
        self._detect = DETECTORS['yolox'](None, runtime)
        self._root = ROOTNETS['keypoints'](None, runtime)
        self._pose = POSENETS[arguments.posenet](None, runtime)

    def time(self, count: int) -> Alone:
        """Return the times of so many frames, one after the other."""
        times = np.array([self._time(self._images[i % len(self._images)]) for i in range(count)])
        networks_ms, stages_ms = 1e3 * np.median(times, axis=0)
        return Alone(
            dict(zip(_STAGES, networks_ms.tolist(), strict=True)),
            dict(zip(_STAGES, stages_ms.tolist(), strict=True)),
        )

    def _time(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the seconds in each stage's networks, and in the whole stage."""
        stages = (self._detect, self._root, self._pose)
        busy, marks = [_busy_s(stage) for stage in stages], [perf_counter()]
        persons = self._detect(image, self._options)
        marks.append(perf_counter())
        persons = self._root(image, persons, self._camera, BodySize())
        marks.append(perf_counter())
        self._pose(image, persons, self._camera)
        marks.append(perf_counter())
        return np.subtract([_busy_s(stage) for stage in stages], busy), np.diff(marks)


def _busy_s(stage: object) -> float:
    return float(sum(network.busy_s for network in stage.networks))  # type: ignore[attr-defined]


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def _graph_table(measured: list[Measured], arguments: argparse.Namespace) -> report.Table:
    rows: list[tuple[str | float, ...]] = []
    for m in measured:
        rows.append(
            (
                f'{m.size[0]}x{m.size[1]}',
                _median(r.graph.rate_hz for r in m.full),
                _median(1e3 / r.alone.sum_ms for r in m.full),
                _median(r.graph.rate_hz * r.alone.sum_ms / 1e3 for r in m.full),
                _median(1e3 / r.graph.rate_hz - r.alone.sum_ms for r in m.full),
                _median(float(np.median(r.graph.ages_ms)) for r in m.full),
                _median(float(np.median(r.graph.ages_ms)) for r in m.single),
                _median(r.graph.network_ms for r in m.single),
                _median(float(np.median(r.graph.ages_ms)) - r.graph.network_ms for r in m.single),
                float(sum(r.graph.lost for r in (*m.full, *m.single))),
            )
        )
    where = 'three processes' if arguments.separate else 'one process'
    return report.Table(
        f'the graph over topics in {where}: 1088x1920 images, {arguments.people} people, '
        f'{arguments.posenet}, medians of {arguments.rounds} rounds of {_FRAMES_PER_ROUND} frames',
        (
            ('detector input', ''), ('frames/s', '.1f'), ('networks alone/s', '.1f'),
            ('efficiency', '.2f'), ('added ms/frame', '.1f'), ('age ms', '.0f'),
            ('age, one frame ms', '.1f'), ('of it networks', '.1f'), ('of it the rest', '.1f'),
            ('replaced', '.0f'),
        ),
        rows,
        'networks alone: one after the other with all cores, timed before each round. efficiency: '
        'frames/s over that. added: what all that is not a network adds to the time between two '
        'results. age: from the call that publishes an image to the arrival of its poses in that '
        f'process, with {_FRAMES_IN_FLIGHT} frames in the graph, and with one. replaced: images '
        'that a newer one replaced before work on them began.',
    )  # fmt: skip


def _stage_table(measured: list[Measured]) -> report.Table:
    rows: list[tuple[str | float, ...]] = []
    for m in measured:
        for stage in _STAGES:
            in_graph = [r.graph.stages[stage] for r in m.single]
            alone = [r.alone for r in m.single]
            rows.append(
                (
                    f'{m.size[0]}x{m.size[1]}',
                    stage,
                    _median(a.networks_ms[stage] for a in alone),
                    _median(a.stages_ms[stage] - a.networks_ms[stage] for a in alone),
                    _median(g['network_ms'] for g in in_graph),
                    _median(g['processing_ms'] - g['network_ms'] for g in in_graph),
                )
            )
    return report.Table(
        'time per stage, ms, medians',
        (
            ('detector input', ''), ('stage', ''), ('alone: networks', '.1f'), ('rest', '.1f'),
            ('in the graph: networks', '.1f'), ('rest with messages', '.1f'),
        ),
        rows,
        'in the graph: with one frame at a time.',
    )  # fmt: skip
