# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`pose3d benchmark motion`: what is scored, and against what truth."""

import json
from pathlib import Path

import numpy as np
import pytest

from pose3d_ros.benchmarks import motion, walks
from pose3d_ros.benchmarks.clip_motion import ClipMotion, _first_people, _identified, _parabolas
from pose3d_ros.benchmarks.motion_scores import Look, follow
from pose3d_ros.camera import Camera
from pose3d_ros.cli import main
from pose3d_ros.data.pose2sim import Clip, ClipCamera
from pose3d_ros.one_euro import OneEuro
from pose3d_ros.people import Keypoints, Persons
from pose3d_ros.skeletons import HALPE26

RATE_HZ, FOCAL_PX = 10.0, 1000.0


def looks(ways: np.ndarray, shown: np.ndarray, velocity: np.ndarray) -> list[Look]:
    """What is seen of people at ways (s, p, 3), each found exactly where shown (s, p) says so."""
    found = []
    for s, roots in enumerate(ways):
        rows = np.flatnonzero(shown[s])
        height = FOCAL_PX * 1.7 / roots[:, 2]
        corners = FOCAL_PX * roots[:, :2] / roots[:, 2:] - height[:, None] * [0.2, 0.5]
        boxes = np.column_stack([corners, 0.4 * height, height])[rows]
        persons = Persons(boxes, np.full(len(rows), 0.9), (), roots[rows], np.zeros(len(rows)))
        everybody = np.full(len(roots), True)
        found.append(Look(s / RATE_HZ, persons, rows, roots, velocity, everybody))
    return found


def test_who_is_seen_as_he_is_has_no_errors() -> None:
    velocity = np.array([[0.5, 0, 0], [0, 0, 0]])
    ways = np.array([[-1.0, 0, 5], [1, 0, 6]]) + np.arange(40)[:, None, None] / RATE_HZ * velocity
    scores = follow([looks(ways, np.full((40, 2), True), velocity)], FOCAL_PX)
    assert (scores.people, scores.looks) == (2, 40)
    assert scores.switches == scores.fragments == 0 and not scores.drifts_m
    # from half a second on: 35 images of two people
    assert len(scores.filtered) == len(scores.nees) == 2 * 35
    assert np.abs(scores.between).max() < 1e-9 and np.abs(scores.over).max() < 1e-9
    assert np.abs(scores.filtered[-2:]).max() < 0.05
    assert motion._rms(scores.standing) == pytest.approx(np.sqrt(0.5**2 / 2))


def test_who_is_hidden_is_a_fragment_and_drifts_as_far_as_he_turns_off() -> None:
    """He walks on at 0.5 m/s while hidden for 0.3 s, or stands still as soon as nobody sees him."""
    velocity, stamps = np.array([[0.5, 0, 0]]), np.arange(40) / RATE_HZ
    for stops in (False, True):
        times = np.where(stamps > 2.0, 2.0, stamps) if stops else stamps
        ways = np.array([[-1.0, 0, 5]]) + times[:, None, None] * velocity
        shown = np.full((40, 1), True)
        shown[21:24] = False
        scores = follow([looks(ways, shown, velocity)], FOCAL_PX)
        assert (scores.switches, scores.fragments) == (0, 1)
        wanted = np.array([0.05, 0.1, 0.15]) if stops else np.zeros(3)
        assert scores.drifts_m == pytest.approx(wanted, abs=0.02)


def test_two_who_change_places_in_an_instant_change_their_ids() -> None:
    ways = np.tile([[-1.0, 0, 5], [1.0, 0, 5]], (20, 1, 1))
    ways[10:] = ways[10:, ::-1]
    scores = follow([looks(ways, np.full((20, 2), True), np.zeros((2, 3)))], FOCAL_PX)
    assert (scores.switches, scores.forgotten) == (2, 0)


def test_who_is_away_for_longer_than_an_id_lives_comes_back_under_another() -> None:
    ways, shown = np.tile([[0.0, 0, 5]], (40, 1, 1)), np.full((40, 1), True)
    shown[10:25] = False  # 1.6 s
    scores = follow([looks(ways, shown, np.zeros((1, 3)))], FOCAL_PX)
    assert (scores.switches, scores.forgotten, scores.fragments) == (1, 1, 1)


def test_made_up_walkers_go_where_their_velocities_say_and_are_seen_as_promised() -> None:
    made = walks.sequence(0, 5, 60.0, 60.0)
    roots, velocities = (np.array([getattr(m, n) for m in made]) for n in ('roots', 'velocities'))
    moved = np.diff(roots[..., [0, 2]], axis=0) * 60
    assert np.allclose(moved, velocities[1:, :, [0, 2]], atol=1e-6)
    change = np.linalg.norm(np.diff(velocities, axis=0), axis=2) * 60
    assert change.max() < 1.0 + 1e-6  # m/s^2
    speeds = np.linalg.norm(velocities, axis=2)
    assert 1.0 < speeds.max() < 1.7 and (speeds < 0.1).any()
    # what changes in the error of depth, of those in full view
    errors = {who: [] for who in range(5)}
    for look in made:
        for row, who in enumerate(look.who):
            if look.found.scores[row] > 0.8:
                errors[who].append(np.log(look.found.roots[row, 2] / look.roots[who, 2]))
    changing = [np.std(e) for e in errors.values()]
    assert np.mean(changing) == pytest.approx(0.02, rel=0.3)
    assert 0.01 < np.std([np.mean(e) for e in errors.values()]) < 0.12
    hidden = sum(look.in_view.sum() - len(look.found) for look in made)
    assert hidden > 0.03 * roots.shape[0] * 5
    again = walks.sequence(0, 5, 60.0, 60.0)[100]
    assert np.array_equal(again.found.boxes, made[100].found.boxes)


def test_a_parabola_is_found_exactly_also_at_the_ends() -> None:
    times = np.arange(60)[:, None, None] / 60
    speed, bend = np.array([[0.3, -0.2, 1.0]]), np.array([[1.0, 0.5, -2.0]])
    places, velocities = _parabolas(2.0 + speed * times + bend * times**2, 60.0)
    assert np.allclose(places, 2.0 + speed * times + bend * times**2)
    assert np.allclose(velocities, speed + 2 * bend * times)


def camera_at(x_m: float) -> ClipCamera:
    """A camera that looks along the world's z from (x, 0, 0)."""
    camera = Camera.from_focal_length(1000, 1000, FOCAL_PX)
    return ClipCamera(str(x_m), camera, np.eye(3), np.array([-x_m, 0, 0]), Path())


def persons_at(camera: ClipCamera, *places: tuple[float, float, float]) -> Persons:
    """People seen by a camera, with all keypoints at their pelvises."""
    roots = camera.from_world(np.reshape(places, (-1, 3)).astype(float))
    xy = np.repeat(camera.camera.project(roots)[:, None], len(HALPE26), axis=1)
    keypoints = Keypoints(HALPE26, xy, np.ones(xy.shape[:2]))
    boxes = np.tile([0.0, 0, 10, 10], (len(roots), 1))
    return Persons(boxes, np.ones(len(roots)), (), roots, np.zeros(len(roots)), keypoints)


def test_people_of_different_cameras_are_joined_in_the_world_and_followed_by_their_hips() -> None:
    cameras = (camera_at(-1.0), camera_at(1.0), camera_at(0.0))
    clip = Clip('multi', cameras, 3, 60.0)
    near, far, alone = (0.0, 0, 4.0), (0.5, 0, 7.0), (3.0, 0, 12.0)
    first = [
        persons_at(cameras[0], far, near),
        persons_at(cameras[1], near, far, alone),
        persons_at(cameras[2], (0.0, 0, 4.6)),  # a stature that is not his
    ]
    people = sorted(_first_people(clip, first), key=len)
    assert people == [{0: 0, 1: 1}, {0: 1, 1: 0, 2: 0}]
    second = [
        persons_at(cameras[0], (0.01, 0, 4.0), (0.5, 0, 7.0)),
        persons_at(cameras[1], (0.5, 0, 7.0)),
        persons_at(cameras[2]),
    ]
    who = _identified([list(pair) for pair in zip(first, second, strict=True)], people)
    assert who[:, 1].tolist() == [[1, 0], [0, -1], [-1, -1]]
    motion_of = ClipMotion(
        [list(pair) for pair in zip(first, second, strict=True)], who, np.zeros((3, 2, 2, 3)),
        np.zeros((3, 2, 2, 3)), np.zeros(2), 60.0,
    )  # fmt: skip
    sequences = motion_of.looks(1)
    assert [len(sequence) for sequence in sequences] == [2, 2, 2]
    assert sequences[1][0].who.tolist() == [1, 0, -1]
    assert sequences[2][0].in_view.tolist() == [False, True]


@pytest.mark.parametrize('waves_hz', [0.5, 2.0])
def test_the_lag_of_a_plain_low_pass_is_that_of_the_textbook(waves_hz: float) -> None:
    """Without beta the filter is of first order: phase atan(f / cutoff), size 1 / sqrt(1 + ...)."""
    lag_ms, size = motion._wave(OneEuro(1.5, 0.0), 1000.0, waves_hz)
    assert lag_ms == pytest.approx(1e3 * np.arctan(waves_hz / 1.5) / (2 * np.pi * waves_hz), abs=1)
    assert size == pytest.approx(1 / np.hypot(1, waves_hz / 1.5), abs=0.01)
    assert motion._shaking(OneEuro(1.5, 0.0), 30.0) < motion._shaking(OneEuro(3.0, 0.0), 30.0)


def test_the_command_prints_and_writes_its_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'motion.json'
    words = ['motion', '--parts', 'walks', 'smoothing', '--seconds', '4', '--out', str(out)]
    assert main(['benchmark', *words]) == 0
    printed = capsys.readouterr().out
    assert 'id switches' in printed and 'lag ms' in printed
    walked, smoothed, started = json.loads(out.read_text())['tables']
    assert [row[0] for row in walked['rows']] == [30, 15, 5]
    for row in walked['rows']:
        values = dict(zip(walked['columns'], row, strict=True))
        assert values['velocity error m/s: filter'] < values['between images']
    assert len(smoothed['rows']) == 9
    for _, _, half_ms, most_ms, behind_mm in started['rows']:
        assert 0 < half_ms <= most_ms < 1500
        # a filter that stood still until it has half the velocity would be farther behind
        assert 0 < behind_mm < 1.2 * most_ms
