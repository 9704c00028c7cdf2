# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A disk that is far slower than what is to be written, below the commands that have no clock.

Each goes through the same: Ctrl-C in the middle of a write, then kill -9 in the middle of one, then
to its end; all with a library before libc that delays writes (slow_disk.c), in whatever language.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bag_files import plain
from paper import needed_torch
from waiting import wait

from pose3d_ros.bag_parts import PartedBag
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.nodes.bag_making import write_images
from pose3d_ros.results import OVERLAY_FILE, POSES_FILE, SCENE_FILE, kept_frames
from pose3d_ros.video import open_source

POSE3D = ('-c', 'import sys; from pose3d_ros.cli import main; sys.exit(main())')
TRAIN = (str(Path(__file__).parent.parent / 'training_people.py'),)
#: What a process takes at once from one run to another: its libraries, caches and threads.
GRAIN_MIB = 25.0


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    :param seconds: from its start, or from the signal that it was sent.
    :param peak_mib: most memory that it had.
    """

    status: int
    said: str
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Disk:
    """A slow disk, and how commands run on it.

    :param library: slow_disk.c, built.
    :param folder: what is written below it is slow.
    """

    library: Path
    folder: Path

    def run(
        self,
        arguments: Sequence[object],
        rate_mb_s: float = 0.0,
        number: int = 0,
        when: Callable[[], bool] = bool,
    ) -> Ended:
        """Run a command.

        :param rate_mb_s: that files take, MB/s; 0 = as many as they really do.
        :param number: of a signal that it gets, `when` that becomes true.
        """
        log = self.folder.with_suffix('.log')
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=log.open('wb'),
            stderr=subprocess.STDOUT,
            env=self._environment(rate_mb_s),
            start_new_session=True,
        )
        start_s = time.monotonic()
        if number:
            wait(lambda: process.poll() is not None or when(), f'{arguments} to write')
            assert process.poll() is None, log.read_text()
            start_s = time.monotonic()
            os.killpg(process.pid, number)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start_s
        said = log.read_text(errors='replace')
        return Ended(process.returncode, said, seconds, usage.ru_maxrss / 1024)

    def _environment(self, rate_mb_s: float) -> dict[str, str]:
        tests = Path(__file__).parent.parent
        more = {'PYTHONPATH': os.pathsep.join(map(str, [tests.parent, tests, *sys.path]))}
        if rate_mb_s:
            more |= {
                'LD_PRELOAD': str(self.library),
                'SLOW_DISK': str(self.folder),
                'SLOW_DISK_RATE': str(rate_mb_s * 1e6),
            }
        return os.environ | more


@pytest.fixture
def disk(folder: Path) -> Disk:
    library, source = folder / 'slow_disk.so', Path(__file__).with_name('slow_disk.c')
    subprocess.run(['gcc', '-shared', '-fPIC', '-o', library, source, '-ldl'], check=True)
    (folder / 'disk').mkdir()
    return Disk(library, folder / 'disk')


def grows(pattern: str, folder: Path, size: int = 1) -> Callable[[], bool]:
    """Return whether a file of this name has so many bytes by now."""

    def look() -> bool:
        return any(_size(path) >= size for path in folder.glob(pattern))

    return look


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it has got its name
        return 0


def through(
    disk: Disk,
    command: Sequence[object],
    rate_mb_s: float,
    parts: tuple[Callable[[], bool], Callable[[], bool]],
    whole: Callable[[], None],
    again: Sequence[object],
) -> tuple[Ended, Ended]:
    """Interrupt a command in the middle of a write, kill it, let it go on to its end.

    :param parts: whether it is in the middle of a write, for the interrupt and for the kill.
    :param whole: fails where a file of those that have their name is not whole.
    :param again: the command that goes on.
    :return: how it ended when it was interrupted, and at its end.
    """
    stopped = disk.run(command, rate_mb_s, signal.SIGINT, parts[0])
    assert stopped.status == 130 and 'Traceback' not in stopped.said, stopped.said
    assert 'Ctrl-C again stops at once' in stopped.said
    whole()
    killed = disk.run(again, rate_mb_s, signal.SIGKILL, parts[1])
    assert killed.status == -signal.SIGKILL, killed.said
    whole()
    ended = disk.run(again, rate_mb_s)
    assert ended.status == 0 and 'Traceback' not in ended.said, ended.said
    whole()
    return stopped, ended


def tell(
    report: Any,
    what: str,
    rate_mb_s: float,
    fast: Ended,
    on_slow: tuple[Ended, Ended],
    grain_mib: float = GRAIN_MIB,
) -> None:
    """Add the row of the table, and judge the memory.

    :param grain_mib: by which the peaks of two such runs may differ.
    """
    stopped, ended = on_slow
    more_mib = ended.peak_mib - fast.peak_mib
    report(
        f'`pose3d {what}` on a disk of {rate_mb_s:g} MB/s: Ctrl-C, kill -9, both in a write',
        besides=f'all as in an undisturbed run; it ends {stopped.seconds:.1f} s after Ctrl-C; '
        f'memory {more_mib:+.0f} MiB to that on a fast disk',
    )
    assert more_mib < grain_mib


IMAGES, WIDTH = 50, 544
IMAGE_MB = WIDTH * WIDTH * 1920 / 1088 * 3 / 1e6


def test_bag_on_a_slow_disk(disk: Disk, report: Any, folder: Path) -> None:
    rate_mb_s = 2.0  # the networks alone are several times as fast
    bag, out = folder / 'bag', disk.folder / 'out'
    camera = Clip.load('multi').cameras[0].camera
    frames = islice(Clip.load('multi').frames(0), IMAGES)
    images = [cv2.resize(f, (WIDTH, round(WIDTH * 1920 / 1088))) for f in frames]
    height, width = images[0].shape[:2]
    write_images(bag, images, camera.scaled(width, height))
    fast = disk.run([*POSE3D, 'bag', bag, folder / 'poses'])
    assert fast.status == 0, fast.said
    command = [*POSE3D, 'bag', bag, out]
    size = int(10 * IMAGE_MB * 1e6)
    part = grows('.part/*.mcap', out, size)

    def whole() -> None:
        """All that is listed can be read, and is the beginning of what it has to be."""
        assert not list(out.glob('*.mcap')) or PartedBag(out).notes
        if (out / 'metadata.yaml').exists():
            there = plain(out)
            assert there == plain(folder / 'poses')[: len(there)] and there

    on_slow = through(disk, command, rate_mb_s, (part, part), whole, command)
    assert plain(out) == plain(folder / 'poses')
    tell(report, 'bag', rate_mb_s, fast, on_slow)
    # what is in work, one for each stream and three beside, is written to its end
    assert on_slow[0].seconds < (len(os.sched_getaffinity(0)) + 4) * IMAGE_MB / rate_mb_s + 5.0


def test_video_on_a_slow_disk(disk: Disk, report: Any, folder: Path) -> None:
    rate_mb_s = 1.0
    film, out = Clip.load('multi').cameras[0].film, disk.folder / 'out'
    given = ['--frames', '--field-of-view', 60, '--limit', IMAGES // 2]
    fast = disk.run([*POSE3D, 'video', film, '--out', folder / 'poses', *given])
    assert fast.status == 0, fast.said
    command = [*POSE3D, 'video', film, '--out', out, *given]
    overlay = str(out / OVERLAY_FILE)
    part = grows('frames/.00001*.part', out)
    later = grows('frames/.00002*.part', out)

    def whole() -> None:
        """Files that have their name are those of the undisturbed run, or its beginning."""
        for image in kept_frames(out):
            assert image.read_bytes() == (folder / 'poses' / 'frames' / image.name).read_bytes()
        lines = (out / POSES_FILE).read_text().splitlines(keepends=True)
        whole_lines = ''.join(line for line in lines if line.endswith('\n'))
        assert (folder / 'poses' / POSES_FILE).read_text().startswith(whole_lines)
        json.loads((out / 'run.json').read_text())
        assert not (out / SCENE_FILE).exists() or cv2.imread(str(out / SCENE_FILE)) is not None
        assert not (out / OVERLAY_FILE).exists() or _frames_in(overlay) >= 10

    on_slow = through(disk, command, rate_mb_s, (part, later), whole, command)
    assert (out / POSES_FILE).read_bytes() == (folder / 'poses' / POSES_FILE).read_bytes()
    assert len(kept_frames(out)) == _frames_in(overlay) == IMAGES // 2
    assert not list(out.rglob('.*.part*')), 'what was killed is written over'
    tell(report, 'video --frames', rate_mb_s, fast, on_slow)
    assert on_slow[0].seconds < 20.0


def _frames_in(film: str) -> int:
    return sum(1 for _ in open_source(film).frames())


def test_training_on_a_slow_disk(disk: Disk, report: Any, folder: Path) -> None:
    """RootNet with ResNet-18: a state of 140 MB."""
    rate_mb_s = 50.0
    torch = needed_torch()
    out = disk.folder / 'out'

    def command(out: Path, *more: str) -> list[object]:
        data = f'made_up={folder / "data"}'
        small = [
            '--batch',
            '4',
            '--workers',
            '1',
            '--cpu',
            '--backbone',
            'resnet18',
            '--epochs',
            '3',
        ]
        return [*TRAIN, 'train', 'rootnet', '--data', data, '--out', out, *small, *more]

    (folder / 'data').mkdir()
    fast = disk.run(command(folder / 'whole'))
    assert fast.status == 0, fast.said

    def whole() -> None:
        for path in out.glob('[!.]*.p*t*'):
            torch.load(path, map_location='cpu', weights_only=True)
        if (history := out / 'history.json').exists():  # the first state is from before any epoch
            json.loads(history.read_text())

    parts = grows('.state.pt.part', out), grows('.snapshot_1.pth.tar.part', out, 2 * 10**7)
    again = command(out, '--resume')
    on_slow = through(disk, command(out), rate_mb_s, parts, whole, again)
    for epoch in range(3):
        mine, theirs = (
            torch.load(f / f'snapshot_{epoch}.pth.tar', weights_only=True)['network']
            for f in (out, folder / 'whole')
        )
        assert all(np.array_equal(mine[key], theirs[key]) for key in theirs), epoch
    state_bytes = (out / 'state.pt').stat().st_size
    # PyTorch's own peak is 1205 to 1277 MiB, slow disk or fast, resumed or not; a state more that
    # waits for the disk would be 134 MiB
    tell(report, 'train', rate_mb_s, fast, on_slow, 0.75 * state_bytes / 2**20)
    assert on_slow[0].seconds < state_bytes / 1e6 / rate_mb_s + 10.0
