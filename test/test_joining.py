# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Joining by exact stamp."""

import heapq
import itertools
from collections.abc import Callable, Iterable

import pytest

from pose3d_ros.nodes.joining import PATIENCE_S, Joiner


def joined(events: str, capacity: int = 4) -> tuple[list[str], Joiner[str, str]]:
    """Feed events like 'i1 p1' (image, people; stamp) and return the stamps of the pairs."""
    joiner: Joiner[str, str] = Joiner(capacity)
    pairs = []
    for event in events.split():
        add = joiner.add_left if event[0] == 'i' else joiner.add_right
        if (pair := add(int(event[1:]), event)) is not None:
            assert pair[0][1:] == pair[1][1:]
            pairs.append(pair[0][1:])
    return pairs, joiner


def test_either_side_may_come_first() -> None:
    assert joined('i1 p1 p2 i2')[0] == ['1', '2']


def test_only_exact_stamps_join() -> None:
    assert joined('i1 p2 i3 p4')[0] == []


def test_older_images_wait_for_nobody_after_a_match() -> None:
    pairs, joiner = joined('i1 i2 i3 i4 p3')
    assert pairs == ['3'] and len(joiner) == 1


def test_memory_is_bounded_and_losses_are_counted() -> None:
    _, joiner = joined(' '.join(f'i{n}' for n in range(100)))
    assert len(joiner) == 4
    _, joiner = joined(' '.join(f'p{n}' for n in range(10)))
    assert len(joiner) == 4 and joiner.unmatched == 6


def test_of_too_many_people_the_oldest_leave() -> None:
    people = ' '.join(f'p{n}' for n in range(10))
    assert joined(f'{people} i5 i6 i9')[0] == ['6', '9']


@pytest.mark.parametrize(
    ('events', 'lost'),
    [
        ('i4 p4 p5 i6 p6 i4 p4', 1),  # of the loop before: the new one's pair ends their wait
        ('i4 p4 p5 i6 p6 p4 i4', 1),
        ('p5 p5', 1),  # of its stamp there is a later one
        ('p5 p5 i6 p6', 1),  # who was lost stays lost when others are joined
        ('i1 i2 i3 p3', 0),  # images wait for nobody; they are not people
    ],
)
def test_people_who_wait_no_longer_are_counted(events: str, lost: int) -> None:
    assert joined(events)[1].unmatched == lost


def test_people_of_an_image_that_left_the_buffer_do_not_join() -> None:
    assert joined('i1 i2 i3 i4 i5 p2')[0] == []


def test_the_last_people_before_a_jump_find_their_image_and_no_other() -> None:
    pairs, joiner = joined('i7 i8 i9 i1 p8 p9 p1')
    assert pairs == ['8', '9', '1'] and len(joiner) == 0


def test_people_of_the_new_time_may_come_before_their_image() -> None:
    assert joined('i8 p8 i9 p1 i1 i2 p2')[0] == ['8', '1', '2']
    assert joined('i8 i9 i1 i2 p8 p9 p1 p2')[0] == ['8', '9', '1', '2']


def test_what_is_left_of_one_loop_is_not_joined_with_the_next() -> None:
    """Image 5 was lost in the first loop; its people are not those of the second loop's."""
    first, _ = joined('i4 p4 p5 i6 p6 i4 p4 i5')
    assert first == ['4', '6', '4']
    assert joined('i4 p4 p5 i6 p6 i4 p4 i5 p5')[0] == ['4', '6', '4', '5']
    # the people of image 5 were lost; the second loop's do not get the first loop's image
    joiner: Joiner[str, str] = Joiner(9)
    for stamp, name in ((4, 'old'), (5, 'old'), (4, 'new')):
        joiner.add_left(stamp, name)
    assert joiner.add_right(4, 'old') == ('old', 'old')
    assert joiner.add_right(4, 'new') == ('new', 'new')
    assert joiner.add_right(5, 'new') is None
    assert joiner.add_left(5, 'new') == ('new', 'new')


@pytest.mark.parametrize('waited', [0.9, 1.1])
def test_people_wait_for_a_lost_image_only_as_long_as_one_takes(waited: float) -> None:
    now_s = 100.0
    joiner: Joiner[str, str] = Joiner(4, clock=lambda: now_s)
    # the camera's loop is as short as this: neither side sees its stamps go back
    assert joiner.add_right(7, 'people') is None
    now_s += waited * PATIENCE_S
    found = joiner.add_left(7, 'image')
    assert found == (('image', 'people') if waited < 1 else None)
    assert joiner.unmatched == (waited > 1)
    # an image waits for its people however long they take to be found
    assert joiner.add_left(8, 'next') is None
    now_s += 60.0
    assert joiner.add_right(8, 'next') == ('next', 'next')


def test_a_side_that_did_not_see_the_jump_goes_on() -> None:
    """Things were lost: to one side the new time looks like the old going on."""
    assert joined('i1 p1 i7 p7 i2 i8 p8 i9 p9')[0] == ['1', '7', '8', '9']
    assert joined('i1 p1 p7 i7 p2 p8 i8 p9 i9')[0] == ['1', '7', '8', '9']
    assert joined('p9 i1 p1 i2 p2')[0] == ['1', '2'], 'the images began behind the jump'
    assert joined('i4 p4 i5 i6 p1 p5')[0] == ['4'], 'an image that others followed is an old one'
    assert joined('i5 p5 i4 i3 i2 p9 i9 p10 i10')[0][-1] == '10'


def test_a_repeated_stamp_replaces() -> None:
    assert joined('i1 i1 p1 p1')[0] == ['1']


def waiting_after(joiner: Joiner[int, int], images: Iterable[int]) -> list[int]:
    """Give images and return those that wait."""
    for stamp in images:
        joiner.add_left(stamp, stamp)
    return [image.stamp_ns for image in joiner._left.waiting]


def test_images_around_the_coming_of_people_stay() -> None:
    """As many stay around the last people, from before and behind, as of the newest."""
    joiner: Joiner[int, int] = Joiner(9)
    assert waiting_after(joiner, range(1, 10)) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert waiting_after(joiner, range(10, 21)) == [1, 2, 3, 4, 16, 17, 18, 19, 20], 'at the start'
    joiner.add_right(0, 0)
    assert waiting_after(joiner, range(21, 31)) == [18, 19, 20, 21, 22, 27, 28, 29, 30]
    joiner.add_right(0, 0)
    assert waiting_after(joiner, range(31, 41)) == [28, 29, 30, 31, 32, 37, 38, 39, 40]


def test_images_around_as_many_people_stay_as_there_is_room_for() -> None:
    """Two images may be in hand at once where 16 may wait."""
    joiner: Joiner[int, int] = Joiner(16)
    for begin in (1, 31, 61):
        waiting_after(joiner, range(begin, begin + 30))
        joiner.add_right(0, 0)
    waiting = waiting_after(joiner, range(91, 121))
    assert waiting == [*range(58, 63), *range(87, 94), *range(117, 121)]


def test_announced_images_around_the_coming_of_people_stay() -> None:
    """Of those announced, the second stage has that in hand which was the newest."""
    joiner: Joiner[int, int] = Joiner(9)
    for stamp in range(100):
        joiner.add_left(stamp, stamp)
        joiner.announce(stamp)
    assert joiner.add_right(97, 97) == (97, 97)
    for stamp in range(100, 160):
        joiner.add_left(stamp, stamp)
        joiner.announce(stamp)
    assert joiner.add_right(99, 99) == (99, 99)
    assert joiner.add_right(159, 159) == (159, 159)


@pytest.mark.parametrize('order', ['announced first', 'image first'])
def test_an_image_that_was_announced_stays_as_long_as_nobody_came_of_a_later_one(
    order: str,
) -> None:
    joiner: Joiner[int, int] = Joiner(9)
    for stamp in range(1000):
        if stamp == 500 and order == 'announced first':
            joiner.announce(stamp)
        joiner.add_left(stamp, stamp)
        if stamp == 500 and order == 'image first':
            joiner.announce(stamp)
    assert joiner.add_right(500, 500) == (500, 500)
    assert joiner.add_right(400, 400) is None


def test_people_whom_nobody_announced_change_nothing_for_the_others() -> None:
    joiner: Joiner[int, int] = Joiner(9)
    waiting_after(joiner, range(100))
    joiner.announce(95)
    assert joiner.add_right(50, 50) is None
    waiting_after(joiner, range(100, 200))
    assert joiner.add_right(95, 95) == (95, 95)


def test_who_was_announced_in_one_loop_is_not_so_in_the_next() -> None:
    joiner: Joiner[int, int] = Joiner(9)
    waiting_after(joiner, range(10))
    for stamp in (2, 5, 7):
        joiner.announce(stamp)
    assert joiner.add_right(7, 7) == (7, 7)
    waiting_after(joiner, [8, 9, *range(6)])
    joiner.announce(5)
    waiting_after(joiner, range(6, 60))
    assert joiner.add_right(5, 5) == (5, 5)
    assert not joiner._announced


def test_memory_of_what_was_announced_is_bounded() -> None:
    joiner: Joiner[int, int] = Joiner(4)
    for stamp in range(1000):
        joiner.announce(stamp)
    assert len(joiner._announced) < 12
    joiner.add_left(0, 0)
    assert waiting_after(joiner, range(1000, 1100))[-1] == 1099


class Chain:
    """A camera, a detector and a rootnet of such rates, and the joiners before the latter two.

    Each takes up the newest of what has come when it is done; images and results reach the joiners
    `way_s` after they were made, and the stages some time sooner.

    :param takes_s: how long detector and rootnet take.
    """

    def __init__(self, rate_hz: float, takes_s: tuple[float, float], way_s: float) -> None:
        self.events: list[tuple[float, int, Callable[[int], None], int]] = []
        self.takes_s, self.way_s, self.now_s = takes_s, way_s, 0.0
        self.newest: list[int | None] = [None, None]
        self.in_hand: list[int | None] = [None, None]
        #: Results of each stage, and how many of them found their image.
        self.made, self.found = [0, 0], [0, 0]
        self.joiners = [Joiner[int, int](16, lambda: self.now_s) for _ in range(2)]
        self.order = itertools.count()
        for number in range(1, int(12 * rate_hz)):
            self.later(number / rate_hz, self.image, number)

    def run(self) -> None:
        while self.events:
            self.now_s, _, call, number = heapq.heappop(self.events)
            call(number)
            assert all(len(joiner) <= 32 for joiner in self.joiners)

    def later(self, at_s: float, call: Callable[[int], None], number: int) -> None:
        heapq.heappush(self.events, (at_s, next(self.order), call, number))

    def image(self, number: int) -> None:
        self.give(0, number)
        for stage, joiner in enumerate(self.joiners):
            self.pair(stage, joiner.add_left(number, number))

    def people(self, number: int) -> None:
        self.joiners[1].announce(number)
        self.pair(0, self.joiners[0].add_right(number, number))

    def roots(self, number: int) -> None:
        self.pair(1, self.joiners[1].add_right(number, number))

    def pair(self, stage: int, pair: tuple[int, int] | None) -> None:
        if pair is not None:
            self.found[stage] += 1
            if stage == 0:
                self.give(1, pair[0])

    def give(self, stage: int, number: int) -> None:
        self.newest[stage] = number
        self.take_up(stage)

    def take_up(self, stage: int) -> None:
        number = self.newest[stage]
        if self.in_hand[stage] is None and number is not None:
            self.in_hand[stage], self.newest[stage] = number, None
            self.later(self.now_s + self.takes_s[stage], lambda n: self.done(stage, n), number)

    def done(self, stage: int, number: int) -> None:
        self.made[stage] += 1
        self.later(self.now_s + self.way_s, (self.people, self.roots)[stage], number)
        self.in_hand[stage] = None
        self.take_up(stage)


@pytest.mark.parametrize('rate_hz', [5, 30, 160])
@pytest.mark.parametrize('detector_s', [0.03, 0.12, 1.0])
@pytest.mark.parametrize('rootnet_s', [0.03, 0.2, 3.0])
@pytest.mark.parametrize('way_s', [0.0, 0.004])
def test_a_flood_of_images_leaves_those_that_people_come_of(
    rate_hz: int, detector_s: float, rootnet_s: float, way_s: float
) -> None:
    """Far more images may come than are held until a detector or a rootnet is done with one."""
    chain = Chain(rate_hz, (detector_s, rootnet_s), way_s)
    chain.run()
    assert chain.found == chain.made
    assert min(chain.made) > 3


def test_people_of_one_time_wait_on_when_others_are_joined() -> None:
    """Also those of stamp 0, whose images nodes refuse: a joiner knows of no such rule."""
    for stamp in (0, 1, 4):
        pairs, joiner = joined(f'p{stamp} i5 p5')
        assert pairs == ['5'] and len(joiner) == 1
