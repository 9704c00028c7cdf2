# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The real graph as processes, what comes out of it, and a ledger of every frame."""

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from footage import FIELD_OF_VIEW_DEG, Camera, Sent
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo
from waiting import wait

from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.accounting import COUNTERS
from pose3d_ros.nodes.diagnosis import frame_values
from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.spinning import spinning
from pose3d_ros.stages import STAGES
from pose3d_ros.transport import child_environment, prepare_process

#: Output has to be back this soon after the end of a cause, and what a frame takes anyhow.
LIMIT_S = 3.0
#: Nothing is on its way any more when no poses came for so long.
_THROUGH_S = 1.0
LOSSES = ('dropped', 'stale', 'skipped', 'failed')
_DEEP = QoSProfile(depth=100)


class Process:
    """A node as a process that can be started again; its log is a file.

    :param arguments: behind --ros-args.
    :param code: Python that is run in place of the node's module.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        arguments: Sequence[str] = (),
        domain_id: int | None = None,
        code: str = '',
    ) -> None:
        self.name, self._log = name, log
        what = ['-c', code] if code else ['-m', 'pose3d_ros.nodes.programs', name]
        self._command = [sys.executable, *what, '--ros-args', *arguments]
        self._environment = child_environment(os.environ)
        if domain_id is not None:
            self._environment['ROS_DOMAIN_ID'] = str(domain_id)
        self.start()

    def start(self) -> None:
        with self._log.open('wb') as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )

    def said(self) -> str:
        """Return what it has said since it was started."""
        return self._log.read_text(errors='replace')

    def wait_to_say(self, text: str) -> None:
        wait(lambda: text in self.said() or not self.lives(), f'{self.name} to say {text!r}')
        assert text in self.said(), f'{self.name} ended: {self.said()}'

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Return its exit status; None = it lives."""
        return self._process.poll()

    def lives(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, float]:
        """Ask it to end; return its status and how long that took, seconds."""
        start_s = time.monotonic()
        self.send(number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._process.returncode, time.monotonic() - start_s


class Player:
    """The player's process as camera, with what it has sent as its camera_info tells."""

    def __init__(self, node: Node, log: Path, subscribers: int, rate_hz: float = 2.0) -> None:
        self.sent: list[Sent] = []
        self._log = log
        clip = Clip.load('multi')
        given = (
            f'source:={clip.cameras[0].film}',
            f'rate:={rate_hz / clip.frame_rate_hz}',
            f'field_of_view_deg:={FIELD_OF_VIEW_DEG}',
            'loop:=true',
            f'subscribers:={subscribers}',
        )
        self._arguments = [word for one in given for word in ('-p', one)]
        self.process: Process | None = None
        node.create_subscription(CameraInfo, 'camera_info', self._take, _DEEP)

    def _take(self, message: CameraInfo) -> None:
        self.sent.append(Sent(stamp_ns(message.header), time.monotonic()))

    def appear(self) -> None:
        self.process = Process('player', self._log, self._arguments)

    def vanish(self) -> None:
        if self.process is not None:
            self.process.end()


@dataclass
class Posed:
    """A message of poses that came, and when by the monotonic clock."""

    message: Pose3DArray
    at_s: float


@dataclass(frozen=True)
class Outcome:
    """What a drill did to the frames.

    :param recovery_s: from the end of the cause to the poses of an image that was sent behind it.
    :param age_s: how old poses were before the cause, the median: the load of the machine.
    :param sent: images.
    :param posed: of which poses came.
    :param outage: lost of those that were on their way when the cause began, or were sent from
        then until poses came again.
    :param counted: lost, as the stages count them.
    :param unseen: a stage was not handed them, or their people: they were lost on the way to it, or
        a newer one took their place before it looked.
    :param unexplained: what the cause of the drill does not explain.
    :param where: the images that were lost outside of the outage, and how far each came.
    """

    recovery_s: float
    age_s: float
    sent: int
    posed: int
    outage: int
    counted: int
    unseen: int
    unexplained: int
    where: str = ''


class Rig:
    """A graph, a camera before it, and who counts what comes behind it.

    :param layout: of processes: the stages, or 'pipeline'.
    :param arguments: of every process, behind --ros-args.
    """

    def __init__(
        self,
        folder: Path,
        layout: Sequence[str] = STAGES,
        arguments: Sequence[str] = (),
        domain_id: int | None = None,
        namespace: str = '/',
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        prepare_process()
        self._open = ExitStack()
        self.folder = folder
        given = [*arguments, '-r', f'__ns:={namespace}']
        self.processes = {
            name: Process(name, folder / f'{name}.log', given, domain_id) for name in layout
        }
        self.context = Context()
        rclpy.init(
            context=self.context,
            domain_id=domain_id,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        self.node = Node('drill', context=self.context, namespace=namespace)
        self.camera: Camera | Player = Camera(self.node, len(layout))
        self.posed: list[Posed] = []
        #: When the newest diagnostics were made, by the clock of who made them.
        self.told_ns = 0
        #: Stamps of what came on the topics between the stages.
        self.between: dict[str, set[int]] = {'detections': set(), 'roots': set()}
        self._counts: dict[str, tuple[int, dict[str, int]]] = {}
        self._lock = threading.Lock()
        self.node.create_subscription(Pose3DArray, 'poses', self._take_poses, _DEEP)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._take_counts, _DEEP)
        for topic, stamps in self.between.items():
            self.node.create_subscription(
                PersonArray, topic, lambda m, s=stamps: s.add(stamp_ns(m.header)), _DEEP
            )
        self.executor = self._open.enter_context(spinning(self.node))
        for process in self.processes.values():
            process.wait_to_say('ready:')

    def close(self) -> None:
        self.camera.vanish()
        for process in self.processes.values():
            process.kill()
        self._open.close()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _take_poses(self, message: Pose3DArray) -> None:
        self.posed.append(Posed(message, time.monotonic()))

    def _take_counts(self, message: DiagnosticArray) -> None:
        prefix = self.node.get_namespace().strip('/')
        self.told_ns = stamp_ns(message.header)
        for name, values in frame_values(message):
            space, _, stage = name.rpartition('/')
            if space == prefix:
                counts = {counter: int(values[counter]) for counter in COUNTERS}
                with self._lock:
                    self._counts[stage] = time.monotonic_ns(), counts

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds, as `managing.Manager` asks of a graph."""
        wait(condition, what)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the counters of each stage, from diagnostics that are made from now on."""
        for _ in range(2):  # the first may have been on its way
            self._wait_for_counts(time.monotonic_ns())
        return {stage: self._counts[stage][1] for stage in STAGES}

    def _wait_for_counts(self, since_ns: int) -> None:
        wait(
            lambda: all(self._counts.get(s, (0,))[0] > since_ns for s in STAGES),
            f'diagnostics of all stages, of which there are {sorted(self._counts)}',
        )

    def wait_for_poses(self, count: int = 1) -> None:
        """Wait for poses of images that are sent from now on."""
        last = self.camera.sent[-1].at_s if self.camera.sent else 0.0
        wait(lambda: len(self._later(last)) >= count, 'poses')

    def _later(self, at_s: float) -> list[Sent]:
        """Return the images sent later than that which have poses."""
        return [sent for sent, posed in self.pairs() if posed is not None and sent.at_s > at_s]

    def pairs(self, first: int = 0) -> list[tuple[Sent, Posed | None]]:
        """Return each image from the first-th on with its poses.

        Where stamps come again, poses are those of the newest image of theirs that has none yet.
        """
        pairs: list[tuple[Sent, Posed | None]] = [(s, None) for s in list(self.camera.sent)[first:]]
        places: dict[int, list[int]] = {}
        for place, (sent, _) in enumerate(pairs):
            places.setdefault(sent.stamp_ns, []).append(place)
        for posed in list(self.posed):
            waiting = places.get(stamp_ns(posed.message.header), [])
            sent_before = [place for place in waiting if pairs[place][0].at_s < posed.at_s]
            if sent_before:
                place = sent_before[-1]
                pairs[place] = pairs[place][0], posed
                waiting.remove(place)
        return pairs

    def longest_gap_s(self, since_s: float) -> float:
        """Return the longest time without poses from then until now."""
        times = [since_s, *(p.at_s for p in self.posed if p.at_s > since_s), time.monotonic()]
        return max(b - a for a, b in pairwise(times))

    def rest(self) -> None:
        """Send nothing until all that was sent is through."""
        self.camera.vanish()
        seen = -1
        while seen != len(self.posed):
            seen = len(self.posed)
            time.sleep(_THROUGH_S)

    @contextmanager
    def drill(
        self, killed: Sequence[str] = (), outage: bool = False, flooded: bool = False
    ) -> Iterator['Drill']:
        """Let poses flow and the ledger be at nothing; what is inside is the cause.

        All that is lost must be counted by the stages, but for these:

        :param killed: stages that end, and their counts with them; there is an outage.
        :param outage: frames may be lost while the cause lasts and until poses are back.
        :param flooded: newer frames may take the place of others before a stage looks.
        """
        warm = len(self.camera.sent)
        self.camera.appear()
        self.wait_for_poses(3)
        self.rest()
        before = self.counts()
        first = len(self.camera.sent)
        self.camera.appear()
        self.wait_for_poses(2)
        away = outage or bool(killed)
        ages_s = [p.at_s - s.at_s for s, p in self.pairs(warm) if p is not None]
        age_s = statistics.median(ages_s)
        drill = Drill(self, first, before, tuple(killed), away, flooded, age_s, time.monotonic())
        yield drill
        assert drill.over_s, 'the drill did not say when its cause was over'


@dataclass
class Drill:
    """A drill at work: `over` when its cause is, then `outcome`."""

    rig: Rig
    first: int
    before: dict[str, dict[str, int]]
    killed: tuple[str, ...]
    away: bool
    flooded: bool
    age_s: float
    began_s: float
    over_s: float = 0.0

    def over(self) -> None:
        """Say that the cause is over from now on."""
        self.over_s = time.monotonic()

    def poses_while(self, seconds: float) -> set[int]:
        """Return the stamps of the poses that come in so long, nanoseconds."""
        count = len(self.rig.posed)
        time.sleep(seconds)
        return {stamp_ns(posed.message.header) for posed in self.rig.posed[count:]}

    def outcome(self) -> Outcome:
        """Wait until poses are back and all is through; return what became of the frames."""
        sent = len(self.rig.camera.sent)
        try:
            wait(lambda: self.rig._later(self.over_s), 'poses after the cause')
        except AssertionError as error:  # what failed: who sends, or who receives?
            count = len(self.rig.camera.sent) - sent
            raise AssertionError(f'{error}, while {count} images were sent') from error
        self.rig.wait_for_poses(3)
        self.rig.rest()
        after = self.rig.counts()
        pairs = self.rig.pairs(self.first)
        back = [p.at_s for s, p in pairs if p is not None and s.at_s > self.over_s]
        recovered_s = min(back)
        lost = [sent for sent, posed in pairs if posed is None]
        # images go through in their order: those behind it were on their way
        through_s = max(s.at_s for s, p in pairs if p is not None and p.at_s < self.began_s)
        outage = [s for s in lost if through_s < s.at_s <= recovered_s]
        grown = {stage: self._grown(stage, after) for stage in STAGES}
        counted = sum(grown[stage][name] for stage in STAGES for name in LOSSES)
        # of a stage that was killed nobody knows what it had received
        unseen = 0 if self.killed else _unseen(len(pairs), grown)
        explained = counted + len(outage) * self.away + unseen * self.flooded
        return Outcome(
            recovered_s - self.over_s,
            self.age_s,
            len(pairs),
            len(pairs) - len(lost),
            len(outage),
            counted,
            unseen,
            max(0, len(lost) - explained),
            self._where([s for s in lost if s not in outage]),
        )

    def _where(self, lost: Sequence[Sent]) -> str:
        """Return when lost images were sent, after the end of the cause, and how far they came."""
        between = self.rig.between.items()
        return ', '.join(
            f'{s.at_s - self.over_s:+.2f} s '
            f'({"+".join(topic for topic, stamps in between if s.stamp_ns in stamps) or "nothing"})'
            for s in lost
        )

    def _grown(self, stage: str, after: dict[str, dict[str, int]]) -> dict[str, int]:
        before = self.before[stage]
        if stage in self.killed:
            before = dict.fromkeys(before, 0)
        return {name: after[stage][name] - before[name] for name in before}


def _unseen(sent: int, grown: dict[str, dict[str, int]]) -> int:
    """Return how many frames did not get from one to the next."""
    out = [sent, *(grown[stage]['published'] for stage in STAGES[:-1])]
    return sum(max(0, n - grown[s]['received']) for n, s in zip(out, STAGES, strict=True))
