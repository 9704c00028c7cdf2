# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Tracks over real topics: who is confirmed, who coasts and for how long, changed at run time."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flow import Fakes, Source, header_at, put_in, settings
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import Marker, MarkerArray

from pose3d_ros.camera import Camera
from pose3d_ros.drawing import draw_overlay
from pose3d_ros.msg import Pose3D, Pose3DArray
from pose3d_ros.nodes.markers import MarkerMaker
from pose3d_ros.nodes.messages import camera_to_info, poses_from_message
from pose3d_ros.nodes.parameters import ParameterError
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.posenet import PoseNetNode

RATE_HZ = 10.0


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages that the nodes load instead of networks."""
    return put_in(monkeypatch)


def test_a_person_who_is_hidden_coasts_is_drawn_faint_and_goes(graph: Any, fakes: Fakes) -> None:
    boxes = [(100, 60, 40, 120), (200, 60, 40, 120)]
    fakes.detector.boxes = lambda call: boxes if call < 5 else boxes[:1]
    stages = tuple(make_pipeline())
    graph.add(*stages)
    infos = graph.publisher(CameraInfo, 'camera_info')
    infos.publish(camera_to_info(Camera.from_field_of_view(320, 240, 60.0), header_at(0.0)))
    graph.wait(lambda: stages[1].camera._camera, 'the camera')  # type: ignore[attr-defined]
    poses, markers = graph.collect(Pose3DArray, 'poses'), graph.collect(MarkerArray, 'markers')
    overlays = graph.collect(Image, 'overlay')
    source = Source(graph)
    for number in range(15):
        if number == 13:  # from 0.8 s on nobody is hidden long enough; say that he may be again
            done = stages[2].set_parameters([Parameter('coast_s', value=1.0)])
            assert done[0].successful
        source.image_at(100 + number / RATE_HZ)
        graph.wait(lambda n=number: len(poses) > n and len(markers) > n, 'poses and markers')
    states = [[pose.state for pose in message.poses] for message in poses]
    new, confirmed, coasting = Pose3D.NEW, Pose3D.CONFIRMED, Pose3D.COASTING
    assert states[:3] == [[new] * 2] * 2 + [[confirmed] * 2]
    assert states[5:10] == [[confirmed, coasting]] * 5
    assert states[11:13] == [[confirmed]] * 2
    assert states[13:] == [[confirmed, coasting]] * 2
    first, last, hidden = poses[0].poses, poses[4].poses, poses[7].poses[1]
    assert not first[0].has_velocity and last[0].has_velocity
    assert [pose.age_frames for pose in last] == [5, 5]
    assert hidden.id == last[1].id and hidden.age_frames == 5
    assert 0 < hidden.score < last[1].score and not any(hidden.joint_scores)
    assert np.reshape(hidden.track_covariance, (6, 6)).trace() > 0
    for message in poses:  # arrays and messages say the same
        back = poses_from_message(message)
        assert back.coasting.tolist() == [p.state == coasting for p in message.poses]
        assert back.tracks.has_velocity.tolist() == [p.has_velocity for p in message.poses]
    number = int(hidden.id)
    faint = [m.color.a for m in markers[7].markers if m.id == number and m.ns == 'bones']
    assert len(faint) == 1 and 0 < faint[0] < 0.5
    gone = {(m.ns, m.id) for m in markers[11].markers if m.action == Marker.DELETE}
    late = {(m.ns, m.id) for m in markers[10].markers if m.action == Marker.DELETE}
    assert {('bones', number), ('root', number), ('label', number)} <= gone | late
    assert overlays


def test_markers_and_overlay_are_made_only_while_somebody_looks(
    graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            made.append(name)
            return function(*given)

        return called

    monkeypatch.setattr(MarkerMaker, '__call__', counted('markers', MarkerMaker.__call__))
    monkeypatch.setattr('pose3d_ros.nodes.posenet.draw_overlay', counted('overlay', draw_overlay))
    fakes.detector.boxes = lambda call: [(100, 60, 40, 120)]
    stages = tuple(make_pipeline())
    graph.add(*stages)
    infos = graph.publisher(CameraInfo, 'camera_info')
    infos.publish(camera_to_info(Camera.from_field_of_view(320, 240, 60.0), header_at(0.0)))
    graph.wait(lambda: stages[1].camera._camera, 'the camera')  # type: ignore[attr-defined]
    poses, source = graph.collect(Pose3DArray, 'poses'), Source(graph)
    for watched in ((), ('markers',), ('markers', 'overlay')):
        kinds = {'markers': MarkerArray, 'overlay': Image}
        seen = [graph.collect(kinds[topic], topic) for topic in watched[-1:]]
        for _ in range(2):
            count = len(poses)
            source.image_at(100 + count / RATE_HZ)
            graph.wait(lambda n=count: len(poses) > n, 'poses')
        graph.wait(lambda s=seen: all(s), f'{watched}')
        # They are made after the poses are out, one after the other: the last ones may be to come.
        graph.wait(lambda w=watched: made[-len(w) or None :] == list(w), f'{watched} in turn')
        assert set(made) == set(watched)


def test_nobody_coasts_for_ever_where_the_driver_stamps_nothing(graph: Any, fakes: Fakes) -> None:
    fakes.detector.boxes = lambda call: [(100, 60, 40, 120)] if call < 4 else []
    stages = tuple(make_pipeline())
    graph.add(*stages)
    infos = graph.publisher(CameraInfo, 'camera_info')
    infos.publish(camera_to_info(Camera.from_field_of_view(320, 240, 60.0), header_at(0.0)))
    graph.wait(lambda: stages[1].camera._camera, 'the camera')  # type: ignore[attr-defined]
    poses, source = graph.collect(Pose3DArray, 'poses'), Source(graph)
    for number in range(6):
        if number == 5:
            time.sleep(0.8)  # longer than coast_s
        source.image_at(0.0)
        graph.wait(lambda n=number: len(poses) > n, 'poses')
    states = [[pose.state for pose in message.poses] for message in poses]
    assert states[3:] == [[Pose3D.CONFIRMED], [Pose3D.COASTING], []]
    assert poses[3].poses[0].has_velocity


def test_smoothing_may_change_while_the_node_runs_and_other_names_are_refused(
    graph: Any, fakes: Fakes
) -> None:
    posenet = PoseNetNode(**settings(field_of_view_deg=60.0))
    graph.add(posenet)
    assert posenet.set_parameters([Parameter('smoothing', value='one_euro')])[0].successful
    refused = posenet.set_parameters([Parameter('smoothing', value='kalman')])[0]
    assert not refused.successful and 'none, one_euro' in refused.reason
    refused = posenet.set_parameters([Parameter('coast_s', value=-1.0)])[0]
    assert not refused.successful
    with pytest.raises(ParameterError, match="'smoothing' is 'kalman'"):
        PoseNetNode(**settings(smoothing='kalman'))
