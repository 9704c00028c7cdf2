# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says, in diagnostic_updater's form, and from when on it warns."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from flow import Fakes, Source, header_at, put_in, settings
from managing import Manager
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image

from pose3d_ros import weights
from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes import stage
from pose3d_ros.nodes.accounting import Accounting
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages that the nodes load instead of networks."""
    return put_in(monkeypatch)


class Listener:
    """Waits for what the nodes say."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.messages: list[DiagnosticArray] = graph.collect(DiagnosticArray, '/diagnostics')

    def newest(self, task: str) -> DiagnosticStatus:
        """Return the newest status of a task, by its full name."""
        every = [status for message in self.messages for status in message.status]
        return next((s for s in reversed(every) if s.name == task), DiagnosticStatus())

    def wait(self, task: str, told: Callable[[DiagnosticStatus], bool], seconds: float = 20) -> Any:
        """Return the first status of a task of which something holds."""
        self.graph.wait(lambda: self.newest(task).name and told(self.newest(task)), task, seconds)
        return self.newest(task)


def values(status: DiagnosticStatus) -> dict[str, str]:
    """Return the values of a status."""
    return {pair.key: pair.value for pair in status.values}


def test_the_form_is_that_of_diagnostic_updater(graph: Any, fakes: Fakes) -> None:
    node = DetectorNode(namespace='/front')
    graph.add(node)
    listener = Listener(graph)
    frames = listener.wait('front/detector: frames', lambda status: True)
    assert {s.name for s in listener.messages[0].status} == {
        'front/detector: frames',
        'front/detector: inputs',
    }
    assert frames.level == OK and frames.hardware_id == 'CPU'
    assert frames.message == '0.0 Hz, 0 dropped'
    told = values(frames)
    assert (told['model'], told['state']) == ('yolox', 'active')
    (yolox,) = (asset for asset in weights.ASSETS if asset.name == 'yolox_tiny')
    assert len(told['weights_sha256']) == 12 and yolox.sha256.startswith(told['weights_sha256'])
    assert listener.messages[0].header.stamp.sec > 1e9


def test_it_comes_once_a_second(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in(monkeypatch, diagnostics_every_s=stage.DIAGNOSTICS_EVERY_S)  # as it is elsewhere
    graph.add(DetectorNode())
    messages = graph.collect(DiagnosticArray, '/diagnostics')
    graph.wait(lambda: len(messages) == 3, 'three messages')
    first_s, *_, last_s = (stamp_ns(message.header) / 1e9 for message in messages)
    assert (last_s - first_s) / 2 == pytest.approx(1.0, abs=0.2)


def test_frames_without_a_result_are_told_when_it_happens(graph: Any, fakes: Fakes) -> None:
    node = DetectorNode()
    graph.add(node)
    detections, source = graph.collect(PersonArray, 'detections'), Source(graph)
    listener, task = Listener(graph), 'detector: frames'
    listener.wait(task, lambda s: s.level == OK)

    def first(level: bytes) -> str:
        """Return the text of the first message of a level."""
        found: list[str] = []
        graph.wait(
            lambda: found.extend(
                s.message for m in listener.messages for s in m.status
                if s.name == task and s.level == level
            ) or found,
            f'level {level!r}',
        )  # fmt: skip
        return found[0]

    broken = Image(encoding='mono8', height=480, width=640, step=1)
    broken.header = header_at(2.0)
    source.image_at(1.0)
    graph.wait(lambda: detections, 'the detections')
    source.publisher.publish(broken)
    assert first(WARN).endswith('1 skipped')
    fakes.detector.boxes = lambda call: 1 // 0
    source.image_at(3.0)
    assert first(ERROR).endswith('1 failed, 1 skipped')
    # it is over: nothing was lost since
    count = len(listener.messages)
    graph.wait(
        lambda: any(
            s.level == OK and s.message.endswith('1 failed, 1 skipped')
            for m in listener.messages[count:] for s in m.status if s.name == task
        ),
        'all well again',
    )  # fmt: skip


def test_a_node_at_rest_is_stale_and_says_what_it_is(graph: Any, fakes: Fakes) -> None:
    graph.add(DetectorNode(**settings(autostart=False)))
    manager, listener = Manager(graph, 'detector'), Listener(graph)
    for transition, state in (('', 'unconfigured'), ('configure', 'inactive')):
        assert not transition or manager.change(transition)
        for task in ('frames', 'inputs'):
            listener.wait(
                f'detector: {task}',
                lambda s, state=state: s.message == f'{state}: no images are taken',
            )
            assert listener.newest(f'detector: {task}').level == STALE
    assert manager.change('activate')
    assert listener.wait('detector: frames', lambda s: s.level != STALE).level == OK


@pytest.mark.parametrize(
    ('parameter', 'passed', 'level'),
    [
        ('warn_age_ms', 300.0, WARN),
        ('error_age_ms', 300.0, ERROR),
        ('warn_rate_hz', 50.0, WARN),
        ('error_rate_hz', 50.0, ERROR),
    ],
)
def test_a_limit_that_is_passed_gives_its_level_and_its_name(
    graph: Any, fakes: Fakes, parameter: str, passed: float, level: bytes
) -> None:
    """At 10 images a second, each half a second old; and with twice the room all is well."""
    node = DetectorNode()
    graph.add(node)
    listener, source = Listener(graph), Source(graph)

    def told(status: DiagnosticStatus) -> bool:
        source.image(0.5)
        time.sleep(0.08)
        return f"'{parameter}' is {passed:g}" in status.message

    node.set_parameters([Parameter(parameter, value=passed)])
    assert listener.wait('detector: frames', told).level == level
    enough = 2000.0 if 'age' in parameter else 1.0
    node.set_parameters([Parameter(parameter, value=enough)])

    def well(status: DiagnosticStatus) -> bool:
        source.image(0.5)
        time.sleep(0.08)
        return bool(status.level == OK)

    listener.wait('detector: frames', well)


def test_the_error_counts_before_the_warning_and_no_rate_is_known_at_first(
    graph: Any, fakes: Fakes
) -> None:
    node = DetectorNode(**settings(warn_rate_hz=5.0, error_rate_hz=1.0))
    graph.add(node)
    listener = Listener(graph)
    first = listener.wait('detector: frames', lambda status: True)
    assert first.level == OK
    told = listener.wait('detector: frames', lambda s: s.level != OK)
    assert told.level == ERROR and "0.0 results a second, 'error_rate_hz' is 1" in told.message


def test_one_status_tells_of_one_rate(graph: Any, fakes: Fakes) -> None:
    graph.add(DetectorNode())
    listener, source = Listener(graph), Source(graph)
    told: list[DiagnosticStatus] = []

    def some_rates(status: DiagnosticStatus) -> bool:
        source.image()
        told.append(status)
        return len({s.message for s in told}) > 3

    listener.wait('detector: frames', some_rates)
    for status in told:
        assert status.message.startswith(f'{float(values(status)["rate_hz"]):.1f} Hz')


def test_recent_results_are_those_of_the_last_seconds() -> None:
    accounting = Accounting()
    for number in range(100):  # one each 0.1 s
        accounting.frame_done(0.1 * number, 1.0, 1.0, float(number))
    recent = accounting.recent(9.95, 5.0)
    assert recent.rate_hz == pytest.approx(10) and recent.age_ms == 75
    late = accounting.recent(30.0, 5.0)
    assert late.rate_hz == 0 and late.age_ms != late.age_ms


def test_inputs_that_come_are_counted(graph: Any, fakes: Fakes) -> None:
    graph.add(RootNetNode(**settings(field_of_view_deg=60.0)))
    listener, source = Listener(graph), Source(graph)
    people = graph.publisher(PersonArray, 'detections')
    for _ in range(3):
        people.publish(PersonArray(header=source.image()))
        time.sleep(0.1)
    told = listener.wait(
        'rootnet: inputs', lambda s: values(s).get('/detections', '').startswith('3 messages')
    )
    assert told.level == OK and told.message == 'all inputs come'
    assert set(values(told)) == {'/image_raw', '/detections', '/camera_info'}
    assert values(told)['/camera_info'] == 'no message'  # which is not needed


def test_a_silent_input_is_told_of_with_topics_that_look_alike(graph: Any, fakes: Fakes) -> None:
    for topic in ('/rear/depth', '/front/image_color', '/front/image_raw'):
        graph.node.create_publisher(Image, topic, 1)
    graph.node.create_publisher(CompressedImage, '/side/image_raw', 1)
    graph.add(DetectorNode(**settings(warn_after_s=1.0)))
    listener = Listener(graph)
    told = listener.wait('detector: inputs', lambda s: s.level == WARN)
    assert told.message == (
        'no image on /image_raw for 1 s: nobody publishes it. Topics with sensor_msgs/msg/Image: '
        '/front/image_raw, /front/image_color, /rear/depth. Is /front/image_raw meant? Then '
        'remap: -r image_raw:=/front/image_raw'
    )
    Source(graph).image()
    listener.wait('detector: inputs', lambda s: s.level == OK)


@pytest.mark.parametrize(
    ('asked', 'published', 'remedy'),
    [
        ('raw', '/image_raw', 'compressed'),
        ('compressed', '/image_raw', 'raw'),
        ('raw', '/front/image', 'compressed, and remap: -r image_raw:=/front/image'),
        ('compressed', '/front/image', 'raw, and remap: -r image_raw:=/front/image'),
    ],
)
def test_images_in_the_other_transport_are_told_of(
    asked: str, published: str, remedy: str, graph: Any, fakes: Fakes
) -> None:
    kind, topic, name = {
        'compressed': (Image, published, 'Image'),
        'raw': (CompressedImage, f'{published}/compressed', 'CompressedImage'),
    }[asked]
    graph.node.create_publisher(kind, topic, 1)
    graph.add(DetectorNode(**settings(warn_after_s=1.0, image_transport=asked)))
    wanted = (
        f'{topic} is published as sensor_msgs/msg/{name}. Is it meant? Then set the parameter '
        f"'image_transport' to {remedy}"
    )
    told = Listener(graph).wait('detector: inputs', lambda s: wanted in s.message)
    assert told.level == WARN and told.message.endswith(remedy)


def test_compressed_images_of_another_name_are_remapped_as_raw_ones_are(
    graph: Any, fakes: Fakes
) -> None:
    graph.node.create_publisher(CompressedImage, '/front/image_rect/compressed', 1)
    graph.node.create_publisher(Image, '/front/image_raw', 1)
    graph.add(DetectorNode(**settings(warn_after_s=1.0, image_transport='compressed')))
    told = Listener(graph).wait('detector: inputs', lambda s: 'Is /front' in s.message)
    assert told.message.endswith(
        'Topics with sensor_msgs/msg/CompressedImage: /front/image_rect/compressed. Is '
        '/front/image_rect/compressed meant? Then remap: -r image_raw:=/front/image_rect'
    )


@pytest.mark.parametrize(('room', 'level'), [(2**17, WARN), (2**25, OK), (None, OK)])
def test_images_larger_than_shared_memory_are_told_of(
    room: int | None, level: bytes, graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('pose3d_ros.nodes.inputs.segment_bytes', lambda _environment: room)
    graph.add(DetectorNode(**settings()))
    listener, source = Listener(graph), Source(graph)
    source.image()  # 320 x 240 in bgr8
    told = listener.wait(
        'detector: inputs', lambda s: values(s).get('/image_raw', '').endswith(' s ago, 0.2 MB')
    )
    assert told.level == level
    wanted = 'messages of 0.2 MB on /image_raw, and shared memory of 0.1 MB with the settings here'
    assert (wanted in told.message) == (level == WARN)


def test_a_publisher_that_is_not_heard_may_send_more_than_fits(
    graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('pose3d_ros.nodes.inputs.segment_bytes', lambda _environment: 2**19)
    graph.node.create_publisher(Image, '/image_raw', BEST_EFFORT)
    graph.add(DetectorNode(**settings(warn_after_s=1.0)))
    told = Listener(graph).wait('detector: inputs', lambda s: 'publisher' in s.message)
    assert (
        'its shared memory (0.5 MB with the settings here; README, "Large images")' in told.message
    )


def test_what_does_not_look_alike_is_listed_and_not_recommended(graph: Any, fakes: Fakes) -> None:
    graph.node.create_publisher(Image, '/overlay', 1)
    graph.add(DetectorNode(**settings(warn_after_s=1.0)))
    told = Listener(graph).wait('detector: inputs', lambda s: s.level == WARN)
    assert told.message.endswith(': /overlay. Is it to be remapped?')


@pytest.fixture
def stranger() -> Iterator[Node]:
    """Return a node of another participant: within one, a topic can have one type only."""
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node('stranger', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_qos_and_types_that_do_not_fit_are_named(graph: Any, fakes: Fakes, stranger: Node) -> None:
    stranger.create_publisher(CompressedImage, '/other/image_raw', 1)
    reliable = 'qos_overrides./image_raw.subscription.reliability'
    overrides = [Parameter('warn_after_s', value=1.0), Parameter(reliable, value='reliable')]
    graph.add(DetectorNode(parameter_overrides=overrides))
    graph.add(PoseNetNode(namespace='other', **settings(warn_after_s=1.0)))
    graph.node.create_publisher(Image, '/image_raw', BEST_EFFORT)
    listener = Listener(graph)
    told = listener.wait('detector: inputs', lambda s: 'publisher' in s.message).message
    assert '1 publisher(s): /tester (BEST_EFFORT); asked for RELIABLE' in told
    assert 'Best effort publisher and reliable subscription' in told
    assert "'qos_overrides./image_raw.subscription.*'" in told
    told = listener.wait('other/posenet: inputs', lambda s: 'publisher' in s.message).message
    assert 'published as sensor_msgs/msg/CompressedImage, not as sensor_msgs/msg/Image' in told
    # the override was for that one subscription
    assert 'asked for BEST_EFFORT' in told
