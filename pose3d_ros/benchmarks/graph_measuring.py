# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measuring one graph, in a process of its own: Fast DDS takes its settings once per process."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pose3d_ros.benchmarks.alone import StagesAlone
from pose3d_ros.benchmarks.graph_settings import (
    DEFAULTS,
    LAYOUTS,
    Baseline,
    Closed,
    Load,
    LoadPoint,
    Memory,
    Method,
    Round,
    Setting,
)
from pose3d_ros.benchmarks.scenes import scenes
from pose3d_ros.benchmarks.sequential import Sequential
from pose3d_ros.benchmarks.usage import Processors, cpu_s, peak_mib, resident_mib
from pose3d_ros.camera import Camera
from pose3d_ros.parent import end_with_parent, environment_of_child
from pose3d_ros.stages import STAGES
from pose3d_ros.transport import PROFILE_VARIABLES

if TYPE_CHECKING:
    from pose3d_ros.nodes.graph_timing import RunningGraph

FIELD_OF_VIEW_DEG = 60.0
#: The first few also say whether anything gets through, and how long to wait for what is lost.
_WARM_UP_FRAMES = (4, 16)
#: Memory settles first: batches of new sizes, the discovery of others.
_SETTLING_FRAMES = 200
_MEMORY_SAMPLES, _FRAMES_PER_SAMPLE = 40, 10
_BASELINE_FRAMES = 2

_T = TypeVar('_T')


def in_own_process(measure: Callable[..., _T], *given: object) -> _T:
    """Return what a function of this file returns, from a new process.

    :raises OSError: the graph did not come, or ended.
    """
    context = multiprocessing.get_context('spawn')
    ours = environment_of_child({})
    with ProcessPoolExecutor(1, context, end_with_parent, (ours,)) as pool:
        return pool.submit(measure, *given).result()


def closed(setting: Setting, method: Method) -> Closed:
    """Time networks alone and graph in turn, with one frame and with many in it."""
    with _running(setting, method) as (graph, images):
        alone = _alone(images, setting, method)
        decode_ms = graph.camera.decode_ms()
        before = Processors.now(graph.pids.values())
        single = _rounds(graph, alone, method, 1)
        stages = graph.camera.values()
        full = _rounds(graph, alone, method, method.most_frames(setting))
        disturbance = Processors.now(graph.pids.values()).since(before)
        peaks = {name: peak_mib(pid) for name, pid in graph.pids.items()}
    return Closed(setting, single, full, stages, decode_ms, peaks, disturbance)


def load(setting: Setting, method: Method, factors: list[float], seconds: float) -> Load:
    """Publish at so many times the rate that is held, measured anew before each."""
    points = []
    with _running(setting, method) as (graph, _):
        for factor in factors:
            held_hz = graph.camera.run(method.frames, method.most_frames(setting)).rate_hz
            before, start = graph.camera.values(), Processors.now(graph.pids.values())
            timing = graph.camera.play(factor * held_hz, seconds)
            disturbance = Processors.now(graph.pids.values()).since(start)
            after = graph.camera.values()
            received = int(_grown(before, after, 'detector', 'received'))
            dropped = {
                stage: int(
                    _grown(before, after, stage, 'received')
                    - _grown(before, after, stage, 'published')
                )
                for stage in STAGES
            }
            lost = timing.sent - received
            points.append(LoadPoint(factor, held_hz, timing, dropped, lost, disturbance))
    return Load(setting, points)


def baseline(setting: Setting, method: Method) -> Baseline:
    """Time the graph and the plain sequential way in turn."""
    rounds = []
    with (
        _running(setting, method) as (graph, images),
        tempfile.TemporaryDirectory() as folder,
    ):
        plain = Sequential(images, setting.people, Path(folder))
        plain.seconds(0)  # warms up
        for number in range(method.rounds):
            rate_hz = graph.camera.run(method.frames, method.most_frames(setting)).rate_hz
            first = number * _BASELINE_FRAMES
            plain_s = np.median([plain.seconds(first + i) for i in range(_BASELINE_FRAMES)])
            rounds.append((rate_hz, float(plain_s)))
    return Baseline(setting, rounds)


def memory(setting: Setting, method: Method, frames: int) -> Memory:
    """Run many frames and note the memory of every process now and then."""
    done, lost = [0], 0
    resident: dict[str, list[float]] = {}
    with _running(setting, method) as (graph, _):
        graph.camera.run(min(_SETTLING_FRAMES, frames), method.most_frames(setting))
        samples = max(2, min(_MEMORY_SAMPLES, frames // _FRAMES_PER_SAMPLE))
        for total in np.linspace(0, frames, samples + 1).astype(int).tolist():
            if total > done[-1]:
                lost += graph.camera.run(total - done[-1], method.most_frames(setting)).lost
                done.append(total)
            for name, pid in graph.pids.items():
                resident.setdefault(name, []).append(resident_mib(pid))
    return Memory(setting, done, resident, lost)


@contextmanager
def _running(setting: Setting, method: Method) -> Iterator[tuple['RunningGraph', list[np.ndarray]]]:
    """Yield the warmed-up graph of a setting, and its images."""
    from pose3d_ros.nodes.graph_timing import graph_under_test
    from pose3d_ros.nodes.processes import ProcessError

    if setting.fastdds == DEFAULTS:
        for name in PROFILE_VARIABLES:
            os.environ.pop(name, None)
        os.environ['FASTDDS_BUILTIN_TRANSPORTS'] = 'DEFAULT'
    images = scenes(setting.size, setting.people, long_side=method.long_side)
    try:
        with (
            tempfile.TemporaryDirectory() as logs,
            graph_under_test(
                images,
                _camera(setting),
                Path(logs),
                method.parameters(setting),
                LAYOUTS[setting.layout],
                setting.images,
                setting.watched,
            ) as graph,
        ):
            for count in _WARM_UP_FRAMES:
                graph.camera.run(count, in_flight=1)
            yield graph, images
    except ProcessError as error:
        raise OSError(str(error)) from error


def _camera(setting: Setting) -> Camera:
    return Camera.from_field_of_view(*setting.size, FIELD_OF_VIEW_DEG)


def _alone(images: list[np.ndarray], setting: Setting, method: Method) -> StagesAlone:
    """Return the stages, warmed up."""
    alone = StagesAlone(
        images,
        _camera(setting),
        method.detection(setting.people),
        method.posenet,
        method.runtime(),
    )
    alone.time(method.frames_alone)
    return alone


def _rounds(
    graph: 'RunningGraph', alone: StagesAlone, method: Method, in_flight: int
) -> list[Round]:
    rounds = []
    for _ in range(method.rounds):
        bound = alone.time(method.frames_alone)
        before_s = sum(cpu_s(pid) for pid in graph.pids.values())
        timing = graph.camera.run(method.frames, in_flight)
        used_s = sum(cpu_s(pid) for pid in graph.pids.values()) - before_s
        rounds.append(Round(bound, timing, 1e3 * used_s / method.frames))
    return rounds


def _grown(
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]], stage: str, what: str
) -> float:
    return after[stage][what] - before[stage][what]
