# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""RViz markers over several frames: who keeps his, who fades, and what is deleted when."""

from collections.abc import Sequence

import numpy as np
import pytest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from pose3d_ros.camera import ray_quaternion
from pose3d_ros.drawing import person_colour
from pose3d_ros.nodes.markers import NAMESPACES, MarkerMaker
from pose3d_ros.people import Poses
from pose3d_ros.skeletons import BLAZEPOSE
from pose3d_ros.tracking3d import MotionOptions, Tracker3D

J = len(BLAZEPOSE)
HEADER = Header(frame_id='camera')
BODY = np.random.default_rng(0).uniform(-0.5, 0.5, (J, 3))


def poses(roots: Sequence[Sequence[float]], ids: Sequence[str], stddev_m: float = 0.0) -> Poses:
    places = np.reshape(roots, (-1, 3)).astype(float)
    n = len(places)
    return Poses(
        BLAZEPOSE, places[:, None] + BODY, np.full((n, J), 0.9), places, np.full(n, stddev_m),
        np.full(n, 0.9), tuple(ids),
    )  # fmt: skip


def by_key(message: MarkerArray) -> dict[tuple[str, int], Marker]:
    found = {(m.ns, m.id): m for m in message.markers}
    assert len(found) == len(message.markers)  # nobody is drawn over
    assert all(m.header == HEADER for m in message.markers)
    return found


def corners(quaternion: tuple[float, float, float, float]) -> np.ndarray:
    """Return the rotation matrix of a quaternion x, y, z, w."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@pytest.mark.parametrize('place', [(0, 0, 5), (3, -1, 4), (-2, 2, 0.5)])
def test_a_quaternion_turns_z_onto_the_ray(place: tuple[float, float, float]) -> None:
    point = np.array(place, float)
    turn = corners(ray_quaternion(point))
    assert turn @ [0, 0, 1] == pytest.approx(point / np.linalg.norm(point))
    assert turn @ turn.T == pytest.approx(np.eye(3))


def test_a_walk_in_frames_keeps_its_markers_gets_an_arrow_fades_and_is_deleted() -> None:
    tracker, make, rate_hz = Tracker3D(BLAZEPOSE), MarkerMaker(), 5.0
    frames = []
    for k in range(25):
        people = [((-2 + 1.5 * k / rate_hz, 0, 6), '7'), ((1.0, 0, 4), '12')]
        shown = people if k < 15 else people[1:]
        found = tracker.update(
            poses([p for p, _ in shown], [i for _, i in shown]), k / rate_hz, 1000.0,
            MotionOptions(coast_s=0.5),
        )  # fmt: skip
        frames.append(by_key(make(found, HEADER)))
    walker = {(ns, 7) for ns in NAMESPACES}
    stander = {(ns, 12) for ns in NAMESPACES if ns != 'velocity'}
    # the arrow comes once the velocity is sure, and then stays
    arrows = [('velocity', 7) in frame for frame in frames[:15]]
    assert not arrows[0] and arrows[-1] and arrows == sorted(arrows)
    assert set(frames[14]) == walker | stander
    assert all(m.action == Marker.ADD for m in frames[14].values())
    assert ('velocity', 12) not in {key for frame in frames for key in frame}
    # two frames coasting, where he should be by then, and fading: one image that misses somebody
    # is not to make him blink
    for k, left in ((15, 0.9 * 3 / 5), (16, 0.25)):
        assert set(frames[k]) == walker | stander
        for key in walker:
            assert frames[k][key].color.a == pytest.approx(left * frames[14][key].color.a)
        assert len(frames[k]['bones', 7].points) == len(frames[14]['bones', 7].points) > 0
        moved = frames[k]['root', 7].pose.position.x - frames[14]['root', 7].pose.position.x
        assert moved == pytest.approx(1.5 * (k - 14) / rate_hz, abs=0.05)
    # then deleted, once
    assert {key for key, m in frames[17].items() if m.action == Marker.DELETE} == walker
    assert all(set(frame) == stander for frame in frames[18:])
    for key in stander:  # the other did not flicker
        assert {frame[key].action for frame in frames} == {Marker.ADD}
        assert {round(frame[key].color.a, 6) for frame in frames} == {frames[0][key].color.a}


def test_markers_outlive_the_gap_at_5_fps_and_not_the_node() -> None:
    for marker in MarkerMaker()(poses([(0, 0, 5)], ['1']), HEADER).markers:
        lifetime_s = marker.lifetime.sec + marker.lifetime.nanosec / 1e9
        assert 2 / 5 <= lifetime_s <= 2.0


def test_an_arrow_points_where_the_person_will_be_in_a_second() -> None:
    tracker, make = Tracker3D(BLAZEPOSE), MarkerMaker()
    for k in range(30):
        found = tracker.update(poses([(k / 10, 0, 6)], ['3']), k / 10, 1000.0, MotionOptions())
    arrow = by_key(make(found, HEADER))['velocity', 3]
    start, end = ([p.x, p.y, p.z] for p in arrow.points)
    assert start == pytest.approx([2.9, 0, 6])
    assert np.subtract(end, start) == pytest.approx(found.tracks.motions[0, 3:])
    assert np.subtract(end, start) == pytest.approx([1, 0, 0], abs=0.05)


def test_colours_go_with_the_id_and_numbers_too() -> None:
    make = MarkerMaker()
    first = by_key(make(poses([(0, 0, 5), (1, 0, 5)], ['4', 'anna']), HEADER))
    second = by_key(make(poses([(1, 0, 5), (0, 0, 5), (2, 0, 5)], ['anna', '4', '']), HEADER))
    assert {key for key in first if key[1] != 4} <= set(second)  # anna keeps hers, whatever her row
    for key, marker in first.items():
        assert second[key].color == marker.color
        if key[0] != 'label':
            assert second[key].pose == marker.pose
    colour = first['bones', 4].color
    assert (colour.r, colour.g, colour.b) == pytest.approx(person_colour('4'))
    assert second['label', 4].text == '#4 5.0 m'
    assert second['label', -3].text == '5.4 m'
    assert {number for _, number in second if number < 0} == {-3}


def test_the_ball_is_drawn_out_along_its_ray_by_the_deviation_of_the_distance() -> None:
    ball = by_key(MarkerMaker()(poses([(3, 0, 4)], ['1'], stddev_m=0.4), HEADER))['root', 1]
    # depth is off by 10 %, and so is the distance of 5 m
    assert ball.scale.z == pytest.approx(2 * 0.5)
    assert ball.scale.x == ball.scale.y == pytest.approx(0.12)
    q = ball.pose.orientation
    assert corners((q.x, q.y, q.z, q.w)) @ [0, 0, 1] == pytest.approx([0.6, 0, 0.8])


def test_after_a_clock_that_jumped_back_the_old_ones_are_deleted() -> None:
    make = MarkerMaker()
    make(poses([(0, 0, 5)], ['1']), HEADER)
    frame = by_key(make(poses([(0, 0, 5)], ['2']), HEADER))
    assert {key[1] for key, m in frame.items() if m.action == Marker.DELETE} == {1}
    assert {key[1] for key, m in frame.items() if m.action == Marker.ADD} == {2}
