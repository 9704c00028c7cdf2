# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The managed life of the nodes, asked for over the standard services as a manager does."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from flow import Fakes, Source, header_at, put_in, settings
from managing import Manager, started
from rclpy.parameter import Parameter
from real import people_image
from sensor_msgs.msg import CameraInfo, Image

from pose3d_ros.benchmarks.usage import cpu_s, resident_mib
from pose3d_ros.camera import Camera
from pose3d_ros.models.detection import OptionsError
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.messages import camera_to_info, image_to_message
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.rootnet import RootNetNode

STAGES = ('detector', 'rootnet', 'posenet')


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages that the nodes load instead of networks."""
    return put_in(monkeypatch)


def test_a_node_goes_through_its_states_and_back(graph: Any, fakes: Fakes) -> None:
    node = DetectorNode(**settings(autostart=False))
    graph.add(node)
    manager = Manager(graph, 'detector')
    detections = graph.collect(PersonArray, 'detections')

    def subscribed() -> bool:
        return graph.node.count_subscribers('/image_raw') > 0

    assert manager.state() == 'unconfigured' and not hasattr(node, '_detector')
    for round_ in range(2):
        assert manager.change('configure') and manager.state() == 'inactive'
        assert node._detector is fakes.detector and not subscribed()
        for turn in range(2):
            assert manager.change('activate') and manager.state() == 'active'
            header = Source(graph).image()
            count = 2 * round_ + turn + 1
            graph.wait(lambda n=count: len(detections) == n, 'detections')
            assert detections[-1].header == header
            assert manager.change('deactivate') and manager.state() == 'inactive'
            graph.wait(lambda: not subscribed(), 'the end of the subscription')
        assert manager.change('cleanup') and manager.state() == 'unconfigured'
        assert not hasattr(node, '_detector')
    assert manager.change('configure') and manager.change('activate')
    states = graph.collect(DiagnosticArray, '/diagnostics')
    assert manager.change('shutdown') and manager.state() == 'finalized'
    graph.wait(lambda: not subscribed(), 'the end of the subscription')
    assert not hasattr(node, '_detector')
    last = 'finalized: no images are taken'
    graph.wait(lambda: states and states[-1].status[0].message == last, 'diagnostics')
    assert fakes.detector.calls == 4 == node.accounting.received


def test_by_default_it_is_active_once_it_is_made(graph: Any, fakes: Fakes) -> None:
    graph.add(DetectorNode())
    assert Manager(graph, 'detector').state() == 'active'


def test_what_fails_after_an_autostart_is_said_all_the_same(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    node = DetectorNode()
    graph.add(node)
    manager = Manager(graph, 'detector')
    assert manager.change('deactivate') and manager.change('cleanup')

    def refuse(_options: object) -> None:
        raise OptionsError('too small')

    fakes.detector.check = refuse  # type: ignore[method-assign]
    assert not manager.change('configure')
    assert '[detector]: too small' in capfd.readouterr().err


@pytest.mark.parametrize('state', ['unconfigured', 'inactive', 'active'])
def test_it_can_be_shut_down_from_every_state(graph: Any, fakes: Fakes, state: str) -> None:
    graph.add(DetectorNode(**settings(autostart=False)))
    manager = Manager(graph, 'detector')
    for transition in {'unconfigured': (), 'inactive': ('configure',)}.get(
        state, ('configure', 'activate')
    ):
        assert manager.change(transition)
    assert manager.change('shutdown') and manager.state() == 'finalized'


def test_what_the_state_does_not_have_is_refused_and_the_node_goes_on(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    graph.add(DetectorNode(**settings(autostart=False)))
    manager = Manager(graph, 'detector')
    possible = {
        'unconfigured': ('configure', 'inactive'),
        'inactive': ('activate', 'active'),
        'active': ('deactivate', 'inactive'),
    }
    for state in ('unconfigured', 'inactive', 'active'):
        right, then = possible[state]
        wrong = {'configure', 'cleanup', 'activate', 'deactivate'} - {right}
        for transition in wrong - ({'cleanup'} if state == 'inactive' else set()):
            assert not manager.change(transition), f'{transition} while {state}'
            assert manager.state() == state
        assert not manager.change(99) and not manager.change(0, 'nonsense')
        assert manager.change(right) and manager.state() == then
    assert 'no transition 3 from this state (unconfigured)' in capfd.readouterr().err


def test_what_cannot_be_configured_says_why_and_can_be_tried_again(
    graph: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node = DetectorNode(**settings(autostart=False, weights_dir=str(tmp_path)))
    states = graph.collect(DiagnosticArray, '/diagnostics')
    graph.add(node)
    manager = Manager(graph, 'detector')
    for _ in range(2):
        assert not manager.change('configure') and manager.state() == 'unconfigured'
        assert 'absent. Run: pose3d fetch --to' in capfd.readouterr().err
    graph.wait(lambda: states, 'diagnostics')
    states.clear()
    graph.wait(lambda: states, 'diagnostics after it failed')
    told = states[-1].status[0]
    assert told.level == DiagnosticStatus.ERROR
    assert told.message.startswith('unconfigured: yolox_tiny') and 'pose3d fetch' in told.message
    # the weights come
    (taken,) = node.set_parameters([Parameter('weights_dir', value='')])
    assert taken.successful
    assert manager.change('configure') and manager.change('activate')
    found = graph.collect(PersonArray, 'detections')
    message = image_to_message(np.array(people_image()), header_at(1.0))
    graph.publisher(Image, 'image_raw').publish(message)
    graph.wait(lambda: found and found[0].persons, 'people')


def test_what_fails_unforeseen_is_said_in_full_and_outlived(
    graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    node = DetectorNode(**settings(autostart=False))
    graph.add(node)
    manager = Manager(graph, 'detector')

    def fail(*_given: object) -> None:
        raise ZeroDivisionError('of the test')

    with monkeypatch.context() as patch:
        patch.setattr(node, 'load', fail)
        assert not manager.change('configure') and manager.state() == 'unconfigured'
    assert 'Traceback' in (said := capfd.readouterr().err) and 'of the test' in said
    assert manager.change('configure')
    with monkeypatch.context() as patch:
        patch.setattr(node, 'subscribe', fail)
        assert not manager.change('activate') and manager.state() == 'inactive'
        assert graph.node.count_subscribers('/image_raw') == 0
    assert 'of the test' in capfd.readouterr().err
    assert manager.change('activate') and manager.state() == 'active'


def test_at_the_start_the_reason_is_raised_and_nothing_stays(graph: Any, fakes: Fakes) -> None:
    def refuse(_options: object) -> None:
        raise OptionsError('too small')

    fakes.detector.check = refuse  # type: ignore[method-assign]
    with pytest.raises(OptionsError, match='too small'):
        DetectorNode()
    graph.wait(lambda: 'detector' not in graph.node.get_node_names(), 'the end of the node')


def test_a_program_that_cannot_start_ends_with_status_1(graph: Any, tmp_path: Path) -> None:
    with started('detector', f'weights_dir:={tmp_path}') as running:
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert said.count('absent. Run: pose3d fetch') == 1
    assert said.splitlines()[-1].startswith('error: yolox_tiny')


def test_what_cannot_be_activated_is_not_set_to_work_by_enable(
    graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = DetectorNode(**settings(autostart=False))
    graph.add(node)
    manager = Manager(graph, 'detector')
    assert manager.change('configure')

    def refuse() -> None:
        raise OptionsError('no such topic')

    with monkeypatch.context() as patch:
        patch.setattr(node, 'subscribe', refuse)
        assert not manager.change('activate') and manager.state() == 'inactive'
    manager.enable(False)
    manager.enable(True)
    assert graph.node.count_subscribers('image_raw') == 0
    assert manager.change('activate')
    graph.wait(lambda: graph.node.count_subscribers('image_raw') == 1, 'the subscription')


def besteffort() -> dict[str, Any]:
    """Return node options with an override that is none, of the second subscription of rootnet."""
    name = 'qos_overrides./image_raw.subscription.reliability'
    return settings(field_of_view_deg=60.0, autostart=False, **{name: 'besteffort'})


def test_of_what_is_activated_half_way_nothing_stays(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    node = RootNetNode(**besteffort())
    graph.add(node)
    manager = Manager(graph, 'rootnet')
    before = len(list(node.subscriptions))
    assert manager.change('configure')
    for _ in range(2):
        assert not manager.change('activate') and manager.state() == 'inactive'
        assert len(list(node.subscriptions)) == before
        assert (
            'no subscription is possible with the parameters '
            "'qos_overrides./image_raw.subscription.*': Unexpected QoS override for policy "
            '`reliability`: `besteffort`'
        ) in (said := capfd.readouterr().err)
        assert 'Traceback' not in said


def test_what_enable_cannot_set_to_work_says_why_and_stays_disabled(
    graph: Any, fakes: Fakes
) -> None:
    node = RootNetNode(**besteffort())
    graph.add(node)
    manager = Manager(graph, 'rootnet')
    assert manager.enable(False) == 'unconfigured'
    assert manager.change('configure') and manager.change('activate')
    for _ in range(2):
        answer = manager.ask_to_enable(True)
        assert not answer.success and 'qos_overrides./image_raw' in answer.message
        assert manager.enable(False) == 'disabled'


def test_an_override_that_is_none_ends_an_autostart_in_a_line(graph: Any) -> None:
    override = 'qos_overrides./image_raw.subscription.depth:=many'
    with started('detector', override) as running:
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert 'Traceback' not in said
    assert said.splitlines()[-1].startswith('error: no subscription is possible with the param')


def test_the_stages_of_a_pipeline_are_managed_each(graph: Any, fakes: Fakes) -> None:
    detector, rootnet, posenet = stages = make_pipeline()
    graph.add(*stages)
    topics = {'roots': PersonArray, 'poses': Pose3DArray, 'detections': PersonArray}
    came = {topic: graph.collect(kind, topic) for topic, kind in topics.items()}
    managers = {name: Manager(graph, name) for name in STAGES}
    infos = graph.publisher(CameraInfo, 'camera_info')
    info = camera_to_info(Camera.from_field_of_view(320, 240, 60.0), header_at(0.0))
    source = Source(graph)

    def counts_after_an_image(**expected: int) -> None:
        infos.publish(info)
        graph.wait(lambda: rootnet.camera._camera or rootnet._label() != 'active', 'the camera')
        source.image()
        graph.wait(lambda: {t: len(came[t]) for t in expected} == expected, str(expected), 10)
        time.sleep(0.1)
        assert {t: len(came[t]) for t in expected} == expected

    counts_after_an_image(detections=1, roots=1, poses=1)
    assert managers['posenet'].change('deactivate')
    counts_after_an_image(detections=2, roots=2, poses=1)
    assert managers['rootnet'].change('deactivate') and managers['posenet'].change('activate')
    counts_after_an_image(detections=3, roots=2, poses=1)
    assert managers['rootnet'].change('cleanup') and managers['rootnet'].change('configure')
    assert managers['rootnet'].change('activate')
    counts_after_an_image(detections=4, roots=3, poses=2)
    assert posenet.accounting.skipped == rootnet.accounting.skipped == 0
    assert detector.accounting.received == 4


def test_a_stage_that_is_deactivated_at_work_publishes_what_is_in_hand(
    graph: Any, fakes: Fakes
) -> None:
    """And loses what waits, which is counted: the next activation begins with what comes then."""
    node = RootNetNode(**settings(field_of_view_deg=60.0))
    graph.add(node)
    manager = Manager(graph, 'rootnet')
    roots = graph.collect(PersonArray, 'roots')
    source, people = Source(graph), graph.publisher(PersonArray, 'detections')
    fakes.rootnet.gate.clear()
    fakes.rootnet.takes_s = 0.3
    first = source.image()
    people.publish(PersonArray(header=first))
    graph.wait(lambda: fakes.rootnet.calls == 1, 'work')
    people.publish(PersonArray(header=source.image()))
    graph.wait(lambda: node.accounting.received == 2, 'a frame that waits')
    fakes.rootnet.gate.set()
    assert manager.change('deactivate')
    graph.wait(lambda: roots, 'what was in hand')
    assert [m.header for m in roots] == [first]
    counts = node.accounting
    assert (counts.received, counts.published, counts.dropped) == (2, 1, 1)


def test_enable_stops_the_images_and_brings_them_back(graph: Any, fakes: Fakes) -> None:
    node = RootNetNode(**settings(field_of_view_deg=60.0))
    graph.add(node)
    manager = Manager(graph, 'rootnet')
    states = graph.collect(DiagnosticArray, '/diagnostics')
    roots = graph.collect(PersonArray, 'roots')

    def told(state: str, level: bytes) -> bool:
        status = states[-1].status[0] if states else DiagnosticStatus()
        return {p.key: p.value for p in status.values}.get(
            'state'
        ) == state and status.level == level

    graph.wait(lambda: told('active', DiagnosticStatus.OK), 'diagnostics')
    assert manager.enable(False) == 'disabled' == manager.enable(False)
    graph.wait(lambda: graph.node.count_subscribers('/image_raw') == 0, 'no subscription')
    assert graph.node.count_subscribers('/detections') == 0
    graph.wait(lambda: told('disabled', DiagnosticStatus.STALE), 'diagnostics')
    assert states[-1].status[0].message == 'disabled: no images are taken'
    assert manager.state() == 'active'  # to a lifecycle manager nothing has changed
    # and that it is disabled outlasts a deactivation
    assert manager.change('deactivate') and manager.change('activate')
    time.sleep(0.2)
    assert graph.node.count_subscribers('/image_raw') == 0
    assert manager.enable(True) == 'active'
    people = graph.publisher(PersonArray, 'detections')
    people.publish(PersonArray(header=Source(graph).image()))
    graph.wait(lambda: roots, 'roots')
    # an inactive node takes it as what counts once it is active
    assert manager.change('deactivate') and manager.enable(False) == 'inactive'
    assert manager.enable(True) == 'inactive'
    assert graph.node.count_subscribers('/image_raw') == 0


def test_an_id_is_given_once_also_after_a_pause(graph: Any, fakes: Fakes) -> None:
    """Else who comes behind the pause would be taken for who was there before it."""
    graph.add(DetectorNode())
    manager, people = Manager(graph, 'detector'), graph.collect(PersonArray, 'detections')

    def found() -> str:
        people.clear()
        graph.wait(lambda: graph.node.count_subscribers('image_raw') == 1, 'the subscription')
        graph.wait(lambda: source.image() and people, 'detections')
        return str(people[0].persons[0].id)

    source = Source(graph)
    ids = [found()]
    assert manager.enable(False) == 'disabled' and manager.enable(True) == 'active'
    ids.append(found())
    for transition in ('deactivate', 'cleanup', 'configure', 'activate'):
        assert manager.change(transition)
    ids.append(found())
    assert ids == ['1', '2', '3']


def growth(graph: Any, seconds: float, value: Callable[[], float], enough: float = np.inf) -> float:
    """Return how much a value grows while images are published, for so long or until it has."""
    publisher = graph.node.create_publisher(Image, 'image_raw', 1)
    message = image_to_message(np.array(people_image()), header_at(1.0))
    time.sleep(0.5)  # who subscribes is found
    before, end = value(), time.monotonic() + seconds
    while time.monotonic() < end and value() - before < enough:
        publisher.publish(message)
        time.sleep(0.1)
    grown = value() - before
    graph.node.destroy_publisher(publisher)
    return grown


def test_deactivated_it_takes_no_processor_and_cleaned_up_no_memory(graph: Any) -> None:
    """The real networks of all three nodes, in a process of their own."""
    managers = {name: Manager(graph, name) for name in STAGES}
    with started('pipeline', 'autostart:=false') as running:
        for manager in managers.values():
            assert manager.state() == 'unconfigured'
        empty_mib = resident_mib(running.pid)
        for _ in range(2):
            for manager in managers.values():
                assert manager.change('configure') and manager.change('activate')
            # others may have the processor, so by what it takes and not by the clock
            busy_s = growth(graph, 60, lambda: cpu_s(running.pid), enough=0.4)
            full_mib = resident_mib(running.pid)
            for manager in managers.values():
                assert manager.change('deactivate')
            idle_s = growth(graph, 1.5, lambda: cpu_s(running.pid))
            for manager in managers.values():
                assert manager.change('cleanup')
            rest_mib = resident_mib(running.pid)
            assert busy_s >= 0.4 and idle_s < 0.2
            # what libraries load at their first use stays: a third to a half
            assert rest_mib - empty_mib < 0.7 * (full_mib - empty_mib)
