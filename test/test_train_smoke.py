# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`pose3d train-smoke`, the whole way once, in its shortest form; and what its figures mean."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from paper import needed_torch

torch = needed_torch()

from accelerate.state import AcceleratorState  # noqa: E402

from pose3d_ros.benchmarks.training_scores import (  # noqa: E402
    Comparison,
    Found,
    Score,
    matched,
    same_in_each_crop,
    saved,
    score_table,
    trivial,
    whole,
)
from pose3d_ros.cli import main, train_smoke  # noqa: E402
from pose3d_ros.data.annotations import Annotations, DataError  # noqa: E402
from pose3d_ros.evaluation.results import write_human36m  # noqa: E402
from pose3d_ros.evaluation.root_files import write_roots  # noqa: E402
from pose3d_ros.evaluation.running import FoundPoses  # noqa: E402
from pose3d_ros.evaluation.subjects import Subjects  # noqa: E402
from pose3d_ros.people import Poses  # noqa: E402
from pose3d_ros.skeletons import HUMAN36M  # noqa: E402

FOCAL_PX, SIZE = 500.0, (640, 480)
PELVIS, SCORED = HUMAN36M.root[0], 17


def street(depths_m: list[float], images: list[int]) -> Annotations:
    """Return people side by side, 1 m apart, each of another build."""
    rng = np.random.default_rng(0)
    n, j = len(depths_m), len(HUMAN36M)
    joints = rng.uniform(-0.4, 0.4, (n, j, 3)) * [1, 2, 1]
    joints -= joints[:, [PELVIS]]
    joints += np.column_stack([np.arange(n) - n / 2, np.zeros(n), depths_m])[:, None]
    centre = np.array(SIZE) / 2
    pixels = joints[..., :2] / joints[..., 2:] * FOCAL_PX + centre
    corner = pixels.min(axis=1)
    boxes = np.hstack([corner, pixels.max(axis=1) - corner])
    count = max(images) + 1
    return Annotations(
        'street', HUMAN36M, tuple(Path(f'{i}.jpg') for i in range(count)),
        np.tile(SIZE, (count, 1)), np.array(images), boxes,
        pixels, joints, np.ones((n, j), bool), np.full((n, 2), FOCAL_PX), np.tile(centre, (n, 1)),
        ('',) * n, np.arange(count),
    )  # fmt: skip


def poses_of(joints: np.ndarray) -> Poses:
    n = len(joints)
    roots = joints[:, PELVIS]
    return Poses(HUMAN36M, joints, np.ones((n, len(HUMAN36M))), roots, np.zeros(n), np.ones(n),
                 ('',) * n)  # fmt: skip


@pytest.fixture
def accelerator() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    AcceleratorState._reset_state(True)


def test_the_whole_way(
    tmp_path: Path, accelerator: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Real footage apart: people, trainings, Ctrl-C, tables, ONNX, and the graph over topics."""
    out = tmp_path / 'out'
    words = ['--images', '8', '--test-images', '8', '--cameras', '1', '--pose-epochs', '2']
    words += ['--margin', '1e9', '--pose-margin', '1e9']
    assert main(['train-smoke', '--out', str(out), *words]) == 0
    said = capfd.readouterr()
    assert said.err.count('finishing the step and saving') == 2
    for network in ('rootnet', 'posenet'):
        history = json.loads((out / network / 'history.json').read_text())
        assert [epoch['epoch'] for epoch in history] == [0, 1]
        assert said.out.count(f'$ pose3d train {network}') == 2
    assert '--resume' in said.out
    lines = (out / 'scores.md').read_text().splitlines()
    rows = [line.split('|') for line in lines if line.startswith('| ')]
    errors = {row[1].strip(): [float(cell) for cell in row[2:7]] for row in rows[2:]}
    assert list(errors) == [
        'RootNet; PoseNet at true roots', 'trivial; the same in each crop',
        "the graph with them, YOLOX's boxes", 'trivial at true boxes; mean pose',
    ]  # fmt: skip
    assert all(np.isfinite(numbers).all() and min(numbers) > 0 for numbers in errors.values())
    picture = cv2.imread(str(out / 'pipeline.jpg'))
    assert picture is not None and picture.std() > 10
    assert main(['train-smoke', '--out', str(out)]) == 2
    assert 'is not an empty folder: remove it' in capfd.readouterr().err


def test_errors_are_means_over_people() -> None:
    truth = street([4.0, 6.0, 8.0], [0, 0, 1])
    joints = truth.joints[[2, 0]] + np.array([0.3, 0.0, 0.4])
    joints[:, 1] += [0.0, 0.18, 0.0]  # one joint of 18, 18 cm off around the root
    roots = truth.roots[[2, 0]] + np.array([0.3, 0.0, 0.4])
    score = Score.of('x', truth, Found(np.array([2, 0]), roots, joints[:, :SCORED]))
    assert (score.people, score.mrpe_mm) == (2, pytest.approx(500))
    assert score.depth_mm == pytest.approx(400)
    assert (score.whole, score.mpjpe_mm) == (2, pytest.approx(180 / SCORED))


def test_poses_are_scored_of_those_whose_joints_all_lie_in_the_crop() -> None:
    truth = street([4.0, 6.0, 8.0, 5.0], [0, 0, 1, 1])
    assert whole(truth).all()
    boxes, joints = truth.boxes.copy(), truth.joints.copy()
    boxes[0, 3] /= 2  # the lower half is behind something
    joints[1, 4, 2] += 1.2  # deeper than PoseNet's volume
    joints[3, 4] += 0.17
    truth = replace(truth, boxes=boxes, joints=joints)
    assert whole(truth).tolist() == [False, False, True, True]
    found = truth.joints[:, :SCORED].copy()
    found[[0, 1], 4] += 1.0
    found[3, 4] -= [0.0, 0.17, 0.0]
    score = Score.of('x', truth, Found(np.arange(4), truth.roots, found))
    assert (score.people, score.whole, score.mpjpe_mm) == (4, 2, pytest.approx(170 / SCORED / 2))
    nobody = Score.of('x', truth, Found(np.arange(2), truth.roots[:2], found[:2]))
    assert nobody.whole == 0 and np.isnan(nobody.mpjpe_mm)


def test_saved_roots_and_poses_are_of_everybody(tmp_path: Path) -> None:
    truth = street([4.0, 6.0, 8.0], [0, 0, 1])
    mixed = [2, 0, 1]
    people = Subjects.annotated(truth)[np.array(mixed)]
    posed = FoundPoses(people, HUMAN36M, truth.joints[mixed] + 0.1, truth.pixels[mixed])
    write_human36m(tmp_path, truth, posed)
    poses = next(tmp_path.iterdir())
    write_roots(tmp_path, 'human36m', truth, people.with_roots(truth.roots[mixed] + 0.2, 'x'))
    (roots,) = set(tmp_path.iterdir()) - {poses}
    found = saved(truth, roots, poses)
    assert found.rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.roots, truth.roots + 0.2, atol=1e-6)
    score = Score.of('x', truth, found)
    assert score.mrpe_mm == pytest.approx(200 * 3**0.5) and score.mpjpe_mm < 1e-3
    for file in (roots, poses):
        whole_file = file.read_text()
        file.write_text(json.dumps(json.loads(whole_file)[:2]))
        with pytest.raises(DataError, match='1 of 3 people have no result'):
            saved(truth, roots, poses)
        file.write_text(whole_file)


def test_poses_are_matched_to_the_people_whom_they_cover() -> None:
    truth = street([4.0, 6.0, 8.0, 5.0], [0, 0, 1, 1])
    # of image 1 first, then of image 0: in another order, twice the same, and one of nobody
    ghost = truth.joints[[0]] + [3.0, 0, 0]
    near = truth.joints[[1]] + [0.05, 0, 0]
    in_0 = poses_of(np.concatenate([ghost, near, truth.joints[[1, 0]]]))
    in_1 = poses_of(np.concatenate([truth.joints[[3]], np.full((1, 18, 3), np.nan)]))
    found = matched(truth, {1: in_1, 0: in_0})
    assert sorted(found.rows.tolist()) == [0, 1, 3]
    np.testing.assert_allclose(found.joints, truth.joints[found.rows, :SCORED])
    np.testing.assert_allclose(found.roots, truth.roots[found.rows])


def test_nobody_found_is_nobody() -> None:
    truth = street([4.0], [0])
    found = matched(truth, {0: poses_of(np.zeros((0, 18, 3)))})
    assert len(found.rows) == 0 and found.joints.shape == (0, SCORED, 3)


def test_the_trivial_predictor_knows_boxes_and_the_training_only() -> None:
    training = street([3.0, 5.0, 7.0, 9.0], [0, 1, 2, 3])
    truth = street([4.0, 6.0], [0, 1])
    wanted = trivial(training, truth, np.array([1]))
    moved = replace(truth, joints=truth.joints + np.array([0.0, 0.0, 5.0]))
    found = trivial(training, moved, np.array([1]))
    assert wanted.rows.tolist() == [1]
    np.testing.assert_allclose(found.roots, wanted.roots)
    np.testing.assert_allclose(found.joints, wanted.joints)
    around = training.joints - training.roots[:, None]
    mean = around.mean(axis=0)[:SCORED]
    np.testing.assert_allclose(wanted.joints[0] - wanted.roots[0], mean, atol=1e-9)


def test_the_same_in_each_crop_is_placed_by_box_and_root_alone() -> None:
    training = street([4.0, 6.0, 8.0], [0, 1, 2])
    one = training[[1]]
    found = same_in_each_crop(one, one, np.array([0]))
    np.testing.assert_allclose(found.joints, one.joints[:, :SCORED], atol=1e-9)
    rows = np.array([0, 2])
    wanted = same_in_each_crop(training, training, rows)
    other = training.joints + np.random.default_rng(1).uniform(-0.2, 0.2, training.joints.shape)
    other[:, PELVIS] = training.roots
    moved = same_in_each_crop(training, replace(training, joints=other), rows)
    np.testing.assert_allclose(moved.joints, wanted.joints)
    assert Score.of('x', training, wanted).mpjpe_mm > 50
    # the middle of three: twice as far with half the box, the same person is as large
    size = np.ptp(wanted.joints[..., 1], axis=1) / training.boxes[rows, 3] / training.roots[rows, 2]
    assert size[0] == pytest.approx(size[1], rel=0.1)


@pytest.mark.parametrize(
    ('margins', 'poor', 'said'),
    [
        ((0.75, 0.95), 190, []),
        ((0.65, 0.95), 190, ["MRPE is 0.70 of the trivial predictor's, and was to be 0.65"]),
        ((0.75, 0.9), 190, ["MPJPE is 0.95 of the trivial predictor's, and was to be 0.9 at"]),
        ((0.1, 0.1), 190, ['MRPE is 0.70', 'MPJPE is 0.95']),
        ((0.75, 0.95), np.nan, ['MPJPE is nan']),
    ],
)
def test_too_little_learned_is_a_failure(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    margins: tuple[float, float],
    poor: float,
    said: list[str],
) -> None:
    """The worst counts: of MRPE 0.7, of MPJPE 0.95 unless it is unknown."""
    scores = [
        Comparison(Score('ours', 5, 500, 400, 5, poor), Score('trivial', 5, 1000, 900, 5, 200)),
        Comparison(Score('graph', 4, 700, 500, 3, 186), Score('trivial', 4, 1000, 900, 3, 200)),
    ]
    given = argparse.Namespace(out=tmp_path, margin=margins[0], pose_margin=margins[1])
    assert train_smoke._verdict(scores, street([4.0], [0]), 60.0, given) == bool(said)
    errors = capsys.readouterr().err
    assert errors.count('at most') == len(said) and all(words in errors for words in said)


@pytest.mark.parametrize(
    ('words', 'home', 'status', 'message'),
    [
        (['--epochs', '1'], None, 2, '--epochs and --pose-epochs have to be 2 or more'),
        (['--pose-epochs', '1'], None, 2, '--epochs and --pose-epochs have to be 2 or more'),
        (['--out', '{file}'], None, 2, 'is not an empty folder'),
        ([], 'empty', 1, 'is absent. Run: pose3d fetch resnet18_imagenet'),
    ],
)
def test_what_cannot_be_is_said_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    home: str | None,
    status: int,
    message: str,
) -> None:
    file = tmp_path / 'file'
    file.write_text('')
    if home is not None:
        monkeypatch.setenv('POSE3D_HOME', str(tmp_path / home))
    given: list[Any] = ['train-smoke', '--out', str(tmp_path / 'new')]
    assert main(given + [word.replace('{file}', str(file)) for word in words]) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'new').exists()


def test_a_step_that_fails_ends_it(tmp_path: Path) -> None:
    with pytest.raises(train_smoke.SmokeError, match='pose3d synth ended with status 2, not 0'):
        train_smoke._command('synth', '--out', tmp_path, '--images', -1)


def test_ratios_are_to_the_trivial_predictor_below() -> None:
    ours, nothing = Score('ours', 5, 500, 400, 5, 180), Score('trivial', 5, 1000, 900, 5, 200)
    scores = Comparison(ours, nothing)
    (_, first, second) = score_table('t', [scores], '').cells()
    assert (first[-2:], second[-2:]) == (['0.50', '0.90'], ['-', '-'])
