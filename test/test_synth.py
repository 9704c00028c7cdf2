# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`pose3d synth`: the files, their meaning, that they come again, and what happens in between."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose3d_ros.cli import main
from pose3d_ros.data import datasets
from pose3d_ros.data.annotations import Annotations
from pose3d_ros.skeletons import HUMAN36M

pytestmark = pytest.mark.timeout(600)  # the body model may have to be made

TRAIN, TEST = 32, 3  # of cameras more than one process has taken when the first is done
ARGUMENTS = ['--images', str(TRAIN), '--test-images', str(TEST), '--size', '160x128', '--seed', '5']


@pytest.fixture(scope='module')
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp('synth') / 'out'
    assert main(['synth', '--out', str(folder), *ARGUMENTS, '--processes', '2']) == 0
    yield folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def people_of(out: Path, split: str) -> Annotations:
    return datasets.load('human36m', out, split)


def test_the_reader_of_human36m_reads_it(out: Path) -> None:
    train, test = people_of(out, 'train'), people_of(out, 'test')
    assert (len(train.images), len(test.images)) == (TRAIN, TEST)
    assert len(train) > TRAIN
    assert train.skeleton == HUMAN36M
    assert np.isfinite(train.joints).all() and (train.joints[..., 2] > 0).all()
    assert train.roots[:, 2].min() > 1.0 and train.roots[:, 2].max() < 45
    assert len({tuple(focal) for focal in train.focal_px.tolist()}) == TRAIN // 8
    for image, size in zip(train.images, train.image_sizes, strict=True):
        picture = cv2.imread(str(image))
        assert picture is not None and picture.shape[:2] == (size[1], size[0]) == (128, 160)
        assert picture.std() > 5


def test_annotations_reproject_into_the_boxes(out: Path) -> None:
    for split in ('train', 'test'):
        people = people_of(out, split)
        again = people.joints[..., :2] / people.joints[..., 2:]
        again = again * people.focal_px[:, None] + people.centre_px[:, None]
        size = people.image_sizes[people.image_indices][:, None]
        inside = ((again >= 0) & (again <= size - 1)).all(axis=-1)
        margin = 2.0  # a joint lies within the body, but for the rounding of its place
        low, high = people.boxes[:, None, :2], people.boxes[:, None, :2] + people.boxes[:, None, 2:]
        in_box = ((again >= low - margin) & (again <= high + margin)).all(axis=-1)
        seen = np.array(seen_joints(out, {'train': 1, 'test': 2}[split]))
        assert not (seen & ~inside[:, :17]).any()
        assert in_box[:, :17][seen].mean() > 0.97
        assert (people.boxes[:, :2] >= 0).all()
        assert (people.boxes[:, :2] + people.boxes[:, 2:] <= size[:, 0]).all()


def seen_joints(out: Path, subject: int) -> list[list[bool]]:
    data = json.loads((out / 'annotations' / f'Human36M_subject{subject}_data.json').read_text())
    return [row['keypoints_seen'] for row in data['annotations']]


def test_a_page_of_pictures_shows_the_annotations(out: Path) -> None:
    people = people_of(out, 'train')
    page = cv2.imread(str(out / 'sheet.jpg'))
    picture = cv2.imread(str(people.images[0]))
    scale = 256 / max(picture.shape[:2])  # of a tile
    plain = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    first = page[: plain.shape[0], : plain.shape[1]]
    changed = np.abs(first.astype(float) - plain).max(axis=2) > 60
    x, y, width, height = (scale * people[people.image_indices == 0].boxes[0]).astype(int)
    assert changed[y : y + height + 1, x : x + width + 1].mean() > 0.02


def test_limbs_have_the_lengths_of_limbs(out: Path) -> None:
    people = people_of(out, 'train')
    hip, knee, ankle = (
        people.joints[:, HUMAN36M.index(f'R_{n}')] for n in ('Hip', 'Knee', 'Ankle')
    )
    for upper, lower in ((hip, knee), (knee, ankle)):
        lengths = np.linalg.norm(upper - lower, axis=1)
        assert ((lengths > 0.2) & (lengths < 0.6)).all()


def test_train_and_test_share_no_camera_and_no_body(out: Path) -> None:
    train, test = people_of(out, 'train'), people_of(out, 'test')
    assert not set(map(tuple, train.focal_px)) & set(map(tuple, test.focal_px))
    thighs = [
        np.linalg.norm(
            people.joints[:, HUMAN36M.index('R_Hip')] - people.joints[:, HUMAN36M.index('R_Knee')],
            axis=1,
        ).round(4)
        for people in (train, test)
    ]
    assert not set(thighs[0].tolist()) & set(thighs[1].tolist())


def test_interrupted_and_gone_on_with_it_is_the_same_to_the_byte(out: Path, tmp_path: Path) -> None:
    again = tmp_path / 'again'
    arguments = ['synth', '--out', str(again), *ARGUMENTS, '--processes', '1']
    code = 'import sys; from pose3d_ros.cli import main; sys.exit(main(sys.argv[1:]))'
    command = subprocess.Popen(
        [sys.executable, '-c', code, *arguments], stderr=subprocess.PIPE, text=True
    )
    while not list(again.glob('parts/s_*.json')):
        assert command.poll() is None
        time.sleep(0.005)
    command.send_signal(signal.SIGINT)
    _, said = command.communicate()
    assert command.returncode == 130, said
    assert 'again to go on' in said
    assert not (again / 'annotations' / 'splits.json').exists()
    assert main(arguments) == 0
    assert contents(again) == contents(out)


def test_a_complete_set_is_left_alone(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*')}
    assert main(['synth', '--out', str(out), *ARGUMENTS]) == 0
    assert 'complete already' in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob('*')} == before


@pytest.mark.parametrize(
    ('changed', 'says'),
    [
        (['--seed', '6'], 'other settings'),
        (['--size', '160'], '--size 160'),
        (['--size', '10x10'], '--size 10x10'),
        (['--images', '0', '--test-images', '0'], 'none to make'),
        (['--images', '-1'], '--images -1'),
        (['--processes', '0'], '--processes'),
        (['--facing-deg', '181'], '--facing-deg 181'),
        (['--facing-deg', 'nan'], '--facing-deg nan'),
        (['--backdrops', '/nonexistent'], 'no such folder'),
    ],
)
def test_what_cannot_be_made_is_said(
    changed: list[str], says: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(out)
    assert main(['synth', '--out', str(out), *ARGUMENTS, *changed]) == 2
    assert says in capsys.readouterr().err
    assert contents(out) == before


def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'mine.txt').write_text('mine')
    assert main(['synth', '--out', str(tmp_path), *ARGUMENTS]) == 2
    assert 'is not empty' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['mine.txt']


def test_without_clips_it_says_what_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('POSE3D_HOME', str(tmp_path))
    assert main(['synth', '--out', str(tmp_path / 'out'), *ARGUMENTS]) == 2
    assert 'pose3d fetch motion_walk' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
