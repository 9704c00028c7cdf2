# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What networks learn from: targets by hand, balance, and samples that depend on nothing else."""

import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from paper import needed_torch
from training_people import FOCAL_PX, SIZE, made_up

torch = needed_torch()

from pose3d_ros.data.annotations import Annotations, DataError  # noqa: E402
from pose3d_ros.data.augmentation import NO_AUGMENTATION, Augmentation  # noqa: E402
from pose3d_ros.data.crops_dataset import (  # noqa: E402
    CropDataset,
    EpochBatches,
    PeopleTable,
    epoch_length,
    epoch_order,
    input_images,
    joint_table,
    root_table,
)
from pose3d_ros.data.images import read_image  # noqa: E402
from pose3d_ros.models.crops3dmppe import MEAN, STD, process_boxes  # noqa: E402
from pose3d_ros.models.torch_network import normalised  # noqa: E402
from pose3d_ros.skeletons import HUMAN36M, MPII, MSCOCO, Skeleton  # noqa: E402
from pose3d_ros.training.loading import Unreadable  # noqa: E402

MIRROR = Augmentation(scale=0, rotation_deg=0, colour=0, occlusion=0)


def sample(table: PeopleTable, row: int = 0, augmentation: Augmentation = NO_AUGMENTATION) -> Any:
    return CropDataset(table, augmentation, 0)[(0, row, row)]


def with_places(people: Annotations, pixels: np.ndarray, joints: np.ndarray) -> Annotations:
    return replace(people, pixels=pixels, joints=joints)


@pytest.fixture
def person(tmp_path: Path) -> Annotations:
    """One person whose processed box begins at (10, 8) and has sides of 80."""
    people = made_up(tmp_path, 1)
    # 65 - 1 wide, 51 high, around (50, 48), 1.25 times as large
    box = np.array([[18.0, 23, 65, 51]])
    people = replace(people, boxes=box)
    squares, _ = process_boxes(box, *SIZE)
    np.testing.assert_allclose(squares, [[10, 8, 80, 80]])
    return people


def test_a_root_s_target_by_hand(person: Annotations) -> None:
    pixels, joints = person.pixels.copy(), person.joints.copy()
    pixels[0, 0], joints[0, 0] = [30, 58], [0.1, 0.2, 4.5]
    found = sample(root_table([with_places(person, pixels, joints)]))
    # 20 of 80 pixels are 16 of 64 cells; 50 of 80 are 40
    np.testing.assert_allclose(found['target'], [[16, 40, 4500]], rtol=1e-5)
    assert found['visible'].tolist() == [[1]] and found['have_depth'].tolist() == [1]
    np.testing.assert_allclose(found['k_mm'], [2000 * FOCAL_PX / 80], rtol=1e-6)


def test_joints_targets_by_hand(person: Annotations) -> None:
    pixels, joints = person.pixels.copy(), person.joints.copy()
    joints[0] = [0, 0, 5]
    joints[0, 1, 2], joints[0, 2, 2], joints[0, 3, 2] = 5.5, 3.99, 6.0
    pixels[0] = [50, 48]
    pixels[0, 4], pixels[0, 5] = [90.5, 48], [9.5, 48]
    found = sample(joint_table([with_places(person, pixels, joints)], HUMAN36M))
    np.testing.assert_allclose(found['target'][0], [32, 32, 32], atol=1e-4)
    np.testing.assert_allclose(found['target'][1], [32, 32, 48], atol=1e-4)
    # 2 and 3 are out of the cube of 2 m, 4 and 5 out of the crop
    expected = np.ones(18)
    expected[2:6] = 0
    np.testing.assert_array_equal(found['visible'][:, 0], expected)


def test_without_depth_the_cube_does_not_matter(tmp_path: Path) -> None:
    flat = made_up(tmp_path, 1, with_depth=False)
    found = sample(joint_table([flat], HUMAN36M))
    assert found['have_depth'].tolist() == [0] and found['visible'].all()
    assert np.isfinite(found['target']).all() and (found['target'][:, 2] == 0).all()


def test_a_mirrored_person_has_its_sides_changed(person: Annotations) -> None:
    person = replace(person, visible=np.arange(18)[None] != 1)  # not the right hip
    table = joint_table([person], HUMAN36M)
    data = CropDataset(table, MIRROR, 0)
    samples = [data[(0, place, 0)] for place in range(20)]
    straight = next(s for s in samples if not is_mirrored(s, table))
    mirrored = next(s for s in samples if is_mirrored(s, table))
    assert not straight['visible'][1] and straight['visible'][4]
    assert mirrored['visible'][1] and not mirrored['visible'][4]
    for left, right in HUMAN36M.flip_pairs:
        x = 64 - straight['target'][right, 0]
        np.testing.assert_allclose(mirrored['target'][left, 0], x, atol=1e-3)
        np.testing.assert_allclose(
            mirrored['target'][left, 1:], straight['target'][right, 1:], atol=1e-3
        )


def is_mirrored(found: Any, table: PeopleTable) -> bool:
    return not np.allclose(found['target'], sample(table)['target'], atol=1e-4)


def test_joints_of_other_sets_are_matched_by_name(tmp_path: Path) -> None:
    first = made_up(tmp_path / 'a', 2)
    flat = made_up(tmp_path / 'b', 3, MPII, with_depth=False)
    table = joint_table([flat, first], HUMAN36M)
    assert table.have_depth.tolist() == [True, True, False, False, False]
    knee, torso = HUMAN36M.index('L_Knee'), HUMAN36M.index('Torso')
    np.testing.assert_allclose(
        table.pixels[2:, knee], flat.pixels[:, MPII.index('L_Knee')], rtol=1e-5
    )
    assert not table.visible[2:, torso].any() and table.visible[:2, torso].all()
    assert [table.path(row).parent.name for row in range(5)] == ['a', 'a', 'b', 'b', 'b']


def test_a_joint_set_without_a_common_name_is_refused(tmp_path: Path) -> None:
    other = Skeleton('other', ('tip', 'tail'), ((0, 1),), (), (0,))
    with pytest.raises(DataError, match='made up: no joint of other is one of human36m'):
        joint_table([made_up(tmp_path, 1, other)], HUMAN36M)


def test_who_cannot_be_used_is_left_out_and_counted(tmp_path: Path) -> None:
    people = made_up(tmp_path, 6)
    people.boxes[0] = np.nan
    people.boxes[1] = [SIZE[0] + 50, 0, 20, 20]
    people.visible[2] = False
    people.pixels[3, 0] = np.nan
    people.focal_px[4] = np.nan
    table = root_table([people])
    assert (len(table), table.dropped) == (1, 5)
    assert np.isfinite(sample(table)['target']).all()
    # PoseNet does without one joint
    table = joint_table([people], HUMAN36M)
    assert (len(table), table.dropped) == (2, 4)
    assert not sample(table)['visible'][0]
    people.boxes[:] = np.nan
    with pytest.raises(DataError, match='made up: none of its 6 people'):
        root_table([people])


def test_without_depth_who_shows_no_point_counts_with_a_loss_of_0(tmp_path: Path) -> None:
    """As published, so that both sides are as many as there, and each weighs as much."""
    flat = made_up(tmp_path / 'flat', 5, MSCOCO, with_depth=False, name='flat')
    flat.visible[:3, list(MSCOCO.root)] = False
    table = root_table([made_up(tmp_path / 'deep', 2, MSCOCO), flat])
    assert (len(table), table.dropped) == (7, 0)
    samples = [sample(table, row) for row in range(2, 7)]
    assert [int(found['visible'].sum()) for found in samples] == [0, 0, 0, 1, 1]
    assert all(found['readable'] and found['crop'].any() for found in samples)
    flat.visible[:] = False
    with pytest.raises(DataError, match='flat: none of its 5 people'):
        root_table([flat])


def test_an_unknown_depth_of_one_joint_is_not_learned(tmp_path: Path) -> None:
    people = made_up(tmp_path, 1)
    people.joints[0, 5] = np.nan
    found = sample(joint_table([people], HUMAN36M))
    assert np.isfinite(found['target']).all()
    assert found['visible'][:, 0].tolist() == [float(i != 5) for i in range(18)]


def test_the_input_is_the_original_s() -> None:
    """The same as at prediction; and a colour's factor acts before the cut at 255."""
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8))
    plain = input_images(crops, torch.ones(2, 3))
    np.testing.assert_allclose(plain, normalised(crops), rtol=1e-6)
    factors = torch.tensor([[1.2, 1.0, 0.8], [0.9, 1.1, 1.2]])
    rgb = crops.numpy()[..., ::-1].astype(np.float32)
    for i in range(3):
        rgb[..., i] = np.clip(rgb[..., i] * factors[:, None, None, i].numpy(), 0, 255)
    wanted = (rgb - np.float32(MEAN)) / np.float32(STD)
    found = input_images(crops, factors)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), wanted, rtol=1e-5, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_sample_depends_on_seed_epoch_and_place_alone(tmp_path: Path) -> None:
    table = joint_table([made_up(tmp_path, 3)], HUMAN36M)
    data, other = CropDataset(table, Augmentation(), 5), CropDataset(table, Augmentation(), 5)
    first = data[(2, 7, 1)]
    other[(0, 0, 0)]
    again = other[(2, 7, 1)]
    assert all(np.array_equal(first[name], again[name]) for name in first)
    for key in ((3, 7, 1), (2, 8, 1)):
        assert not np.array_equal(data[key]['colours'], first['colours'])
    assert not np.array_equal(
        CropDataset(table, Augmentation(), 6)[(2, 7, 1)]['crop'], first['crop']
    )


def test_noise_is_in_front_of_the_person_only_where_it_is_asked_for(tmp_path: Path) -> None:
    table = joint_table([made_up(tmp_path, 1)], HUMAN36M)
    plain = sample(table)['crop']
    noisy = Augmentation(0, 0, False, 0, 0.7)
    changed = [
        not np.array_equal(CropDataset(table, noisy, 0)[(0, i, 0)]['crop'], plain)
        for i in range(40)
    ]
    assert 8 < sum(changed) < 32


def test_both_sides_are_equally_many() -> None:
    order = epoch_order(3, 10, 0, 0)
    assert len(order) == epoch_length(3, 10) == 20
    counts = np.bincount(order, minlength=13)
    assert (counts[3:] == 1).all()
    # whole repetitions, and one that is drawn
    assert counts[:3].sum() == 10 and sorted(counts[:3]) == [3, 3, 4]
    drawn = {int(np.bincount(epoch_order(3, 10, 0, e))[:3].argmax()) for e in range(20)}
    assert drawn == {0, 1, 2}


def test_the_larger_side_may_be_the_one_with_depth() -> None:
    counts = np.bincount(epoch_order(9, 4, 0, 0))
    assert (counts[:9] == 1).all() and counts[9:].sum() == 9 and counts[9:].min() >= 2


@pytest.mark.parametrize(('with_depth', 'without'), [(5, 0), (0, 5)])
def test_one_side_alone_is_seen_once(with_depth: int, without: int) -> None:
    assert sorted(epoch_order(with_depth, without, 0, 0)) == [0, 1, 2, 3, 4]
    assert epoch_length(with_depth, without) == 5


def test_every_epoch_has_an_order_of_its_own() -> None:
    orders = [epoch_order(50, 0, seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] == epoch_order(50, 0, 0, 0).tolist()


@pytest.fixture
def eleven(tmp_path: Path) -> PeopleTable:
    return root_table([made_up(tmp_path, 11)])


def test_processes_together_see_what_one_sees(eleven: PeopleTable) -> None:
    one = list(EpochBatches(eleven, 4, 0))
    two = [list(EpochBatches(eleven, 2, 0, process, 2)) for process in (0, 1)]
    assert [len(batch) for batch in one] == [4, 4, 3]
    together = [a + b for a, b in zip(*two, strict=True)]
    assert together[:2] == one[:2] and together[2][:3] == one[2]
    assert len(together[2]) == 4  # one twice, so that none waits
    assert len(EpochBatches(eleven, 2, 0, 1, 2)) == len(one) == 3


def test_an_epoch_goes_on_where_it_stopped(eleven: PeopleTable) -> None:
    batches = EpochBatches(eleven, 2, 0)
    batches.epoch = 3
    whole = list(batches)
    batches.start = 4
    assert list(batches) == whole[4:]
    assert all(key[0] == 3 for batch in whole for key in batch)
    assert [key[1] for batch in whole for key in batch] == list(range(11))


@pytest.mark.parametrize('content', [b'', b'no image', None])
def test_an_image_that_cannot_be_read_adds_nothing(tmp_path: Path, content: bytes | None) -> None:
    people = made_up(tmp_path, 3)
    path = people.images[1]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    table = root_table([people])
    found = sample(table, 1)
    assert not found['readable'] and not found['visible'].any() and not found['crop'].any()
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_image(path, SIZE)
    assert sample(table, 0)['readable']


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    people = made_up(tmp_path, 1)
    assert read_image(people.images[0], SIZE).shape == (SIZE[1], SIZE[0], 3)
    with pytest.raises(DataError, match='120 x 96 pixels, but annotated as 96 x 120'):
        read_image(people.images[0], (96, 120))


def test_an_image_that_claims_to_be_huge_is_damaged(tmp_path: Path) -> None:
    """OpenCV refuses it by an exception of its own."""
    path = tmp_path / 'huge.png'
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack('>II', 60_000, 60_000)
    content[29:33] = struct.pack('>I', zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(DataError, match=r'huge\.png is damaged'):
        read_image(path, SIZE)


def test_an_image_is_taken_as_it_is_stored(tmp_path: Path) -> None:
    """Annotations know nothing of the turn that a camera noted in its file."""
    stored = np.zeros((96, 120, 3), np.uint8)
    stored[:, :60] = 255
    encoded = cv2.imencode('.jpg', stored)[1].tobytes()
    turned = bytes.fromhex('4949 2a00 08000000 0100 1201 0300 01000000 06000000 00000000')
    note = b'Exif\0\0' + turned
    path = tmp_path / 'turned.jpg'
    path.write_bytes(encoded[:2] + b'\xff\xe1' + struct.pack('>H', len(note) + 2) + note
                     + encoded[2:])  # fmt: skip
    assert cv2.imread(str(path)).shape == (120, 96, 3)  # the note is understood
    found = read_image(path, (120, 96))
    assert found.shape == stored.shape
    assert found[:, :50].min() > 200 and found[:, 70:].max() < 50


def test_unreadable_images_are_named_once_and_too_many_end_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = made_up(tmp_path, 12)
    for path in people.images:
        path.unlink()
    table = root_table([people])
    unreadable = Unreadable(table)
    readable = torch.zeros(1, dtype=torch.bool)
    for row in [*range(10), 0, 9]:
        unreadable.note({'row': torch.tensor([row]), 'readable': readable})
    said = capsys.readouterr().err
    assert said.count('does not exist') == 10 and str(people.images[3]) in said
    unreadable.note({'row': torch.tensor([11]), 'readable': ~readable})
    with pytest.raises(
        DataError, match=r'11 images of made up .*_10\.png does not exist; up to 10'
    ):
        unreadable.note({'row': torch.tensor([10]), 'readable': readable})


def test_a_workers_copy_of_the_paths_is_one_array(tmp_path: Path) -> None:
    people = made_up(tmp_path / 'ä ö', 2, MSCOCO)
    table = root_table([people])
    assert isinstance(table.images, np.ndarray) and table.path(1) == people.images[1]
