# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The images of a bag and their cameras: the same for `pose3d bag` as for the player."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import bag_files
import pytest
import yaml
from bag_files import CAMERA, Fakes, StopAt, read, said_by_camera, shot
from fake_stages import put_in
from std_msgs.msg import Header

from pose3d_ros import cli
from pose3d_ros.bags import CAMERA_INFO, IMAGE, BagError, open_bag
from pose3d_ros.camera import Camera
from pose3d_ros.cli import bag_one
from pose3d_ros.nodes import bag_images
from pose3d_ros.nodes.bag_images import BagImages
from pose3d_ros.nodes.player import bag_shots

COUNT = 12


@dataclass
class Seen:
    """What a user of a bag got of it.

    :param focal_px: image -> of its camera, of those that could be used.
    :param skipped: how many could not.
    :param first: why the first of these could not, or what ended it all.
    :param ended: it did not come to its end.
    """

    focal_px: dict[int, float]
    skipped: int
    first: str
    ended: bool = False


User = Callable[[Path], Seen]


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages without networks that `pose3d bag` loads."""
    fakes = Fakes()
    put_in(monkeypatch, fakes)
    return fakes


@pytest.fixture(params=['pose3d bag', 'player'])
def user(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fakes: Fakes,
    capsys: pytest.CaptureFixture[str],
) -> User:
    """Return who reads a bag, each in turn."""

    def command(bag: Path) -> Seen:
        status = cli.main(['bag', str(bag), str(tmp_path / 'out')])
        focal_px = {number: camera.focal_px for number, camera in fakes.cameras.items()}
        if status:
            return Seen(focal_px, 0, capsys.readouterr().err, True)
        progress = progress_of(tmp_path / 'out')
        return Seen(focal_px, progress['unusable'], progress['first_unusable'])

    def player(bag: Path) -> Seen:
        focal_px, skipped = {}, list[str]()
        with open_bag(bag) as opened:
            images = BagImages('/image_raw', '/camera_info', None, 'give --camera')
            try:
                for one in bag_shots(opened, images, skipped.append):
                    focal_px[round(float(one.image.mean()) / 8)] = one.camera.focal_px
            except BagError as error:
                return Seen(focal_px, 0, str(error), True)
        return Seen(focal_px, len(skipped), ''.join(skipped[:1]))

    return command if request.param == 'pose3d bag' else player


def progress_of(out: Path) -> dict[str, object]:
    """Return the notes of `pose3d bag` in what it wrote."""
    metadata = yaml.safe_load((out / 'metadata.yaml').read_text())
    custom = metadata['rosbag2_bagfile_information']['custom_data']
    return dict(json.loads(custom['pose3d_bag'])['progress'])


def zoomed(number: int) -> Camera:
    """Return the camera as its lens was for an image."""
    return replace(CAMERA, K=CAMERA.K * [[1 + number], [1 + number], [1]])


def in_order(messages: list[bag_files.Message]) -> list[bag_files.Message]:
    return sorted(messages, key=lambda message: message[2])


@pytest.mark.parametrize('order', ['far before', 'before', 'behind', 'far behind', 'every third'])
def test_each_image_has_the_camera_info_of_its_stamp(
    order: str, tmp_path: Path, user: User
) -> None:
    """Else the last one before; or, of images before the first, the first."""
    infos = [said_by_camera(1 + number / 10, zoomed(number)) for number in range(COUNT)]
    far_ns, near_ns = 15 * 10**7, 10**6
    shifts_ns = {'far before': -far_ns, 'before': -near_ns, 'far behind': far_ns}
    shift_ns = shifts_ns.get(order, near_ns)
    if order == 'every third':
        infos = infos[1::3]
    moved = [(t, k, at + shift_ns, d) for t, k, at, d in infos]
    seen = user(bag_files.write(tmp_path / 'in', in_order([*map(shot, range(COUNT)), *moved])))
    assert [round(seen.focal_px[n] / CAMERA.focal_px) - 1 for n in range(COUNT)] == {
        'far before': list(range(COUNT)),  # the next one's lies between it and its own
        'before': list(range(COUNT)),
        'behind': list(range(COUNT)),
        # its own comes behind the next image, too late for it, but no image is behind the last
        'far behind': [0, 0, *range(COUNT - 3), COUNT - 1],
        'every third': [1, 1, 1, 1, 4, 4, 4, 7, 7, 7, 10, 10],
    }[order]


def test_a_camera_info_that_no_image_needs_may_be_what_it_likes(tmp_path: Path, user: User) -> None:
    content = [said_by_camera(0.9, k=[0.0] * 9), said_by_camera(1.0), shot(1), shot(2)]
    bag = bag_files.write(tmp_path / 'in', [*content, said_by_camera(9.0, k=[0.0] * 9)])
    assert user(bag) == Seen({1: 60.0, 2: 60.0}, 0, '')


def cut(message: bag_files.Message, size: int) -> bag_files.Message:
    return (*message[:3], message[3][:size])


#: What befalls image 2 alone -> (the image, its camera_info, what is said of it).
FAULTS: dict[str, tuple[bag_files.Message, bag_files.Message, str]] = {
    'an image that is cut': (cut(shot(2), 500), said_by_camera(1.2), '500 bytes that are no'),
    'an image cut in its stamp': (cut(shot(2), 9), said_by_camera(1.2), '9 bytes that are no'),
    'an unknown encoding': (shot(2, encoding='32FC1'), said_by_camera(1.2), "encoding '32FC1'"),
    'an image of another size': (
        shot(2, width=32, step=96), said_by_camera(1.2),
        'is for 64 x 48 pixels, but the image has 32 x 48: are they of the same camera? Give --cam',
    ),
    'an image of another frame': (
        shot(2, header=Header(frame_id='rear')), said_by_camera(1.2),
        "camera_info on /camera_info is in frame 'camera', but the image in 'rear'",
    ),
    'a camera_info that is cut': (
        shot(2), cut(said_by_camera(1.2), 90),
        'cannot be used: 90 bytes that are no sensor_msgs/CameraInfo; give --camera',
    ),
    'one that is not calibrated': (shot(2), said_by_camera(1.2, k=[0.0] * 9), 'not calibrated'),
    'one of an unknown lens': (
        shot(2), said_by_camera(1.2, distortion_model='ftheta', d=[0.1] * 6), "'ftheta' is unknown"
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', FAULTS)
def test_an_image_that_cannot_be_used_is_skipped_counted_and_named(
    name: str, tmp_path: Path, user: User
) -> None:
    image, info, words = FAULTS[name]
    content = [said_by_camera(1 + n / 10) for n in range(5) if n != 2]
    content += [shot(n) for n in range(5) if n != 2]
    bag = bag_files.write(tmp_path / 'in', in_order([*content, info, image]))
    seen = user(bag)
    assert seen.focal_px == dict.fromkeys((0, 1, 3, 4), 60.0)
    assert seen.skipped == 1 and not seen.ended
    assert seen.first.startswith('/image_raw at 1.200 s: ') and words in seen.first


def broken(count: int) -> list[bag_files.Message]:
    return [said_by_camera(1.0), *(shot(n, encoding='32FC1') for n in range(count))]


def test_a_bag_of_which_no_image_can_be_used_is_refused(tmp_path: Path, user: User) -> None:
    bag = bag_files.write(tmp_path / 'in', broken(3))
    for _ in range(2):  # also by the command that goes on where all are behind it
        seen = user(bag)
        assert seen.ended and not seen.focal_px
        words = f'{bag}: none of 3 images can be used; the first, /image_raw at 1.000 s: image enc'
        assert words in seen.first and seen.first.count('\n') <= 1


def test_a_long_bag_is_not_gone_through_for_nothing(
    tmp_path: Path, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_images, '_USELESS', 4)
    seen = user(bag_files.write(tmp_path / 'in', [*broken(20), shot(20)]))
    assert seen.ended and 'none of 4 images' in seen.first and not seen.focal_px


def test_one_that_can_be_used_is_enough(
    tmp_path: Path, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_images, '_USELESS', 4)
    content = broken(20)
    content[3] = shot(2)
    seen = user(bag_files.write(tmp_path / 'in', content))
    assert seen.focal_px == {2: 60.0} and seen.skipped == 19 and not seen.ended


@pytest.mark.parametrize('silent', ['/image_raw', '/camera_info'])
def test_nothing_is_begun_where_a_topic_has_no_message(
    silent: str, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    content = [said_by_camera(1.0), shot(0)]
    kind = IMAGE if silent == '/image_raw' else CAMERA_INFO
    left = [message for message in content if message[0] != silent]
    bag = bag_files.write(tmp_path / 'in', left, silent=[(silent, kind)])
    assert cli.main(['bag', str(bag), str(tmp_path / 'out')]) == 2
    words = {
        '/image_raw': 'has no images: /image_raw is in its list, without a message',
        '/camera_info': 'has no camera_info on /camera_info (it has: none); give --camera',
    }[silent]
    assert f'{bag} {words}' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_an_image_that_a_given_camera_does_not_fit_costs_only_its_own_results(
    tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    CAMERA.to_yaml(tmp_path / 'camera.yaml')
    bag = bag_files.write(tmp_path / 'in', [shot(0), shot(1, width=32, step=96), shot(2)])
    given = ['--camera', str(tmp_path / 'camera.yaml')]
    assert cli.main(['bag', str(bag), str(tmp_path / 'out'), *given]) == 0
    assert sorted(fakes.cameras) == [0, 2]
    said = capsys.readouterr().out
    assert '1 images could not be used, and are copied without results; the first, ' in said
    assert '/image_raw at 1.100 s: ' in said and 'which cannot be resized to the 32 x 48' in said


def test_what_was_skipped_is_counted_over_interruptions(
    tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = [said_by_camera(1.0), *map(shot, range(30))]
    content[2] = shot(1, encoding='32FC1')
    content[29] = shot(28, encoding='64FC1')
    bag, out = bag_files.write(tmp_path / 'in', content), tmp_path / 'out'
    stop = StopAt(4)
    fakes.at_image = stop
    with monkeypatch.context() as patch:
        patch.setattr(bag_one, 'interrupts', lambda: contextlib.nullcontext(stop.event))
        assert cli.main(['bag', str(bag), str(out)]) == 130
    assert progress_of(out)['unusable'] == 1
    assert cli.main(['bag', str(bag), str(out)]) == 0
    progress = progress_of(out)
    assert progress['unusable'] == 2 and progress['images'] == 30 and progress['complete']
    assert str(progress['first_unusable']).startswith('/image_raw at 1.100 s: ')
    assert [m for m in read(out) if not m[1].startswith('pose3d_ros/')] == read(bag)
