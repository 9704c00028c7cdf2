# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What `benchmark graph` measures, and what comes of it: plain values that go between processes."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pose3d_ros.benchmarks.alone import Alone
from pose3d_ros.benchmarks.usage import Disturbance
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions

if TYPE_CHECKING:
    from pose3d_ros.nodes.graph_timing import Timing

COMPOSED, SEPARATE = 'composed', 'separate'
#: Layout -> module of pose3d_ros.nodes with all stages in one process; '' = one process each.
LAYOUTS = {
    COMPOSED: 'pipeline',
    SEPARATE: '',
    'one executor': 'graph_one_thread',
    'many threads': 'graph_many_threads',
}
RAW, COMPRESSED = 'raw', 'compressed'
#: What posenet makes only while somebody subscribes.
WATCHED = ('markers', 'overlay')
PROFILE, DEFAULTS = 'our profile', 'defaults'


@dataclass(frozen=True)
class Setting:
    """One graph.

    :param size: of the images, width and height, pixels.
    :param people: whom the networks get of each image.
    :param layout: key of LAYOUTS.
    :param streams: images that each stage works on at once.
    :param images: RAW or COMPRESSED.
    :param fastdds: PROFILE or DEFAULTS.
    :param watched: topics of WATCHED that somebody subscribes to while it is measured.
    """

    size: tuple[int, int]
    people: int
    layout: str = COMPOSED
    streams: int = 1
    images: str = RAW
    fastdds: str = PROFILE
    watched: tuple[str, ...] = ()


@dataclass(frozen=True)
class Method:
    """How every setting is measured.

    :param rounds: of all that is compared.
    :param frames: of a round in the graph.
    :param frames_alone: of a round of the stages alone.
    :param in_flight: frames without poses in the closed loop at the most, for each stream.
    :param long_side: of the detector's input; 0 = its default.
    """

    rounds: int = 6
    frames: int = 40
    frames_alone: int = 12
    in_flight: int = 2
    posenet: str = 'blazepose'
    precision: str = 'auto'
    threads: int = 0
    long_side: int = 0

    def runtime(self) -> RuntimeOptions:
        """Return how the networks run alone: each call with all the threads."""
        return RuntimeOptions(precision=self.precision, threads=self.threads)

    def detection(self, people: int) -> DetectorOptions:
        """Return what the detector is to keep."""
        return DetectorOptions(input_long_side=self.long_side, max_people=people)

    def most_frames(self, setting: Setting) -> int:
        """Return how many frames without poses a graph has in the closed loop, at the most."""
        return self.in_flight * setting.streams

    def parameters(self, setting: Setting) -> dict[str, tuple[str, ...]]:
        """Return what the nodes of a graph are given: node -> 'name:=value'."""
        runs = (
            f'precision:={self.precision}',
            f'threads:={self.threads}',
            f'streams:={setting.streams}',
        )
        detection = (f'input_long_side:={self.long_side}', f'max_people:={setting.people}')
        return {
            'detector': (*runs, *detection),
            'rootnet': runs,
            'posenet': (*runs, f'model:={self.posenet}'),
        }


@dataclass(frozen=True)
class Round:
    """The networks alone, and right after them the graph: what may be compared.

    The speed of a machine that others share changes by half within minutes.

    :param cpu_ms: processor time of the graph's processes per frame.
    """

    alone: Alone
    graph: 'Timing'
    cpu_ms: float


@dataclass(frozen=True)
class Closed:
    """A setting in a closed loop.

    :param single: rounds with one frame at a time in the graph.
    :param full: rounds with as many frames as it holds.
    :param stages: stage -> its diagnostic values after the single rounds.
    :param decode_ms: reading the pixels of an image, alone.
    :param peak_mib: process -> most memory held.
    :param disturbance: over all rounds.
    """

    setting: Setting
    single: list[Round]
    full: list[Round]
    stages: dict[str, dict[str, float]]
    decode_ms: float
    peak_mib: dict[str, float]
    disturbance: Disturbance


@dataclass(frozen=True)
class LoadPoint:
    """What came of an input rate, which the graph has no say in.

    :param factor: of the rate that was held in a closed loop right before.
    :param held_hz: that rate.
    :param dropped: stage -> frames that left there for newer ones, or otherwise without a result.
    :param not_received: frames that did not get to the first stage.
    """

    factor: float
    held_hz: float
    graph: 'Timing'
    dropped: dict[str, int]
    not_received: int
    disturbance: Disturbance


@dataclass(frozen=True)
class Load:
    """The load curve of a setting."""

    setting: Setting
    points: list[LoadPoint]


@dataclass(frozen=True)
class Baseline:
    """The graph and the plain sequential way in turn.

    :param rounds: frames per second of the graph, and seconds a frame of the baseline.
    """

    setting: Setting
    rounds: list[tuple[float, float]]


@dataclass(frozen=True)
class Memory:
    """Memory over many frames.

    :param frames: how many had gone through at each sample.
    :param resident_mib: process -> memory at each sample.
    :param lost: frames without poses.
    """

    setting: Setting
    frames: list[int] = field(default_factory=list)
    resident_mib: dict[str, list[float]] = field(default_factory=dict)
    lost: int = 0
