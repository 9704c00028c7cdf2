# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Images that come too fast, in bursts, after a pause, too large: what comes out, over topics."""

import time
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from flow import HEIGHT, WIDTH, Fakes, Source, header_at, now_s, put_in, settings, stamps
from rclpy.parameter import Parameter
from real import people_image
from sensor_msgs.msg import CameraInfo, Image

from pose3d_ros.camera import Camera
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.inputs import SENSOR_QOS, Input, stamp_ns
from pose3d_ros.nodes.messages import camera_to_info, image_to_message
from pose3d_ros.nodes.parameters import ParameterError
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode
from pose3d_ros.nodes.stage import Stage


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages that the nodes load instead of networks."""
    return put_in(monkeypatch)


def pipeline(graph: Any, width: int = WIDTH, height: int = HEIGHT) -> tuple[Stage, ...]:
    """Add a pipeline with a camera to a graph."""
    return with_camera(graph, tuple(make_pipeline()), width, height)


def with_camera(
    graph: Any, stages: tuple[Stage, ...], width: int = WIDTH, height: int = HEIGHT
) -> tuple[Stage, ...]:
    graph.add(*stages)
    camera = Camera.from_field_of_view(width, height, 60.0)
    infos = graph.publisher(CameraInfo, 'camera_info')
    infos.publish(camera_to_info(camera, header_at(0.0)))
    graph.wait(lambda: stages[1].camera._camera, 'the camera')  # type: ignore[attr-defined]
    return stages


def settled(stages: tuple[Stage, ...]) -> bool:
    """Return whether every frame that came in is out, or counted as what became of it."""
    counts = [stage.accounting for stage in stages]
    return all(c.received == c.published + c.dropped + c.stale + c.skipped for c in counts)


def test_a_publisher_ten_times_too_fast_gets_the_newest_and_ages_stay(
    graph: Any, fakes: Fakes
) -> None:
    fakes.detector.takes_s = 0.05
    stages = pipeline(graph)
    poses = graph.collect(Pose3DArray, 'poses')
    arrived: list[float] = []
    graph.node.create_subscription(
        Pose3DArray, 'poses', lambda _message: arrived.append(now_s(graph)), 10
    )
    source = Source(graph)
    for number in range(400):  # 200 a second, of which 20 can be worked on
        last = source.image()
        time.sleep(0.005 if number < 399 else 0)
    graph.wait(lambda: poses and poses[-1].header == last, 'the last frame')
    graph.wait(lambda: settled(stages), 'the count')
    graph.wait(lambda: len(arrived) == len(poses), 'the last frame on the other subscription')
    detector, rootnet, posenet = (stage.accounting for stage in stages)
    assert detector.dropped > detector.published > 10
    # nothing that was detected is thrown away behind
    assert rootnet.dropped == posenet.dropped == 0
    assert posenet.published == detector.published == len(poses) == len(arrived)
    assert stamps(poses) == sorted(set(stamps(poses)))
    # each waited for one other at the most: twice 50 ms, on a machine that others share
    ages = [at - stamp / 1e9 for at, stamp in zip(arrived, stamps(poses), strict=True)]
    assert np.median(ages) < 0.25


def test_several_streams_work_on_several_images_and_keep_their_order(
    graph: Any, fakes: Fakes
) -> None:
    """More images a second; of those that are detected none is lost, and people keep their ids."""
    fakes.detector.takes_s = 0.1
    fakes.rootnet.takes_s = fakes.posenet.takes_s = 0.01
    rootnet_node = RootNetNode(joined=True, **settings(streams=2))
    posenet_node = PoseNetNode(joined=True, lender=rootnet_node)
    detector_node = DetectorNode(**settings(streams=3))
    rootnet_node.hand_to(posenet_node)
    detector_node.hand_to(rootnet_node)
    stages = with_camera(graph, (detector_node, rootnet_node, posenet_node))
    poses = graph.collect(Pose3DArray, 'poses')
    source = Source(graph)
    start_s = time.monotonic()
    while time.monotonic() < start_s + 3.0:
        last = source.image()
        time.sleep(0.01)
    graph.wait(lambda: poses and poses[-1].header == last, 'the last frame')
    graph.wait(lambda: settled(stages), 'the count')
    detector, rootnet, posenet = (stage.accounting for stage in stages)
    assert rootnet.dropped == posenet.dropped == 0
    assert posenet.published == detector.published == len(poses)
    assert (fakes.detector.most, fakes.posenet.most) == (3, 1)
    assert stamps(poses) == sorted(set(stamps(poses)))
    assert {pose.id for message in poses for pose in message.poses} == {'1'}


def test_images_that_nobody_has_time_for_are_not_taken_but_counted(
    graph: Any, fakes: Fakes
) -> None:
    """They stay in the middleware, where the newest replaces the others."""
    node = DetectorNode()
    graph.add(node)
    detections = graph.collect(PersonArray, 'detections')
    source, counts = Source(graph), node.accounting
    fakes.detector.gate.clear()
    first = source.image()
    graph.wait(lambda: fakes.detector.calls == 1, 'work on the first')
    for _ in range(7):
        last = source.image()
    time.sleep(0.3)
    assert (counts.received, counts.dropped) == (1, 0)
    fakes.detector.gate.set()
    graph.wait(lambda: len(detections) == counts.published == 2, 'the last')
    assert [message.header for message in detections] == [first, last]
    assert (counts.received, counts.dropped, counts.published) == (8, 6, 2)


def test_an_image_that_comes_while_nothing_is_done_is_taken_at_once(
    graph: Any, fakes: Fakes
) -> None:
    node = DetectorNode()
    graph.add(node)
    detections = graph.collect(PersonArray, 'detections')
    source = Source(graph)
    for number in range(20):
        source.image()
        graph.wait(lambda n=number: len(detections) > n, 'the answer')
    assert node.accounting.dropped == 0
    assert node.accounting.summary()['age_p95_ms'] < 500  # no wait for a second look


def test_a_node_at_work_does_not_call_its_input_silent(
    graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = DetectorNode(**settings(warn_after_s=1.0))
    graph.add(node)
    said: list[str] = []
    monkeypatch.setattr(node.get_logger(), 'warning', lambda text, **_: said.append(text))
    fakes.detector.gate.clear()
    source = Source(graph)
    source.image()
    graph.wait(lambda: fakes.detector.calls == 1, 'work')
    time.sleep(2.5)
    assert not [text for text in said if 'no image' in text]
    fakes.detector.gate.set()
    graph.wait(lambda: any('no image' in text for text in said), 'the silence', 10)


@pytest.mark.parametrize(
    ('numbers', 'publishers', 'missed'),
    [
        ([5, 6, 7], 1, []),
        ([5, 8, 9, 20], 1, [2, 10]),
        ([50, 1, 2, 4], 1, [1]),  # started anew
        ([50, 3, 51, 4], 2, []),
        ([0, 0, 0], 1, []),  # a middleware that does not count
    ],
)
def test_what_is_missed_is_counted_by_the_publishers_numbers(
    graph: Any, numbers: list[int], publishers: int, missed: list[int]
) -> None:
    for _ in range(publishers):
        graph.node.create_publisher(Image, 'numbered', 1)
    found: list[int] = []
    one = Input(
        graph.node,
        'image',
        Image,
        'numbered',
        SENSOR_QOS,
        lambda _: None,
        missed=lambda images, elapsed_s: found.append(images) if elapsed_s < 60 else None,
    )
    for number in numbers:
        one._take(Image(), {'publication_sequence_number': number or None})
    assert found == missed


@pytest.mark.parametrize(
    ('interval_s', 'waited_s', 'missed', 'lost'),
    [
        (0.2, 0.35, 1, 1),  # idle when the one between should have come
        (0.2, 0.2, 1, 0),  # it may have come just before
        (0.033, 0.9, 29, 25),  # a camera of 30 Hz, one image a second comes through
        (0.033, 0.0, 29, 0),  # at work all the while: replaced
        (0.004, 0.03, 20, 0),  # of a very fast camera, between two calls of the executor
        (0.1, 60.0, 2, 2),
    ],
)
def test_images_that_the_detector_waited_for_were_lost_on_the_way(
    graph: Any,
    fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
    interval_s: float,
    waited_s: float,
    missed: int,
    lost: int,
) -> None:
    node = DetectorNode(**settings())
    graph.add(node)
    said: list[str] = []
    monkeypatch.setattr(node.get_logger(), 'warning', lambda text, **_: said.append(text))
    graph.wait(lambda: node._worker.is_idle, 'an idle detector')
    node._worker.idle_since_s = time.monotonic() - waited_s
    node._drop_missed(missed, interval_s * (missed + 1))
    counts = node.accounting
    assert (counts.received, counts.dropped, counts.lost) == (missed, missed, lost)
    if lost:
        assert f'{lost} of {missed} images were lost on the way' in said[0]
        assert 'Large images' in said[0]
    else:
        assert not said
    level, text = node._diagnose(counts.recent(time.perf_counter(), 1.0))
    assert (level == DiagnosticStatus.WARN) == bool(lost)
    assert f'{missed - lost} dropped' in text and (f'{lost} lost' in text) == bool(lost)


def test_of_a_burst_the_last_comes_through_and_then_the_next(graph: Any, fakes: Fakes) -> None:
    fakes.detector.takes_s = 0.05
    stages = pipeline(graph)
    poses = graph.collect(Pose3DArray, 'poses')
    source = Source(graph)
    for _ in range(3):
        burst = [source.image() for _ in range(30)]
        graph.wait(lambda b=burst: poses and poses[-1].header == b[-1], 'the last of the burst')
        graph.wait(lambda: settled(stages), 'the count')
    assert len(poses) < 90
    alone = source.image()
    graph.wait(lambda: poses[-1].header == alone, 'the frame after the burst')


def test_a_publisher_that_pauses_is_named_and_may_go_on(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    graph.add(DetectorNode(**settings(warn_after_s=1.0, detect_every=10)))
    detections = graph.collect(PersonArray, 'detections')
    latencies = graph.collect(DiagnosticArray, 'detector/latency')
    source = Source(graph)
    for count in range(3):
        source.image()
        graph.wait(lambda n=count: len(detections) > n, 'detections')
    assert fakes.detector.calls == 1
    capfd.readouterr()
    said = ''

    def named() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return 'no image on /image_raw for 1 s: 1 publisher(s): /tester' in said

    graph.wait(named, 'the warning')
    time.sleep(1.0)  # longer than tracks live
    assert len(detections) == 3
    resumed = source.image()
    graph.wait(lambda: len(detections) == 4, 'detections after the pause')
    assert detections[-1].header == resumed
    # tracks of before the pause are no answer: the network ran
    assert fakes.detector.calls == 2
    graph.wait(lambda: latencies and latencies[-1].header == resumed, 'its times')
    values = {pair.key: float(pair.value) for pair in latencies[-1].status[0].values}
    assert values['cycle_ms'] > 1500 and values['age_ms'] < 1000


def test_a_node_outlives_all_that_can_go_wrong_with_frames_in_turn(
    graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is said with a severity of its own: a logger that refused that would end the worker."""
    node = DetectorNode(**settings(max_age_ms=5000.0))
    graph.add(node)
    detections = graph.collect(PersonArray, 'detections')
    source, counts = Source(graph), node.accounting
    fakes.detector.gate.clear()
    for _ in range(3):  # one in work, one that waits, one for which it is dropped
        source.image()
        graph.wait(lambda: fakes.detector.calls == 1, 'work on the first')
    fakes.detector.gate.set()
    graph.wait(lambda: counts.dropped == 1 and settled((node,)), 'the drop')
    broken = image_to_message(np.zeros((10, 10, 3), np.uint8), header_at(now_s(graph)))
    broken.encoding = 'yuv_nonsense'
    source.publisher.publish(broken)
    graph.wait(lambda: counts.skipped == 1, 'the skip')
    with monkeypatch.context() as patch:
        patch.setattr(fakes.detector, 'boxes', lambda call: 1 / 0)
        source.image()
        graph.wait(lambda: counts.failed == 1, 'the failure')
    source.image(60.0)
    graph.wait(lambda: counts.stale == 1, 'the stale frame')
    last = source.image()
    graph.wait(lambda: detections[-1].header == last, 'the frame after all that')


def test_a_4k_image_goes_through_the_pipeline(graph: Any) -> None:
    """With the real networks, in the middle of the image."""
    stages = pipeline(graph, 3840, 2160)
    poses, detections = (
        graph.collect(Pose3DArray, 'poses'),
        graph.collect(PersonArray, 'detections'),
    )
    person = cv2.resize(people_image(), None, fx=1.125, fy=1.125)
    picture = np.full((2160, 3840, 3), 114, np.uint8)
    picture[:, 1300 : 1300 + person.shape[1]] = person
    publisher = graph.publisher(Image, 'image_raw')
    header = header_at(1000.0)
    publisher.publish(image_to_message(picture, header))
    graph.wait(lambda: poses, 'poses in a 4K image')
    assert poses[0].header == detections[0].header == header
    assert len(poses[0].poses) == len(detections[0].persons) >= 2
    for found in detections[0].persons:
        assert found.box_x > 1290 and found.box_x + found.box_width < 1310 + person.shape[1]
        assert found.box_y >= 0 and found.box_y + found.box_height <= 2160.01
    assert all(
        np.isfinite([pose.root.x, pose.root.y, pose.root.z]).all() for pose in poses[0].poses
    )
    assert settled(stages)


# Detection on some of the frames.


def boxes(detections: list[Any]) -> np.ndarray:
    """Return the box (m, 4) of the only person of each message."""
    only = [message.persons[0] for message in detections]
    return np.array([(p.box_x, p.box_y, p.box_width, p.box_height) for p in only])


def test_between_detections_boxes_move_on_under_the_same_ids(graph: Any, fakes: Fakes) -> None:
    """A walker at 8 pixels a frame, seen on every third frame."""
    fakes.detector.boxes = lambda call: [(20 + 24 * call, 60, 80, 100)]
    graph.add(DetectorNode(**settings(detect_every=3)))
    detections = graph.collect(PersonArray, 'detections')
    source = Source(graph)
    for number in range(25):
        source.image_at(1000 + 0.1 * number)
        graph.wait(lambda n=number: len(detections) > n, 'detections')
    assert stamps(detections) == [stamp_ns(header_at(1000 + 0.1 * n)) for n in range(25)]
    assert fakes.detector.calls == 9
    assert {message.persons[0].id for message in detections} == {'1'}
    assert {message.persons[0].score for message in detections} == {np.float32(0.9)}
    expected = 20 + 8 * np.arange(25)
    x = boxes(detections)[:, 0]
    np.testing.assert_allclose(x[::3], expected[::3])
    # once its speed is known; standing, the box would be 16 pixels off
    assert np.abs(x[13:] - expected[13:]).max() < 5
    np.testing.assert_allclose(boxes(detections)[:, 1:], [[60, 80, 100]] * 25)


def test_who_walks_out_of_the_image_between_detections_is_cut_and_then_gone(
    graph: Any, fakes: Fakes
) -> None:
    fakes.detector.boxes = lambda call: [(60 + 20 * call, 60, 80, 100)][: 10 - call]
    graph.add(DetectorNode(**settings(detect_every=4)))
    detections = graph.collect(PersonArray, 'detections')
    source = Source(graph)
    for number in range(41):  # at 5 pixels a frame; the last box detected ends at the border
        source.image_at(1000 + 0.05 * number)
        graph.wait(lambda n=number: len(detections) > n, 'detections')
    assert not detections[-1].persons
    seen = [message for message in detections if message.persons]
    right = boxes(seen)[:, 0] + boxes(seen)[:, 2]
    assert right.max() <= WIDTH + 0.01
    widths = boxes(seen)[:, 2]
    assert len(seen) == 40 and (widths[:37] > 79.9).all()
    np.testing.assert_allclose(widths[37:], [75, 70, 65], atol=5)
    assert 80 > widths[37] > widths[38] > widths[39]


def test_a_clock_that_jumps_back_another_size_and_a_broken_image_between_detections(
    graph: Any, fakes: Fakes
) -> None:
    node = DetectorNode(**settings(detect_every=50))
    graph.add(node)
    detections = graph.collect(PersonArray, 'detections')
    source = Source(graph)
    other = np.zeros((100, 200, 3), np.uint8)
    for count, (stamp_s, picture, calls) in enumerate(
        [
            (1000.0, None, 1),
            (1000.1, None, 1),
            (900.0, None, 2),  # the clock jumped back
            (900.1, other, 3),  # another camera, or another setting of it
            (900.2, other, 3),
            (905.0, other, 4),  # nobody knows where people went in the meantime
        ]
    ):
        source.image_at(stamp_s, *([] if picture is None else [picture]))
        graph.wait(lambda n=count: len(detections) > n, 'detections')
        assert fakes.detector.calls == calls, count
    broken = image_to_message(other, header_at(905.1))
    broken.encoding = 'yuv_nonsense'
    source.publisher.publish(broken)
    graph.wait(lambda: node.accounting.skipped == 1, 'the skip')
    assert len(detections) == 6


def test_detection_on_some_frames_needs_tracks(graph: Any, fakes: Fakes) -> None:
    with pytest.raises(ParameterError, match="'detect_every' is 2, but 'track' is false"):
        DetectorNode(**settings(detect_every=2, track=False))
    node = DetectorNode(**settings(track=False))
    graph.add(node)
    (refused,) = node.set_parameters([Parameter('detect_every', value=2)])
    assert not refused.successful and "'track' is false" in refused.reason
    (refused,) = node.set_parameters([Parameter('keep', value='tallest')])
    assert not refused.successful and 'certain, nearest' in refused.reason
    (taken,) = node.set_parameters([Parameter('keep', value='nearest')])
    assert taken.successful and node._options().keep == 'nearest'
