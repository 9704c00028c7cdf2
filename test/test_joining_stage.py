# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The stages that join an image with its people: what they count, say, hold and refuse."""

import re
import time
from typing import Any

import numpy as np
import pytest
from flow import PICTURE, Fakes, Source, header_at, put_in, settings
from managing import Manager
from sensor_msgs.msg import CameraInfo, Image

from pose3d_ros.camera import Camera
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes import joining
from pose3d_ros.nodes.inputs import Frame, Unusable
from pose3d_ros.nodes.messages import camera_to_info, image_to_message
from pose3d_ros.nodes.parameters import ParameterError
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode

GUESS = settings(field_of_view_deg=60.0, buffer=2)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages that the nodes load instead of networks."""
    return put_in(monkeypatch)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let people wait for their image for as long as a busy machine may take between two steps."""
    monkeypatch.setattr(joining, 'PATIENCE_S', 60.0)


class Joined:
    """A rootnet that joins for itself, and both its inputs."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.node = RootNetNode(**GUESS)
        graph.add(self.node)
        self.roots = graph.collect(PersonArray, 'roots')
        self.source = Source(graph)
        self.people = graph.publisher(PersonArray, 'detections')

    def taken(self, count: int) -> None:
        """Wait until so many messages have come, of both inputs together."""
        self.graph.wait(
            lambda: sum(one.count for one in self.node._inputs) == count, f'{count} messages'
        )

    def images(self, *stamps_s: float) -> None:
        for stamp_s in stamps_s:
            before = sum(one.count for one in self.node._inputs)
            self.source.image_at(stamp_s)
            self.taken(before + 1)

    def persons(self, *stamps_s: float) -> None:
        for stamp_s in stamps_s:
            before = sum(one.count for one in self.node._inputs)
            self.people.publish(PersonArray(header=header_at(stamp_s)))
            self.taken(before + 1)

    def results(self, *stamps_s: float) -> None:
        """Wait until as many results have come; they are of these images."""
        self.graph.wait(lambda: len(self.roots) == len(stamps_s), 'roots')
        assert [m.header for m in self.roots] == [header_at(s) for s in stamps_s]


def test_people_whose_images_are_lost_are_counted_and_said(
    graph: Any, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    joined = Joined(graph)
    joined.persons(1.0, 2.0)
    assert joined.node.accounting.unmatched == 0, 'there is room for them to wait'
    joined.persons(3.0)
    graph.wait(lambda: joined.node.accounting.unmatched == 1, 'the loss')
    assert (
        '1 results came without their image so far: the image was lost, came too late, or left the '
        "buffer before (parameter 'buffer')"
    ) in capfd.readouterr().err
    joined.persons(3.5)
    graph.wait(lambda: joined.node.accounting.unmatched == 2, 'the next loss')
    assert 'without their image' not in capfd.readouterr().err, 'said now and then, not each time'
    joined.images(2.0, 3.0)
    graph.wait(lambda: joined.roots, 'roots')
    joined.persons(4.0)
    assert joined.node.accounting.unmatched == 2, 'whoever found an image is not lost'


def test_people_whose_image_comes_too_late_are_counted(
    graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = Joined(graph)
    joined.persons(1.0, 2.0)
    monkeypatch.setattr(joining, 'PATIENCE_S', 0.0)
    joined.images(1.0, 2.0, 3.0)
    joined.persons(3.0)
    joined.results(3.0)
    assert joined.node.accounting.unmatched == 2


def test_no_more_images_wait_than_there_is_room_for(graph: Any, fakes: Fakes) -> None:
    joined = Joined(graph)
    joined.images(1.0, 2.0, 3.0)
    assert len(joined.node._joiner) == 2
    joined.persons(1.0, 2.0)
    joined.results(2.0)
    joined.persons(3.0)
    joined.results(2.0, 3.0)
    counts = joined.node.accounting
    graph.wait(lambda: counts.received == 2 == counts.published, 'the count')


def test_what_waited_when_it_was_deactivated_is_forgotten(graph: Any, fakes: Fakes) -> None:
    joined, manager = Joined(graph), Manager(graph, 'rootnet')
    joined.images(1.0)
    assert len(joined.node._joiner) == 1
    assert manager.change('deactivate') and manager.change('activate')
    assert len(joined.node._joiner) == 0
    for publisher in (joined.source.publisher, joined.people):
        graph.wait(lambda p=publisher: p.get_subscription_count() == 1, 'the subscriptions')
    joined.persons(1.0)
    joined.images(2.0)
    joined.persons(2.0)
    joined.results(2.0)


def test_a_stamp_of_zero_is_skipped_counted_and_said(
    graph: Any,
    fakes: Fakes,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    joined = Joined(graph)
    joined.images(0.0, 0.0)
    monkeypatch.setattr(joining, 'PATIENCE_S', 0.0)
    joined.persons(0.0, 0.0)
    counts = joined.node.accounting
    graph.wait(lambda: counts.skipped == 2, 'the skipped frames')
    assert (counts.received, counts.skipped, counts.unmatched) == (2, 2, 0)
    assert not len(joined.node._joiner)
    err = capfd.readouterr().err
    assert 'without their image' not in err, 'a larger buffer would not help'
    (said,) = re.findall('frame skipped: .*', err)  # now and then, not each time
    assert re.search(
        'frame skipped: its stamp is zero, so that the people of one image cannot be told from '
        r'those of another\. Let the camera driver set header\.stamp, or run the three stages in '
        r'one process \(pipeline\), which needs no join$',
        said,
    )
    monkeypatch.setattr(joining, 'PATIENCE_S', 60.0)
    joined.images(1.0)
    joined.persons(1.0)
    joined.results(1.0)


def test_who_is_handed_people_subscribes_to_nothing_but_the_camera(
    graph: Any, fakes: Fakes
) -> None:
    rootnet = RootNetNode(joined=True)
    graph.add(rootnet, PoseNetNode(joined=True, lender=rootnet))
    graph.wait(lambda: graph.node.count_subscribers('camera_info') == 1, 'the camera')
    time.sleep(0.2)
    topics = ('camera_info', 'image_raw', 'detections', 'roots')
    assert [graph.node.count_subscribers(topic) for topic in topics] == [1, 0, 0, 0]


def test_who_joins_for_itself_subscribes_to_all(graph: Any, fakes: Fakes) -> None:
    graph.add(PoseNetNode())
    topics = ('camera_info', 'image_raw', 'roots', 'detections')
    graph.wait(
        lambda: [graph.node.count_subscribers(topic) for topic in topics] == [1, 1, 1, 1],
        'its subscriptions',
    )


def test_images_whose_people_were_found_wait_for_their_roots(graph: Any, fakes: Fakes) -> None:
    """However many images come meanwhile: a detector may take longer than all that wait."""
    node = PoseNetNode(**settings(field_of_view_deg=60.0, buffer=4))
    graph.add(node)
    poses, source = graph.collect(Pose3DArray, 'poses'), Source(graph)
    found, roots = (graph.publisher(PersonArray, topic) for topic in ('detections', 'roots'))

    def taken(topic: str, count: int) -> None:
        (one,) = (one for one in node._inputs if one.topic == f'/{topic}')
        graph.wait(lambda: one.count == count, f'{count} messages on {topic}')

    for number in range(1, 21):
        source.image_at(number)
        taken('image_raw', number)
        if number == 10:
            found.publish(PersonArray(header=header_at(number)))
            taken('detections', 1)
    roots.publish(PersonArray(header=header_at(10)))
    graph.wait(lambda: poses, 'poses')
    assert poses[0].header == header_at(10)


def test_one_process_has_one_camera(graph: Any, fakes: Fakes) -> None:
    """A stage that says nothing of the camera, or the same, takes the lender's."""
    lender = RootNetNode(joined=True, **settings(field_of_view_deg=60.0))
    graph.add(lender)
    with pytest.raises(ParameterError) as caught:
        PoseNetNode(joined=True, lender=lender, **settings(field_of_view_deg=70.0))
    assert str(caught.value) == (
        "parameter 'field_of_view_deg' is 70.0 for posenet and 60.0 for rootnet, whose camera "
        'counts for both in one process: set it for rootnet'
    )
    frame = Frame(image_to_message(PICTURE, header_at(1.0)))
    for own in (settings(), settings(field_of_view_deg=60.0)):
        posenet = PoseNetNode(joined=True, lender=lender, **own)
        camera = posenet.camera_of(frame)
        np.testing.assert_allclose(camera.K, Camera.from_field_of_view(320, 240, 60.0).K)
        assert camera is lender.camera_of(frame)
        posenet.destroy_node()


def test_a_lender_that_is_not_configured_has_no_camera(graph: Any, fakes: Fakes) -> None:
    lender = RootNetNode(joined=True, **settings(autostart=False, field_of_view_deg=60.0))
    posenet = PoseNetNode(joined=True, lender=lender)
    graph.add(lender, posenet)
    frame = Frame(image_to_message(PICTURE, header_at(1.0)))
    with pytest.raises(Unusable, match=r'^rootnet, which has the camera, is not configured$'):
        posenet.camera_of(frame)
    manager = Manager(graph, 'rootnet')
    assert manager.change('configure')
    assert posenet.camera_of(frame).focal_px == pytest.approx(160 / np.tan(np.pi / 6))


def test_a_camera_of_its_own_comes_by_its_own_topic(graph: Any, fakes: Fakes) -> None:
    posenet = PoseNetNode()
    graph.add(posenet)
    camera = Camera.from_focal_length(320, 240, 777.0)
    graph.publisher(CameraInfo, 'camera_info').publish(camera_to_info(camera, header_at(1.0)))
    frame = Frame(image_to_message(PICTURE, header_at(1.0)))
    assert isinstance(frame.message, Image)
    graph.wait(lambda: posenet.camera._info, 'the camera')
    assert posenet.camera_of(frame).focal_px == pytest.approx(777.0)
