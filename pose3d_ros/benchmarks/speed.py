"""Measure frames per second, time per stage, and what of it is not a network."""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from pose3d_ros.benchmarks import report
from pose3d_ros.camera import Camera
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.runtime import PRECISIONS, RuntimeOptions
from pose3d_ros.models.yolox import DetectorOptions, input_size
from pose3d_ros.stages import DETECTORS, POSENETS, ROOTNETS

if TYPE_CHECKING:
    from pose3d_ros.nodes.graph_timing import Timing

_STAGES = ('detector', 'rootnet', 'posenet')
_WARM_UP_FRAMES = 30
# One in work and one waiting at the first door: a third could replace the second.
_FRAMES_IN_FLIGHT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark speed`."""
    parser.add_argument(
        '--long-sides', type=int, nargs='+', default=[736, 1280], metavar='PIXELS',
        help='longer sides of the detector input to compare',
    )  # fmt: skip
    parser.add_argument('--people', type=int, default=2, help='at most so many per frame')
    parser.add_argument('--frames', type=int, default=200, help='per run')
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


@dataclass(frozen=True)
class Measured:
    """One setting, measured without and in the graph.

    :param size: height and width of the detector's input, pixels.
    :param alone: before the graph ran.
    :param single: the graph with one frame at a time.
    :param full: the graph with as many frames as it holds.
    """

    size: tuple[int, int]
    alone: Alone
    single: 'Timing'
    full: 'Timing'


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
    """Time the networks alone, then the graph with one frame and with many in it."""
    from pose3d_ros.nodes.graph_timing import graph_under_test

    options = DetectorOptions(input_long_side=long_side, max_people=arguments.people)
    alone = time_alone(images, camera, options, arguments.posenet, arguments.precision)
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
        single = driver.run(arguments.frames, in_flight=1)
        full = driver.run(arguments.frames, in_flight=_FRAMES_IN_FLIGHT)
    return Measured(input_size(camera.width, camera.height, long_side), alone, single, full)


def time_alone(
    images: list[np.ndarray], camera: Camera, options: DetectorOptions, posenet: str, precision: str
) -> Alone:
    """Time the three stages one after the other on real frames, without topics or threads."""
    runtime = RuntimeOptions(precision=precision)
    detect = DETECTORS['yolox'](None, runtime)
    root = ROOTNETS['keypoints'](None, runtime)
    pose = POSENETS[posenet](None, runtime)
    stages = (detect, root, pose)
    times: list[list[tuple[float, float]]] = []
    for image in [*images[:3], *images * 3]:
        marks = [perf_counter()]
        busy = [[_busy_s(stage) for stage in stages]]
        persons = detect(image, options)
        marks.append(perf_counter())
        persons = root(image, persons, camera, BodySize())
        marks.append(perf_counter())
        pose(image, persons, camera)
        marks.append(perf_counter())
        busy.append([_busy_s(stage) for stage in stages])
        networks_s = np.subtract(busy[1], busy[0]).tolist()
        times.append(list(zip(networks_s, np.diff(marks).tolist(), strict=True)))
    medians_ms = 1e3 * np.median(np.array(times[3:]), axis=0)  # the first ones compile
    return Alone(
        dict(zip(_STAGES, medians_ms[:, 0].tolist(), strict=True)),
        dict(zip(_STAGES, medians_ms[:, 1].tolist(), strict=True)),
    )


def _busy_s(stage: object) -> float:
    return float(sum(network.busy_s for network in stage.networks))  # type: ignore[attr-defined]


def _graph_table(measured: list[Measured], arguments: argparse.Namespace) -> report.Table:
    rows: list[tuple[str | float, ...]] = []
    for m in measured:
        bound_hz = 1e3 / sum(m.alone.networks_ms.values())
        age_ms = float(np.median(m.single.ages_ms))
        rows.append(
            (
                f'{m.size[0]}x{m.size[1]}',
                m.full.rate_hz,
                bound_hz,
                m.full.rate_hz / bound_hz,
                float(np.median(m.full.ages_ms)),
                age_ms,
                m.single.network_ms,
                age_ms - m.single.network_ms,
                float(m.full.lost + m.single.lost),
            )
        )
    where = 'three processes' if arguments.separate else 'one process'
    return report.Table(
        f'the graph over topics in {where}: 1088x1920 images, {arguments.people} people, '
        f'{arguments.posenet}, {arguments.frames} frames each',
        (
            ('detector input', ''), ('frames/s', '.1f'), ('networks alone/s', '.1f'),
            ('efficiency', '.2f'), ('age ms', '.0f'), ('age, one frame ms', '.1f'),
            ('of it networks', '.1f'), ('of it the rest', '.1f'), ('replaced', '.0f'),
        ),
        rows,
        'age: from the call that publishes an image to the arrival of its poses in that process, '
        f'with {_FRAMES_IN_FLIGHT} frames in the graph, and with one. efficiency: frames/s over '
        'what the networks alone allow, one after the other with all cores, in the same run. '
        'replaced: images that a newer one replaced before work on them began.',
    )  # fmt: skip


def _stage_table(measured: list[Measured]) -> report.Table:
    rows: list[tuple[str | float, ...]] = []
    for m in measured:
        for stage in _STAGES:
            in_graph = m.single.stages.get(stage, {})
            network_ms, whole_ms = m.alone.networks_ms[stage], m.alone.stages_ms[stage]
            rows.append(
                (
                    f'{m.size[0]}x{m.size[1]}',
                    stage,
                    network_ms,
                    whole_ms - network_ms,
                    in_graph.get('network_ms', float('nan')),
                    in_graph.get('processing_ms', float('nan'))
                    - in_graph.get('network_ms', float('nan')),
                )
            )
    return report.Table(
        'time per stage, ms, medians',
        (
            ('detector input', ''), ('stage', ''), ('alone: networks', '.1f'), ('rest', '.1f'),
            ('in the graph: networks', '.1f'), ('rest with messages', '.1f'),
        ),
        rows,
    )  # fmt: skip
