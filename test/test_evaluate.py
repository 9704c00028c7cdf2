# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`pose3d evaluate`: small networks over made-up people, against the stages and the truth."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import datasets3d
import made_up
import numpy as np
import paper
import pytest

from pose3d_ros import stages
from pose3d_ros.camera import Camera
from pose3d_ros.cli import main
from pose3d_ros.data import datasets
from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.evaluation import running
from pose3d_ros.evaluation.outcome import Evaluation
from pose3d_ros.evaluation.protocols import ACTIONS, human36m, mrpe, mupots_poses
from pose3d_ros.evaluation.root_files import FILES, write_roots
from pose3d_ros.evaluation.subjects import Subjects
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.crops3dmppe import k_values_of
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.people import Persons
from pose3d_ros.skeletons import HUMAN36M, MUPOTS

F32 = RuntimeOptions(precision='f32')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('evaluate')


def with_images(people: Annotations) -> Annotations:
    """Return the people, their images written: smooth noise, another one each."""
    for i, path in enumerate(people.images):
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 255, (6, 8, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(noise, (made_up.WIDTH, made_up.HEIGHT)))
    return people


@pytest.fixture(scope='module')
def h36m(folder: Path) -> Annotations:
    """Return three people in an image each."""
    groups = ('Eating', 'Walking', 'Walking')
    return with_images(made_up.people(HUMAN36M, groups, folder=folder))


@pytest.fixture(scope='module')
def mupots(folder: Path) -> Annotations:
    """Return four people, two in each of two images."""
    people = made_up.people(MUPOTS, ('TS1', 'TS1', 'TS2', 'TS2'), in_image=2, folder=folder)
    return with_images(people)


@pytest.fixture
def data(h36m: Annotations, mupots: Annotations, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let the command read the people above; return the list of what it asked for."""
    return let_read(h36m, mupots, monkeypatch)


def let_read(h36m: Annotations, mupots: Annotations, patch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []

    def load(name: str, root: Path, split: str, **options: Any) -> Annotations:
        asked.append((name, root, split, options))
        found = h36m if name == 'human36m' else mupots
        return found[:0] if split == 'empty' else replace(found, name=f'{name} {split}')

    patch.setattr(datasets, 'load', load)
    return asked


@cache
def snapshot(folder: Path, name: str, joints: int = 18) -> Path:
    """Return a folder with a snapshot of small random networks that find something anywhere."""
    torch = paper.needed_torch()
    from pose3d_ros.models.posenet import PoseNet
    from pose3d_ros.models.rootnet import RootNet

    torch.manual_seed(1)
    network = RootNet('resnet18') if name == 'rootnet' else PoseNet(joints, 'resnet18')
    for key, value in network.named_parameters():
        if 'deconv_layers' in key and value.ndim == 4:
            value.data.normal_(0, 0.03)
        if key.endswith(('xy_layer.weight', 'final_layer.weight')):
            value.data.normal_(0, 1)
        if key.endswith('depth_layer.bias'):
            value.data.fill_(0.8)
    where = folder / f'{name}_{joints}'
    where.mkdir()
    content = {'epoch': 3, 'network': network.state_dict(), 'optimizer': {}}
    torch.save(content, where / 'snapshot_3.pth.tar')
    return where


def command(out: Path, what: str, *arguments: object, data: str = 'human36m') -> int:
    line = ['evaluate', what, '--data', data, '--root', '/data', '--out', str(out)]
    return main([*line, *map(str, arguments)])


def table(folder: Path, name: str) -> Evaluation:
    return Evaluation.from_json((folder / f'{name}.json').read_text())


@pytest.fixture(scope='module')
def evaluated(folder: Path, h36m: Annotations, mupots: Annotations) -> tuple[Path, list[Any]]:
    """Return what both networks and their trivial predictors left, and what was read for it."""
    out = folder / 'evaluated'
    weights = ['--weights', snapshot(folder, 'posenet')]
    weights += ['--rootnet-weights', snapshot(folder, 'rootnet'), '--baseline-split', 'train']
    with pytest.MonkeyPatch.context() as patch:
        asked = let_read(h36m, mupots, patch)
        assert command(out, 'posenet', *weights) == 0
    return out, asked


ByStages = Callable[[Path | None, Path, bool], tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope='module')
def by_stages(h36m: Annotations) -> ByStages:
    """Return what gives roots and joints, each once, of a rootnet, a posenet and a flip test."""
    return cache(lambda rootnet, posenet, flip: found_by_stages(h36m, rootnet, posenet, flip))


def found_by_stages(
    people: Annotations, rootnet: Path | None, posenet: Path, flip_test: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return roots and joints as the stages of the nodes find them, image by image."""
    roots, joints = people.roots.copy(), []
    pose = stages.POSENETS['3dmppe'](None, F32, stages.OwnWeights(posenet, None, flip_test))
    if rootnet is not None:
        root = stages.ROOTNETS['3dmppe'](None, F32, stages.OwnWeights(rootnet))
    for i in range(len(people)):
        image = cv2.imread(str(people.images[people.image_indices[i]]))
        fx, fy = people.focal_px[i]
        cx, cy = people.centre_px[i]
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        camera = Camera(K, made_up.WIDTH, made_up.HEIGHT)
        person = Persons(people.boxes[[i]], np.ones(1))
        if rootnet is not None:
            person = root(image, person, camera, BodySize())
            roots[i] = person.roots[0]
        else:
            person = person.with_roots(roots[[i]], np.zeros(1), person.keypoints)
        joints.append(pose(image, person, camera).joints[0])
    return roots, np.array(joints)


def test_rootnet_finds_what_the_stage_finds(
    folder: Path,
    h36m: Annotations,
    data: list[Any],
    by_stages: ByStages,
    capsys: pytest.CaptureFixture,
) -> None:
    out, weights = folder / 'roots', snapshot(folder, 'rootnet')
    assert command(out, 'rootnet', '--weights', weights, '--batch', 2) == 0
    assert data == [('human36m', Path('/data'), 'test', {'protocol': 2})]
    roots, _ = by_stages(weights, snapshot(folder, 'posenet'), True)
    records = json.loads((out / 'bbox_root_human36m_output.json').read_text())
    assert [record['image_id'] for record in records] == h36m.image_ids.tolist()
    np.testing.assert_allclose([r['root_cam'] for r in records], 1000 * roots, rtol=1e-3)
    found = table(out, 'roots')
    wanted = mrpe(h36m, Subjects.annotated(h36m).with_roots(roots, ''), '').runs[0].total
    assert found.runs[0].total == pytest.approx(wanted, rel=1e-3)
    assert found.runs[0].name == 'RootNet rootnet_18/snapshot_3.pth.tar'
    assert found.groups == ACTIONS and (out / 'roots.png').stat().st_size > 1000
    assert found.markdown() == (out / 'roots.md').read_text()
    assert 'human36m test: distance of the root' in capsys.readouterr().out


def test_three_sources_of_roots_are_three_different_runs(
    folder: Path,
    h36m: Annotations,
    data: list[Any],
    evaluated: tuple[Path, list[Any]],
    by_stages: ByStages,
) -> None:
    rootnet, posenet = snapshot(folder, 'rootnet'), snapshot(folder, 'posenet')
    given, found, file = folder / 'poses_given', evaluated[0], folder / 'poses_file'
    assert command(given, 'posenet', '--weights', posenet) == 0
    saved = found / 'bbox_root_human36m_output.json'
    assert command(file, 'posenet', '--weights', posenet, '--roots', saved) == 0
    runs = [table(where, 'poses').runs[0] for where in (given, found, file)]
    assert [(run.boxes, run.roots) for run in runs] == [
        ('ground truth', 'ground truth'),
        ('ground truth', 'RootNet rootnet_18/snapshot_3.pth.tar'),
        (saved.name, saved.name),
    ]
    # other roots, other poses; the same roots by way of a file, the same poses
    assert abs(runs[0].total[2] - runs[1].total[2]) > 1
    assert runs[1].total == pytest.approx(runs[2].total, rel=1e-6)
    assert {path.name for path in given.glob('*.json')} == {
        'poses.json', 'bbox_root_pose_human36m_output.json',
    }  # fmt: skip
    assert table(found, 'roots').runs[0].total == table(file, 'roots').runs[0].total
    for where, source in ((given, None), (found, rootnet)):
        _, joints = by_stages(source, posenet, True)
        exact = running.FoundPoses(Subjects.annotated(h36m), HUMAN36M, joints, h36m.pixels)
        wanted = human36m(h36m, exact, '', 2).runs[0].total
        assert table(where, 'poses').runs[0].total == pytest.approx(wanted, rel=1e-3)


def test_the_flip_test_is_on_unless_it_is_turned_off(
    folder: Path, h36m: Annotations, data: list[Any], by_stages: ByStages
) -> None:
    posenet, out = snapshot(folder, 'posenet'), folder / 'no_flip'
    assert command(out, 'posenet', '--weights', posenet, '--no-flip-test', '--protocol', 1) == 0
    run = table(out, 'poses').runs[0]
    assert run.name == 'PoseNet posenet_18/snapshot_3.pth.tar, no flip test'
    _, joints = by_stages(None, posenet, False)
    exact = running.FoundPoses(Subjects.annotated(h36m), HUMAN36M, joints, h36m.pixels)
    assert run.total == pytest.approx(human36m(h36m, exact, '', 1).runs[0].total, rel=1e-3)
    assert table(out, 'poses').metrics[0].name == 'PA MPJPE'
    saved = json.loads((out / 'bbox_root_pose_human36m_output.json').read_text())
    relative = 1000 * (joints - joints[:, :1])[:, :17]
    np.testing.assert_allclose([r['joint_cam'] for r in saved], relative, atol=0.5)


def test_saved_results_are_scored_alike(
    folder: Path, data: list[Any], evaluated: tuple[Path, list[Any]]
) -> None:
    out = evaluated[0]
    poses, roots = (
        out / 'bbox_root_pose_human36m_output.json',
        out / 'bbox_root_human36m_output.json',
    )
    assert command(folder / 'again', 'files', '--poses', poses) == 0
    again = table(folder / 'again', 'poses').runs[0]
    assert again.name == poses.name
    assert again.total[0] == pytest.approx(table(out, 'poses').runs[0].total[0], rel=1e-6)
    assert command(folder / 'again_roots', 'files', '--roots', roots) == 0
    assert table(folder / 'again_roots', 'roots').runs[0].total == pytest.approx(
        table(out, 'roots').runs[0].total, rel=1e-6
    )


def test_mupots_of_an_exported_rootnet_and_a_detector(
    folder: Path, mupots: Annotations, data: list[Any], paper_files: Any
) -> None:
    """Exported, as a detector would find people, with one person too many and one missed."""
    boxes = folder / 'bbox_mupots_output.json'
    rows = [3, 0, 1]
    records = [
        {'image_id': int(mupots.image_ids[mupots.image_indices[i]]), 'score': 0.5 + i / 10,
         'bbox': (mupots.boxes[i] + np.array([2, 1, -3, 0])).tolist()} for i in rows
    ]  # fmt: skip
    records += [{**records[0], 'bbox': [0, 0, 30, 40], 'score': 0.1}]
    records += [{**records[0], 'image_id': 99}]  # of another frame
    boxes.write_text(json.dumps(records))
    out = folder / 'mupots'
    weights = ['--weights', snapshot(folder, 'posenet', 21), '--boxes', boxes]
    weights += ['--rootnet-weights', paper_files.exported['rootnet']]
    assert command(out, 'posenet', *weights, data='mupots') == 0
    roots = json.loads((out / 'bbox_root_mupots_output.json').read_text())
    assert [r['score'] for r in roots] == [0.8, 0.5, 0.6, 0.1]
    assert table(out, 'roots').metrics[0].name == 'AP_root@250mm'
    poses = table(out, 'poses')
    assert poses.runs[0].boxes == boxes.name and poses.runs[0].roots.startswith('RootNet ')
    assert poses.runs[0].roots.endswith('/rootnet.onnx')
    assert table(out, 'joints').groups[0] == 'Head'
    # the .mat files, scored for themselves, give the same
    assert command(folder / 'mat', 'files', '--poses', out, data='mupots') == 0
    assert table(folder / 'mat', 'poses').runs[0].total == pytest.approx(poses.runs[0].total)


def test_trivial_predictors_stand_in_the_same_tables(evaluated: tuple[Path, list[Any]]) -> None:
    out, asked = evaluated
    assert [split for _, _, split, _ in asked] == ['test', 'train']
    for name, beginning in (('roots', '0.'), ('poses', 'mean pose of human36m train')):
        network, trivial = table(out, name).runs
        assert trivial.name.startswith(beginning) and 'human36m train' in trivial.name
        assert network.boxes == trivial.boxes
        assert trivial.name in (out / f'{name}.md').read_text()
    assert table(out, 'poses').runs[0].roots == table(out, 'poses').runs[1].roots


@pytest.mark.parametrize('name', ['human36m', 'pw3d', 'mupots'])
def test_the_readers_of_the_data_sets_and_the_files_fit(tmp_path: Path, name: str) -> None:
    """The truth, 50 mm farther away, by way of RootNet's file in the original's format."""
    root = tmp_path / 'data'
    if name == 'human36m':
        datasets3d.Human36M(root, (9, 11), frames=65).write()
    else:
        datasets3d.together(root, name)
    people = datasets.load(name, root, 'test')
    truth = Subjects.annotated(people)
    moved = truth.roots + np.array([0, 0, 0.05])
    write_roots(tmp_path, name, people, truth.with_roots(moved, 'x')[::-1])
    file, out = tmp_path / FILES[name][0], tmp_path / 'out'
    line = ['--data', name, '--root', str(root), '--out', str(out), '--roots', str(file)]
    assert main(['evaluate', 'files', *line]) == 0
    found = table(out, 'roots')
    if name == 'mupots':
        # 3 people, of whom the sum of AP leaves out the first
        assert found.runs[0].total == pytest.approx((200 / 3,) * 4)
        assert found.people[-1] == 3
    else:
        assert found.runs[0].total == pytest.approx((50, 0, 0, 50), abs=1e-3)
    if name == 'human36m':
        assert found.people == (8, 0, 0, 0, 0, 0, 0, 8, *(0,) * 7, 16)


class Oracle:
    """A network that gives what it was told, crop after crop, whatever it sees.

    :param cells: (n, ...) for everybody, in the order of images.
    """

    def __init__(self, cells: np.ndarray) -> None:
        self._cells, self.batches = cells, []

    def __call__(self, crops: np.ndarray) -> list[np.ndarray]:
        first = sum(self.batches)
        self.batches.append(len(crops))
        return [self._cells[first : first + len(crops)]]


def true_cells(pixels: np.ndarray, subjects: Subjects) -> np.ndarray:
    squares = subjects.squares.reshape(len(subjects), *(1,) * (pixels.ndim - 2), 4)
    return (pixels - squares[..., :2]) / squares[..., 2:] * 64


@pytest.mark.parametrize('batch', [1, 3, 100])
def test_networks_that_know_the_truth_score_0(mupots: Annotations, batch: int) -> None:
    subjects = Subjects.annotated(mupots)
    k = k_values_of(subjects.squares, subjects.focal_px) / 1000
    root = mupots.pixels[:, MUPOTS.root[0]]
    cells = np.column_stack([true_cells(root, subjects), mupots.roots[:, 2] / k])
    network: Any = Oracle(cells)
    found = running.find_roots(mupots, subjects, network, 'oracle', batch)
    assert network.batches == {1: [1] * 4, 3: [3, 1], 100: [4]}[batch]
    assert mrpe(mupots, found, 'x').runs[0].total == pytest.approx((0,) * 4, abs=1e-6)

    around = mupots.joints[..., 2] - mupots.roots[:, None, 2]
    cells = np.concatenate(
        [true_cells(mupots.pixels, subjects), ((around + 1) / 2 * 64)[..., None]], axis=2
    )
    network = Oracle(cells)
    poses = running.find_poses(mupots, found, network, MUPOTS, False, batch)
    np.testing.assert_allclose(poses.joints, mupots.joints, atol=1e-9)
    np.testing.assert_allclose(poses.pixels, mupots.pixels)
    assert mupots_poses(mupots, poses, 'x').runs[0].total[0] == pytest.approx(100)


def test_a_root_behind_the_camera_stays_there(h36m: Annotations) -> None:
    cells = np.tile([32.0, 32, -0.1], (len(h36m), 1))
    network: Any = Oracle(cells)
    found = running.find_roots(h36m, Subjects.annotated(h36m), network, 'x')
    assert (found.roots[:, 2] < 0).all() and np.isfinite(found.roots).all()


def test_poses_need_roots_and_images(h36m: Annotations, tmp_path: Path) -> None:
    unknown = Subjects.annotated(h36m).with_roots(np.full((len(h36m), 3), np.nan), '')
    network: Any = Oracle(np.zeros((len(h36m), 18, 3)))
    with pytest.raises(DataError, match='there are people without a root'):
        running.find_poses(h36m, unknown, network, HUMAN36M)
    broken, small = tmp_path / 'broken.png', tmp_path / 'small.png'
    broken.write_bytes(b'\x89PNG no more')
    cv2.imwrite(str(small), np.zeros((48, 64, 3), np.uint8))
    for path, reason in (
        (broken, 'is damaged, or no image that OpenCV can read'),
        (tmp_path / 'no.png', 'does not exist'),
        (small, 'is 64 x 48 pixels, but annotated as '),
    ):
        other = replace(h36m, images=(*h36m.images[:2], path, *h36m.images[3:]))
        with pytest.raises(DataError, match=f'{path.name} {reason}.*would be of another data set'):
            running.find_poses(other, Subjects.annotated(h36m), network, HUMAN36M, False)


def said(capsys: pytest.CaptureFixture, *arguments: Any, **options: Any) -> str:
    """Return what the command says when it refuses."""
    assert command(*arguments, **options) == 2
    return capsys.readouterr().err


def test_what_cannot_be_is_refused_at_once(
    folder: Path, h36m: Annotations, data: list[Any], capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    out, posenet, rootnet = (
        tmp_path / 'out',
        snapshot(folder, 'posenet'),
        snapshot(folder, 'rootnet'),
    )
    assert 'boxes have no roots' in said(
        capsys, out, 'posenet', '--weights', posenet, '--boxes', 'x'
    )
    assert 'come from --roots, or from' in said(
        capsys, out, 'posenet', '--weights', posenet, '--roots', 'x', '--boxes', 'y'
    )
    assert 'either --roots or --poses' in said(capsys, out, 'files')
    assert 'at least 1 crop' in said(capsys, out, 'rootnet', '--weights', rootnet, '--batch', 0)
    assert not out.exists() and not data
    assert 'nobody is annotated' in said(
        capsys, out, 'rootnet', '--weights', rootnet, '--split', 'empty'
    )
    # before there is any network
    assert '--baseline-split empty: made up test: nobody is annotated' in said(
        capsys, out, 'rootnet', '--weights', tmp_path / 'none', '--baseline-split', 'empty'
    )
    assert 'holds PoseNet; a snapshot of RootNet' in said(
        capsys, out, 'rootnet', '--weights', posenet
    )
    assert 'no snapshot of epoch 7; it has 3' in said(
        capsys, out, 'rootnet', '--weights', rootnet, '--epoch', 7
    )
    assert "joint set 'muco', without Torso" in said(
        capsys, out, 'posenet', '--weights', snapshot(folder, 'posenet', 21)
    )
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(json.dumps([{'image_id': 1000, 'bbox': h36m.boxes[0].tolist()}]))
    assert '2 of 3 people have no result' in said(
        capsys, out, 'rootnet', '--weights', rootnet, '--boxes', boxes
    )
    boxes.write_text(json.dumps([{'image_id': 1000, 'bbox': [1, 2, 3]}]))
    assert "'bbox' is not 4 number" in said(
        capsys, out, 'rootnet', '--weights', rootnet, '--boxes', boxes
    )
    (out / 'roots.md').touch()
    assert 'has tables already' in said(capsys, out, 'rootnet', '--weights', rootnet)
    boxes.write_text('[{"image_id": 3')
    assert 'is not complete JSON' in said(capsys, tmp_path / 'b', 'files', '--roots', boxes)
