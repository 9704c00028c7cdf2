# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where people are and how fast: cases computed by hand, and a filter that is honest."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from OneEuroFilter import OneEuroFilter

from pose3d_ros.kalman import Motions
from pose3d_ros.one_euro import OneEuro
from pose3d_ros.people import Poses, TrackState
from pose3d_ros.skeletons import Skeleton
from pose3d_ros.tracking3d import MotionOptions, Tracker3D, relative_deviations, root_noises

BODY = Skeleton('two', ('pelvis', 'hand'), ((0, 1),), (), (0,))
HAND = np.array([0.3, -0.4, 0.1])
FOCAL_PX = 1000.0
OPTIONS = MotionOptions()


def poses(*roots: tuple[float, float, float], ids: str | None = None, stddev: float = 0.0) -> Poses:
    """People at roots with the ids 1, 2, ... (or the letters given, '-' = none)."""
    places = np.reshape(roots, (-1, 3)).astype(float)
    n = len(places)
    names = [str(i + 1) for i in range(n)] if ids is None else ['' if i == '-' else i for i in ids]
    joints = np.stack([places, places + HAND], axis=1)
    return Poses(
        BODY,
        joints,
        np.full((n, 2), 0.9),
        places,
        np.full(n, stddev),
        np.full(n, 0.8),
        tuple(names),
    )


def followed(
    roots: Iterator[tuple[float, float, float]] | np.ndarray,
    rate_hz: float,
    options: MotionOptions = OPTIONS,
) -> tuple[Tracker3D, Poses]:
    """Return the tracker and the last poses of one person's way."""
    tracker, found = Tracker3D(BODY), Poses.none(BODY)
    for k, root in enumerate(roots):
        found = tracker.update(poses(tuple(root)), k / rate_hz, FOCAL_PX, options)
    return tracker, found


def walk(count: int, rate_hz: float, velocity: tuple[float, float, float]) -> np.ndarray:
    return np.array([0.5, 0.2, 6.0]) + np.arange(count)[:, None] / rate_hz * np.array(velocity)


def test_one_dimension_by_hand() -> None:
    """Variance 1 at 0, speed unknown by 2 m/s; a second later measured at 3 with variance 4."""
    start = Motions.starting(np.zeros((1, 3)), np.eye(3)[None], 2.0)
    moved = start.after(1.0, 3.0)
    # by hand: var x = 1 + 4 + 3/3, cov = 4 + 3/2, var v = 4 + 3
    assert moved.covariances[0, :1, [0, 3]].ravel() == pytest.approx([6.0, 5.5])
    assert moved.covariances[0, 3, 3] == pytest.approx(7.0)
    place, noise = np.array([[3.0, 0, 0]]), 4 * np.eye(3)[None]
    assert moved.misfits(place, noise) == pytest.approx([9 / 10])
    joined = moved.joined(place, noise)
    assert joined.means[0, [0, 3]] == pytest.approx([3 * 6 / 10, 3 * 5.5 / 10])
    assert joined.covariances[0, 0, 0] == pytest.approx(6 - 36 / 10)
    assert joined.covariances[0, 0, 3] == pytest.approx(5.5 - 6 * 5.5 / 10)
    assert joined.covariances[0, 3, 3] == pytest.approx(7 - 5.5**2 / 10)
    assert joined.means[0, [1, 2, 4, 5]] == pytest.approx([0] * 4)


def test_time_in_steps_is_time_at_once() -> None:
    rng = np.random.default_rng(0)
    start = Motions.starting(rng.normal(size=(4, 3)), np.tile(np.eye(3), (4, 1, 1)), 1.0)
    once, steps = start.after(0.7, 0.3), start
    for step_s in (0.1, 0.25, 0.35):
        steps = steps.after(step_s, 0.3)
    assert np.allclose(once.means, steps.means) and np.allclose(once.covariances, steps.covariances)


def test_noise_is_long_along_the_ray_and_short_across() -> None:
    root = np.array([[3.0, 0.0, 4.0]])  # 5 m away
    (noise,) = root_noises(root, np.array([0.4]), 500.0)
    ray = root[0] / 5
    # a tenth of the distance is stated, three tenths of that change
    across = np.hypot(0.01, 4.0 / 500)
    assert ray @ noise @ ray == pytest.approx((0.3 * 0.1 * 5) ** 2 + across**2)
    for side in (np.array([0, 1.0, 0]), np.array([-0.8, 0, 0.6])):
        assert side @ noise @ side == pytest.approx(across**2)
    assert relative_deviations(root, np.zeros(1)) == pytest.approx([0.07])


@pytest.mark.parametrize('rate_hz', [3.0, 10.0, 30.0])
def test_who_stands_has_no_velocity_and_who_walks_has_his(rate_hz: float) -> None:
    count = round(6 * rate_hz)
    _, found = followed(walk(count, rate_hz, (0.0, 0.0, 0.0)), rate_hz)
    assert np.abs(found.tracks.motions[0, 3:]).max() < 1e-9
    assert not found.tracks.moving[0]
    _, found = followed(walk(count, rate_hz, (1.2, 0.0, -0.5)), rate_hz)
    assert found.tracks.motions[0, 3:] == pytest.approx([1.2, 0, -0.5], abs=0.05)
    assert found.tracks.motions[0, :3] == pytest.approx(found.roots[0], abs=0.05)
    assert found.tracks.moving[0]


def test_the_covariance_shrinks_while_a_person_is_seen_and_grows_while_not() -> None:
    tracker, spreads = Tracker3D(BODY), []
    for k in range(20):
        shown = poses((0, 0, 5)) if k < 15 else poses()
        found = tracker.update(shown, k / 10, FOCAL_PX, OPTIONS)
        if len(found) and found.tracks.has_velocity[0]:
            spreads.append(np.diag(found.tracks.covariances[0])[3:].sum())
    assert len(spreads) == 19  # all but the first
    assert (np.diff(spreads[:14]) < 1e-3).all() and spreads[13] < spreads[0] / 3
    assert (np.diff(spreads[14:]) > 0).all()


def test_the_covariance_counts_the_stature_in_as_a_scale() -> None:
    """Five percent of stature: the person is 5 % off, and 5 % too fast."""
    rate_hz, tracker = 10.0, Tracker3D(BODY)
    for k, root in enumerate(walk(60, rate_hz, (0.0, 0.0, -0.5))):
        shown = poses(tuple(root), stddev=0.05 * root[2])
        found = tracker.update(shown, k / rate_hz, FOCAL_PX, OPTIONS)
        bare = tracker._tracks.motions.covariances[0]
    told, state = found.tracks.covariances[0], found.tracks.motions[0]
    assert told - bare == pytest.approx(np.outer(state, state) * 0.05**2, rel=1e-6)
    assert np.sqrt(told[2, 2]) > 0.05 * state[2] > 2 * np.sqrt(bare[2, 2])


def test_states_from_new_to_gone() -> None:
    tracker = Tracker3D(BODY)
    options = MotionOptions(coast_s=0.5, confirm_frames=3)
    states, ages, scores = [], [], []
    for k in range(12):
        shown = poses((0.1 * k, 0, 5)) if k < 4 else poses()
        found = tracker.update(shown, k / 10, FOCAL_PX, options)
        states.append(found.tracks.states.tolist())
        ages.append(found.tracks.ages_frames.tolist())
        scores.append(found.scores.tolist())
    new, confirmed, coasting = TrackState.NEW, TrackState.CONFIRMED, TrackState.COASTING
    assert states == [[new]] * 2 + [[confirmed]] * 2 + [[coasting]] * 5 + [[]] * 3
    assert ages == [[1], [2], [3], [4]] + [[4]] * 5 + [[]] * 3
    assert [s[0] for s in scores[4:9]] == pytest.approx([0.8 * (1 - h / 5) for h in range(1, 6)])
    # known again: age and state go on
    found = tracker.update(poses((1.2, 0, 5)), 1.2, FOCAL_PX, options)
    assert found.tracks.states.tolist() == [confirmed] and found.tracks.ages_frames.tolist() == [5]


def test_who_coasts_goes_on_as_he_went_with_joints_that_nobody_saw() -> None:
    rate_hz = 10.0
    tracker, last = followed(walk(40, rate_hz, (1.0, 0.0, 0.0)), rate_hz)
    found = tracker.update(poses(), 4.2, FOCAL_PX, OPTIONS)  # 0.3 s after the last
    assert found.ids == ('1',) and found.coasting.tolist() == [True] and len(found.seen) == 0
    moved = found.roots[0] - last.roots[0]
    assert moved == pytest.approx([0.3, 0, 0], abs=0.02)
    assert found.joints[0] - last.joints[0] == pytest.approx(np.tile(moved, (2, 1)))
    assert moved == pytest.approx(found.tracks.motions[0, :3] - last.tracks.motions[0, :3])
    assert not found.joint_scores.any()


def test_the_new_the_untracked_and_those_behind_the_camera_do_not_coast() -> None:
    def after(shown: Poses, count: int, options: MotionOptions = OPTIONS) -> Poses:
        tracker = Tracker3D(BODY)
        for k in range(count):
            tracker.update(shown, k / 10, FOCAL_PX, options)
        return tracker.update(poses(), count / 10, FOCAL_PX, options)

    assert len(after(poses((0, 0, 5)), 5)) == 1
    assert len(after(poses((0, 0, 5)), 2)) == 0
    assert len(after(poses((0, 0, 5), ids='-'), 5)) == 0
    assert len(after(poses((0, 0, 5)), 5, MotionOptions(coast_s=0.0))) == 0
    tracker = Tracker3D(BODY)
    for k in range(20):
        tracker.update(poses((0, 0, 4.1 - 2 * k / 10)), k / 10, FOCAL_PX, OPTIONS)
    assert len(tracker.update(poses(), 2.4, FOCAL_PX, OPTIONS)) == 0  # 0.7 m behind it by now


def test_a_root_far_off_is_not_believed_until_it_stays_there() -> None:
    rate_hz, tracker = 10.0, Tracker3D(BODY)
    for k in range(20):
        tracker.update(poses((0, 0, 5)), k / rate_hz, FOCAL_PX, OPTIONS)
    found = tracker.update(poses((0, 0, 9)), 2.0, FOCAL_PX, OPTIONS)
    assert found.roots[0, 2] == 9  # what was seen is told as it was seen
    assert found.tracks.motions[0] == pytest.approx([0, 0, 5, 0, 0, 0], abs=1e-6)
    assert found.tracks.states[0] == TrackState.CONFIRMED
    known = []
    for k in range(21, 29):
        found = tracker.update(poses((0, 0, 9)), k / rate_hz, FOCAL_PX, OPTIONS)
        known.append(bool(found.tracks.has_velocity[0]))
    # half a second after the last good one the filter starts anew, without a velocity at first
    assert known[:3] == known[-3:] == [True] * 3 and known.count(False) == 1
    assert found.tracks.motions[0] == pytest.approx([0, 0, 9, 0, 0, 0], abs=1e-6)


@pytest.mark.parametrize('rate_hz', [1.0, 1.6, 4.0])
def test_one_root_far_off_is_not_believed_however_far_apart_images_are(rate_hz: float) -> None:
    tracker = Tracker3D(BODY)
    for k in range(20):
        depth_m = 9.0 if k == 10 else 5.0
        found = tracker.update(poses((0, 0, depth_m)), k / rate_hz, FOCAL_PX, OPTIONS)
        if k:
            assert found.tracks.motions[0] == pytest.approx([0, 0, 5, 0, 0, 0], abs=1e-6)


def test_a_clock_that_jumps_back_resets_and_one_that_jumps_ahead_forgets_velocities() -> None:
    tracker, _ = followed(walk(20, 10.0, (1.0, 0, 0)), 10.0)
    found = tracker.update(poses((0.5, 0.2, 6)), 1e9, FOCAL_PX, OPTIONS)
    assert found.tracks.ages_frames[0] == 21 and not found.tracks.has_velocity[0]
    found = tracker.update(poses((0.5, 0.2, 6)), 1e9 + 0.1, FOCAL_PX, OPTIONS)
    assert found.tracks.motions[0, 3:] == pytest.approx([0, 0, 0], abs=1e-6)
    found = tracker.update(poses((0.5, 0.2, 6)), 3.0, FOCAL_PX, OPTIONS)
    assert found.tracks.ages_frames[0] == 1 and found.tracks.states[0] == TrackState.NEW


def test_the_same_stamp_twice_teaches_nothing() -> None:
    tracker, found = followed(walk(20, 10.0, (1.0, 0, 0)), 10.0)
    again = tracker.update(found, 1.9, FOCAL_PX, OPTIONS)
    assert np.allclose(again.tracks.motions, found.tracks.motions, atol=1e-4)
    assert np.allclose(again.tracks.covariances, found.tracks.covariances, rtol=1e-3, atol=1e-6)
    assert np.isfinite(again.tracks.motions).all()


def test_ids_come_late_twice_or_not_at_all_and_roots_may_be_unknown() -> None:
    tracker = Tracker3D(BODY)
    tracker.update(poses((0, 0, 5), ids='-'), 0.0, FOCAL_PX, OPTIONS)
    found = tracker.update(poses((0, 0, 5), (1, 0, 5), ids='-b'), 0.1, FOCAL_PX, OPTIONS)
    assert found.tracks.states.tolist() == [TrackState.UNTRACKED, TrackState.NEW]
    found = tracker.update(poses((0, 0, 5), (1, 0, 5), ids='ab'), 0.2, FOCAL_PX, OPTIONS)
    assert found.tracks.ages_frames.tolist() == [1, 2]
    assert found.tracks.has_velocity.tolist() == [False, True]
    twice = tracker.update(poses((1, 0, 5), (3, 0, 5), ids='bb'), 0.3, FOCAL_PX, OPTIONS)
    assert twice.ids[:2] == ('b', 'b') and twice.tracks.ages_frames[:2].tolist() == [3, 0]
    unknown = tracker.update(poses((np.nan, 0, 5), ids='b'), 0.4, FOCAL_PX, OPTIONS)
    assert unknown.tracks.states[0] == TrackState.UNTRACKED
    assert len(tracker.update(Poses.none(BODY), 9.0, FOCAL_PX, OPTIONS)) == 0


def test_people_do_not_mix_whatever_their_order() -> None:
    rng, alone, together = np.random.default_rng(1), {}, Tracker3D(BODY)
    ways = {name: rng.uniform((-2, -2, 4), (2, 2, 8)) for name in 'abcde'}
    speeds = {name: rng.normal(0, 1, 3) for name in 'abcde'}
    trackers = {name: Tracker3D(BODY) for name in 'abcde'}
    for k in range(20):
        names = ''.join(rng.permutation(list('abcde'))[: rng.integers(2, 6)])
        roots = {n: tuple(ways[n] + k / 10 * speeds[n] + rng.normal(0, 0.02, 3)) for n in names}
        shown = poses(*roots.values(), ids=names)
        found = together.update(shown, k / 10, FOCAL_PX, OPTIONS)
        for name, tracker in trackers.items():
            one = poses(roots[name], ids=name) if name in roots else poses()
            alone[name] = tracker.update(one, k / 10, FOCAL_PX, OPTIONS)
        assert found.ids[: len(names)] == tuple(names)
        for row, name in enumerate(found.ids):
            assert np.allclose(found.roots[row], alone[name].roots[0])
            known = found.tracks.has_velocity[row]
            assert not known or np.allclose(
                found.tracks.covariances[row], alone[name].tracks.covariances[0]
            )
        assert len(found) == sum(len(one) for one in alone.values())


@pytest.mark.parametrize('rate_hz', [5.0, 30.0])
def test_the_filter_is_as_sure_as_it_may_be(rate_hz: float) -> None:
    """NEES of people whose velocities drift, seen with the noise that is measured on the clip.

    Bar-Shalom et al., section 5.4: the mean of e' P^-1 e is the number of dimensions.
    """
    rng, people, count = np.random.default_rng(2), 60, round(6 * rate_hz)
    step_s, sub = 1 / rate_hz, 20
    roots = rng.uniform((-2, -1, 4), (2, 1, 9), (people, 3))
    speeds = rng.normal(0, 0.7, (people, 3))
    scale = 1 + rng.normal(0, 0.067, (people, 1))
    noise = rng.normal(size=(people, 3))
    kept = np.exp(-step_s / 0.1)
    tracker, ids = Tracker3D(BODY), tuple(map(str, range(people)))
    for k in range(count):
        for _ in range(sub if k else 0):
            speeds = speeds + rng.normal(0, np.sqrt(0.3 * step_s / sub), speeds.shape)
            roots = roots + speeds * step_s / sub
        noise = kept * noise + np.sqrt(1 - kept**2) * rng.normal(size=noise.shape)
        seen = roots * scale * (1 + 0.021 * noise[:, 2:])
        seen[:, :2] += 0.01 * noise[:, :2]
        shown = replace(poses(*map(tuple, seen)), ids=ids, root_depth_stddev_m=0.07 * seen[:, 2])
        found = tracker.update(shown, k * step_s, FOCAL_PX, OPTIONS)
    error = found.tracks.motions - np.hstack([roots, speeds])
    solved = np.linalg.solve(found.tracks.covariances, error[..., None])[..., 0]
    nees = (error * solved).sum(axis=1)
    # 60 people: 6 +- 0.45; it may be less sure than it could be, and a little surer
    assert 3.0 < nees.mean() < 7.5
    velocity_nees = (
        error[:, 3:]
        * np.linalg.solve(found.tracks.covariances[:, 3:, 3:], error[:, 3:, None])[..., 0]
    ).sum(axis=1)
    assert 1.5 < velocity_nees.mean() < 3.75


def test_the_filter_beats_differences_of_roots() -> None:
    """At 15 Hz with depths that change by 2 %: differences are wrong by metres per second."""
    rng = np.random.default_rng(3)
    way = walk(90, 15.0, (0.8, 0.0, -0.8))
    seen = way * (1 + 0.02 * rng.normal(size=(len(way), 1)))
    _, found = followed(seen, 15.0)
    differences = np.diff(seen, axis=0) * 15 - np.array([0.8, 0, -0.8])
    error = np.linalg.norm(found.tracks.motions[0, 3:] - [0.8, 0, -0.8])
    assert error < 0.3 < 1.5 < np.sqrt((differences**2).sum(axis=1).mean())


def test_smoothing_is_what_the_filters_author_publishes() -> None:
    """Along one axis, at times that are not even; the author's takes no time of zero."""
    rng, euro = np.random.default_rng(5), OneEuro()
    times_s = 1.0 + np.cumsum(rng.uniform(0.01, 0.2, 100))
    values = np.sin(3 * times_s) + rng.normal(0, 0.05, 100)
    theirs = OneEuroFilter(30.0, euro.min_cutoff_hz, euro.beta)
    before, velocity = np.array([[[values[0], 0, 0]]]), np.zeros((1, 1, 3))
    theirs(values[0], times_s[0])
    for k in range(1, 100):
        point, elapsed_s = np.array([[[values[k], 0, 0]]]), times_s[[k]] - times_s[[k - 1]]
        before, velocity = euro(point, before, velocity, elapsed_s)
        assert before[0, 0] == pytest.approx([theirs(values[k], times_s[k]), 0, 0])


def test_smoothing_does_not_ask_which_way_the_axes_point() -> None:
    rng = np.random.default_rng(6)
    points = np.cumsum(rng.normal(0, 0.02, (40, 1, 3, 3)), axis=0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    straight, turned = points[0], points[0] @ turn
    velocity, turned_velocity = np.zeros((1, 3, 3)), np.zeros((1, 3, 3))
    for point in points:
        straight, velocity = OneEuro()(point, straight, velocity, np.array([0.05]))
        turned, turned_velocity = OneEuro()(point @ turn, turned, turned_velocity, np.array([0.05]))
    assert np.allclose(straight @ turn, turned)


def test_smoothing_takes_the_shaking_of_joints_and_roots_away_and_no_more() -> None:
    rng, options = np.random.default_rng(4), MotionOptions(smoothing=OneEuro())
    tracker, out, raw = Tracker3D(BODY), [], []
    for k in range(150):
        shown = poses((0.5, 0.2, 5 + rng.normal(0, 0.05)))
        shown = replace(shown, joints=shown.joints + rng.normal(0, 0.01, shown.joints.shape))
        found = tracker.update(shown, k / 30, FOCAL_PX, options)
        out.append(found.joints[0] - found.roots[0])
        raw.append(shown.joints[0] - shown.roots[0])
        assert found.tracks.has_velocity[0] == (k > 0)
        if k:
            assert found.roots[0] == pytest.approx(found.tracks.motions[0, :3])
    quiet, shaking = np.std(out[30:], axis=0), np.std(raw[30:], axis=0)
    assert (quiet < 0.65 * shaking).all()
    assert np.mean(out[30:], axis=0) == pytest.approx(np.mean(raw[30:], axis=0), abs=5e-3)
    # switched off, the next image is told as it was seen
    shown = poses((0.5, 0.2, 5))
    found = tracker.update(shown, 5.0, FOCAL_PX, OPTIONS)
    assert np.array_equal(found.joints, shown.joints) and np.array_equal(found.roots, shown.roots)


def test_twenty_people_take_two_milliseconds() -> None:
    rng, tracker, took_s = np.random.default_rng(0), Tracker3D(BODY), []
    places = rng.uniform((-3, -1, 3), (3, 1, 10), (20, 3))
    for k in range(60):
        shown = poses(*map(tuple, places + rng.normal(0, 0.02, places.shape)))
        start = time.process_time()
        tracker.update(shown, k / 30, FOCAL_PX, OPTIONS)
        took_s.append(time.process_time() - start)
    assert np.median(took_s) < 4e-3  # 1.7 ms, and room for a slower machine
