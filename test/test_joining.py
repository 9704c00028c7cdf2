# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Joining by exact stamp."""

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
    assert joined('i1 i2 i3 i4 i5 p1')[0] == []


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


def test_images_around_the_coming_of_people_stay() -> None:
    """Half of what is held from before, a quarter from behind; the rest are the newest."""
    joiner: Joiner[int, int] = Joiner(9)

    def waiting_after(images: range) -> list[int]:
        for stamp in images:
            joiner.add_left(stamp, stamp)
        return [image.stamp_ns for image in joiner._left.waiting]

    assert waiting_after(range(1, 10)) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    joiner.add_right(0, 0)
    assert waiting_after(range(10, 21)) == [6, 7, 8, 9, 10, 11, 18, 19, 20]
    joiner.add_right(0, 0)
    assert waiting_after(range(21, 31)) == [11, 18, 19, 20, 21, 22, 28, 29, 30]


@pytest.mark.parametrize('rate_hz', [5, 60, 160, 1000])
@pytest.mark.parametrize('way_s', [0.0, 0.004])
def test_a_flood_of_images_leaves_those_that_people_come_of(rate_hz: int, way_s: float) -> None:
    """Whoever finds people takes up the newest image and works on it for 0.12 s; until they have
    come, far more images may have come than are held."""
    joiner: Joiner[int, int] = Joiner(16)
    taken, done_s, pairs, made = 0, 0.0, 0, 0
    for number in range(3 * rate_hz):
        now_s = number / rate_hz
        if taken and now_s >= done_s + way_s:
            made += 1
            pairs += joiner.add_right(taken, taken) is not None
            taken = 0
        if not taken and now_s >= done_s:
            taken, done_s = number, now_s + 0.12
        joiner.add_left(number, number)
        assert len(joiner) <= 32
    assert made > 10
    assert pairs >= made - 1  # of the first nobody could know


def test_people_of_one_time_wait_on_when_others_are_joined() -> None:
    """Also those of stamp 0, whose images nodes refuse: a joiner knows of no such rule."""
    for stamp in (0, 1, 4):
        pairs, joiner = joined(f'p{stamp} i5 p5')
        assert pairs == ['5'] and len(joiner) == 1
