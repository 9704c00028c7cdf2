# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""pose3d bag: what comes out of a bag, what of an interrupted run, and every way it can fail."""

import contextlib
import io
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bag_files
import numpy as np
import pytest
from bag_files import CAMERA, MYSTERY, Fakes, StopAt, picture, plain, read
from fake_stages import FakeNetwork, FakeStage, put_in
from process import full_disk
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin
from sensor_msgs.msg import CameraInfo
from visualization_msgs.msg import MarkerArray

from pose3d_ros import cli, stages
from pose3d_ros.bags import BagError, open_bag
from pose3d_ros.benchmarks.usage import resident_mib
from pose3d_ros.camera import Camera
from pose3d_ros.cli import bag_one
from pose3d_ros.models.session import RuntimeUnavailable
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes import bag_poses
from pose3d_ros.nodes.bag_images import BagImages, recorded
from pose3d_ros.nodes.bag_making import write_images
from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.messages import camera_to_info

COUNT = 12


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages without networks that the command loads."""
    fakes = Fakes()
    put_in(monkeypatch, fakes)
    return fakes


def content(tmp_path: Path, count: int = COUNT, **options: Any) -> list[bag_files.Message]:
    """Return the messages of a camera with something else between them."""
    path = tmp_path / f'made_{len(list(tmp_path.iterdir()))}'
    options.setdefault('camera', CAMERA)
    write_images(path, map(picture, range(count)), **options)
    mixed = []
    for number, message in enumerate(read(path)):
        mixed.append(message)
        mixed.append(('/mystery', MYSTERY, message[2] + 1, bytes([0, 1, 0, 0, number, 0, 0, 0])))
    return mixed


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Return a bag of raw images, camera_info and messages of an unknown type."""
    return bag_files.write(tmp_path / 'in', content(tmp_path))


def run(*arguments: object) -> int:
    return cli.main(['bag', *map(str, arguments)])


def ours(messages: list[bag_files.Message]) -> list[bag_files.Message]:
    return [m for m in messages if m[1].startswith('pose3d_ros/')]


@pytest.mark.parametrize('jpeg', [False, True], ids=['raw', 'jpeg'])
@pytest.mark.parametrize('kind', ['mcap', 'sqlite3', 'file'])
def test_everything_comes_out_with_the_results_behind_their_images(
    kind: str, jpeg: bool, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = StoragePlugin.SQLITE3 if kind == 'sqlite3' else StoragePlugin.MCAP
    source = bag_files.write(tmp_path / 'in', content(tmp_path, raw=not jpeg), plugin)
    if kind == 'file':
        source = source / 'in.mcap'
    assert run(source, tmp_path / 'out') == 0
    found = read(tmp_path / 'out')
    before = read(source)
    assert [m for m in found if not m[1].startswith('pose3d_ros/')] == before
    images = [n for n, m in enumerate(found) if m[0].startswith('/image_raw')]
    assert len(images) == COUNT and sorted(fakes.images) == list(range(COUNT))
    for number, n in enumerate(images):
        results = found[n + 1 : n + 4]
        assert [m[0] for m in results] == ['/detections', '/roots', '/poses']
        assert {m[2] for m in results} == {found[n][2]}
        detections = deserialize_message(results[0][3], PersonArray)
        poses = deserialize_message(results[2][3], Pose3DArray)
        assert stamp_ns(detections.header) == stamp_ns(poses.header) == 10**9 + number * 10**8
        assert poses.header.frame_id == 'camera' and poses.intrinsics == 'camera_info'
        assert detections.persons[0].box_x == pytest.approx(number / 3)
        assert poses.poses[0].id == detections.persons[0].id == '1'
    assert f'{COUNT} images at' in capsys.readouterr().out
    with AnyReader([tmp_path / 'out']) as reader:  # another reader than ours, with all types
        assert len(list(reader.messages())) == len(found)
        mystery = next(c for c in reader.connections if c.topic == '/mystery')
        assert 'string[] names' in mystery.msgdef.data and mystery.digest


def test_types_without_any_definition_are_copied(tmp_path: Path, fakes: Fakes) -> None:
    """As bags from before Iron have them; the images' own type is known all the same."""
    plugin = StoragePlugin.SQLITE3
    source = bag_files.write(tmp_path / 'in', content(tmp_path), plugin, definitions=False)
    assert run(source, tmp_path / 'out') == 0
    found = read(tmp_path / 'out')
    assert [m for m in found if not m[1].startswith('pose3d_ros/')] == read(source)
    assert len(ours(found)) == 3 * COUNT


def test_topics_without_messages_and_several_publishers_of_one_topic(
    tmp_path: Path, fakes: Fakes
) -> None:
    """mcap has a channel for each publisher; rosbags writes none twice."""
    path = bag_files.write(tmp_path / 'in', content(tmp_path, 3))
    with open_bag(path) as bag:
        first = bag.connections[0]
        assert bag_poses.Topic.of(first).key == bag_poses.Topic.of(first._replace(id=77)).key
    assert run(path, tmp_path / 'out', '--markers') == 0
    with open_bag(tmp_path / 'out') as bag:
        counts = {c.topic: c.msgcount for c in bag.connections}
    assert counts['/markers'] == counts['/poses'] == 3 and counts['/mystery'] == 6
    (*_, last) = [m for m in read(tmp_path / 'out') if m[0] == '/markers']
    assert deserialize_message(last[3], MarkerArray).markers


def test_nobody_is_an_answer(bag: Path, tmp_path: Path, fakes: Fakes) -> None:
    fakes.nobody = True
    assert run(bag, tmp_path / 'out') == 0
    found = ours(read(tmp_path / 'out'))
    assert len(found) == 3 * COUNT
    assert not any(deserialize_message(m[3], Pose3DArray).poses for m in found if m[0] == '/poses')


def stopped_by(event: threading.Event) -> Any:
    @contextlib.contextmanager
    def given() -> Iterator[threading.Event]:
        yield event

    return given


def interrupt(bag: Path, out: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until Ctrl-C, which comes at image 4."""
    fakes.at_image = StopAt(4)
    with monkeypatch.context() as patch:
        patch.setattr(bag_one, 'interrupts', stopped_by(fakes.at_image.event))
        assert run(bag, out) == 130


@pytest.mark.parametrize('jpeg', [False, True], ids=['raw', 'jpeg'])
def test_an_interrupted_run_goes_on_and_gives_what_one_run_gives(
    jpeg: bool,
    tmp_path: Path,
    fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bag = bag_files.write(tmp_path / 'in', content(tmp_path, 30, raw=not jpeg))
    assert run(bag, tmp_path / 'whole') == 0
    for number in (3, 14):
        fakes.at_image = StopAt(number)
        monkeypatch.setattr(bag_one, 'interrupts', stopped_by(fakes.at_image.event))
        assert run(bag, tmp_path / 'out') == 130
        assert 'goes on from here' in capsys.readouterr().err
        assert 0 < len(ours(read(tmp_path / 'out'))) < 3 * 30  # readable in between
    monkeypatch.undo()
    fakes_again = Fakes()
    put_in(monkeypatch, fakes_again)
    assert run(bag, tmp_path / 'out') == 0
    assert len(fakes_again.images) < 30, 'images were looked at twice'
    assert plain(tmp_path / 'out') == plain(tmp_path / 'whole')
    assert len(list((tmp_path / 'out').glob('*.mcap'))) == 3
    fakes_again.images.clear()
    assert run(bag, tmp_path / 'out') == 0
    assert 'nothing left to do' in capsys.readouterr().out and not fakes_again.images


class Terminal(io.StringIO):
    """What is printed where somebody looks."""

    def isatty(self) -> bool:
        return True

    def counts(self) -> list[tuple[int, int]]:
        """Return what the bar said, one after the other, as (images done, images in all)."""
        found = re.findall(r'(\d+)/(\d+) \[', self.getvalue())
        return [(int(done), int(total)) for done, total in found]


def test_the_bar_counts_images_to_the_end(
    bag: Path, tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of images alone, though the bag has twice as many other messages; also from where it was."""
    terminal = Terminal()
    monkeypatch.setattr(sys, 'stderr', terminal)
    assert run(bag, tmp_path / 'whole') == 0
    assert terminal.counts()[0] == (0, COUNT) and terminal.counts()[-1] == (COUNT, COUNT)
    interrupt(bag, tmp_path / 'out', fakes, monkeypatch)
    done, _ = terminal.counts()[-1]
    assert done == len(ours(read(tmp_path / 'out'))) // 3 < COUNT
    again = Terminal()
    monkeypatch.setattr(sys, 'stderr', again)
    assert run(bag, tmp_path / 'out') == 0
    assert again.counts()[0] == (done, COUNT) and again.counts()[-1] == (COUNT, COUNT)


def test_no_bar_where_nobody_looks(
    bag: Path, tmp_path: Path, fakes: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(bag, tmp_path / 'out') == 0
    said = capfd.readouterr()
    assert said.err == '' and '\r' not in said.out, said


def test_a_killed_run_leaves_its_parts(
    bag: Path, tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed: the process does not come to complete anything."""
    monkeypatch.setattr(bag_poses, '_PART_BYTES', 40_000)
    assert run(bag, tmp_path / 'whole') == 0
    out = tmp_path / 'out'

    def die(number: int) -> None:
        if number == 9:
            raise AssertionError('as if killed')

    fakes.at_image = die
    monkeypatch.setattr(bag_poses.PartedBag, 'drop_part', lambda self: None)
    with pytest.raises(AssertionError, match='as if killed'):
        run(bag, out)
    assert (out / '.part').is_dir(), 'a part was under way'
    (out / 'out_7.mcap').write_bytes(b'named, but not listed yet')
    before = ours(read(out))
    assert 0 < len(before) <= 27
    fakes.at_image = lambda _number: None
    assert run(bag, out) == 0
    assert plain(out) == plain(tmp_path / 'whole') and not (out / '.part').exists()


def test_a_full_disk_keeps_what_was_whole(
    bag: Path,
    tmp_path: Path,
    fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(bag, tmp_path / 'whole') == 0
    out = tmp_path / 'out'
    interrupt(bag, out, fakes, monkeypatch)
    before = read(out)
    with full_disk():
        assert run(bag, out) == 1
    said = capsys.readouterr().err
    assert f'cannot write into {out}' in said and 'goes on from there' in said
    assert read(out) == before
    assert run(bag, out) == 0
    assert plain(out) == plain(tmp_path / 'whole')


def test_another_run_and_a_foreign_bag_are_not_overwritten(
    bag: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert run(bag, out) == 0
    assert run(bag, out, '--max-people', 3) == 2
    said = capsys.readouterr().err
    assert 'max_people was 32, now 3' in said and '--overwrite' in said
    assert run(bag, out, '--max-people', 3, '--overwrite') == 0
    foreign = tmp_path / 'foreign'
    shutil.copytree(bag, foreign)
    assert run(bag, foreign) == 2
    assert 'did not write' in capsys.readouterr().err
    assert run(bag, foreign, '--overwrite') == 2, 'not even so'
    assert read(foreign) == read(bag)
    assert run(bag, bag) == 2
    assert 'is the bag to read' in capsys.readouterr().err
    (tmp_path / 'file').touch()
    assert run(bag, tmp_path / 'file') == 2
    assert 'is a file' in capsys.readouterr().err
    assert run(bag) == 2


def test_a_run_is_replaced_by_one_that_can_begin(
    bag: Path,
    tmp_path: Path,
    fakes: Fakes,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / 'out'
    again = (bag, out, '--overwrite')
    assert run(bag, out) == 0
    before, expected = read(out), plain(out)

    def absent(*_given: object) -> None:
        raise RuntimeUnavailable('no such device')

    with monkeypatch.context() as patch:
        patch.setitem(stages.POSENETS, 'blazepose', absent)  # type: ignore[arg-type]
        for options, told in (
            ((), 'no such device'),
            (('--input-long-side', 10), 'input_long_side 10: '),
        ):
            assert run(*again, *options) == 2
            assert told in capsys.readouterr().err
    assert read(out) == before
    assert run(*again) == 0
    assert plain(out) == expected and len(list(out.glob('*.mcap'))) == 1


def test_a_run_goes_on_in_its_precision_or_not_at_all(
    tmp_path: Path,
    fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """'auto' comes to another precision on another machine."""
    bag = bag_files.write(tmp_path / 'long', content(tmp_path, 30))
    out = tmp_path / 'out'
    monkeypatch.setattr(FakeStage, 'networks', (FakeNetwork('bf16'),))
    interrupt(bag, out, fakes, monkeypatch)
    before = read(out)
    monkeypatch.setattr(FakeStage, 'networks', (FakeNetwork('f32'),))
    capsys.readouterr()
    assert run(bag, out) == 2
    said = capsys.readouterr().err
    assert f'{out} holds a run that was computed otherwise; give --precision bf16, another' in said
    assert 'precision of the posenet was ["bf16"], now ["f32"]' in said
    assert read(out) == before
    monkeypatch.setattr(FakeStage, 'networks', (FakeNetwork('bf16'),))
    fakes.at_image = StopAt(14)
    with monkeypatch.context() as patch:
        patch.setattr(bag_one, 'interrupts', stopped_by(fakes.at_image.event))
        assert run(bag, out, '--precision', 'bf16') == 130
    assert run(bag, out) == 0, 'the command that it began with goes on too'
    assert len(ours(read(out))) == 3 * 30


def test_ids_of_an_older_version_are_not_gone_on_with(
    bag: Path,
    tmp_path: Path,
    fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt(bag, tmp_path / 'out', fakes, monkeypatch)
    monkeypatch.setattr(
        bag_poses.Tracker, 'update', lambda _self, persons, _s: persons.with_ids(['9'])
    )
    assert run(bag, tmp_path / 'out') == 2
    assert 'other ids' in capsys.readouterr().err


def _put_in_place(file: Path, old: bytes, new: bytes) -> None:
    data = file.read_bytes()
    assert data.count(old) == 1 and len(new) == len(old)
    file.write_bytes(data.replace(old, new))


def _with_strange_state(data: bytes) -> bytes:
    message = deserialize_message(data, Pose3DArray)
    message.poses[0].state = 77
    return bytes(serialize_message(message))


OUTPUT_DAMAGE: dict[str, tuple[Any, str]] = {
    'a file that is gone': (lambda file, _: file.unlink(), 'behind 0 messages'),
    'a file that is cut': (lambda file, _: _cut(file, 0.5), 'behind 0 messages'),
    'a message that is cut': (  # its frame_id is to have 4 GiB
        lambda file, data: _put_in_place(file, data, data[:12] + b'\xff' * 4 + data[16:]),
        'behind 3 messages on /detections and /poses: ',
    ),
    'a message of a strange state': (
        lambda file, data: _put_in_place(file, data, _with_strange_state(data)),
        'behind 3 messages on /detections and /poses: poses of a state that is none of ',
    ),
}


@pytest.mark.parametrize('name', OUTPUT_DAMAGE)
def test_an_output_that_was_damaged_is_not_gone_on_with(
    name: str,
    bag: Path,
    tmp_path: Path,
    fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither a bare error nor tracks of damage: it is named, and the remedy works."""
    out = tmp_path / 'out'
    assert run(bag, tmp_path / 'whole') == 0
    interrupt(bag, out, fakes, monkeypatch)
    damage, words = OUTPUT_DAMAGE[name]
    second = [data for topic, _, _, data in read(out) if topic == '/poses'][1]
    damage(out / 'out_0.mcap', second)
    capsys.readouterr()
    assert run(bag, out) == 2
    said = capsys.readouterr().err
    assert said.startswith(f'pose3d bag: {out} cannot be gone on with: {words}'), said
    assert '--overwrite starts anew' in said
    assert run(bag, out, '--overwrite') == 0
    assert plain(out) == plain(tmp_path / 'whole')


def test_an_image_that_cannot_be_decoded_is_copied_counted_and_named(
    tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = content(tmp_path, 6, raw=False)
    images = [n for n, m in enumerate(messages) if m[0] == '/image_raw/compressed']
    for n, cut in ((images[0], 60), (images[2], 3), (images[5], 9)):
        topic, kind, at, data = messages[n]
        messages[n] = (topic, kind, at, data[:-cut] if cut > 9 else data[:cut])
    bag = bag_files.write(tmp_path / 'in', messages)
    assert run(bag, tmp_path / 'out') == 0
    found = read(tmp_path / 'out')
    assert [m for m in found if not m[1].startswith('pose3d_ros/')] == read(bag)
    said = capsys.readouterr().out
    assert '3 images could not be used, and are copied without results; the first, ' in said
    assert '/image_raw/compressed at 1.002 s: ' in said and 'no sensor_msgs/Compressed' in said
    assert len(ours(found)) == 9


BROKEN = {
    'no metadata': (lambda bag: (bag / 'metadata.yaml').unlink(), 'reindex'),
    'cut file': (lambda bag: _cut(bag / 'in.mcap', 0.6), 'cut off'),
    'empty file': (lambda bag: _cut(bag / 'in.mcap', 0.0), 'empty'),
    'no file': (lambda bag: (bag / 'in.mcap').unlink(), 'missing'),
    'metadata of words': (lambda bag: (bag / 'metadata.yaml').write_text('words'), 'metadata'),
}


def _cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_bag_is_named_with_a_remedy(
    name: str, bag: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    breaks, words = BROKEN[name]
    breaks(bag)
    assert run(bag, tmp_path / 'out') == 2
    said = capsys.readouterr().err
    assert said.startswith(f'pose3d bag: {bag}') and words in said, said
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('kind', ['mcap', 'sqlite3'])
def test_a_lone_file_that_is_cut(
    kind: str, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = StoragePlugin.SQLITE3 if kind == 'sqlite3' else StoragePlugin.MCAP
    suffix = '.db3' if kind == 'sqlite3' else '.mcap'
    file = bag_files.write(tmp_path / 'in', content(tmp_path), plugin) / f'in{suffix}'
    _cut(file, 0.5)
    assert run(file, tmp_path / 'out') == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and str(file) in said, said


def test_a_bag_that_is_damaged_inside_keeps_what_came_before(
    tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its index is whole: only reading finds out. rosbags closes a chunk after each MiB."""
    big = [('/mystery', MYSTERY, 10**9 + 5 * 10**8, bytes(2**20))]
    messages = content(tmp_path)
    messages = [*messages[:24], *big, *messages[24:]]
    bag = bag_files.write(tmp_path / 'in', messages)
    whole = read(bag)
    data = bytearray((bag / 'in.mcap').read_bytes())
    at = data.find(whole[-3][3])  # an image in the second chunk
    data[at - 31 : at - 22] = b'\xff' * 9  # its opcode and length
    (bag / 'in.mcap').write_bytes(data)
    assert run(bag, tmp_path / 'out') == 2
    said = capsys.readouterr().err
    assert 'is damaged behind message 25' in said and 'mcap recover' in said, said
    found = read(tmp_path / 'out')
    assert [m for m in found if not m[1].startswith('pose3d_ros/')] == whole[:25]
    assert len(ours(found)) == 3 * sum(m[0] == '/image_raw' for m in whole[:25])


def test_image_topics(
    bag: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert run(bag, out, '--image-topic', '/front') == 2
    assert 'no images on /front; image topics: /image_raw' in capsys.readouterr().err
    messages = read(bag)
    none = bag_files.write(tmp_path / 'none', [m for m in messages if m[0] != '/image_raw'])
    assert run(none, out) == 2
    assert 'has no images: image topics: none, only /camera_info' in capsys.readouterr().err
    second = [('/rear/image_raw', *m[1:]) for m in messages if m[0] == '/image_raw']
    two = bag_files.write(tmp_path / 'two', [*messages, *second])
    assert run(two, out) == 2
    assert 'name one by --image-topic: /image_raw, /rear/image_raw' in capsys.readouterr().err
    given = ('--image-topic', '/rear/image_raw', '--camera-info-topic', '/camera_info')
    assert run(two, out, *given) == 0
    assert {m[0] for m in ours(read(out))} == {'/rear/detections', '/rear/roots', '/rear/poses'}


def test_results_do_not_go_into_topics_of_the_bag(
    bag: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bag, tmp_path / 'one') == 0
    assert run(tmp_path / 'one', tmp_path / 'two') == 2
    assert '/detections, /poses, /roots already; give another --namespace' in (
        capsys.readouterr().err
    )
    assert run(tmp_path / 'one', tmp_path / 'three', '--namespace', 'again') == 0
    assert {m[0] for m in ours(read(tmp_path / 'three'))} >= {'/poses', '/again/poses'}


def test_without_camera_info_a_camera_has_to_be_given(
    tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = [m for m in content(tmp_path) if m[0] != '/camera_info']
    bag, out = bag_files.write(tmp_path / 'in', messages), tmp_path / 'out'
    assert run(bag, out) == 2
    said = capsys.readouterr().err
    assert 'no camera_info on /camera_info (it has: none)' in said and '--field-of-view' in said
    assert run(bag, out, '--field-of-view', 70) == 0
    poses = deserialize_message(ours(read(out))[-1][3], Pose3DArray)
    assert poses.intrinsics == 'field of view 70 degrees'
    CAMERA.to_yaml(tmp_path / 'camera.yaml')
    assert run(bag, out, '--camera', tmp_path / 'camera.yaml', '--overwrite') == 0
    assert run(bag, out, '--camera', tmp_path / 'absent.yaml', '--overwrite') == 2
    assert 'absent.yaml' in capsys.readouterr().err


FOREIGN = {
    'size': (replace(CAMERA, width=320, height=240), {}, 'is for 320 x 240 pixels'),
    'frame': (CAMERA, {'frame_id': 'rear'}, "is in frame 'rear', but the image in 'camera'"),
    'uncalibrated': (CAMERA, {'k': np.zeros(9)}, 'not calibrated'),
    'model': (
        replace(CAMERA, distortion=np.full(5, 0.1)),
        {'distortion_model': 'barrel'},
        "'barrel' is unknown; known are plumb_bob, rational_polynomial, equidistant",
    ),
}


@pytest.mark.parametrize('name', FOREIGN)
def test_a_camera_info_of_another_camera_is_refused(
    name: str, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    camera, changes, words = FOREIGN[name]
    messages = []
    for message in content(tmp_path):
        if message[0] == '/camera_info':
            info = deserialize_message(message[3], CameraInfo)
            info = camera_to_info(camera, info.header)
            for field, value in changes.items():
                setattr(info.header if field == 'frame_id' else info, field, value)
            message = (*message[:3], serialize_message(info))
        messages.append(message)
    bag = bag_files.write(tmp_path / 'in', messages)
    assert run(bag, tmp_path / 'out') == 2
    said = capsys.readouterr().err
    assert f'{bag}: none of {COUNT} images can be used; the first, /image_raw at ' in said
    assert words in said and '/camera_info' in said and '--camera' in said, said
    assert run(bag, tmp_path / 'out', '--field-of-view', 60) == 2, 'other settings'
    assert run(bag, tmp_path / 'out', '--field-of-view', 60, '--overwrite') == 0


def test_memory_does_not_grow_with_the_bag(tmp_path: Path, fakes: Fakes) -> None:
    """200 MB of images go through in the memory of a few."""
    images = (np.full((480, 640, 3), 8 * (n % 30), np.uint8) for n in range(220))
    write_images(tmp_path / 'in', images, Camera.fallback(640, 480))
    used: list[float] = []
    fakes.at_image = lambda _number: used.append(resident_mib())
    assert run(tmp_path / 'in', tmp_path / 'out') == 0
    assert len(used) == 220
    assert max(used[20:]) - used[20] < 40, f'{used[20]:.0f} to {max(used):.0f} MiB'


def test_what_has_no_more_images_is_not_held_back(tmp_path: Path) -> None:
    """A camera that dies early must not leave hours of other sensors in memory."""
    messages = content(tmp_path, 1, camera=CAMERA)
    info, image = (m for m in messages if m[1] != MYSTERY)
    later = [('/mystery', MYSTERY, 2 * 10**9 + n * 10**8, bytes(8)) for n in range(50)]
    other_stamp = bytearray(info[3])
    other_stamp[4] = 77
    info = (*info[:3], bytes(other_stamp))
    bag = bag_files.write(tmp_path / 'in', [info, image, *later])
    with open_bag(bag) as opened:
        first = recorded(opened, BagImages('/image_raw', '/camera_info', None, ''))
        assert [next(first).message.topic for _ in range(2)] == ['/camera_info', '/image_raw']
        assert next(first).message.at_ns <= later[0][2]


def test_stamps_of_zero_go_by_the_log(tmp_path: Path, fakes: Fakes) -> None:
    messages = [
        (topic, kind, at, data[:4] + bytes(8) + data[12:]) if kind != MYSTERY else
        (topic, kind, at, data)
        for topic, kind, at, data in content(tmp_path)
    ]  # fmt: skip
    assert run(bag_files.write(tmp_path / 'in', messages), tmp_path / 'out') == 0
    poses = [m for m in ours(read(tmp_path / 'out')) if m[0] == '/poses']
    found = [deserialize_message(m[3], Pose3DArray) for m in poses]
    assert len(found) == COUNT and {p.poses[0].id for p in found} == {'1'}
    assert {stamp_ns(p.header) for p in found} == {0}


def test_people_keep_their_ids_where_images_are_far_apart(tmp_path: Path, fakes: Fakes) -> None:
    bag = bag_files.write(tmp_path / 'in', content(tmp_path, gap_ns=3 * 10**9))
    assert run(bag, tmp_path / 'out') == 0
    poses = [m for m in ours(read(tmp_path / 'out')) if m[0] == '/poses']
    assert {deserialize_message(m[3], Pose3DArray).poses[0].id for m in poses} == {'1'}


def test_an_open_bag_names_what_cannot_be_decoded(tmp_path: Path) -> None:
    bag = bag_files.write(tmp_path / 'in', [('/info', 'sensor_msgs/msg/CameraInfo', 1, b'\0\1')])
    with open_bag(bag) as opened, pytest.raises(BagError, match=r'on /info cannot be decoded'):
        opened.decode(opened.connections[0], b'\0\1')
