# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recording into a bag: in whole parts, beside a slow disk, a full one, and one that hangs."""

import threading
import time
from functools import partial
from pathlib import Path

import pytest
from process import full_disk
from rosbags.rosbag2 import Reader
from waiting import wait

from pose3d_ros import bag_recording
from pose3d_ros.bag_parts import PartedBag, Topic
from pose3d_ros.bag_recording import Recording
from pose3d_ros.bags import BagError

TOPICS = [Topic.ours(f'/{name}', 'std_msgs/msg/String') for name in ('a', 'b')]
KIB = b'\0' * 1024


def read(path: Path) -> dict[str, list[int]]:
    """Return the times of a bag's messages by topic, as rosbags reads it."""
    times: dict[str, list[int]] = {'/a': [], '/b': []}
    with Reader(path) as bag:
        for connection, at_ns, _ in bag.messages():
            times[connection.topic].append(at_ns)
    return times


until = partial(wait, what='the recording', seconds=20.0)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return a gate: closed, it holds every write; open it to let them go on."""
    gate, write = threading.Event(), PartedBag.write

    def held(*given: object) -> None:
        assert gate.wait(30)
        write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(PartedBag, 'write', held)
    return gate


def test_all_is_there_also_of_topics_that_stay_silent(tmp_path: Path) -> None:
    recording = Recording(tmp_path / 'bag', TOPICS, 60.0)
    for number in range(100):
        assert recording.add('/a', number, KIB)
    recording.close(5.0)
    assert read(tmp_path / 'bag') == {'/a': list(range(100)), '/b': []}
    assert PartedBag(tmp_path / 'bag', bag_recording.NOTES).notes == {'lost': {}}


def test_nothing_is_a_bag_too(tmp_path: Path) -> None:
    Recording(tmp_path / 'bag', TOPICS, 60.0).close(5.0)
    assert read(tmp_path / 'bag') == {'/a': [], '/b': []}


def test_parts_are_whole_while_the_next_is_written(tmp_path: Path) -> None:
    """Who is killed leaves them: the folder is read as it lies there then."""
    recording = Recording(tmp_path / 'bag', TOPICS, 0.2)
    recording.add('/a', 1, KIB)
    until((tmp_path / 'bag' / 'bag_0.mcap').exists)
    recording.add('/b', 2, KIB)
    until((tmp_path / 'bag' / 'bag_1.mcap').exists)
    until(lambda: 'bag_1' in (tmp_path / 'bag' / 'metadata.yaml').read_text())
    recording.add('/a', 3, KIB)
    assert read(tmp_path / 'bag') == {'/a': [1], '/b': [2]}
    recording.close(5.0)
    assert read(tmp_path / 'bag') == {'/a': [1, 3], '/b': [2]}


def test_what_a_slow_disk_cannot_take_is_counted_and_the_rest_is_there(
    tmp_path: Path, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_recording, '_MOST_WAITING_BYTES', 10 * len(KIB))
    recording = Recording(tmp_path / 'bag', TOPICS, 60.0)
    taken = [number for number in range(50) if recording.add('/a', number, KIB)]
    assert 10 <= len(taken) <= 11  # one may be in hand
    assert recording.lost == {'/a': 50 - len(taken)}
    slow.set()
    recording.close(5.0)
    assert read(tmp_path / 'bag')['/a'] == taken
    notes = PartedBag(tmp_path / 'bag', bag_recording.NOTES).notes
    assert notes == {'lost': {'/a': 50 - len(taken)}}


def test_what_waits_too_long_at_the_end_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = PartedBag.write

    def slowly(*given: object) -> None:
        time.sleep(0.05)
        write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(PartedBag, 'write', slowly)
    recording = Recording(tmp_path / 'bag', TOPICS, 60.0)
    for number in range(100):
        recording.add('/a', number, KIB)
    start_s = time.monotonic()
    recording.close(0.5)
    assert time.monotonic() - start_s < 2.0
    kept = read(tmp_path / 'bag')['/a']
    assert kept == list(range(len(kept))) and 0 < len(kept) < 50
    assert recording.lost == {'/a': 100 - len(kept)}
    assert not recording.add('/a', 100, KIB)


def test_a_full_disk_leaves_the_parts_before_and_a_count(tmp_path: Path) -> None:
    recording = Recording(tmp_path / 'bag', TOPICS, 0.2)
    recording.add('/a', 1, KIB)
    until((tmp_path / 'bag' / 'metadata.yaml').exists)
    with full_disk(100_000):
        for number in range(3000):
            recording.add('/b', number, KIB)
        with pytest.raises(
            BagError, match=r'bag ends here: File too large\. \d+ messages are lost'
        ):
            recording.close(5.0)
        with pytest.raises(BagError):
            recording.check()
    kept = read(tmp_path / 'bag')
    assert kept['/a'] == [1]
    assert recording.lost == {'/b': 3000 - len(kept['/b'])}


def test_a_disk_that_hangs_does_not_hold_the_end(
    tmp_path: Path, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_recording, '_END_S', 0.3)
    recording = Recording(tmp_path / 'bag', TOPICS, 60.0)
    recording.add('/a', 1, KIB)
    with pytest.raises(BagError, match='its disk has taken nothing for'):
        recording.close(0.1)
    slow.set()
    recording._thread.join(10)


def test_a_folder_that_is_there_or_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match='exists already'):
        Recording(tmp_path, TOPICS, 60.0)
    (tmp_path / 'file').touch()
    with pytest.raises(BagError, match='cannot be written: Not a directory'):
        Recording(tmp_path / 'file' / 'bag', TOPICS, 60.0)
