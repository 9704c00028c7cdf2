# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`pose3d benchmark soak`: what grows is told from what does not, and a real graph is looked at."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Graph
from flow import header_at
from sensor_msgs.msg import CameraInfo

from pose3d_ros.benchmarks import soak, usage
from pose3d_ros.benchmarks.growth import growth, least_per_hour
from pose3d_ros.cli import main
from pose3d_ros.msg import Pose3DArray
from pose3d_ros.nodes.graph_watch import GraphWatch, Watched
from pose3d_ros.nodes.spinning import spinning
from pose3d_ros.stages import STAGES

HOUR_S = np.arange(0.0, 3600.0, 5.0)
NOISE = np.random.default_rng(1).normal(0.0, 0.3, len(HOUR_S))
SPIKES = 40.0 * (np.arange(len(HOUR_S)) % 50 == 7)


@pytest.mark.parametrize('count', [4, 23, 240])
def test_slope_and_interval_are_those_of_scipy(count: int) -> None:
    from scipy.stats import theilslopes

    at_s, values = HOUR_S[:count], 100 + HOUR_S[:count] / 900 + NOISE[:count]
    expected = theilslopes(values, at_s / 3600)
    got = growth(at_s, values, 1.0)
    assert got.per_hour == pytest.approx(expected.slope)
    # SciPy rounds the ends of the interval to other neighbours among thousands of slopes
    width = expected.high_slope - expected.low_slope
    assert got.low == pytest.approx(expected.low_slope, abs=0.05 * width)
    assert got.high == pytest.approx(expected.high_slope, abs=0.05 * width)


def test_a_leak_grows_whatever_spikes_there_are() -> None:
    leak = 300 + 4 * HOUR_S / 3600 + NOISE + SPIKES
    got = growth(HOUR_S, leak, 1.0)
    assert got.grows and got.low > 3 and got.per_hour == pytest.approx(4, abs=0.3)
    assert got.last - got.first == pytest.approx(3, abs=0.3)  # three quarters of the hour apart


@pytest.mark.parametrize(
    'values',
    [
        300 + NOISE + SPIKES,
        300 - 4 * HOUR_S / 3600 + NOISE,
        300 + 0.9 * HOUR_S / 3600 + NOISE,  # below what counts
        300 + 5 * np.sin(HOUR_S / 30),
        np.full(len(HOUR_S), 21.0),
        np.where(HOUR_S < 120, 290.0, 300.0),  # it settled in the first minutes
        # the allocator's grain, and once one image more than ever before
        np.where(HOUR_S < 1700, 300.0, 306.2) + 0.2 * HOUR_S / 3600,
    ],
)
def test_what_is_no_leak_does_not_grow(values: np.ndarray) -> None:
    assert not growth(HOUR_S, values, 1.0).grows


def test_a_handle_now_and_then_grows() -> None:
    assert growth(HOUR_S, 20.0 + HOUR_S // 900, 0.5).grows


def test_days_of_samples_take_no_memory() -> None:
    at_s = np.arange(0.0, 7 * 86_400.0, 5.0)
    assert growth(at_s, at_s / 3600, 1.0).per_hour == pytest.approx(1.0)


def test_too_few_samples_are_refused_and_the_least_growth_is_told() -> None:
    with pytest.raises(ValueError, match='3 samples are too few'):
        growth(HOUR_S[:3], NOISE[:3], 1.0)
    least = least_per_hour(HOUR_S, 1.0)
    assert growth(HOUR_S, 1.2 * least * HOUR_S / 3600, 1.0).grows
    assert not growth(HOUR_S, 0.9 * least * HOUR_S / 3600, 1.0).grows


class LeakingGraph:
    """One process that leaks memory, handles and threads, or holds still; and counts by hand."""

    def __init__(self, pid: int) -> None:
        self.pids = {'player': pid}
        self.watch = self
        self._looks = 0

    def check(self) -> None: ...

    def start(self) -> None: ...

    def look(self) -> Watched:
        self._looks += 1
        n = 10 * self._looks
        counts = dict.fromkeys(
            ('received', 'published', 'dropped', 'stale', 'skipped', 'failed'), n
        )
        return Watched(n, n - self._looks, [50.0 + 20 * self._looks], dict.fromkeys(STAGES, counts))


LEAK = (
    'import sys, threading, time\n'
    'held = []\n'
    'while True:\n'
    '    if sys.argv[1] == "leak":\n'
    '        held += [bytearray(b"1" * 2**20), open("/dev/null")]\n'
    '        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n'
    '    print(flush=True)\n'
    '    time.sleep(0.02)\n'
)


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[int]:
    """Yield a process that leaks, or does not."""
    command = [sys.executable, '-c', LEAK, request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running.pid
        running.kill()


@pytest.mark.parametrize(
    ('process', 'verdict'), [('leak', 'grows'), ('still', 'does not grow')], indirect=['process']
)
def test_a_process_that_leaks_is_told_from_one_that_does_not(process: int, verdict: str) -> None:
    samples = soak._samples(LeakingGraph(process), 1.2, 0.06)  # type: ignore[arg-type]
    table = soak.held_table(samples)
    assert [row[1] for row in table.rows] == ['memory MiB', 'threads', 'open handles']
    assert {row[-1] for row in table.rows} == {verdict}
    age, lost = soak.frames_table(samples).rows
    assert (age[-1], lost[-1]) == ('grows', 'does not grow')
    assert lost[1] == pytest.approx(10)  # percent: one of ten


@pytest.mark.parametrize('process', ['still'], indirect=True)
def test_each_stage_stands_still_for_a_while_and_the_player_never(
    process: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[str] = []

    def look(_seconds: float) -> None:
        time.sleep(0.05)  # a signal takes effect in its own time
        states.append(Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0])

    monkeypatch.setattr(soak, 'time', SimpleNamespace(sleep=look))
    pids = {'player': os.getpid(), 'detector': process}
    soak._fill(SimpleNamespace(pids=pids, check=lambda: None), 1.0)  # type: ignore[arg-type]
    assert len(states) == 2 and states[0] == 'T' and states[1] != 'T'


def test_threads_and_handles_are_those_of_the_process() -> None:
    threads, handles = usage.thread_count(), usage.handle_count()
    with Path('/dev/null').open():
        assert usage.handle_count() == handles + 1
    assert threads >= 1


def test_poses_that_were_on_their_way_at_the_start_are_of_no_account(graph: Graph) -> None:
    """Counted, they would make more poses than images."""
    watch = GraphWatch()
    with spinning(watch):
        infos = graph.publisher(CameraInfo, 'camera_info')
        poses = graph.publisher(Pose3DArray, 'poses')
        early, *later = (header_at(time.time() - ago_s) for ago_s in (1000, 2, 1))
        infos.publish(CameraInfo(header=early))
        graph.wait(lambda: watch.look().sent == 1, 'the first image to be counted')
        watch.start()
        for header in later:
            infos.publish(CameraInfo(header=header))
        for header in (early, *later):
            poses.publish(Pose3DArray(header=header))
        graph.wait(lambda: len(watch._ages_ms) == 2, 'two poses to be counted')
        watched = watch.look()
    watch.destroy_node()
    assert (watched.sent, watched.posed) == (2, 2)
    assert max(watched.ages_ms) < 900_000  # ms: not that of the early one


def test_a_real_graph_is_soaked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / 'soak.json'
    words = (
        'benchmark soak --minutes 0.1 --interval 0.5 --warm-up 0.5 --layout composed --rate-hz 8'
    )
    status = main([*words.split(), '--out', str(file)])
    document = json.loads(file.read_text())
    held, frames = document['tables']
    assert [row[0] for row in held['rows']] == ['player'] * 3 + ['pipeline'] * 3
    verdicts = [row[-1] for row in (*held['rows'], *frames['rows'])]
    assert status == int('grows' in verdicts)
    memory_mib, threads, handles = (row[2] for row in held['rows'][3:])
    assert 100 < memory_mib < 2000 and 5 < threads < 200 and 5 < handles < 200
    assert 10 < frames['rows'][0][1] < 5000  # ms
    assert 'soak of 0.1 minutes' in capsys.readouterr().out
    sent, posed = map(int, re.findall(r'Of (\d+) images (\d+) have poses', frames['note'])[0])
    assert 0 < posed <= sent


def test_what_is_too_short_or_dies_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(['benchmark', 'soak', '--minutes', '0.5', '--interval', '10']) == 1
    assert 'is too short for 8 samples' in capsys.readouterr().err
    clip = SimpleNamespace(cameras=[SimpleNamespace(film='/nowhere.mp4')], frame_rate_hz=60.0)
    monkeypatch.setattr(soak.Clip, 'load', lambda _name: clip)
    start = time.monotonic()
    assert main(['benchmark', 'soak', '--minutes', '1', '--layout', 'composed']) == 1
    assert 'there is no file or folder /nowhere.mp4' in capsys.readouterr().err
    assert time.monotonic() - start < 45  # not the minute that it waits for poses


def test_a_graph_that_hardly_gives_poses_is_told() -> None:
    counts = dict.fromkeys(STAGES, dict.fromkeys(soak._LOSSES, 0))
    watched = [Watched(n, n // 5, [50.0] * (n % 5 == 4), counts) for n in range(15)]
    with pytest.raises(OSError, match='poses came in 3 of 14 intervals, too few'):
        soak.frames_table(soak.Soak(list(map(float, range(15))), {}, watched))
    watched += [Watched(15, 4, [50.0], counts)]
    age, _ = soak.frames_table(soak.Soak(list(map(float, range(16))), {}, watched)).rows
    assert age[-1] == 'does not grow'


def test_an_interrupt_ends_it_early_with_what_there_is() -> None:
    class Interrupted(LeakingGraph):
        def check(self) -> None:
            if self._looks >= self.allowed:
                raise KeyboardInterrupt

        allowed = 10

    graph: Any = Interrupted(os.getpid())
    assert len(soak._samples(graph, 60.0, 0.01).at_s) == 10
    graph = Interrupted(os.getpid())
    graph.allowed = 3
    with pytest.raises(KeyboardInterrupt):
        soak._samples(graph, 60.0, 0.01)
