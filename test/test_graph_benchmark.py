# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`pose3d benchmark graph`, `compare`: real graphs on small images, arithmetic by hand."""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paper import needed_torch
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from pose3d_ros.benchmarks import (
    compare,
    graph,
    graph_measuring,
    graph_tables,
    report,
    runtimes,
    sequential,
    tracking,
    usage,
)
from pose3d_ros.benchmarks.alone import Alone
from pose3d_ros.benchmarks.graph_settings import (
    COMPOSED,
    COMPRESSED,
    DEFAULTS,
    LAYOUTS,
    SEPARATE,
    WATCHED,
    Baseline,
    Closed,
    Load,
    LoadPoint,
    Memory,
    Method,
    Round,
    Setting,
)
from pose3d_ros.benchmarks.scenes import scenes, tiled
from pose3d_ros.camera import Camera
from pose3d_ros.cli import main
from pose3d_ros.data.pose2sim import ClipError
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.msg import Pose3D, Pose3DArray
from pose3d_ros.nodes.graph_timing import CameraDriver, Timing
from pose3d_ros.nodes.messages import image_from_compressed, image_from_message
from pose3d_ros.stages import STAGES
from pose3d_ros.tables import Table
from pose3d_ros.transport import prepare_process

SMALL = Setting((640, 480), 2)
QUIET = usage.Disturbance(0.0, 0.0)
QUICK = Method(rounds=1, frames=8, frames_alone=2, long_side=320)


# usage


def test_processor_time_and_memory_are_those_of_the_process() -> None:
    code = (
        'import time\n'
        'ballast = bytearray(100_000_000)\n'
        'for i in range(0, len(ballast), 4096): ballast[i] = 1\n'
        'del ballast\n'
        'while time.process_time() < 0.3: pass\n'
        'print(flush=True); input()\n'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.2 < usage.cpu_s(process.pid) < 2
        assert 95 < usage.peak_mib(process.pid) < 200
        assert usage.resident_mib(process.pid) < 60
        process.kill()
    assert usage.cpu_s() > 0.2  # of this one


def test_stolen_time_is_a_share() -> None:
    before = usage.Processors(10, 500, 1000, 100)
    gone = usage.Processors(60, 600, 1200, 180).since(before)
    assert (gone.stolen, gone.others) == (25, 10)
    assert np.isnan(before.since(before).stolen)
    start = usage.Processors.now()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    now = usage.Processors.now()
    assert now.ours - start.ours == pytest.approx(0.3 * os.sysconf('SC_CLK_TCK'), abs=5)
    assert now.busy - start.busy >= now.ours - start.ours - 5
    ticks = os.sysconf('SC_CLK_TCK') * (os.cpu_count() or 1)
    assert 0 <= now.stolen < now.all
    assert now.all / ticks == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), rel=0.2)


# scenes


def test_tiles_fill_the_image() -> None:
    frames = [np.full((200, 100, 3), grey, np.uint8) for grey in (10, 20, 30)]
    image = tiled(frames, (130, 80), 2)  # tiles of 20 x 40: 7 x 2, the last column cut
    assert image.shape == (80, 130, 3)
    row = [10, 20, 30, 10, 20, 30, 10]
    np.testing.assert_array_equal(image[0, ::20, 0], row)
    np.testing.assert_array_equal(image[40, ::20, 0], [20, 30, 10, 20, 30, 10, 20])


@pytest.mark.parametrize(('size', 'people'), [((640, 480), 1), ((960, 540), 20)])
def test_the_networks_see_as_many_people_as_are_asked_for(
    size: tuple[int, int], people: int
) -> None:
    from pose3d_ros.stages import DETECTORS, RuntimeOptions

    images = scenes(size, people, count=2)
    detect = DETECTORS['yolox'](None, RuntimeOptions())
    for image in images:
        assert image.shape == (size[1], size[0], 3)
        assert len(detect(image, DetectorOptions(max_people=people))) == people
    assert not np.array_equal(*images)


def test_more_people_than_can_be_seen_are_refused() -> None:
    with pytest.raises(
        ClipError, match=r'64x48 pixels of tiled frames \d+ people are found, not 9'
    ):
        scenes((64, 48), 9, count=1)


# the camera


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_a_frame_goes_out_once_the_one_before_is_in_work(graph: Any, transport: str) -> None:
    """A stage that answers at once: without spacing two frames would come in no time."""
    image = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    camera = CameraDriver([image], Camera.from_field_of_view(64, 48, 60), transport=transport)
    graph._executor.add_node(camera)  # no stage: it has nothing to close
    came: list[tuple[float, Any]] = []
    answers = graph.node.create_publisher(Pose3DArray, 'poses', 10)
    graph.wait(answers.get_subscription_count, 'the camera')

    def answer(message: Any) -> None:
        came.append((time.perf_counter(), message))
        if len(came) != 9:  # which is lost
            answers.publish(Pose3DArray(header=message.header, poses=[Pose3D()] * 3))

    kind, topic = (
        (Image, 'image_raw') if transport == 'raw' else (CompressedImage, 'image_raw/compressed')
    )
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    graph.node.create_subscription(kind, topic, answer, qos)
    graph.wait(
        lambda: graph.node.count_publishers(topic) and camera.count_subscribers(topic), topic
    )
    time.sleep(0.2)
    assert not any(graph.node.count_subscribers(view) for view in WATCHED), 'unless it is asked'
    camera._spacing_s = 0.1
    timing = camera.run(6, in_flight=2)
    assert timing.sent == 6 and timing.lost == 0 and timing.people.tolist() == [3] * 6
    gaps = np.diff([at_s for at_s, _ in came])
    assert np.median(gaps) > 0.06
    assert 2 < timing.rate_hz < 12
    camera._patience_s = 0.3
    assert camera.run(6, in_flight=1).lost == 1  # given up after its time
    assert camera._spacing_s == pytest.approx(np.median(timing.ages_ms) / 4e3, abs=0.02)
    # a tenth of a second between two, of which a busy neighbour takes little
    played = camera.play(10, 2.5)
    assert played.input_hz == pytest.approx(10, rel=0.25)
    assert played.sent == pytest.approx(25, abs=7) and played.lost <= 2
    received = image_from_message if transport == 'raw' else image_from_compressed
    assert received(came[0][1]).shape == image.shape


# real graphs


_scenes_once = cache(scenes)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let graphs be measured from this process, where most is loaded, on images made once.

    With settings of Fast DDS that are this process's too; with others it has to be another.
    """
    prepare_process()
    monkeypatch.setattr(graph_measuring, 'scenes', _scenes_once)


def test_a_closed_loop_of_one_process_per_stage() -> None:
    r = graph_measuring.in_own_process(
        graph_measuring.closed, replace(SMALL, layout=SEPARATE, images=COMPRESSED), QUICK
    )
    assert set(r.peak_mib) == set(STAGES) and min(r.peak_mib.values()) > 80
    for round_ in (*r.single, *r.full):
        # on a busy machine a frame may be given up, and networks may wait longer than they work
        assert round_.graph.sent == 8 and round_.graph.lost <= 1
        assert set(round_.graph.people.tolist()) == {2}
        assert round_.graph.rate_hz > 0 and round_.cpu_ms > 5
    assert 26 <= r.stages['posenet']['published'] <= 28  # with those that warm up
    assert r.decode_ms > 0.1  # a JPEG
    table = graph_tables.overhead([r], QUICK)
    (row,) = table.rows
    assert row[:4] == ('640x480', '2', SEPARATE, '1')
    age, networks, rest = row[4:7]
    assert min(age, networks) > 5 and rest == pytest.approx(age - networks)
    assert sum(row[7:]) == pytest.approx(rest)


def test_a_closed_loop_of_two_streams(small: None) -> None:
    r = graph_measuring.closed(replace(SMALL, streams=2), QUICK)
    (full,) = r.full
    assert full.graph.sent == 8 and set(full.graph.people.tolist()) == {2}
    # four at a time may replace each other at the door; what was detected comes through
    assert len(full.graph.ages_ms) >= 4
    detected, published = (r.stages[stage]['published'] for stage in ('detector', 'posenet'))
    assert published == detected


def test_more_images_than_it_can_take_are_dropped_and_counted(small: None) -> None:
    result = graph_measuring.load(SMALL, QUICK, [0.5, 8.0], 2.0)
    slow, fast = result.points
    for point in (slow, fast):
        gone = point.not_received + sum(point.dropped.values())
        assert point.graph.sent == len(point.graph.ages_ms) + gone
    assert slow.graph.rate_hz == pytest.approx(slow.graph.input_hz, rel=0.35)
    assert slow.graph.lost <= 2
    assert fast.graph.input_hz > 2 * fast.graph.rate_hz
    assert fast.graph.lost > fast.graph.sent / 2
    # what waits at the door is the newest: nothing queues up
    assert np.median(fast.graph.ages_ms) < 6 * np.median(slow.graph.ages_ms)


def test_the_plain_sequential_way_is_far_behind(
    small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with smaller backbones of the two networks behind DETR, which are sooner made."""
    needed_torch()
    monkeypatch.setattr(sequential, '_BACKBONE', 'resnet18')
    monkeypatch.setattr(graph_measuring, '_BASELINE_FRAMES', 1)
    result = graph_measuring.baseline(SMALL, QUICK)
    ((rate_hz, plain_s),) = result.rounds
    assert plain_s > 0.2
    assert rate_hz * plain_s > 5


@pytest.mark.parametrize(
    ('layout', 'executor'),
    [
        ('many threads', 'rclpy.executors.MultiThreadedExecutor'),
        ('one executor', 'rclpy.executors.SingleThreadedExecutor'),
        (COMPOSED, 'pose3d_ros.nodes.executors._InputExecutor'),
    ],
)
def test_the_executor_is_really_another(layout: str, executor: str) -> None:
    module, _, name = executor.rpartition('.')
    code = (
        'import sys\n'
        f'from {module} import {name} as Executor\n'
        f'from pose3d_ros.nodes import {LAYOUTS[layout]} as graph\n'
        'Executor.spin_once = lambda self, **_: sys.exit(7 if type(self) is Executor else 1)\n'
        'graph.main()\n'
    )
    assert subprocess.run([sys.executable, '-c', code], capture_output=True).returncode == 7


def test_the_other_choices_are_really_made() -> None:
    """In the environment of the processes, and by who subscribes."""
    chosen = replace(SMALL, images=COMPRESSED, fastdds=DEFAULTS, watched=WATCHED)
    environment, watchers = graph_measuring.in_own_process(_environment_and_watchers, chosen)
    assert environment['FASTDDS_BUILTIN_TRANSPORTS'] == 'DEFAULT'
    assert not any(name.endswith('PROFILES_FILE') for name in environment)
    assert watchers == {'markers': 1, 'overlay': 1}


def _environment_and_watchers(setting: Setting) -> tuple[dict[str, str], dict[str, int]]:
    """Return the environment of the graph's process, as the system has it, and how many subscribe
    to what is for people's eyes."""
    with graph_measuring._running(setting, QUICK) as (running, _):
        text = Path(f'/proc/{running.pids["pipeline"]}/environ').read_text()
        watchers = {topic: running.camera.count_subscribers(f'/{topic}') for topic in WATCHED}
    return dict(pair.split('=', 1) for pair in text.split('\0') if '=' in pair), watchers


def test_the_command_gives_out_tables_plot_and_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, plot = tmp_path / 'a.json', tmp_path / 'load.png'
    words = ('benchmark graph --parts memory --layouts composed --sizes 640x480 '
             '--rounds 1 --frames-per-round 6 --long-side 320 --frames 20')  # fmt: skip
    assert main([*words.split(), '--out', str(file)]) == 0
    (memory,) = json.loads(file.read_text())['tables']
    (row,) = memory['rows']
    assert row[:3] == ['composed', '1', 'pipeline']
    assert 100 < row[3] < 2000 and row[5] == pytest.approx(row[3], rel=0.2) and row[-1] == 0
    assert 'memory over 20 frames: 640x480, 2 people' in capsys.readouterr().out
    graph_tables.plot_load([by_hand_load()], plot)
    assert plot.read_bytes().startswith(b'\x89PNG')
    assert main(['benchmark', 'compare', str(file), str(file)]) == 0
    assert 'the same machine and versions' in capsys.readouterr().out


# arithmetic by hand


def timing(rate_hz: float, ages_ms: list[float], sent: int = 3) -> Timing:
    return Timing(sent, rate_hz, 20.0, np.array(ages_ms), np.full(len(ages_ms), 2))


def by_hand(people: int, rate_hz: float) -> Closed:
    networks = {'detector': 30.0, 'rootnet': 10.0, 'posenet': 10.0}
    alone = Alone(networks, {'detector': 33.0, 'rootnet': 11.0, 'posenet': 12.0})
    single = [Round(alone, timing(12, [70, 72, 74]), 90.0)]
    full = [Round(alone, timing(rate_hz, [100, 110], 4), 80.0)]
    stages = {
        'detector': {'age_ms': 40.0, 'processing_ms': 35.0, 'network_ms': 31.0},
        'rootnet': {'age_ms': 53.0, 'processing_ms': 12.0, 'network_ms': 10.0},
        'posenet': {'age_ms': 68.0, 'processing_ms': 14.0, 'network_ms': 10.0},
    }
    return Closed(
        replace(SMALL, people=people), single, full, stages, 0.5, {'pipeline': 400}, QUIET
    )


def by_hand_load() -> Load:
    dropped = {'detector': 4, 'rootnet': 1, 'posenet': 0}
    points = [
        LoadPoint(0.5, 20, timing(10, [60, 70, 80]), dict.fromkeys(STAGES, 0), 0, QUIET),
        LoadPoint(8.0, 20, timing(15, [], 8), dropped, 3, QUIET),
    ]
    return Load(SMALL, points)


def cells(table: Any, row: int = 0) -> dict[str, Any]:
    return dict(zip((name for name, _ in table.columns), table.rows[row], strict=True))


def test_rates_and_parts_by_hand() -> None:
    results = [by_hand(1, 16), by_hand(10, 10)]
    table = graph_tables.speed(results, Method())
    one, ten = cells(table), cells(table, 1)
    assert one['networks alone/s'] == 20 and one['efficiency'] == pytest.approx(0.8)
    assert one['ms/frame'] == 62.5 and one['added ms'] == 12.5 and one['lost'] == 2
    assert ten['of first'] == pytest.approx(1.6) and one['age p50 ms'] == 105
    used = cells(graph_tables.resources(results, Method()))
    assert used['cores busy'] == pytest.approx(1.28) and used['peak MiB'] == 400
    parts = cells(graph_tables.overhead(results, Method()))
    expected = {'age': 72, 'networks': 51, 'all else': 21, 'to detector': 5, 'decode': 0.5,
                'detector': 3, 'rootnet': 1, 'posenet': 2, 'messages': 3.5, 'between': 2,
                'poses back': 4}  # fmt: skip
    assert {name: parts[name] for name in expected} == pytest.approx(expected)
    choice = graph_tables.choices(
        [(SMALL, results[0]), (SMALL, results[1]), (SMALL, None)], Method()
    )
    assert cells(choice, 1)['of first'] == pytest.approx(10 / 16)
    assert 'nan' not in choice.text() and np.isnan(choice.rows[2][4])


def test_load_baseline_and_memory_by_hand() -> None:
    table = graph_tables.load(by_hand_load(), 6)
    assert cells(table)['out of held'] == 0.5 and cells(table)['age p50 ms'] == 70
    fast = cells(table, 1)
    assert (fast['not received'], fast['dropped: detector'], fast['dropped: rootnet']) == (3, 4, 1)
    assert np.isnan(fast['age p99 ms'])
    plain = graph_tables.baseline(Baseline(SMALL, [(20, 2.0), (10, 3.0), (15, 3.0)]))
    assert cells(plain, 1)['of sequential'] == 40 and cells(plain)['frames/s'] == pytest.approx(
        1 / 3
    )
    assert (cells(plain, 1)['least'], cells(plain, 1)['most']) == (30, 45)
    grown = Memory(SMALL, [0, 500, 1000, 1500], {'pipeline': [100, 110, 112, 114]}, 1)
    row = cells(graph_tables.memory([grown]))
    assert (row['start MiB'], row['middle'], row['end']) == (100, 112, 114)
    assert row['2nd half'] == pytest.approx(4) and row['per 1000 frames'] > 4


def document(rate: float | None, **changes: Any) -> dict[str, Any]:
    table = {'title': 'T', 'columns': ['graph', 'rate', 'lost'],
             'rows': [['composed', rate, 0], ['other', 1.0, 2]], 'note': ''}  # fmt: skip
    return {'benchmark': 'graph', 'machine': {'cores': 2}, 'tables': [table]} | changes


NUMBERED = [
    runtimes.table([('RTMPose-s', 1.0, 'CPU', 'f32', 10.0, 1.0),
                    ('RTMPose-s', 4.0, 'CPU', 'f32', 40.0, 1.0)], 20),
    tracking._table('a film', [(30.0, 1, 20.0, 0.9, 0.8, 0.0, 0.0, 0.9, 0.8),
                               (30.0, 5, 6.0, 0.8, 0.6, 5.0, 5.0, 0.7, 0.5)]),
    Table('rows and columns alike', (('', ''), ('5 %', '.2f'), ('5 %', '.2f')),
          [('a', 1.0, 2.0), ('a', 3.0, np.nan), ('b', 0.0, 4.0)]),
]  # fmt: skip


@pytest.mark.parametrize('table', NUMBERED)
def test_a_file_compared_with_itself_gives_1(table: Table, tmp_path: Path) -> None:
    """Also where rows have the same texts, columns the same name, or tables the same title."""
    path = tmp_path / 'a.json'
    given_out = argparse.Namespace(out=path, markdown=False)
    report.give_out('x', [table, replace(table, rows=table.rows[:1])], given_out)
    content = compare._read(path)
    _, *found = compare.compared(content, content)
    assert [len(t.rows) for t in found] == [len(table.rows), 1]
    for row, told in zip(table.rows, found[0].rows, strict=True):
        keys = found[0].keys
        assert told[:keys] == row[:keys]
        numbers = np.array(told[keys:])
        assert np.array_equal(np.isnan(numbers), np.isnan(np.array(row[keys:])))
        assert (numbers[~np.isnan(numbers)] == 1).all()


def test_rows_of_other_numbers_are_not_compared() -> None:
    whole = report._plain(NUMBERED[0])
    part = {**whole, 'rows': whole['rows'][1:]}
    ratios = compare._ratios(whole, part)
    assert ratios.rows == [('RTMPose-s', 4.0, 'CPU', 'f32', 1.0, 1.0)]
    assert '4' in ratios.cells()[1] and '1 of 2 rows' in ratios.note


def test_two_files_are_compared_row_by_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = document(10.0), document(15.0, machine={'cores': 4})
    b['tables'][0]['rows'].pop()
    machines, ratios = compare.compared(a, b)
    assert machines.rows == [('cores', '2', '4')]
    assert ratios.rows == [('composed', 1.5, 1.0)]  # none lost in either
    assert '1 of 2 rows' in ratios.note
    assert np.isnan(compare.compared(a, document(None))[1].rows[0][1])
    b['tables'][0]['rows'][0][2] = 3  # of 0 it is no multiple
    assert np.isnan(compare.compared(a, b)[1].rows[0][2])
    files = [tmp_path / 'a.json', tmp_path / 'b.json']
    for file, content in zip(files, (a, b), strict=True):
        file.write_text(json.dumps(content))
    words = ['benchmark', 'compare', *map(str, files)]
    assert main([*words, '--out', str(tmp_path / 'c.json')]) == 0
    assert json.loads((tmp_path / 'c.json').read_text())['tables'][1]['rows'][0][1] == 1.5
    assert '1.500' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('{', 'was not written by'),
        ('[]', 'was not written by'),
        (json.dumps(document(1.0, benchmark='stages')), 'is of benchmark graph'),
        (json.dumps(document(1.0, tables=[])), 'no table in common: the first has T'),
    ],
)
def test_files_without_anything_to_compare_are_refused(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / 'a.json', tmp_path / 'b.json'
    first.write_text(json.dumps(document(1.0)))
    second.write_text(content)
    assert main(['benchmark', 'compare', str(first), str(second)]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize('words', ['--sizes 640', '--sizes 0x3', '--people 0', '--frames x'])
def test_what_cannot_be_measured_is_refused(words: str) -> None:
    parser = argparse.ArgumentParser()
    graph.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(words.split())


def test_a_graph_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The detector of this process is there, that of the graph has no weights."""
    with pytest.raises(OSError, match='pipeline ended with status 1'):
        graph_measuring.in_own_process(_without_weights, str(tmp_path))


def _without_weights(folder: str) -> None:
    made = scenes(SMALL.size, SMALL.people, count=1)
    graph_measuring.scenes = lambda *_, **__: made  # type: ignore[attr-defined]
    os.environ['POSE3D_HOME'] = folder
    with graph_measuring._running(SMALL, QUICK):
        raise AssertionError('the graph started')
