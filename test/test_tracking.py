# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ids that last: who is who over time, on made-up motion and on real footage."""

import time

import cv2
import numpy as np
import pytest
from real import F32

from pose3d_ros import weights
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.yolox import YOLOX
from pose3d_ros.people import Persons
from pose3d_ros.tracking import Tracker, TrackerOptions, greedy_pairs, overlaps


def people(*centres: tuple[float, float], score: float = 0.9) -> Persons:
    """People of 40 x 100 pixels around centres."""
    boxes = [(x - 20, y - 50, 40, 100) for x, y in centres]
    return Persons(np.reshape(boxes, (-1, 4)), np.full(len(boxes), score))


def test_ids_are_given_in_order_and_kept_while_people_walk() -> None:
    tracker = Tracker()
    for k in range(60):
        persons = people((100 + 3 * k, 200), (600 - 3 * k, 400))
        assert tracker.update(persons, k / 30).ids == ('1', '2')


def test_the_people_come_back_unchanged_and_in_their_order() -> None:
    tracker = Tracker()
    tracker.update(people((100, 200), (600, 400)), 0)
    persons = people((600, 400), (100, 200), (300, 300))
    found = tracker.update(persons, 0.1)
    assert found.ids == ('2', '1', '3')
    assert np.array_equal(found.boxes, persons.boxes)
    assert np.array_equal(found.scores, persons.scores)


def test_two_who_cross_keep_their_ids() -> None:
    tracker = Tracker()
    for k in range(61):
        x = 6.0 * k
        persons = people((100 + x, 200), (460 - x, 215))
        if 28 <= k <= 32:  # where one hides the other, only the nearer one is seen
            persons = persons[[1]]
        ids = tracker.update(persons, k / 30).ids
        if not 28 <= k <= 32:
            assert ids == ('1', '2'), f'image {k}'


def test_speed_is_in_seconds_whatever_the_rate_of_the_images() -> None:
    """At 2 images a second a walker leaves his own box; only the prediction finds him again."""
    stamps = [*np.arange(0, 1, 1 / 30), *np.arange(1, 4, 0.45)]
    tracker = Tracker()
    ids = {tracker.update(people((100 + 120 * t, 200)), t).ids for t in stamps}
    assert ids == {('1',)}


def test_who_was_hidden_a_moment_is_known_again_and_later_is_not() -> None:
    tracker = Tracker(TrackerOptions(lifetime_s=0.5))
    for k in range(10):
        tracker.update(people((100, 200)), k / 10)
    assert tracker.update(people(), 1.0).ids == ()
    assert tracker.update(people((100, 200)), 1.3).ids == ('1',)
    assert tracker.update(people((100, 200)), 2.0).ids == ('2',)


@pytest.mark.parametrize('gap_s', [0.1, 1.5, 8.0])
def test_ids_last_however_far_apart_images_are(gap_s: float) -> None:
    """A detector may take seconds for each; whoever is missed once is known again."""
    tracker = Tracker()
    ids = []
    for number in range(12):
        given = people() if number == 6 else people((100, 200))
        ids += tracker.update(given, number * gap_s).ids
    assert ids == ['1'] * 11


def test_a_pause_among_images_is_no_interval() -> None:
    for images in (1, 2, 10):  # of one image nobody knows how far apart they come
        tracker = Tracker()
        for number in range(images):
            tracker.update(people((100, 200)), number / 10)
        assert tracker.update(people((100, 200)), 60.0).ids == ('2',)


def test_an_uncertain_box_continues_a_track_but_starts_none() -> None:
    tracker = Tracker()
    tracker.update(people((100, 200)), 0)
    assert tracker.update(people((102, 200), (500, 200), score=0.4), 0.1).ids == ('1', '')


def test_an_uncertain_box_does_not_take_a_track_from_a_certain_one() -> None:
    tracker = Tracker()
    tracker.update(people((100, 200)), 0)
    both = Persons(people((100, 200), (108, 200)).boxes, np.array([0.4, 0.9]))
    assert tracker.update(both, 0.1).ids == ('', '1')


def test_who_comes_out_from_behind_somebody_is_known_before_he_is_seen_for_certain() -> None:
    tracker = Tracker()
    tracker.update(people((100, 200)), 0)
    tracker.update(people(), 0.1)
    uncertain = people((105, 200), (130, 200), score=0.4)  # another is too far off
    assert tracker.update(uncertain, 0.2).ids == ('1', '')


def test_who_stands_before_somebody_hidden_keeps_his_id_wherever_that_one_should_be() -> None:
    rng, tracker = np.random.default_rng(0), Tracker()
    for k in range(90):
        x = 6.0 * k  # walks by behind him, hidden from 240 to 360
        persons = people((300, 200), (x, 200))
        persons = persons[[0]] if 240 < x < 360 else persons
        shaking = persons.boxes + rng.normal(0, 2, (len(persons), 4))
        ids = tracker.update(Persons(shaking, persons.scores), k / 30).ids
        assert ids == ('1', '2')[: len(persons)], f'image {k}'


@pytest.mark.parametrize(('hidden_s', 'found'), [(0.1, '2'), (0.8, '1')])
def test_who_was_hidden_longer_may_be_farther_from_where_he_should_be(
    hidden_s: float, found: str
) -> None:
    tracker = Tracker()
    for k in range(20):
        tracker.update(people((100, 200)), k / 10)
    assert tracker.update(people(), 1.95).ids == ()
    assert tracker.update(people((131, 200)), 1.9 + hidden_s).ids == (found,)


def test_of_two_places_that_fit_the_one_of_the_same_height_is_meant() -> None:
    tracker = Tracker()
    boxes = np.array([[80.0, 150, 40, 100], [88, 140, 48, 120]])
    assert tracker.update(Persons(boxes, np.full(2, 0.9)), 0).ids == ('1', '2')
    box = people((108, 200))
    assert np.diff(overlaps(box.boxes, boxes)) > 0  # it overlaps more with the taller one
    assert tracker.update(box, 0.1).ids == ('1',)


@pytest.mark.parametrize('back', [False, True])
def test_after_a_reset_or_a_clock_that_jumped_back_everybody_is_new(back: bool) -> None:
    tracker = Tracker()
    tracker.update(people((100, 200)), 10.0)
    if not back:
        tracker.reset()
    assert tracker.update(people((100, 200)), 2.0 if back else 10.1).ids == ('2',)


def test_between_two_images_people_go_on_as_they_went() -> None:
    tracker = Tracker()
    for k in range(20):
        tracker.update(people((100 + 3 * k, 200), (600, 400 - 2 * k)), k / 30)
    between = tracker.predict(21 / 30)
    assert between is not None and between.ids == ('1', '2')
    expected = people((100 + 3 * 21, 200), (600, 400 - 2 * 21)).boxes
    # standing they would be 6 and 4 pixels off
    assert np.abs(between.boxes - expected).max() < 1.2
    assert np.array_equal(between.scores, [0.9, 0.9])
    # it was a look ahead, and changes nothing
    assert tracker.update(people((160, 200), (600, 360)), 20 / 30).ids == ('1', '2')


def test_who_has_no_track_or_just_came_stays_where_he_was() -> None:
    tracker = Tracker()
    both = Persons(people((100, 200), (500, 200)).boxes, np.array([0.9, 0.4]))
    assert tracker.update(both, 0).ids == ('1', '')
    between = tracker.predict(0.2)
    assert between is not None and between.ids == ('1', '')
    assert np.array_equal(between.boxes, both.boxes)


def test_where_people_are_is_not_known_before_after_long_or_back_in_time() -> None:
    tracker = Tracker(TrackerOptions(lifetime_s=0.5))
    assert tracker.predict(0.0) is None
    tracker.update(people(), 10.0)
    nobody = tracker.predict(10.5)
    assert nobody is not None and len(nobody) == 0
    assert tracker.predict(10.6) is None
    assert tracker.predict(9.9) is None
    tracker.reset()
    assert tracker.predict(10.1) is None


def test_the_same_stamp_twice_is_no_harm() -> None:
    tracker = Tracker()
    tracker.update(people((100, 200)), 1.0)
    assert tracker.update(people((100, 200)), 1.0).ids == ('1',)


def test_ids_of_a_crowd_are_distinct_and_never_come_back() -> None:
    rng, tracker = np.random.default_rng(1), Tracker()
    seen: set[str] = set()
    for k in range(20):  # every image shows others, far from those before
        centres = rng.uniform((0, 5000 * k), (5000, 5000 * k + 4000), (100, 2))
        ids = [i for i in tracker.update(people(*map(tuple, centres)), k / 30).ids if i]
        assert len(ids) == len(set(ids)) == 100
        assert not seen & set(ids)
        seen |= set(ids)


def test_twenty_people_take_less_than_a_millisecond() -> None:
    rng, tracker = np.random.default_rng(0), Tracker()
    boxes = np.column_stack([rng.uniform(0, 1800, (20, 2)), np.full((20, 2), (60, 160))])
    images = [Persons(boxes + rng.normal(0, 2, boxes.shape), np.full(20, 0.9)) for _ in range(60)]
    took_s = []
    for k, persons in enumerate(images):
        start = time.process_time()
        tracker.update(persons, k / 30)
        took_s.append(time.process_time() - start)
    assert np.median(took_s) < 1.5e-3  # 0.6 ms, and room for a slower machine


def test_overlaps() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [20, 0, 10, 10]])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 10, 10], [0, 0, 0, 0]])
    assert overlaps(boxes, others) == pytest.approx(np.array([[1, 1 / 3, 0], [0, 0, 0]]))
    assert overlaps(boxes[:0], others).shape == (0, 3)
    wider = overlaps(boxes, others, np.array([0.0, 5, 1]))
    assert wider == pytest.approx(np.array([[1, 300 / 500, 4 / 144], [0, 5 * 20 / 700, 0]]))


def test_greedy_pairs_take_the_best_first_and_each_column_once() -> None:
    scores = np.array([[0.8, 0.7], [0.9, 0.1], [0.3, 0.6], [0, -1]])
    assert greedy_pairs(scores).tolist() == [1, 0, -1, -1]
    assert greedy_pairs(np.zeros((2, 0))).tolist() == [-1, -1]


def test_pedestrians_keep_their_ids_on_real_footage() -> None:
    """A pair on the road and who follows them, named by eye at both ends of four seconds."""
    spots = {50: ((523, 263), (570, 258), (691, 313)), 90: ((475, 197), (503, 198), (584, 214))}
    detector, tracker = YOLOX(weights.path('yolox_tiny'), F32), Tracker()
    video = cv2.VideoCapture(str(weights.path('vtest')))
    ids: dict[int, list[str]] = {}
    for k in range(91):
        video.grab()
        if k < 50 or k % 2:  # five images a second
            continue
        persons = tracker.update(detector(video.retrieve()[1], DetectorOptions()), k / 10)
        centres = persons.boxes[:, :2] + persons.boxes[:, 2:] / 2
        if k in spots:
            nearest = [np.linalg.norm(centres - s, axis=1).argmin() for s in spots[k]]
            ids[k] = [persons.ids[i] for i in nearest]
    assert len(set(ids[50])) == 3
    assert ids[50] == ids[90]
