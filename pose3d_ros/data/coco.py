# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""MS COCO keypoints: a 2D data set, with thorax and pelvis added.

Annotations: person_keypoints_train2017.json or ..._val2017.json, as published. Images:
train2017/<file_name> or val2017/<file_name>.
"""

from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations
from pose3d_ros.data.assembly import assemble, pick
from pose3d_ros.data.records import CocoFile
from pose3d_ros.skeletons import MSCOCO

YEARS = {'train': 'train2017', 'test': 'val2017'}


def read(annotations: Path, images: Path, split: str) -> Annotations:
    """Return the people of a split of whom a joint is annotated; crowds are left out.

    :raises DataError: there is no such split, or its files are missing or wrong.
    """
    name, year = f'MS COCO {split}', pick('MS COCO', split, YEARS)
    file = CocoFile.read(annotations / f'person_keypoints_{year}.json', name)
    people = file.annotations
    file = file.where((people.numbers('num_keypoints') > 0) & (people.numbers('iscrowd') == 0))
    pixels, visible = with_middles(file.annotations.numbers('keypoints', 17, 3))
    names = [f'{year}/{image}' for image in file.images.texts('file_name')]
    return assemble(name, MSCOCO, images, names, file, pixels=pixels, visible=visible)


def with_middles(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (n, 19, 2) and visibility (n, 19) of keypoints (n, 17, 3).

    Thorax and pelvis are the middles of shoulders and hips, visible where both of these are.
    """
    pixels, visible = keypoints[..., :2], keypoints[..., 2] > 0
    for pair in ('Shoulder', 'Hip'):
        two = MSCOCO.indices(f'L_{pair}', f'R_{pair}')
        pixels = np.concatenate([pixels, pixels[:, two].mean(axis=1, keepdims=True)], axis=1)
        visible = np.concatenate([visible, visible[:, two].all(axis=1, keepdims=True)], axis=1)
    return pixels, visible
