# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""MPII Human Pose in the annotation file of 3DMPPE: a 2D data set.

Annotations: train.json, in the style of MS COCO, with `num_keypoints` and 16 x (x, y, visible) in
`keypoints`, pixels. Images: <file_name>, which begins with images/.
"""

from pathlib import Path

from pose3d_ros.data.annotations import Annotations
from pose3d_ros.data.assembly import assemble, pick
from pose3d_ros.data.records import CocoFile
from pose3d_ros.skeletons import MPII

FILES = {'train': 'train.json'}


def read(annotations: Path, images: Path, split: str) -> Annotations:
    """Return the people of a split of whom a joint is annotated.

    :raises DataError: there is no such split, or its files are missing or wrong.
    """
    name = f'MPII {split}'
    file = CocoFile.read(annotations / pick('MPII', split, FILES), name)
    file = file.where(file.annotations.numbers('num_keypoints') > 0)
    keypoints = file.annotations.numbers('keypoints', len(MPII), 3)
    return assemble(
        name, MPII, images, file.images.texts('file_name'), file,
        pixels=keypoints[..., :2], visible=keypoints[..., 2] > 0,
    )  # fmt: skip
