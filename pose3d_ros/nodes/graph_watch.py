# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The graph behind a player, each a process of its own, and a node that counts what comes out."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo

from pose3d_ros.msg import Pose3DArray
from pose3d_ros.nodes.accounting import COUNTERS
from pose3d_ros.nodes.diagnosis import frame_values
from pose3d_ros.nodes.inputs import RESULT_QOS, stamp_ns
from pose3d_ros.nodes.processes import processes
from pose3d_ros.nodes.spinning import node_beside
from pose3d_ros.stages import STAGES
from pose3d_ros.transport import prepare_process

_READY_TIMEOUT_S = 60.0
#: Reliable: the player's camera_info is counted for its images, of which it sends one each.
_COUNTING = QoSProfile(depth=100)


@dataclass(frozen=True)
class Watched:
    """What a graph had done by a moment.

    :param sent: images that the player had published since the start.
    :param posed: messages of poses that had come of them.
    :param ages_ms: of those that came since the last look, from the image's stamp to the arrival.
    :param counts: stage -> its counters, as its last diagnostics have them.
    """

    sent: int
    posed: int
    ages_ms: list[float]
    counts: dict[str, dict[str, int]]


class GraphWatch(Node):
    """Count images, poses and what stages say of them; nothing is kept of what was looked at."""

    def __init__(self) -> None:
        super().__init__('graph_watch')
        self._lock = threading.Lock()
        self._sent = self._posed = 0
        self._last_stamp_ns = self._start_stamp_ns = -1
        self._ages_ms: list[float] = []
        self._counts: dict[str, dict[str, int]] = {}
        self.create_subscription(CameraInfo, 'camera_info', self._take_info, _COUNTING)
        self.create_subscription(Pose3DArray, 'poses', self._take_poses, _COUNTING)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._take_counts, RESULT_QOS)

    def start(self) -> None:
        """Count anew, from here on: poses of an image that was sent before are of no account."""
        with self._lock:
            self._sent = self._posed = 0
            self._ages_ms = []
            self._start_stamp_ns = self._last_stamp_ns

    def look(self) -> Watched:
        """Return what the graph has done until now."""
        with self._lock:
            ages_ms, self._ages_ms = self._ages_ms, []
            return Watched(self._sent, self._posed, ages_ms, dict(self._counts))

    def wait_for_poses(self, check: Callable[[], None]) -> None:
        """Wait until poses come and every stage has told of itself.

        :param check: raises when there is nothing to wait for any more.
        :raises TimeoutError: they do not come.
        """
        end = time.monotonic() + _READY_TIMEOUT_S
        while not self._posed or len(self._counts) < len(STAGES):
            if time.monotonic() > end:
                raise TimeoutError(f'no poses came within {_READY_TIMEOUT_S:g} s')
            check()
            time.sleep(0.05)

    def _take_info(self, message: CameraInfo) -> None:
        with self._lock:
            self._sent += 1
            self._last_stamp_ns = stamp_ns(message.header)

    def _take_poses(self, message: Pose3DArray) -> None:
        stamp = stamp_ns(message.header)
        age_ns = self.get_clock().now().nanoseconds - stamp
        with self._lock:
            if stamp > self._start_stamp_ns:
                self._posed += 1
                self._ages_ms.append(age_ns / 1e6)

    def _take_counts(self, message: DiagnosticArray) -> None:
        for stage, values in frame_values(message):
            with self._lock:
                self._counts[stage] = {name: int(values[name]) for name in COUNTERS}


@dataclass(frozen=True)
class WatchedGraph:
    """A graph at work.

    :param pids: node -> process; all stages are in one where that is the pipeline.
    :param check: raises ProcessError once a process has ended badly.
    """

    watch: GraphWatch
    pids: dict[str, int]
    check: Callable[[], None]


@contextmanager
def watched_graph(
    player: Sequence[str], log_dir: Path, composed: bool, stages: Sequence[str] = ()
) -> Iterator[WatchedGraph]:
    """Start the stages and a player as processes; yield once poses come.

    :param player: its parameters as 'name:=value'.
    :param composed: the stages in one process, or in one each.
    :param stages: parameters of every stage, likewise.
    :raises ProcessError: one of the processes ended badly.
    :raises TimeoutError: no poses come.
    """
    prepare_process()
    with processes(log_dir) as start:
        names = ['pipeline'] if composed else list(STAGES)
        pids = {name: start(name, *stages).pid for name in names}
        subscribers = f'subscribers:={len(names)}'
        with node_beside(GraphWatch, start.domain_id) as watch:
            pids = {'player': start('player', *player, subscribers).pid, **pids}
            watch.wait_for_poses(start.check)
            yield WatchedGraph(watch, pids, start.check)
