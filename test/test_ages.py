# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Frames that are too old are not begun, by whichever stage, and every stage says its times."""

import math
import time
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from flow import Fakes, Source, header_at, now_s, put_in, settings, stamps
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo

from pose3d_ros.camera import Camera
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.accounting import Accounting
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.messages import camera_to_info
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode
from pose3d_ros.nodes.stage import Stage

GUESS = {'field_of_view_deg': 60.0}
#: Stage -> its node, what it is given and where its results go.
STAGES: dict[str, Any] = {
    'detector': (DetectorNode, {}, None, PersonArray, 'detections'),
    'rootnet': (RootNetNode, GUESS, 'detections', PersonArray, 'roots'),
    'posenet': (PoseNetNode, GUESS, 'roots', Pose3DArray, 'poses'),
}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages that the nodes load instead of networks."""
    return put_in(monkeypatch)


@pytest.mark.parametrize('name', STAGES)
def test_a_stage_begins_no_frame_that_is_too_old(
    graph: Any, fakes: Fakes, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make, camera, given, result, topic = STAGES[name]
    stage = make(**settings(max_age_ms=5000.0, **camera))
    graph.add(stage)
    results = graph.collect(result, topic)
    states = graph.collect(DiagnosticArray, '/diagnostics')
    source = Source(graph)
    people = graph.publisher(PersonArray, given) if given else None
    for age_s, done in ((20.0, lambda: stage.accounting.stale), (0.0, lambda: results)):
        header = source.image(age_s)
        if people is not None:
            people.publish(PersonArray(header=header))
        graph.wait(done, f'the frame of {age_s} s ago')
    assert getattr(fakes, name).calls == 1
    assert stamps(results) == [stamp_ns(header)]
    counts = stage.accounting
    graph.wait(lambda: counts.published == 1, 'the count')
    assert (counts.received, counts.published, counts.stale, counts.skipped) == (2, 1, 1, 0)
    said = capfd.readouterr().err
    assert 'frame not begun, 1 of 1 so far: 2' in said
    assert "older than 'max_age_ms' (5000 ms)" in said and 'send fewer images' in said
    values = [{pair.key: pair.value for pair in s.status[0].values} for s in states]
    graph.wait(lambda: len(states) >= 3, 'diagnostics after the frame')
    values = [{pair.key: pair.value for pair in s.status[0].values} for s in states]
    told = next(i for i, v in enumerate(values) if v['stale'] == '1')
    assert states[told].status[0].level == DiagnosticStatus.WARN
    assert states[told].status[0].message.endswith('1 stale')
    # it is over: nothing became stale since
    assert states[-1].status[0].level == DiagnosticStatus.OK


def test_a_frame_that_gets_old_on_its_way_is_given_up_by_the_stage_that_would_begin_it(
    graph: Any, fakes: Fakes
) -> None:
    stages = make_pipeline()
    for stage in stages:
        stage.set_parameters([Parameter('max_age_ms', value=3000.0)])
    graph.add(*stages)
    detections, poses = (
        graph.collect(PersonArray, 'detections'),
        graph.collect(Pose3DArray, 'poses'),
    )
    source = Source(graph)
    camera = camera_to_info(Camera.from_field_of_view(320, 240, 60.0), header_at(0.0))
    graph.publisher(CameraInfo, 'camera_info').publish(camera)
    _, rootnet, posenet = stages
    graph.wait(lambda: rootnet.camera._camera, 'the camera')
    fakes.rootnet.gate.clear()
    first = source.image()
    graph.wait(lambda: fakes.rootnet.calls == 1, 'work on the first frame')
    second = source.image()
    graph.wait(lambda: len(detections) == 2, 'detections of the second frame')
    time.sleep(3.1)
    fakes.rootnet.gate.set()
    # of the first, roots were worked on before it was too old, so that posenet gives it up
    graph.wait(lambda: rootnet.accounting.stale == 1 == posenet.accounting.stale, 'giving up')
    assert stamps(detections) == [stamp_ns(first), stamp_ns(second)]
    assert (fakes.rootnet.calls, fakes.posenet.calls, poses) == (1, 0, [])
    third = source.image()
    graph.wait(lambda: poses, 'the next frame')
    assert stamps(poses) == [stamp_ns(third)]


def test_without_a_bound_every_frame_is_begun(graph: Any, fakes: Fakes) -> None:
    graph.add(DetectorNode())
    detections = graph.collect(PersonArray, 'detections')
    source = Source(graph)
    for count, stamp_s in enumerate((0.0, 1000.0, now_s(graph) + 3600)):
        source.image_at(stamp_s)
        graph.wait(lambda n=count: len(detections) > n, 'detections')


@pytest.mark.parametrize(
    ('stamp_s', 'ahead_s', 'begun', 'said'),
    [
        (1.6e9, 0.0, False, "For a bag or a simulator set 'use_sim_time' to true"),
        (0.0, 0.0, False, 'its stamp is zero: the publisher must stamp its images'),
        (None, 3.0, True, 'ahead of this clock: synchronise the clocks'),
        (None, 0.05, True, ''),
    ],
    ids=['bag', 'zero', 'future', 'nearly'],
)
def test_a_wrong_clock_is_named_with_its_remedy(
    graph: Any,
    fakes: Fakes,
    stamp_s: float | None,
    ahead_s: float,
    begun: bool,
    said: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    node = DetectorNode(**settings(max_age_ms=5000.0))
    graph.add(node)
    source = Source(graph)
    capfd.readouterr()
    source.image_at(now_s(graph) + ahead_s if stamp_s is None else stamp_s)
    counts = node.accounting
    graph.wait(lambda: counts.published + counts.stale, 'the frame')
    assert (counts.published, counts.stale) == (begun, not begun)
    heard: list[str] = []  # a frame is counted before it is told of

    def err() -> str:
        heard.append(capfd.readouterr().err)
        return ''.join(heard)

    graph.wait(lambda: said in err(), 'the remedy')
    assert said in err() and ('max_age_ms' in err()) == bool(said)


def test_simulated_time_is_what_ages_are_counted_in(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bag of 2020 with its /clock: its frames are young, a camera's are of another time."""
    node = DetectorNode(**settings(max_age_ms=300.0, use_sim_time=True))
    graph.add(node)
    source, counts = Source(graph), node.accounting
    source.image_at(1.6e9)
    graph.wait(lambda: counts.published == 1, 'the frame before /clock is there')
    assert "'use_sim_time' is true, and nobody publishes /clock" in capfd.readouterr().err
    clock = graph.publisher(Clock, '/clock')
    clock.publish(Clock(clock=header_at(1.6e9 + 5).stamp))
    graph.wait(lambda: node.get_clock().now().nanoseconds, 'the clock')
    source.image_at(1.6e9 + 4.9)
    graph.wait(lambda: counts.published == 2, 'a young frame')
    source.image_at(1.6e9 + 4.5)
    graph.wait(lambda: counts.stale == 1, 'an old frame')
    assert "500 ms old, older than 'max_age_ms' (300 ms)" in capfd.readouterr().err


def in_simulated_time(graph: Any, clock_s: float) -> tuple[DetectorNode, Source]:
    """Return a node to which it is `clock_s` by /clock, and what sends it images."""
    node = DetectorNode(**settings(max_age_ms=300.0, use_sim_time=True))
    graph.add(node)
    source, clock = Source(graph), graph.publisher(Clock, '/clock')
    clock.publish(Clock(clock=header_at(clock_s).stamp))
    graph.wait(lambda: node.get_clock().now().nanoseconds, 'the clock')
    return node, source


def test_the_last_images_of_a_bag_that_starts_again_are_begun_and_named_as_such(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    """/clock jumps back while they are on their way: nothing is to be synchronised."""
    node, source = in_simulated_time(graph, 1.6e9)
    source.image_at(1.6e9 + 3)
    graph.wait(lambda: node.accounting.published == 1, 'the frame')
    said = capfd.readouterr().err
    assert 'lies 3000 ms ahead of /clock. Where a bag starts again that is of no matter' in said
    assert 'synchronise' not in said and node.accounting.stale == 0


def test_a_camera_in_simulated_time_is_named(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    node, source = in_simulated_time(graph, now_s(graph) + 3600)
    source.image()
    graph.wait(lambda: node.accounting.stale == 1, 'a frame of another time')
    assert 'image and /clock are not of the same time' in capfd.readouterr().err


def test_the_bound_may_change_while_the_node_runs(graph: Any, fakes: Fakes) -> None:
    node = DetectorNode(**settings(max_age_ms=100.0))
    graph.add(node)
    source = Source(graph)
    source.image(1.0)
    graph.wait(lambda: node.accounting.stale == 1, 'the bound')
    assert node.set_parameters([Parameter('max_age_ms', value=5000.0)])[0].successful
    source.image(1.0)
    graph.wait(lambda: node.accounting.published == 1, 'the new bound')
    assert not node.set_parameters([Parameter('max_age_ms', value=-1.0)])[0].successful


# Times of each result.


def test_each_result_has_its_times_under_the_header_of_its_image(graph: Any, fakes: Fakes) -> None:
    fakes.detector.takes_s = 0.05
    node = DetectorNode()
    graph.add(node)
    latencies = graph.collect(DiagnosticArray, 'detector/latency')
    source = Source(graph)
    graph.wait(node._latency.get_subscription_count, 'the publisher of times to know of us')
    sent = []
    for count, age_s in enumerate((0.4, 0.0)):
        sent.append(source.image(age_s))
        graph.wait(lambda n=count: len(latencies) > n, 'its times')
    assert [message.header for message in latencies] == sent
    first, second = (
        {pair.key: float(pair.value) for pair in message.status[0].values} for message in latencies
    )
    assert set(first) == {'processing_ms', 'network_ms', 'age_ms'}  # there was no cycle yet
    assert set(second) == {*first, 'cycle_ms'}
    for times in (first, second):
        assert 50 <= times['processing_ms'] < 5000
        assert times['network_ms'] == 0
    assert 450 <= first['age_ms'] < 5400
    assert second['processing_ms'] <= second['age_ms'] < 5000
    assert 50 <= second['cycle_ms'] < 10000


def test_nobody_asks_for_the_times_and_nothing_is_made(
    graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(Stage, '_publish_latency', lambda *given: made.append(given))
    node = DetectorNode()
    graph.add(node)
    Source(graph).image()
    graph.wait(lambda: node.accounting.published == 1, 'the result')
    assert made == []


def test_the_summary_is_of_recent_results() -> None:
    accounting = Accounting()
    assert 'age_ms' not in accounting.summary()
    for number in range(300):  # 200 count: ages 100 .. 299 ms, 20 ms apart
        sample = accounting.frame_done(0.02 * number, 10.0, 7.0, float(number))
    assert sample.cycle_ms == pytest.approx(20)
    summary = accounting.summary()
    assert summary['published'] == 300
    assert summary['cycle_ms'] == pytest.approx(20)
    assert (summary['processing_ms'], summary['network_ms']) == (10, 7)
    ages = [summary[name] for name in ('age_ms', 'age_p95_ms', 'age_p99_ms')]
    assert ages == [200, 290, 298]


def test_the_first_result_has_no_cycle() -> None:
    accounting = Accounting()
    assert math.isnan(accounting.frame_done(1.0, 10.0, 7.0, 30.0).cycle_ms)
    assert 'cycle_ms' not in accounting.summary()
