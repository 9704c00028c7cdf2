# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""pose3d bag with several bags: in processes, on Ray, with one that fails, by real networks."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import bag_files
import cv2
import numpy as np
import pytest
from rclpy.serialization import deserialize_message

from pose3d_ros import cli
from pose3d_ros.camera import Camera
from pose3d_ros.cli import bag, bag_many
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.msg import Pose3DArray
from pose3d_ros.nodes.bag_making import write_images
from pose3d_ros.nodes.messages import poses_from_message
from pose3d_ros.offline import Stages
from pose3d_ros.overlapping import as_in_message
from pose3d_ros.people import Poses
from pose3d_ros.tracking import Tracker


def small_clip(count: int) -> tuple[list[np.ndarray], Camera]:
    """Return images of two people, small."""
    clip = Clip.load('multi')
    camera = clip.cameras[0].camera.scaled(272, 480)
    images = [cv2.resize(i, (272, 480)) for i in islice(clip.frames(0), 0, 5 * count, 5)]
    return images, camera


@pytest.fixture(scope='module')
def bags(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return a bag whose file is cut, and a good one."""
    folder = tmp_path_factory.mktemp('bags')
    images, camera = small_clip(4)
    for name in ('cut', 'one'):
        write_images(folder / name, images, camera)
    file = folder / 'cut' / 'cut.mcap'
    file.write_bytes(file.read_bytes()[:5000])
    return [folder / name for name in ('cut', 'one')]


def poses_of(path: Path) -> list[Poses]:
    return [
        poses_from_message(deserialize_message(data, Pose3DArray))
        for topic, _, _, data in bag_files.read(path)
        if topic == '/poses'
    ]


def test_a_failed_bag_does_not_stop_the_others(
    bags: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In real processes, with the networks; their poses are those of one image after the other."""
    out = tmp_path / 'out'
    assert cli.main(['bag', *map(str, bags), str(out), '--jobs', '1']) == 1
    said = capsys.readouterr().out
    _, *rows = said[said.index('2 bags into') :].splitlines()
    assert [row.split()[1] for row in rows[1:]] == ['FAILED', 'done']
    assert 'cut off?' in rows[1] and '4 images at' in rows[2]
    images, camera = small_clip(4)
    stages = Stages.default(RuntimeOptions(threads=1))
    tracker = Tracker()
    for number, (image, found) in enumerate(zip(images, poses_of(out / 'one'), strict=True)):
        detected = tracker.update(as_in_message(stages.detect(image)), 1 + number / 10)
        _, wanted = stages.place(image, detected, camera)
        assert found.ids == wanted.ids and len(found) >= 1
        np.testing.assert_allclose(found.joints, wanted.joints, atol=1e-3)


def test_a_process_that_is_killed_is_a_failed_bag(
    bags: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = _arguments(bags[1:], tmp_path / 'out')
    single = bag_many._single(arguments, bags[1], tmp_path / 'out')
    monkeypatch.setattr(bag_many, '_work', _be_killed)
    ended = bag_many._in_process(single, bag_many.Event())
    assert ended is not None and ended.status == -signal.SIGKILL
    assert 'ended with status -9' in ended.said


def _be_killed(_pipe: object, _arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arguments(bags: list[Path], out: Path, *options: str) -> bag_many.argparse.Namespace:
    parser = bag_many.argparse.ArgumentParser()
    bag.add_arguments(parser)
    return parser.parse_args([*map(str, bags), str(out), *options])


def test_ctrl_c_stops_all_and_the_same_command_goes_on(bags: list[Path], tmp_path: Path) -> None:
    """The bag in work keeps what it has; the other is not begun."""
    images, camera = small_clip(1)
    for name in ('long', 'other'):
        write_images(tmp_path / name, images * 400, camera)
    command = [
        sys.executable, '-c', 'import sys; from pose3d_ros.cli import main; sys.exit(main())',
        'bag', str(tmp_path / 'long'), str(tmp_path / 'other'), str(tmp_path / 'out'),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not (tmp_path / 'out' / 'long' / '.part').exists():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert 'stopped' in said and 'not begun' in said and 'goes on from here' in said
    assert len(poses_of(tmp_path / 'out' / 'long')) < 400
    assert not (tmp_path / 'out' / 'other').exists()


def test_two_bags_of_one_name(
    bags: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(['bag', str(bags[1]), str(bags[1]), str(tmp_path / 'out')]) == 2
    assert f'several bags would become {tmp_path / "out" / "one"}' in capsys.readouterr().err


def test_ray_is_named_where_it_is_missing(bags: list[Path], tmp_path: Path) -> None:
    code = (
        'import sys; sys.modules["ray"] = None\n'
        'from pose3d_ros.cli import main\n'
        f'sys.exit(main(["bag", *{[str(b) for b in bags]!r}, {str(tmp_path / "out")!r}, "--ray"]))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "pip install 'pose3d_ros[ray]'" in done.stderr, done.stderr
    assert 'Traceback' not in done.stderr


def test_bags_on_a_ray_cluster(
    bags: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cluster of this machine alone: `local` starts it."""
    out = tmp_path / 'out'
    given = ['bag', *map(str, bags), str(out), '--ray', 'local', '--threads', '1']
    assert cli.main(given) == 1
    said = capsys.readouterr().out
    rows = said[said.index('2 bags into') :].splitlines()[2:]
    assert [row.split()[1] for row in rows] == ['FAILED', 'done']
    assert len(poses_of(out / 'one')) == 4


def test_a_ray_cluster_that_is_not_there(
    bags: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ['bag', *map(str, bags), str(tmp_path / 'out'), '--ray', 'auto']
    assert cli.main(given) == 2
    assert '--ray auto: ' in capsys.readouterr().err


def test_the_benchmark_measures_against_the_networks_alone(tmp_path: Path) -> None:
    out = tmp_path / 'bag.json'
    given = ['benchmark', 'bag', '--images', '4', '--rounds', '1', '--streams', '2', '--out']
    assert cli.main([*given, str(out)]) == 0
    (table,) = json.loads(out.read_text())['tables']
    ((streams, rate, bound, ratio, busy),) = table['rows']
    assert streams == 2 and rate > 0 and bound > 0 and busy > 0
    assert ratio == pytest.approx(rate / bound)  # of the one round
