# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Human3.6M: both conventions of t, both image layouts, protocols, folders of one's own."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets3d import CENTRE, FOCAL, HEIGHT, WIDTH, Human36M, cameras, pixels_of, write_json

from pose3d_ros.data import datasets
from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.human36m_videos import video_name
from pose3d_ros.evaluation.protocols import mrpe
from pose3d_ros.evaluation.subjects import Subjects
from pose3d_ros.skeletons import HUMAN36M

TRAIN = (1, 5, 6, 7, 8)


def check_reprojection(people: Annotations) -> None:
    """Every joint that counts lies where its camera sees it, and the boxes are around them."""
    seen = people.joints[..., :2] / people.joints[..., 2:] * people.focal_px[:, None]
    seen = seen + people.centre_px[:, None]
    assert people.visible.mean() > 0.9
    np.testing.assert_allclose(people.pixels[people.visible], seen[people.visible], atol=1e-3)
    low, high = people.boxes[:, None, :2], people.boxes[:, None, :2] + people.boxes[:, None, 2:]
    assert ((seen >= low - 1e-3) & (seen <= high + 1e-3)).all()


@pytest.mark.parametrize('videos', [False, True])
@pytest.mark.parametrize('centres', [False, True])
def test_both_conventions_and_both_layouts(tmp_path: Path, centres: bool, videos: bool) -> None:
    made = Human36M(tmp_path, TRAIN, centres=centres, videos=videos).write()
    people = datasets.load('human36m', tmp_path, 'train')
    assert people.name == 'Human3.6M train' and people.skeleton == HUMAN36M
    # 5 subjects, 2 actions, frames 0 and 5 of 6, 2 cameras
    assert len(people) == len(people.images) == 5 * 2 * 2 * 2
    assert people.groups[:8] == ('Directions',) * 4 + ('Sitting',) * 4
    check_reprojection(people)
    rotation, place = cameras()[1]
    joints = (made.world[5, 9, 5] - place) @ rotation.T
    row = next(i for i, image in enumerate(people.image_ids) if image == 1000 * 5 + 23)
    np.testing.assert_allclose(people.joints[row, :17], joints / 1000, atol=1e-6)
    np.testing.assert_allclose(people.joints[row, 17], joints[[11, 14]].mean(axis=0) / 1000)
    np.testing.assert_allclose(people.pixels[row, :17], pixels_of(joints), atol=1e-3)
    np.testing.assert_array_equal(people.focal_px[row], FOCAL)
    np.testing.assert_array_equal(people.centre_px[row], CENTRE)
    np.testing.assert_array_equal(people.image_sizes[people.image_indices[row]], (WIDTH, HEIGHT))
    image = str(people.images[people.image_indices[row]].relative_to(tmp_path))
    assert image == (
        'videos/S5/outputVideos/Sitting 1.55011271.mp4/0006.jpg'
        if videos
        else 'images/s_05_act_09_subact_01_ca_02/s_05_act_09_subact_01_ca_02_000006.jpg'
    )


@pytest.mark.parametrize(
    ('protocol', 'split', 'subjects'),
    [
        (1, 'train', (1, 5, 6, 7, 8, 9)),
        (1, 'test', (11,)),
        (2, 'train', TRAIN),
        (2, 'test', (9, 11)),
    ],
)
def test_subjects_of_the_protocols(
    tmp_path: Path, protocol: int, split: str, subjects: tuple[int, ...]
) -> None:
    Human36M(tmp_path, (1, 5, 6, 7, 8, 9, 11), frames=1).write()
    people = datasets.load('human36m', tmp_path, split, protocol=protocol)
    assert set((people.image_ids // 1000).tolist()) == set(subjects)


def test_every_64th_frame_is_for_testing(tmp_path: Path) -> None:
    Human36M(tmp_path, (11,), frames=130).write()
    people = datasets.load('human36m', tmp_path, 'test', protocol=1)
    frames = {int(image.stem[-6:]) - 1 for image in people.images}
    assert frames == {0, 64, 128} and len(people) == 2 * 2 * 3


def first_number(subject: int, action: str, sub: int) -> str:
    """Return what follows the action in a film's name, by the course project's rules in order."""
    usual = (sub == 1 and action != 'SittingDown') or (sub == 2 and action == 'SittingDown')
    rules: dict[int, list[tuple[str, bool]]] = {
        1: [
            (' 2', (action in ('Eating', 'SittingDown') and sub == 1)
                or (action == 'Sitting' and sub == 2)),
            (' 1', sub == 1),
        ],
        5: [
            (' 3', action == 'Discussion' and sub == 2),
            (' 2', (action in ('Directions', 'Greeting', 'Photo', 'Waiting') and sub == 2)
                or action == 'Discussion'),
            (' 1', usual and (action, sub) != ('Photo', 1)),
        ],
        6: [
            (' 3', action == 'Waiting' and sub == 1),
            (' 2', (action in ('Eating', 'Sitting') and sub == 2)
                or (action == 'Posing' and sub == 1)),
            (' 1', (sub == 1 and action != 'Photo') or (sub == 2 and action == 'Photo')),
        ],
        7: [
            (' 2', (action in ('Waiting', 'Walking') and sub == 2)
                or (action == 'Phoning' and sub == 1)),
            (' 1', (sub == 1 and action not in ('Photo', 'SittingDown'))
                or (sub == 2 and action in ('Photo', 'SittingDown'))),
        ],
        8: [(' 2', action == 'WalkTogether' and sub == 2), (' 1', usual)],
        9: [(' 2', action == 'Discussion' and sub == 2), (' 1', usual)],
        11: [
            (' 3', action == 'Phoning' and sub == 1),
            (' 2', (action in ('Discussion', 'Phoning') and sub == 2)
                or (action in ('Greeting', 'Smoking') and sub == 1)),
            (' 1', usual),
        ],
    }  # fmt: skip
    return next((number for number, applies in rules[subject] if applies), '')


def test_names_of_films_follow_the_course_projects_rules() -> None:
    """Every subject, action and subaction, against the rules as they were written."""
    actions = [
        'Directions', 'Discussion', 'Eating', 'Greeting', 'Phoning', 'Posing', 'Purchases',
        'Sitting', 'SittingDown', 'Smoking', 'Photo', 'Waiting', 'Walking', 'WalkDog',
        'WalkTogether',
    ]  # fmt: skip
    for subject in (1, 5, 6, 7, 8, 9, 11):
        films = {video_name(subject, action, sub, 2, 41) for action in actions for sub in (1, 2)}
        assert films == {
            f'S{subject}/outputVideos/{action}{first_number(subject, action, sub)}.55011271.mp4/'
            '0042.jpg'
            for action in actions
            for sub in (1, 2)
        }
        assert len(films) == 30  # no two takes share a film
    assert video_name(5, 'Photo', 1, 1, 0) == 'S5/outputVideos/Photo.54138969.mp4/0001.jpg'
    with pytest.raises(DataError, match='no films of subject 2'):
        video_name(2, 'Photo', 1, 1, 0)


def test_a_folder_of_ones_own_names_its_splits_and_has_several_people(tmp_path: Path) -> None:
    """As `pose3d synth` writes it: any numbers, names and cameras."""
    made = Human36M(tmp_path, (1, 2, 30), frames=4).write()
    write_json(tmp_path / 'annotations' / 'splits.json', {
        'name': 'Made up',
        'splits': {'train': {'subjects': [1, 30], 'every': 2}, 'validation': {'subjects': [2]}},
    })  # fmt: skip
    # a second person in each image of subject 30, 0.3 m beside the first
    data, beside = made.data[30], np.array([300.0, 0, 0])
    second = []
    for image, first in zip(data['images'], data['annotations'], strict=True):
        rotation, place = cameras()[image['cam_idx'] - 1]
        world = made.world[30, image['action_idx'], image['frame_idx']] + beside
        pixels = pixels_of((world - place) @ rotation.T)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        box = [*low.tolist(), *(high - low).tolist()]
        second.append({**first, 'id': first['id'] + 500, 'bbox': box, 'person_idx': 1})
        first['person_idx'] = 0
    data['annotations'] += second
    made.save(30)
    path = made.path(30, 'joint_3d')
    joints = json.loads(path.read_text())
    for subactions in joints.values():
        for frames in subactions.values():
            frames.update({k: [v, (np.array(v) + beside).tolist()] for k, v in frames.items()})
    write_json(path, joints)

    people = datasets.load('human36m', tmp_path, 'train')
    assert people.name == 'Made up train'
    assert len(people.images) == 2 * (2 * 2 * 2) and len(people) == 3 * (2 * 2 * 2)
    check_reprojection(people)
    both = np.flatnonzero(people.image_indices == people.image_indices[-1])
    assert len(both) == 2
    apart = np.linalg.norm(people.joints[both[0]] - people.joints[both[1]], axis=1)
    np.testing.assert_allclose(apart, 0.3, atol=1e-6)
    assert len(datasets.load('human36m', tmp_path, 'validation')) == 2 * 4 * 2
    with pytest.raises(DataError, match=r"no split 'test'; there is train, validation"):
        datasets.load('human36m', tmp_path, 'test')


def test_joints_outside_of_the_image_count_except_the_root(tmp_path: Path) -> None:
    """RootNet's original masks a root out of view; PoseNet's masks no joint of Human3.6M."""
    made = Human36M(tmp_path, (11,), frames=1).write()
    made.data[11]['annotations'][1]['keypoints_vis'] = [False, False, *[True] * 15]
    made.save(11)
    visible = datasets.load('human36m', tmp_path, 'test', protocol=1).visible
    assert not visible[1, 0] and visible[1, 1:].all() and visible[[0, 2, 3]].all()


def test_a_joint_behind_the_camera_has_no_pixel(tmp_path: Path) -> None:
    made = Human36M(tmp_path, (11,), frames=1).write()
    rotation, place = cameras()[0]
    made.world[11, 2, 0][3] = place - rotation[2] * 500
    made.data[11]['annotations'][0]['keypoints_vis'][3] = False
    made.save(11)
    made.save(11, 'joint_3d')
    people = datasets.load('human36m', tmp_path, 'test', protocol=1)
    assert np.isnan(people.pixels[0, 3]).all() and not people.visible[0, 3]
    assert people.joints[0, 3, 2] == pytest.approx(-0.5)


def test_people_without_a_usable_box_are_not_scored_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Human36M(tmp_path, (11,), frames=1).write()
    boxes = ([700, 10, 50, 50], [-90, 10, 60, 50], [10, 10, 0, 50])
    for annotation, box in zip(made.data[11]['annotations'], boxes, strict=False):
        annotation['bbox'] = box
        annotation['keypoints_vis'] = [False] * 17
    made.save(11)
    with caplog.at_level(logging.WARNING):
        people = datasets.load('human36m', tmp_path, 'test', protocol=1)
    assert len(people) == len(people.images) == 4
    assert 'Human3.6M test, subject 11' in caplog.text
    assert '3 of 4 people have no usable box' in caplog.text
    assert 'Human36M_subject11_data.json' in caplog.text and 'annotation 11000' in caplog.text
    subjects = Subjects.annotated(people)
    scored = mrpe(people, subjects, 'x')
    assert subjects.rows.tolist() == [3] and scored.people[-1] == 1
    assert '3 people without a box that can be cut are left out.' in scored.notes
    # nor are they where a detector's boxes, or a file of results, have them
    seen = Subjects.detected(
        people, people.image_indices, np.tile([5.0, 5, 50, 50], (4, 1)), np.ones(4), 'x'
    )
    roots = seen.with_roots(people.roots[seen.image_indices], 'x')
    assert mrpe(people, roots, 'x').people[-1] == 1
    made.data[11]['annotations'].pop()
    made.save(11)
    with pytest.raises(DataError, match='do not project into the boxes'):
        datasets.load('human36m', tmp_path, 'test', protocol=1)


def lacks(kind: str, name: str) -> Callable[[Human36M], Any]:
    return lambda made: made.data[11][kind][2].pop(name)


def has(kind: str, name: str, value: object) -> Callable[[Human36M], Any]:
    return lambda made: made.data[11][kind][2].update({name: value})


SUBJECT = r'^Human3\.6M test, subject 11: '


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lacks('images', 'cam_idx'), r"data\.json: image 11002: there is no 'cam_idx'"),
        (lacks('images', 'action_name'), "image 11002: there is no 'action_name'"),
        (lacks('annotations', 'bbox'), "annotation 11002: there is no 'bbox'"),
        (has('annotations', 'bbox', [1, 2, 3]), "11002: 'bbox' is not 4 number"),
        (has('annotations', 'bbox', [1, 2, float('nan'), 4]), "11002: 'bbox' holds NaN"),
        (has('annotations', 'bbox', [1, 2, None, 4]), "11002: 'bbox' holds NaN"),
        (has('annotations', 'bbox', 'large'), "11002: 'bbox' is not 4 number"),
        (has('annotations', 'keypoints_vis', []), "11002: 'keypoints_vis' is not 17 number"),
        (has('annotations', 'image_id', 5), 'annotation 11002: there is no image 5'),
        (has('images', 'id', 11001), 'image 11001: its id is there twice'),
        (has('images', 'cam_idx', 7), r'camera\.json has no camera 7'),
        (has('images', 'action_idx', 3), r'joint_3d\.json has no joints of action 3, subaction 1'),
        (has('images', 'file_name', 4), "image 11002: 'file_name' is no text"),
        (lambda made: made.data[11].pop('annotations'), "has no list 'annotations'"),
        (lambda made: made.data[11].update(annotations=[]), 'the split is empty'),
        (lambda made: made.data[11].update(images=3), "has no list 'images'"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_data_file_is_named(
    tmp_path: Path, spoil: Callable[[Human36M], Any], message: str
) -> None:
    made = Human36M(tmp_path, (11,), frames=1).write()
    spoil(made)
    made.save(11)
    with pytest.raises(DataError, match=f'{SUBJECT}.*{message}'):
        datasets.load('human36m', tmp_path, 'test', protocol=1)


@pytest.mark.parametrize(
    ('what', 'change', 'message'),
    [
        ('joint_3d', lambda text: text.replace('[', '[NaN, ', 2), 'is not 17 x 3 number'),
        ('joint_3d', lambda text: text[: len(text) // 2], r'joint_3d\.json is not complete JSON'),
        ('joint_3d', lambda _: '{"2": {"1": {"first": []}}}', 'is not complete JSON'),
        ('joint_3d', lambda _: '[]', 'holds a list, not a dict'),
        (
            'camera',
            lambda text: text.replace('"f"', '"F"', 1),
            "camera of entry 1: there is no 'f'",
        ),
        (
            'camera',
            lambda text: text.replace('700.0', 'NaN', 1),
            "camera of entry 1: 'f' holds NaN",
        ),
        ('camera', lambda text: text.replace('"t": [', '"t": [9e6, ', 1), 'is not 3 number'),
        ('camera', lambda text: text.replace('700.0', '7e5'), 'do not project into the boxes'),
        ('camera', lambda _: '{"1": 3, "2": 4}', "there is no 'camera', or it is no object"),
    ],
)
def test_what_is_wrong_in_the_other_files_is_named(
    tmp_path: Path, what: str, change: Callable[[str], str], message: str
) -> None:
    made = Human36M(tmp_path, (11,), frames=1).write()
    path = made.path(11, what)
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=f'{SUBJECT}.*{message}'):
        datasets.load('human36m', tmp_path, 'test', protocol=1)


def test_nan_among_the_joints_is_named(tmp_path: Path) -> None:
    made = Human36M(tmp_path, (11,), frames=1).write()
    made.world[11, 9, 0][5, 1] = np.nan
    made.save(11, 'joint_3d')
    with pytest.raises(DataError, match=f'{SUBJECT}.*joints of annotation 11002: .* holds NaN'):
        datasets.load('human36m', tmp_path, 'test', protocol=1)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"human36m: there is no folder .*annotations; correct 'ro"):
        datasets.load('human36m', tmp_path, 'test')
    made = Human36M(tmp_path, (11,)).write()
    with pytest.raises(DataError, match=r'test, subject 9: there is no .*Human36M_subject9_data'):
        datasets.load('human36m', tmp_path, 'test')
    with pytest.raises(
        DataError, match=r"no split 'validation' of protocol 1; there are train and"
    ):
        datasets.load('human36m', tmp_path, 'validation', protocol=1)
    with pytest.raises(DataError, match="no split 'test' of protocol 3"):
        datasets.load('human36m', tmp_path, 'test', protocol=3)
    next((tmp_path / 'images' / 's_11_act_09_subact_01_ca_02').iterdir()).unlink()
    with pytest.raises(DataError, match=f'{SUBJECT}1 of 4 folders .*act_09.*ca_02'):
        datasets.load('human36m', tmp_path, 'test', protocol=1)
    made.path(11, 'camera').unlink()
    with pytest.raises(DataError, match=f'{SUBJECT}there is no .*subject11_camera'):
        datasets.load('human36m', tmp_path, 'test', protocol=1)


@pytest.mark.parametrize(
    ('splits', 'message'),
    [
        ({}, "no split 'train'; there is none"),
        ({'splits': {'train': {'subjects': 'all'}}}, "needs a list 'subjects'"),
        ({'splits': {'train': [1]}}, "needs a list 'subjects'"),
        ({'splits': {'train': {'subjects': []}}}, 'has no subjects'),
        ({'splits': {'train': {'subjects': [1], 'every': 0}}}, "'every' below 1"),
    ],
)
def test_a_wrong_splits_file_is_named(tmp_path: Path, splits: object, message: str) -> None:
    Human36M(tmp_path, (1,), frames=1).write()
    write_json(tmp_path / 'annotations' / 'splits.json', splits)
    with pytest.raises(DataError, match=rf'splits\.json.*{message}'):
        datasets.load('human36m', tmp_path, 'train')
