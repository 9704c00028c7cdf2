# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""MuCo-3DHP, MPII, MS COCO, MuPoTS-3D and 3DPW; and where data sets lie."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets3d import (
    CENTRE,
    FOCAL,
    HEIGHT,
    TOGETHER,
    WIDTH,
    Human36M,
    Together,
    box_of,
    pixels_of,
    together,
)

from pose3d_ros.data import datasets, muco
from pose3d_ros.data.annotations import DataError
from pose3d_ros.evaluation.protocols import mupots_roots
from pose3d_ros.evaluation.subjects import Subjects
from pose3d_ros.skeletons import MPII, MSCOCO, MUCO, MUPOTS, PW3D, SKELETONS

SKELETON = {'muco': MUCO, 'mpii': MPII, 'coco': MSCOCO, 'mupots': MUPOTS, 'pw3d': PW3D}
SPLIT = {'muco': 'train', 'mpii': 'train', 'coco': 'train', 'mupots': 'test', 'pw3d': 'test'}
TITLE = {'muco': 'MuCo-3DHP', 'mpii': 'MPII', 'coco': 'MS COCO', 'mupots': 'MuPoTS-3D',
         'pw3d': '3DPW'}  # fmt: skip
every_set = pytest.mark.parametrize('name', list(TOGETHER))
without_muco = pytest.mark.parametrize('name', [name for name in TOGETHER if name != 'muco'])


def test_every_data_set_is_tested() -> None:
    assert set(datasets.DATASETS) == {'human36m', *TOGETHER}


@every_set
def test_people_are_where_the_file_has_them(tmp_path: Path, name: str) -> None:
    made = together(tmp_path, name)
    found = datasets.load(name, tmp_path, SPLIT[name])
    assert found.name == f'{TITLE[name]} {SPLIT[name]}' and found.skeleton == SKELETON[name]
    # MuCo's second person is too near to the first
    chosen = [0, 2] if name == 'muco' else [0, 1, 2]
    assert found.image_indices.tolist() == [0, 1] if name == 'muco' else [0, 0, 1]
    assert found.person_ids.tolist() == [700 + person for person in chosen]
    assert found.image_ids.tolist() == [40, 41] and all(path.is_file() for path in found.images)
    np.testing.assert_array_equal(found.image_sizes, [[WIDTH, HEIGHT]] * 2)
    count = made.joints.shape[1]
    pixels = pixels_of(made.joints[chosen])
    np.testing.assert_allclose(found.boxes, [box_of(joints) for joints in pixels])
    seen = found.visible[:, :count]
    assert seen.sum() > seen.size * 0.8
    np.testing.assert_allclose(found.pixels[:, :count][seen], pixels[seen], atol=1e-3)
    if name in ('mpii', 'coco'):
        # the first joint is not annotated
        assert not seen[:, 0].any() and np.isnan(found.pixels[:, 0]).all()
        assert not found.have_depth.any() and np.isnan(found.joints).all()
        np.testing.assert_array_equal(found.focal_px, np.full((3, 2), 1500))
        np.testing.assert_array_equal(found.centre_px, [[WIDTH / 2, HEIGHT / 2]] * 3)
    else:
        np.testing.assert_allclose(found.joints, made.joints[chosen] / 1000, atol=1e-6)
        np.testing.assert_array_equal(found.focal_px, [FOCAL] * len(chosen))
        np.testing.assert_array_equal(found.centre_px, [CENTRE] * len(chosen))


def test_sequences_are_groups(tmp_path: Path) -> None:
    together(tmp_path / 'a', 'mupots')
    assert datasets.load('mupots', tmp_path / 'a', 'test').groups == ('TS1', 'TS1', 'TS2')
    together(tmp_path / 'b', 'pw3d')
    sequences = ('downtown_1', 'downtown_1', 'downtown_2')
    assert datasets.load('pw3d', tmp_path / 'b', 'test').groups == sequences
    # where the original's documentation has the images
    (tmp_path / 'b' / 'data' / 'imageFiles').rename(tmp_path / 'b' / 'imageFiles')
    assert datasets.load('pw3d', tmp_path / 'b', 'test').groups == sequences


def test_joints_of_3dpw_count_in_the_image_alone(tmp_path: Path) -> None:
    made = together(tmp_path, 'pw3d')
    joints = made.joints[0].copy()
    joints[[0, 4], 0] += 9000  # right of the image
    joints[5, 2] = -100  # behind the camera
    made.content['annotations'][0]['joint_cam'] = (joints / 1000).tolist()
    made.save()
    visible = datasets.load('pw3d', tmp_path, 'test').visible[0]
    expected = np.ones(24, bool)
    expected[[0, 4, 5]] = False
    np.testing.assert_array_equal(visible, expected & visible)
    assert not visible[[0, 4, 5]].any() and visible.sum() > 15


def test_middles_of_coco_need_both_sides(tmp_path: Path) -> None:
    made = together(tmp_path, 'coco')
    keypoints = np.array(made.content['annotations'][1]['keypoints']).reshape(17, 3)
    left_hip = MSCOCO.index('L_Hip')
    keypoints[left_hip] = 0
    made.content['annotations'][1]['keypoints'] = keypoints.reshape(-1).tolist()
    made.save()
    found = datasets.load('coco', tmp_path, 'train')
    thorax, pelvis = MSCOCO.indices('Thorax', 'Pelvis')
    assert found.visible[:, thorax].all() and found.visible[:, pelvis].tolist() == [1, 0, 1]
    shoulders = pixels_of(made.joints)[:, MSCOCO.indices('L_Shoulder', 'R_Shoulder')]
    np.testing.assert_allclose(found.pixels[:, thorax], shoulders.mean(axis=1), atol=1e-3)
    hips = pixels_of(made.joints)[0, MSCOCO.indices('L_Hip', 'R_Hip')]
    np.testing.assert_allclose(found.pixels[0, pelvis], hips.mean(axis=0), atol=1e-3)
    assert np.isnan(found.pixels[1, pelvis]).all()


@pytest.mark.parametrize(
    ('name', 'change'),
    [
        ('coco', {'iscrowd': 1}),
        ('coco', {'num_keypoints': 0}),
        ('mpii', {'num_keypoints': 0}),
        ('mupots', {'is_valid': 0}),
    ],
)
def test_people_whom_the_original_skips(tmp_path: Path, name: str, change: dict[str, int]) -> None:
    made = together(tmp_path, name)
    made.content['annotations'][2].update(change)
    made.save()
    found = datasets.load(name, tmp_path, SPLIT[name])
    assert found.person_ids.tolist() == [700, 701]
    assert len(found.images) == 1  # nobody is left in the other


def test_coco_for_testing_is_val2017(tmp_path: Path) -> None:
    made = together(tmp_path, 'coco')
    path = tmp_path / made.file
    path.rename(path.with_name('person_keypoints_val2017.json'))
    (tmp_path / 'images' / 'train2017').rename(tmp_path / 'images' / 'val2017')
    found = datasets.load('coco', tmp_path, 'test')
    assert len(found) == 3 and found.images[0] == tmp_path / 'images' / 'val2017' / '1.jpg'


def chosen_as_published(roots: np.ndarray, images: np.ndarray) -> set[int]:
    """Return who is trained with, by 3DMPPE's rule, person by person."""
    chosen = set()
    for image in set(images.tolist()):
        here = np.flatnonzero(images == image).tolist()
        chosen.add(min(here, key=lambda i: roots[i, 2]))
        for i in here:
            others = [roots[i] - roots[j] for j in here if j != i]
            if all(np.hypot(*d[:2]) >= 0.5 and float(np.linalg.norm(d)) >= 0.5 for d in others):
                chosen.add(i)
    return chosen


def test_people_of_muco_are_chosen_as_published() -> None:
    rng = np.random.default_rng(4)
    roots, images = rng.uniform(-0.8, 0.8, (400, 3)), rng.integers(0, 130, 400)
    chosen = muco.uncrowded(roots, images)
    assert set(np.flatnonzero(chosen).tolist()) == chosen_as_published(roots, images)
    assert 130 * 0.9 < chosen.sum() < 350
    # two at the same depth: the first
    assert muco.uncrowded(np.zeros((2, 3)), np.zeros(2, int)).tolist() == [True, False]
    assert muco.uncrowded(np.zeros((0, 3)), np.zeros(0, int)).tolist() == []


def test_rootnet_is_trained_with_a_range_of_depths(tmp_path: Path) -> None:
    made = together(tmp_path, 'muco')
    made.joints[2] *= 10
    made.content['annotations'][2]['keypoints_cam'] = made.joints[2].tolist()
    made.content['annotations'][0]['keypoints_vis'][MUCO.root[0]] = False
    made.save()
    assert len(datasets.load('muco', tmp_path, 'train')) == 2
    found = datasets.load('muco', tmp_path, 'train', depths_m=muco.ROOTNET_DEPTHS_M)
    assert found.person_ids.tolist() == [700]
    # a hidden root does not count, other hidden joints do
    assert np.flatnonzero(~found.visible[0]).tolist() == [MUCO.root[0]]


@without_muco
@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda made: made.content['annotations'][1].pop('bbox'), "701: there is no 'bbox'"),
        (lambda made: made.content['annotations'][1].pop('id'), "annotation ?: there is no 'id'"),
        (lambda made: made.content['images'][0].pop('width'), "image 40: there is no 'width'"),
        (lambda made: made.content['images'][0].pop('file_name'), "there is no 'file_name'"),
        (lambda made: made.content['annotations'].clear(), 'none of 0 annotations'),
        (lambda made: made.content['images'].clear(), 'annotation 700: there is no image 40'),
        (lambda made: made.content.pop('images'), "has no list 'images'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    tmp_path: Path, name: str, spoil: Callable[[Together], Any], message: str
) -> None:
    made = together(tmp_path, name)
    spoil(made)
    made.save()
    with pytest.raises(DataError) as caught:
        datasets.load(name, tmp_path, SPLIT[name])
    text = str(caught.value)
    assert text.startswith(f'{TITLE[name]} {SPLIT[name]}: ')
    assert message in text and str(tmp_path / made.file) in text


@pytest.mark.parametrize(
    ('name', 'field'),
    [
        ('muco', 'keypoints_cam'), ('muco', 'keypoints_img'), ('muco', 'keypoints_vis'),
        ('mpii', 'keypoints'), ('mpii', 'num_keypoints'), ('coco', 'keypoints'),
        ('coco', 'iscrowd'), ('mupots', 'keypoints_cam'), ('mupots', 'keypoints_img'),
        ('mupots', 'is_valid'), ('pw3d', 'joint_cam'),
    ],
)  # fmt: skip
def test_joints_that_are_missing_nan_or_of_another_number(
    tmp_path: Path, name: str, field: str
) -> None:
    made = together(tmp_path, name)
    person = made.content['annotations'][2]
    good = np.array(person[field], float)
    with_nan = good.copy().reshape(-1)
    with_nan[-1] = np.nan
    for bad, message in (
        (with_nan.reshape(good.shape).tolist(), f"'{field}' holds NaN or infinity"),
        ([*np.atleast_1d(good).tolist(), 1.0], f"'{field}' is not"),
        ({'x': 1}, f"'{field}' is not"),
        (None, f"'{field}'"),
    ):
        person[field] = bad
        made.save()
        with pytest.raises(DataError, match=rf'{made.file}: annotation 702: {message}'):
            datasets.load(name, tmp_path, SPLIT[name])
    del person[field]
    made.save()
    with pytest.raises(DataError, match=f"annotation 702: there is no '{field}'"):
        datasets.load(name, tmp_path, SPLIT[name])


@pytest.mark.parametrize(
    ('name', 'camera', 'message'),
    [
        ('muco', {'f': [1500]}, "image 40: 'f' is not 2 number"),
        ('muco', {'c': None}, "image 40: 'c' "),
        ('mupots', {'intrinsic': [1, 2, 3]}, "image 40: 'intrinsic' is not 4 number"),
        ('pw3d', {'cam_param': {'focal': FOCAL}}, "cam_param of image 40: there is no 'princpt'"),
        ('pw3d', {'cam_param': [1, 2]}, "image 40: there is no 'cam_param', or it is no object"),
        ('pw3d', {'sequence': 3}, "image 40: 'sequence' is no text"),
    ],
)
def test_cameras_that_are_wrong(
    tmp_path: Path, name: str, camera: dict[str, object], message: str
) -> None:
    made = together(tmp_path, name)
    made.content['images'][0].update(camera)
    made.save()
    with pytest.raises(DataError, match=message):
        datasets.load(name, tmp_path, SPLIT[name])


@without_muco
def test_people_whose_boxes_are_out_of_the_image_are_read_and_counted(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = together(tmp_path, name)
    for person, box in zip(
        made.content['annotations'], ([-50, 0, 40, 90], [9, HEIGHT, 5, 5]), strict=False
    ):
        person['bbox'] = box
    made.save()
    with caplog.at_level(logging.WARNING):
        found = datasets.load(name, tmp_path, SPLIT[name])
    assert found.person_ids.tolist() == [700, 701, 702]
    assert Subjects.annotated(found).rows.tolist() == [2]
    assert '2 of 3 people have no usable box' in caplog.text
    assert TITLE[name] in caplog.text and 'annotation 700 with box [-50.0' in caplog.text
    made.content['annotations'].pop()
    made.save()
    with pytest.raises(DataError, match=r'none of 2 annotations .* has a usable box'):
        datasets.load(name, tmp_path, SPLIT[name])


def test_who_stands_out_of_the_image_is_to_be_found_in_mupots_all_the_same(tmp_path: Path) -> None:
    """The denominators of recall and of 3DPCK are of all valid people."""
    made = together(tmp_path, 'mupots')
    made.content['annotations'][0]['bbox'] = [-50, 0, 40, 90]
    made.save()
    truth = datasets.load('mupots', tmp_path, 'test')
    roots = mupots_roots(truth, Subjects.annotated(truth), 'x')
    assert roots.people[-1] == 3
    assert roots.runs[0].total == pytest.approx((100 / 3,) * 4)  # the first of two is not counted


@every_set
def test_missing_files_and_images_are_named(tmp_path: Path, name: str) -> None:
    made = together(tmp_path, name)
    for wrong in ('validate', 'val2017'):
        with pytest.raises(DataError, match=f"{TITLE[name]}: there is no split '{wrong}'; there"):
            datasets.load(name, tmp_path, wrong)
    lost = datasets.load(name, tmp_path, SPLIT[name]).images[0]
    lost.unlink()
    with pytest.raises(DataError, match=f'{TITLE[name]} .* the first lacks .*{lost.name}'):
        datasets.load(name, tmp_path, SPLIT[name])
    path = tmp_path / made.file
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match='is not complete JSON'):
        datasets.load(name, tmp_path, SPLIT[name])
    path.unlink()
    with pytest.raises(DataError, match=f'{TITLE[name]} {SPLIT[name]}: there is no .*{path.name}'):
        datasets.load(name, tmp_path, SPLIT[name])
    path.mkdir()
    with pytest.raises(DataError, match=rf'cannot read .*{path.name}: Is a directory'):
        datasets.load(name, tmp_path, SPLIT[name])


def test_folders_may_lie_apart(tmp_path: Path) -> None:
    Human36M(tmp_path / 'made', (9, 11), videos=True).write()
    (tmp_path / 'made' / 'annotations').rename(tmp_path / 'elsewhere')
    (tmp_path / 'made' / 'videos').rename(tmp_path / 'films')
    (tmp_path / 'lists').mkdir()
    file = tmp_path / 'lists' / 'datasets.yaml'
    file.write_text(
        'human36m: {root: ../made, annotations: ../elsewhere, images: ../films}\n'
        'mpii: {root: ~/MPII}\n'
        f'coco: {{root: {tmp_path}/COCO}}\n'
    )
    folders = datasets.folders_from_yaml(file)
    assert folders['mpii'] == {'root': Path.home() / 'MPII'}
    assert folders['coco'] == {'root': tmp_path / 'COCO'}
    assert len(datasets.load('human36m', split='test', **folders['human36m'])) == 8
    wrong = {**folders['human36m'], 'images': tmp_path / 'nowhere'}
    with pytest.raises(DataError, match=r"no folder .*nowhere; correct 'root' or 'images' of hum"):
        datasets.load('human36m', split='test', **wrong)
    with pytest.raises(DataError, match=r"no data set 'h36m'; there are human36m, muco"):
        datasets.load('h36m', tmp_path, 'train')


def test_the_example_of_folders_is_valid() -> None:
    example = Path(__file__).parent.parent / 'config' / 'datasets.yaml'
    assert list(datasets.folders_from_yaml(example)) == list(datasets.DATASETS)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'names no data set'),
        ('- human36m', 'names no data set'),
        ('human36m: {', 'is not YAML'),
        ('h36m: {root: a}', "no data set 'h36m'; there are human36m"),
        ('mpii: a', "mpii needs a 'root'"),
        ('mpii: {images: a}', "mpii needs a 'root'"),
        ('mpii: {root: 3}', "mpii: 'root' is not a path"),
        ('mpii: {root: a, image: b}', "mpii: 'image' is none of root, annotations, images"),
    ],
)
def test_a_wrong_list_of_folders_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / 'datasets.yaml'
    path.write_text(text)
    with pytest.raises(DataError, match=rf'datasets\.yaml.*{message}'):
        datasets.folders_from_yaml(path)
    with pytest.raises(DataError, match=r'cannot read .*none\.yaml: No such file'):
        datasets.folders_from_yaml(tmp_path / 'none.yaml')


def test_3dpw_has_its_joint_set() -> None:
    assert SKELETONS['pw3d'] is PW3D and len(PW3D) == 24 and len(PW3D.edges) == 23
    for left, right in PW3D.flip_pairs:
        names = PW3D.joint_names[left], PW3D.joint_names[right]
        assert names[0].replace('L_', 'R_') == names[1] != names[0]
    assert sum(name.startswith('L_') for name in PW3D.joint_names) == len(PW3D.flip_pairs)
