# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The player and the recorder on real topics: as their users run them, and in this process.

To start a process takes a second or more. What is no matter of processes and signals needs none.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import bag_files
import cv2
import numpy as np
import pytest
from bag_files import said_by_camera, shot
from builtin_interfaces.msg import Time as Stamp
from flow import settings
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from pose3d_ros import weights
from pose3d_ros.bags import (
    CAMERA_INFO,
    IMAGE,
    BagError,
    BagWriter,
    has_camera_info,
    image_topic,
    messages,
    open_bag,
)
from pose3d_ros.camera import Camera
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes import detector, running
from pose3d_ros.nodes import player as program
from pose3d_ros.nodes.bag_images import BagImages
from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.messages import image_from_message
from pose3d_ros.nodes.player import Player, bag_shots
from pose3d_ros.nodes.recorder import Recorder
from pose3d_ros.transport import child_environment


def start(node: str, **parameters: Any) -> subprocess.Popen[str]:
    """Start a node of the package with parameters."""
    given = [a for name, value in parameters.items() for a in ('-p', f'{name}:={value}')]
    return subprocess.Popen(
        [sys.executable, '-m', 'pose3d_ros.nodes.programs', node, '--ros-args', *given],
        env=child_environment(os.environ),
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 90.0) -> tuple[int, str]:
    """Wait for a process; return its status and what it said."""
    said = process.communicate(timeout=seconds)[1]
    return process.returncode, said


def hear(process: subprocess.Popen[str], *texts: str) -> None:
    """Wait until a process has said each of some texts."""
    missing = set(texts)
    while missing:
        line = process.stderr.readline()  # type: ignore[union-attr]
        assert line, f'it ended without {missing}'
        missing = {text for text in missing if text not in line}


class Quiet:
    """What stands for the signals of a process, which this one keeps.

    :param until: when the player is asked to end.
    """

    def __init__(self, until: Callable[[], bool] = lambda: False) -> None:
        self._until = until

    @property
    def came(self) -> bool:
        return self._until()

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.came and time.monotonic() < end:
            time.sleep(0.01)

    def bound(self) -> None: ...

    def raised(self) -> AbstractContextManager[None]:
        return nullcontext()

    def leaving(self) -> None: ...

    def ignore(self) -> None: ...


Plays = Callable[..., tuple[int, str]]


@pytest.fixture
def plays(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Plays:
    """Return what runs the program in this process; it returns its status and what it said."""
    monkeypatch.setattr(program, 'Interrupts', Quiet)
    return partial(ran, program.main, capfd)


def ran(
    main: Callable[[list[str]], None], capfd: pytest.CaptureFixture[str], **parameters: Any
) -> tuple[int, str]:
    """Run a program in this process; return its status and what it said."""
    given = [a for name, value in parameters.items() for a in ('-p', f'{name}:={value}')]
    with pytest.raises(SystemExit) as ended:
        main(['--ros-args', *given])
    return int(ended.value.code or 0), capfd.readouterr().err


def play_into(
    graph: Any, until: Callable[[], bool] = lambda: False, seconds: float = 60.0, **parameters: Any
) -> None:
    """Play into a graph, from this process, to the end or until something holds."""
    end = time.monotonic() + seconds
    interrupts: Any = Quiet(lambda: until() or time.monotonic() > end)
    program._play(Player(interrupts, **settings(**parameters)), interrupts)
    assert time.monotonic() < end, f'played for {seconds} s in vain'


def at_least(count: int, messages: list[Any]) -> bool:
    return len(messages) >= count


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of five small images, each brighter than the one before."""
    images = tmp_path / 'images'
    images.mkdir()
    for number in range(5):
        picture = np.full((48, 64, 3), 40 * number, np.uint8)
        cv2.imwrite(str(images / f'frame{number}.png'), picture)
    return images


def test_a_folder_becomes_images_with_camera_info_of_the_same_stamp(
    graph: Any, folder: Path, tmp_path: Path
) -> None:
    camera = tmp_path / 'camera.yaml'
    Camera(np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]), 64, 48).to_yaml(camera)
    images, infos = graph.collect(Image, 'image_raw'), graph.collect(CameraInfo, 'camera_info')
    player = start(
        'player', source=folder, camera=camera, rate=1.0, subscribers=1, frame_id='front'
    )
    graph.wait(lambda: len(images) == 5 and len(infos) == 5, 'five frames')
    assert finish(player)[0] == 0
    assert [round(image_from_message(m).mean() / 40) for m in images] == [0, 1, 2, 3, 4]
    assert [m.header for m in images] == [m.header for m in infos]
    assert {m.header.frame_id for m in images} == {'front'}
    assert infos[0].k[0] == 50 and (infos[0].width, infos[0].height) == (64, 48)
    assert np.diff([stamp_ns(m.header) for m in images]).min() > 0


def test_files_of_a_folder_that_cannot_be_used_are_skipped_counted_and_named(
    folder: Path,
    plays: Plays,
) -> None:
    (folder / 'frame2.png').write_bytes(b'no image')
    cv2.imwrite(str(folder / 'frame3.png'), np.zeros((24, 32, 3), np.uint8))
    status, said = plays(source=folder)
    assert status == 0 and 'published 3 frames, 2 images could not be used' in said
    assert f'image skipped, 1 so far: {folder}: cannot be used: frame2.png' in said


def test_as_fast_as_taken_waits_for_the_poses_of_each_frame(graph: Any, folder: Path) -> None:
    images = graph.collect(Image, 'image_raw')
    answers = graph.node.create_publisher(Pose3DArray, 'poses', 10)
    player = start('player', source=folder, rate=0.0, subscribers=1, loop=True)
    graph.wait(lambda: len(images) == 2, 'two frames in flight')
    time.sleep(0.5)
    assert len(images) == 2, 'a third frame came before an answer'
    for count in range(3, 9):  # goes round: the folder has five
        answers.publish(Pose3DArray(header=images[count - 3].header))
        graph.wait(lambda n=count: len(images) == n, 'one more frame for each answer')
    player.send_signal(signal.SIGINT)
    assert finish(player)[0] == 0


def test_as_fast_as_taken_sends_no_frame_before_the_detector_is_done_with_the_last(
    graph: Any, folder: Path
) -> None:
    """Two frames at once, and the second could displace the first at the detector's door."""
    images = graph.collect(Image, 'image_raw')
    people = graph.node.create_publisher(PersonArray, 'detections', 10)
    answers = graph.node.create_publisher(Pose3DArray, 'poses', 10)
    player = start('player', source=folder, rate=0.0, subscribers=1, loop=True)
    graph.wait(lambda: images, 'the first frame')
    for count in range(1, 6):
        time.sleep(0.3)
        assert len(images) == count, 'a frame came that the detector could not take yet'
        if count > 1:
            answers.publish(Pose3DArray(header=images[count - 2].header))
        people.publish(PersonArray(header=images[count - 1].header))
        graph.wait(lambda n=count: len(images) == n + 1, 'one more frame')
    player.send_signal(signal.SIGINT)
    assert finish(player)[0] == 0


def test_a_video_plays_compressed(graph: Any) -> None:
    images = graph.collect(CompressedImage, 'image_raw/compressed')
    source = weights.path('pose2sim_multi_cam01')
    player = start(
        'player', source=source, image_transport='compressed', subscribers=1, field_of_view_deg=60.0
    )
    graph.wait(lambda: len(images) > 3, 'frames')
    player.terminate()
    assert finish(player)[0] == 0
    picture = cv2.imdecode(np.frombuffer(images[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (1920, 1088, 3)


def test_what_the_recorder_keeps_the_player_plays(graph: Any, folder: Path, tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    recorder = start('recorder', output=bag)
    images = graph.collect(Image, 'image_raw')
    graph.wait(lambda: graph.node.count_subscribers('image_raw') == 2, 'the recorder')
    player = start('player', source=folder, subscribers=2, field_of_view_deg=50.0)
    graph.wait(lambda: len(images) == 5, 'five frames')
    finish(player)
    recorder.send_signal(signal.SIGINT)
    assert finish(recorder)[0] == 0
    with open_bag(bag) as reader:
        kinds = {m.topic: m.type_name for m in messages(reader)}
    assert kinds == {
        '/image_raw/compressed': 'sensor_msgs/msg/CompressedImage',
        '/camera_info': 'sensor_msgs/msg/CameraInfo',
    }
    with open_bag(bag) as reader:
        given = BagImages('/image_raw/compressed', '/camera_info', None, '')
        shots = list(bag_shots(reader, given, pytest.fail))
    assert [round(float(s.image.mean()) / 40) for s in shots] == [0, 1, 2, 3, 4]
    recorded = [stamp_ns(m.header) / 1e9 for m in images]
    assert [s.stamp_ns / 1e9 for s in shots] == pytest.approx(recorded, abs=1e-6)
    assert shots[-1].camera.width == 64
    # and over topics, with the stamps of the bag
    images.clear()
    replay = start('player', source=bag, stamps='source', subscribers=1)
    graph.wait(lambda: len(images) == 5, 'the replay')
    assert finish(replay)[0] == 0
    assert [stamp_ns(m.header) / 1e9 for m in images] == pytest.approx(recorded, abs=1e-6)


def test_compressed_images_are_recorded_as_they_come_and_what_did_not_come_is_named(
    graph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a folder of the user's."""
    monkeypatch.setenv('HOME', str(tmp_path))
    recorder = start('recorder', output='~/bag', image_transport='compressed')
    images = graph.publisher(CompressedImage, 'image_raw/compressed')
    message = CompressedImage(format='jpeg', data=b'not to be looked at')
    message.header.stamp.sec = 7
    graph.node.create_timer(0.05, lambda: images.publish(message))
    hear(recorder, 'recording /image_raw/compressed: its first message came')
    recorder.send_signal(signal.SIGINT)
    status, said = finish(recorder)
    assert status == 0
    assert (
        'nothing came on /camera_info, /detections, /diagnostics, /markers, /poses, /roots '
        "('image_transport' is compressed)"
    ) in said
    with open_bag(tmp_path / 'bag') as reader:
        recorded = [m.data for m in messages(reader, ['/image_raw/compressed'])]
    assert deserialize_message(recorded[0], CompressedImage) == message


def test_a_recorder_that_hears_nothing_names_the_images_that_it_listens_for(
    graph: Any, tmp_path: Path
) -> None:
    recorder = start('recorder', output=tmp_path / 'bag')
    hear(recorder, 'recording into')
    recorder.send_signal(signal.SIGINT)
    assert "/image_raw, /markers, /poses, /roots ('image_transport' is raw)" in finish(recorder)[1]


def test_a_recorder_that_is_behind_records_what_waits_when_it_is_stopped(
    graph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder = Recorder()
    poses = graph.node.create_publisher(Pose3DArray, 'poses', 100)
    # messages that come before both sides know each other are lost: the first that came is waited
    # for, and from then on the recorder does nothing
    taking, early = SingleThreadedExecutor(), Pose3DArray()
    taking.add_node(recorder)
    early.header.stamp.sec = 1000
    bag = tmp_path / 'poses'
    graph.wait(
        lambda: poses.publish(early) or taking.spin_once(timeout_sec=0.1) or recorder.topics, 'one'
    )
    taking.remove_node(recorder)
    for second in range(40):
        message = Pose3DArray()
        message.header.stamp.sec = second
        poses.publish(message)
    assert poses.wait_for_all_acked(Duration(seconds=10.0))  # all have come, none was taken
    recorder.record(lambda: True)
    recorder.close()
    recorder.destroy_node()
    with open_bag(bag) as reader:
        seconds = [m.decoded().header.stamp.sec for m in messages(reader, ['/poses'])]
    assert [second for second in seconds if second < 1000] == list(range(40))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_recorder_that_is_stopped_is_not_kept_by_those_who_go_on(
    graph: Any, tmp_path: Path, number: signal.Signals
) -> None:
    recorder = start('recorder', output=tmp_path / 'bag')
    poses = graph.publisher(Pose3DArray, 'poses')
    graph.node.create_timer(0.01, lambda: poses.publish(Pose3DArray()))
    hear(recorder, 'recording /poses')  # both sides know each other
    recorder.send_signal(number)
    start_s = time.monotonic()
    assert finish(recorder)[0] == 0
    assert time.monotonic() - start_s < 8  # 2 s, and a busy machine
    with open_bag(tmp_path / 'bag') as reader:
        assert len(list(messages(reader, ['/poses']))) > 0


def test_the_recorder_does_not_overwrite(tmp_path: Path) -> None:
    status, said = finish(start('recorder', output=tmp_path))
    assert status == 1 and 'exists already' in said and 'Traceback' not in said


def test_bad_sources_end_with_one_clear_line(tmp_path: Path, plays: Plays) -> None:
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.mp4').write_text('not a video')
    (tmp_path / 'cut').mkdir()
    (tmp_path / 'cut' / 'metadata.yaml').write_text('rosbag2_bagfile_information: {')
    (tmp_path / 'killed').mkdir()
    (tmp_path / 'killed' / 'killed_0.mcap').write_bytes(b'not whole')
    cases = {
        '': 'source',
        str(tmp_path / 'nowhere.mp4'): 'nowhere.mp4',
        str(tmp_path / 'empty'): 'empty',
        str(tmp_path / 'text.mp4'): 'text.mp4',
        str(tmp_path / 'cut'): 'cut',
        str(tmp_path / 'killed'): '`ros2 bag reindex ',
    }
    for source, named in cases.items():
        status, said = plays(source=source) if source else plays()
        assert status == 1, (source, said)
        assert said.count('error:') == 1 and named in said and 'Traceback' not in said


def test_a_camera_of_another_size_ends_with_one_clear_line(
    folder: Path, tmp_path: Path, plays: Plays
) -> None:
    camera = tmp_path / 'camera.yaml'
    Camera(np.diag([50.0, 50, 1]), 640, 480).to_yaml(camera)
    status, said = plays(source=folder, camera=camera)
    assert status == 1 and '640 x 480' in said and '64 x 48' in said


def test_images_of_a_bag_that_a_camera_file_does_not_fit_are_skipped(
    tmp_path: Path, plays: Plays
) -> None:
    """Unless it fits none."""
    camera = tmp_path / 'camera.yaml'
    Camera(np.diag([50.0, 50, 1]), 32, 48).to_yaml(camera)
    narrow = {'width': 32, 'step': 96}
    bag = bag_files.write(tmp_path / 'bag', [shot(0), shot(1, **narrow), shot(2)])
    status, said = plays(source=bag, camera=camera)
    assert status == 0 and 'published 1 frames, 2 images could not be used' in said
    bag = bag_files.write(tmp_path / 'none', [shot(0), shot(2)])
    status, said = plays(source=bag, camera=camera)
    assert status == 1 and said.count('error:') == 1 and 'Traceback' not in said
    assert f'{camera} is for 32 x 48 pixels, but the images have 64 x 48' in said


def test_a_bag_says_which_image_topics_it_has(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / 'bag')
    for topic in ('/left/image_raw', '/right/image_raw'):
        bag.write(topic, 'sensor_msgs/msg/Image', 1, b'\0' * 64)
    bag.write('/camera_info', 'sensor_msgs/msg/CameraInfo', 1, b'\0' * 64)
    bag.close()
    with open_bag(tmp_path / 'bag') as reader:
        with pytest.raises(BagError, match=r"several image topics.*'image_topic': /left/image_raw"):
            image_topic(reader, '', "'image_topic'")
        with pytest.raises(BagError, match='no images on /front'):
            image_topic(reader, '/front', "'image_topic'")


UNUSABLE = {
    'not calibrated': said_by_camera(1.0, k=[0.0] * 9),
    'of an unknown lens': said_by_camera(1.0, distortion_model='ftheta', d=[0.1] * 6),
    'of another size': said_by_camera(1.0, Camera.from_field_of_view(640, 480, 60.0)),
    'in another frame': said_by_camera(1.0, header=Header(frame_id='rear')),
    'cut': ('/camera_info', CAMERA_INFO, 10**9, said_by_camera(1.0)[3][:90]),
}


@pytest.mark.parametrize('given', ['camera', 'field_of_view_deg'])
@pytest.mark.parametrize('info', UNUSABLE.values(), ids=UNUSABLE)
def test_camera_info_of_a_bag_that_cannot_be_used_is_not_needed_where_the_camera_is_given(
    given: str,
    info: bag_files.Message,
    graph: Any,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    known = Camera.from_field_of_view(64, 48, 50.0)
    known.to_yaml(tmp_path / 'camera.yaml')
    value = str(tmp_path / 'camera.yaml') if given == 'camera' else 50.0
    bag = bag_files.write(tmp_path / 'bag', [info, *map(shot, range(3))])
    infos = graph.collect(CameraInfo, 'camera_info')
    two_loops = partial(at_least, 5, infos)
    play_into(graph, two_loops, source=str(bag), loop=True, rate=5.0, **{given: value})
    said = capfd.readouterr().err
    assert [m.k[0] for m in infos] == pytest.approx([known.focal_px] * len(infos))
    assert 'camera_info' not in said, 'it is not asked for'


def test_a_field_of_view_counts_before_the_camera_info_of_a_bag(graph: Any, tmp_path: Path) -> None:
    """As with the parameter of the nodes, and that of `pose3d bag`."""
    bag = bag_files.write(tmp_path / 'bag', [said_by_camera(1.0), *map(shot, range(3))])
    images, infos = graph.collect(Image, 'image_raw'), graph.collect(CameraInfo, 'camera_info')
    play_into(graph, source=str(bag), subscribers=1, field_of_view_deg=50.0)
    graph.wait(lambda: len(images) == len(infos) == 3, 'three images')
    assert {m.k[0] for m in infos} == {Camera.from_field_of_view(64, 48, 50.0).focal_px}


@pytest.mark.parametrize('info', UNUSABLE.values(), ids=UNUSABLE)
def test_without_a_camera_the_one_that_cannot_be_used_is_named_with_what_helps(
    info: bag_files.Message, tmp_path: Path, plays: Plays
) -> None:
    bag = bag_files.write(tmp_path / 'bag', [info, *map(shot, range(3))])
    status, said = plays(source=bag)
    assert status == 1 and said.count('error:') == 1 and 'Traceback' not in said
    assert str(bag) in said and '/camera_info' in said
    assert re.search("[Gg]ive parameter 'camera' or 'field_of_view_deg'", said)


def test_images_before_the_first_camera_info_have_that_first_one(
    graph: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In every loop."""
    zoomed = Camera(np.diag([90.0, 90, 1]), 64, 48)
    content = [shot(0), shot(1), said_by_camera(1.15), shot(2), said_by_camera(1.25, zoomed)]
    bag = bag_files.write(tmp_path / 'bag', [*content, shot(3)])
    infos = graph.collect(CameraInfo, 'camera_info')
    play_into(graph, partial(at_least, 9, infos), source=str(bag), loop=True)
    assert 'no camera is known' not in capfd.readouterr().err
    assert {m.k[0] for m in infos} == {60, 90}


def test_a_bag_without_camera_info_is_played_with_a_guess(tmp_path: Path, plays: Plays) -> None:
    bag = bag_files.write(tmp_path / 'bag', map(shot, range(2)))
    status, said = plays(source=bag)
    assert status == 0 and said.count('no camera is known') == 1
    assert 'published 2 frames' in said and 'skipped' not in said


def test_what_is_not_camera_info_but_is_called_so_is_none(tmp_path: Path, plays: Plays) -> None:
    content = [('/camera_info', *shot(0)[1:]), shot(1)]
    silent = [('/front/camera_info', CAMERA_INFO)]
    with open_bag(bag_files.write(tmp_path / 'bag', content, silent=silent)) as bag:
        assert not has_camera_info(bag, '/camera_info')
        assert not has_camera_info(bag, '/front/camera_info'), 'without a message'
    status, said = plays(source=tmp_path / 'bag', image_topic='/image_raw')
    assert status == 0 and said.count('no camera is known') == 1


def test_images_that_cannot_be_decoded_are_skipped_counted_and_named(
    graph: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cut = shot(1)
    content = [
        said_by_camera(1.0),
        shot(0),
        (*cut[:3], cut[3][:-100]),
        shot(2, encoding='32FC1'),
        shot(3),
    ]
    bag = bag_files.write(tmp_path / 'bag', content)
    images = graph.collect(Image, 'image_raw')
    play_into(graph, partial(at_least, 5, images), source=str(bag), subscribers=1, loop=True)
    said = capfd.readouterr().err
    assert 'Traceback' not in said
    assert [round(image_from_message(m).mean() / 8) for m in images][:5] == [0, 3, 0, 3, 0]
    assert 'image skipped, 1 so far: ' in said
    counted = re.search(r'published \d+ frames, (\d+) images could not be used', said)
    assert counted and 1 <= said.count('image skipped') < int(counted[1]), 'not each is named'


@pytest.mark.parametrize('loop', [False, True])
def test_a_bag_of_which_no_image_can_be_decoded_ends_with_one_clear_line(
    tmp_path: Path, loop: bool, plays: Plays
) -> None:
    content = [said_by_camera(1.0), *(shot(n, encoding='32FC1') for n in range(3))]
    bag = bag_files.write(tmp_path / 'bag', content)
    status, said = plays(source=bag, loop=loop)
    assert status == 1 and said.count('error:') == 1 and 'Traceback' not in said
    assert f'{bag}: none of 3 images can be used; the first, /image_raw at 1.000 s: ' in said
    assert "encoding '32FC1'" in said and 'give parameter' not in said, 'no camera helps'


@pytest.mark.parametrize('loop', [False, True])
def test_a_bag_whose_image_topic_has_no_message_ends_with_one_clear_line(
    tmp_path: Path, loop: bool, plays: Plays
) -> None:
    bag = bag_files.write(tmp_path / 'bag', [said_by_camera(1.0)], silent=[('/image_raw', IMAGE)])
    status, said = plays(source=bag, loop=loop)
    assert status == 1 and said.count('error:') == 1 and 'Traceback' not in said
    assert '/image_raw is in its list, without a message' in said


JUMPS = {
    'forth, as with a robot whose clock is set': [100.0, 100.1, 1.7e9, 1.7e9 + 1],
    'back': [5.0, 5.1, 1.0, 1.1],
    'none: there are no stamps': [0.0] * 4,
    'none: a simulator begins at 0': [0.0, 0.1, 0.2, 0.3],
}


@pytest.mark.parametrize('stamps_s', JUMPS.values(), ids=JUMPS)
def test_a_bag_is_played_by_the_times_of_its_recording_and_has_its_own_stamps(
    stamps_s: list[float], graph: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stamps = [Time(nanoseconds=round(s * 1e9)).to_msg() for s in stamps_s]
    content = [shot(n, header=Header(stamp=stamp)) for n, stamp in enumerate(stamps)]
    bag = bag_files.write(tmp_path / 'bag', content)
    images, came_s = [], []
    graph.node.create_subscription(
        Image, 'image_raw', lambda m: images.append(m) or came_s.append(time.monotonic()), 10
    )
    play_into(graph, source=str(bag), subscribers=1, stamps='source', rate=0.4)
    graph.wait(lambda: len(images) == 4, 'four images')
    assert 'cut' not in capfd.readouterr().err
    assert [m.header.stamp for m in images] == stamps
    assert came_s[-1] - came_s[0] > 0.5, 'they are 0.3 s apart in the log, 0.75 s at this rate'


def test_a_long_gap_of_a_bag_is_cut_and_told(tmp_path: Path, plays: Plays) -> None:
    topic, kind, _, data = shot(1)
    bag = bag_files.write(tmp_path / 'bag', [shot(0), (topic, kind, 3601 * 10**9, data)])
    status, said = plays(source=bag, rate=50.0)
    assert status == 0 and '3600 s without an image, cut to 10 s' in said


def test_the_times_of_footage_begin_one_frame_after_zero(graph: Any, folder: Path) -> None:
    """A stamp of zero means that there is none."""
    images = graph.collect(Image, 'image_raw')
    play_into(graph, source=str(folder), subscribers=1, stamps='source')
    graph.wait(lambda: len(images) == 5, 'five images')
    times_s = [stamp_ns(m.header) / 1e9 for m in images]
    assert times_s == pytest.approx(np.arange(1, 6) / 30)


def test_one_image_that_loops_is_shown_as_long_as_a_frame(graph: Any, folder: Path) -> None:
    for image in sorted(folder.iterdir())[1:]:
        image.unlink()
    images = graph.collect(Image, 'image_raw')
    five_rounds = partial(at_least, 6, images)
    play_into(graph, five_rounds, source=str(folder), subscribers=1, loop=True, rate=0.25)
    took_s = (stamp_ns(images[5].header) - stamp_ns(images[0].header)) / 1e9
    assert took_s > 4 / 30 / 0.25


def test_a_film_that_is_cut_is_played_and_told_of(tmp_path: Path, plays: Plays) -> None:
    film = tmp_path / 'film.avi'
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*'MJPG'), 30, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(20):
        writer.write(noise.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    status, said = plays(source=film)
    assert status == 0 and f'{film} announces ' in said
    assert 'frames more than it holds: is it cut short?' in said


def test_stamps_below_zero_are_published_as_they_are(graph: Any, tmp_path: Path) -> None:
    stamps = [Stamp(sec=-2, nanosec=5 * 10**8), Stamp(sec=-1), Stamp(nanosec=1)]
    content = [shot(n, header=Header(stamp=stamp)) for n, stamp in enumerate(stamps)]
    bag = bag_files.write(tmp_path / 'bag', content)
    images = graph.collect(Image, 'image_raw')
    play_into(graph, source=str(bag), subscribers=1, stamps='source')
    graph.wait(lambda: len(images) == 3, 'three images')
    assert [m.header.stamp for m in images] == stamps


def test_absent_weights_end_with_the_command_to_run(tmp_path: Path) -> None:
    running = [start(node, weights_dir=tmp_path) for node in ('detector', 'rootnet', 'posenet')]
    for process in running:
        status, said = finish(process)
        assert status == 1 and 'pose3d fetch' in said and 'Traceback' not in said


def test_corrupt_weights_are_refused(tmp_path: Path) -> None:
    good = weights.path('yolox_tiny')
    (tmp_path / good.name).write_bytes(good.read_bytes()[:-1] + b'?')
    status, said = finish(start('detector', weights_dir=tmp_path))
    assert status == 1 and 'sha256' in said and 'pose3d fetch' in said


@pytest.mark.parametrize(
    ('parameter', 'named'),
    [
        ({'model': 'hog'}, 'choose from yolox'),
        ({'precision': 'int3'}, 'choose from auto, f32, bf16'),
        ({'device': 'GPU.7'}, 'is not on this machine, which has'),
        ({'score_threshold': 7.0}, "'score_threshold' (float from 0.01 to 1"),
        ({'score_threshold': 7}, "'score_threshold' (float from 0.01 to 1"),
        ({'max_people': 7.5}, "'max_people' (int from 1 to 1000)"),
    ],
)
def test_parameters_that_cannot_be_are_refused(
    parameter: dict[str, Any],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(running, 'Interrupts', Quiet)
    status, said = ran(detector.main, capfd, **parameter)
    assert status == 1 and named in said and 'Traceback' not in said, said
