# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures: what is drawn where, in which colour, and what is left out."""

import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from bodies import body

from pose3d_ros.camera import Camera
from pose3d_ros.drawing import (
    distances,
    draw_overlay,
    draw_scene,
    person_colour,
    skeleton_lines,
    visible_pixels,
)
from pose3d_ros.levelling import levelling
from pose3d_ros.people import Persons, Poses, Tracks, TrackState
from pose3d_ros.skeletons import BLAZEPOSE, SKELETONS

CAMERA = Camera.from_field_of_view(1280, 720, 70)
GREY = np.full((720, 1280, 3), 90, np.uint8)


def standing(*roots: tuple[float, float, float], ids: tuple[str, ...] = ()) -> Poses:
    """Adults with their hips at roots, metres."""
    joints = np.array([body(BLAZEPOSE) + root for root in roots]).reshape(-1, 33, 3)
    n = len(roots)
    return Poses(
        BLAZEPOSE,
        joints,
        np.full((n, 33), 0.9),
        np.reshape(roots, (-1, 3)),
        np.full(n, 0.3),
        np.full(n, 0.8),
        ids or tuple(str(i + 1) for i in range(n)),
    )


def changed(picture: np.ndarray, region: tuple[slice, slice] = (slice(None),) * 2) -> int:
    """How many pixels of a region are not as in the grey image."""
    return int((picture[region] != GREY[region]).any(axis=2).sum())


def test_a_person_has_one_colour_and_neighbours_differ() -> None:
    colours = np.array([person_colour(str(i)) for i in range(1, 9)])
    assert ((colours >= 0) & (colours <= 1)).all()
    assert person_colour('7', 0) == person_colour('7', 3)
    assert person_colour('', 0) != person_colour('', 1)
    assert person_colour('anna') == person_colour('anna', 5) != person_colour('bert')
    apart = np.linalg.norm(colours[:, None] - colours, axis=2) + np.eye(8)
    assert apart.min() > 0.2


def test_every_colour_is_readable_on_black_and_on_white() -> None:
    """Relative luminance and contrast as WCAG define them; 2 is a line one still sees."""
    colours = np.array([person_colour(str(i)) for i in range(1, 60)])
    linear = np.where(colours > 0.04045, ((colours + 0.055) / 1.055) ** 2.4, colours / 12.92)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert ((luminance + 0.05) / 0.05).min() > 5
    assert (1.05 / (luminance + 0.05)).min() > 2


def test_the_skeleton_lies_where_the_camera_sees_it() -> None:
    poses = standing((0.5, 0.2, 4.0), ids=('3',))
    picture = draw_overlay(GREY, CAMERA, poses)
    colour = 255 * np.array(person_colour('3'))[::-1]
    middle = CAMERA.project(poses.joints[0, BLAZEPOSE.indices('left_hip', 'left_knee')].mean(0))
    x, y = middle.round().astype(int)
    assert np.abs(picture[y, x].astype(float) - colour).max() < 8
    assert (GREY == 90).all(), 'the given image was drawn upon'
    outside = cv2.boundingRect(CAMERA.project(poses.joints[0]).astype(np.float32))
    label_height = 60
    top, bottom = outside[1] - label_height, outside[1] + outside[3] + 8
    assert changed(picture, (slice(None, top), slice(None))) == 0
    assert changed(picture, (slice(bottom, None), slice(None))) == 0


@pytest.mark.parametrize('gone', ['behind', 'nan'])
def test_joints_that_cannot_be_seen_are_left_out(gone: str) -> None:
    poses = standing((0.0, 0.0, 3.0))
    joints = poses.joints.copy()
    arm = BLAZEPOSE.indices('left_elbow', 'left_wrist', 'left_pinky', 'left_index', 'left_thumb')
    joints[0, arm] = np.nan if gone == 'nan' else (0.5, 0.0, -1.0)
    picture = draw_overlay(GREY, CAMERA, replace(poses, joints=joints))
    assert 0 < changed(picture) < changed(draw_overlay(GREY, CAMERA, poses))


def test_a_person_behind_the_camera_or_without_a_root_leaves_no_trace() -> None:
    nowhere = replace(
        standing((0, 0, 3)), joints=np.full((1, 33, 3), np.nan), roots=np.full((1, 3), np.nan)
    )
    for poses in (standing((0, 0, -3)), nowhere, Poses.none(BLAZEPOSE)):
        assert changed(draw_overlay(GREY, CAMERA, poses)) == 0


def test_joints_very_near_the_image_plane_do_no_harm() -> None:
    poses = standing((0, 0, 3.0))
    joints = poses.joints.copy()
    joints[0, BLAZEPOSE.index('left_wrist')] = (1.0, 1.0, 1e-5)
    assert np.isnan(visible_pixels(CAMERA, joints)[0, BLAZEPOSE.index('left_wrist')]).all()
    assert changed(draw_overlay(GREY, CAMERA, replace(poses, joints=joints))) > 0


def test_a_lens_model_does_not_fold_what_is_outside_back_into_the_image() -> None:
    lens = Camera(CAMERA.K, 1280, 720, np.array([-0.35, 0.08, 0, 0, 0]))
    inside, outside = [0.3, 0.2, 1.0], [2.6, 0.2, 1.0]
    assert np.isfinite(visible_pixels(lens, np.array(inside))).all()
    assert np.isnan(visible_pixels(lens, np.array(outside))).all()


def test_uncertain_bones_are_faint() -> None:
    poses = standing((0, 0, 3.0))
    unsure = replace(poses, joint_scores=np.full((1, 33), 0.1))
    assert changed(draw_overlay(GREY, CAMERA, unsure)) < changed(draw_overlay(GREY, CAMERA, poses))


def test_lines_grow_with_the_image() -> None:
    poses = standing((0, 0, 3.0))
    small = draw_overlay(GREY, CAMERA, poses)
    grey = np.full((2160, 3840, 3), 90, np.uint8)
    large = draw_overlay(grey, CAMERA.scaled(3840, 2160), poses)
    shares = [(picture != 90).any(axis=2).mean() for picture in (small, large)]
    assert shares[1] == pytest.approx(shares[0], rel=0.25)


def test_three_people_in_full_hd_take_a_few_milliseconds() -> None:
    image, camera = np.full((1080, 1920, 3), 90, np.uint8), CAMERA.scaled(1920, 1080)
    poses = standing((-1, 0, 3), (0, 0, 4), (1, 0, 5))
    took_s = []
    for _ in range(9):
        start = time.process_time()
        draw_overlay(image, camera, poses)
        took_s.append(time.process_time() - start)
    assert np.median(took_s) < 10e-3  # 4 ms, and room for a slower machine


def test_boxes_and_labels_of_people_without_poses() -> None:
    persons = Persons(np.array([[200.0, 300, 80, 200]]), np.array([0.9]), ('4',))
    picture = draw_overlay(GREY, CAMERA, Poses.none(BLAZEPOSE), persons)
    colour = 255 * np.array(person_colour('4'))[::-1]
    assert np.abs(picture[400, 200].astype(float) - colour).max() < 2
    assert changed(picture, (slice(None, 299), slice(None))) > 50, 'no label above the box'


def test_persons_and_poses_of_others_are_refused() -> None:
    persons = Persons(np.zeros((2, 4)), np.zeros(2))
    with pytest.raises(ValueError, match='2 persons, but 1 poses'):
        draw_overlay(GREY, CAMERA, standing((0, 0, 3)), persons)


def test_who_coasts_is_faint_has_no_box_and_is_named_over_the_head() -> None:
    seen, hidden = standing((-0.8, 0, 4), ids=('1',)), standing((0.8, 0, 4), ids=('2',))
    state = replace(Tracks.untracked(1), states=np.array([TrackState.COASTING]))
    coasting = replace(hidden, joint_scores=0 * hidden.joint_scores, tracks=state)
    persons = Persons(np.array([[380.0, 200, 150, 400]]), np.ones(1), ('1',))
    picture = draw_overlay(GREY, CAMERA, seen + coasting, persons)
    alone = draw_overlay(GREY, CAMERA, seen, persons)
    left, right = (slice(None), slice(0, 640)), (slice(None), slice(640, None))
    assert np.array_equal(picture[left], alone[left])
    drawn = changed(picture, right)
    assert 0 < drawn < changed(draw_overlay(GREY, CAMERA, hidden))
    # the label is above the head
    rows = np.flatnonzero((picture[right] != GREY[right]).any(axis=(1, 2)))
    assert rows[0] < CAMERA.project(coasting.joints[0])[:, 1].min()
    assert changed(draw_overlay(GREY, CAMERA, coasting, Persons.none())) == drawn


def test_labels_do_not_hide_each_other() -> None:
    """Two people behind each other: as many plates as one person has, twice."""
    one = standing((0, 0, 3.0))
    two = standing((0, 0, 3.0), (0, 0, 3.0))
    plate = 255 * np.array(person_colour('1'))[::-1]

    def plate_pixels(picture: np.ndarray) -> int:
        near = np.abs(picture.astype(float) - plate).max(axis=2) < 3
        return int(near[:200].sum())

    alone = plate_pixels(draw_overlay(GREY, CAMERA, one))
    assert alone > 500
    assert plate_pixels(draw_overlay(GREY, CAMERA, two)) > 0.8 * alone


def test_distance_is_the_straight_one() -> None:
    distance_m, stddev_m = distances(np.array([[3.0, 0.0, 4.0]]), np.array([0.4]))
    assert distance_m == pytest.approx([5.0])
    assert stddev_m == pytest.approx([0.5])


def test_skeleton_lines_are_the_certain_bones_in_metres() -> None:
    poses = standing((0, 0, 3), (1, 0, 5))
    scores = poses.joint_scores.copy()
    scores[1, BLAZEPOSE.index('nose')] = 0.1
    joints = poses.joints.copy()
    joints[0, BLAZEPOSE.index('left_ankle')] = np.nan
    first, second = skeleton_lines(replace(poses, joints=joints, joint_scores=scores), 0.3)
    edges = len(BLAZEPOSE.edges)
    assert first.shape == (edges - 3, 2, 3)  # knee, heel and toes end at the ankle
    assert second.shape == (edges - 2, 2, 3)  # both eyes end at the nose
    assert np.isfinite(first).all()
    assert second[0].tolist() == joints[1, list(BLAZEPOSE.edges[1])].tolist()
    assert skeleton_lines(Poses.none(BLAZEPOSE)) == []


@pytest.mark.parametrize('name', SKELETONS)
def test_every_joint_set_can_be_drawn(name: str, tmp_path: Path) -> None:
    skeleton = SKELETONS[name]
    joints = np.random.default_rng(0).normal((0, 0, 4), 0.4, (2, len(skeleton), 3))
    poses = Poses(
        skeleton,
        joints,
        np.ones(joints.shape[:2]),
        joints[:, list(skeleton.root)].mean(axis=1),
        np.zeros(2),
        np.ones(2),
        ('1', ''),
    )
    assert changed(draw_overlay(GREY, CAMERA, poses)) > 100
    turn, height_m = levelling([poses])
    assert turn @ turn.T == pytest.approx(np.eye(3))
    assert np.isfinite(height_m)


def test_the_scene_shows_people_nobody_and_the_far_one(tmp_path: Path) -> None:
    walk = [standing((-1, 0.2, 4 + 0.1 * k), (1, 0.1, 6), ids=('1', '')) for k in range(5)]
    far = standing((0, 0, 4), (1, 0, 5), (2, 0, 6), (0, -20, 400))
    unknown = replace(walk[0], joints=walk[0].joints * np.nan, roots=walk[0].roots * np.nan)
    sizes = []
    for k, poses in enumerate((walk, far, Poses.none(BLAZEPOSE), unknown)):
        path = tmp_path / f'{k}.png'
        draw_scene(poses, CAMERA, path)
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.shape[1] > 1200
        sizes.append((picture != 255).any(axis=2).sum())
    assert sizes[0] > sizes[2]


def test_levelling_finds_the_tilt_of_the_camera_and_its_height() -> None:
    tilt = np.radians(25)  # the camera looks down
    down = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    level = standing((-2, 2.0, 6), (1, 2.0, 9), (0, 2.0, 12), (3, 2.0, 15))
    poses = replace(level, joints=level.joints @ down.T, roots=level.roots @ down.T)
    turn, height_m = levelling([poses])
    up = turn[2] @ down
    assert np.degrees(np.arccos(-up[1])) < 3
    assert height_m == pytest.approx(2.0 + 0.89, abs=0.35)
