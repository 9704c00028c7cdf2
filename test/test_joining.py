"""Joining by exact stamp."""

from pose3d_ros.nodes.joining import Joiner


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


def test_people_of_an_image_that_left_the_buffer_do_not_join() -> None:
    assert joined('i1 i2 i3 i4 i5 p1')[0] == []


def test_a_loop_forgets_what_waited_and_goes_on() -> None:
    pairs, joiner = joined('i7 i8 i9 i1 p9 p1')
    assert pairs == ['1']
    # the late people of the old time wait on their own side only until the new time's come
    assert len(joiner) == 0


def test_images_of_the_new_time_survive_late_people_of_the_old() -> None:
    assert joined('i8 i9 i1 i2 p8 p9 p1 p2')[0] == ['1', '2']


def test_a_repeated_stamp_replaces() -> None:
    assert joined('i1 i1 p1 p1')[0] == ['1']
