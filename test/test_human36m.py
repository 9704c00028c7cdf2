"""Human3.6M: both conventions of t, both image layouts, protocols, folders of one's own."""

from pathlib import Path

import numpy as np
import pytest
from datasets3d import CENTRE, FOCAL, HEIGHT, WIDTH, Human36M, cameras, pixels_of

from pose3d_ros.data import datasets
from pose3d_ros.data.annotations import Annotations
from pose3d_ros.skeletons import HUMAN36M

TRAIN = (1, 5, 6, 7, 8)


def check_reprojection(people: Annotations) -> None:
    """Every joint that counts lies where its camera sees it, and the boxes are around them."""
    seen = people.joints[..., :2] / people.joints[..., 2:] * people.focal_px[:, None]
    seen = seen + people.centre_px[:, None]
    assert people.visible.mean() > 0.9
    np.testing.assert_allclose(people.pixels[people.visible], seen[people.visible], atol=1e-3)
    low, high = people.boxes[:, None, :2], people.boxes[:, None, :2] + people.boxes[:, None, 2:]
    assert ((seen >= low) & (seen <= high)).all()


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
