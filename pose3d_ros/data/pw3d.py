# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""3DPW in the annotation files of 3DMPPE.

Annotations: 3DPW_train.json, 3DPW_validation.json, 3DPW_test.json, in the style of MS COCO: an
image has `sequence` and `cam_param` {"focal": [fx, fy], "princpt": [cx, cy]}, an annotation
`joint_cam` (24 x 3, optical frame, metres: the one set that is not in mm). Images:
<sequence>/<file_name>, in the folder imageFiles.
"""

from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations
from pose3d_ros.data.assembly import assemble, pick, project
from pose3d_ros.data.records import CocoFile, Records
from pose3d_ros.skeletons import PW3D

FILES = {split: f'3DPW_{split}.json' for split in ('train', 'validation', 'test')}


def read(annotations: Path, images: Path, split: str) -> Annotations:
    """Return the people of a split; groups are the sequences.

    A joint counts where it lies in the image, as in the original.

    :raises DataError: there is no such split, or its files are missing or wrong.
    """
    name = f'3DPW {split}'
    file = CocoFile.read(annotations / pick('3DPW', split, FILES), name)
    rows = file.image_rows()
    joints = file.annotations.numbers('joint_cam', len(PW3D), 3)
    focal, centre = (numbers[rows] for numbers in _cameras(file.images))
    sizes = np.stack([file.images.numbers('width'), file.images.numbers('height')], axis=1)[rows]
    pixels = project(joints, focal, centre)
    sequences = file.images.texts('sequence')
    names = [
        f'{sequence}/{image}'
        for sequence, image in zip(sequences, file.images.texts('file_name'), strict=True)
    ]
    return assemble(
        name, PW3D, images, names, file, pixels=pixels,
        visible=((pixels >= 0) & (pixels < sizes[:, None])).all(axis=2), joints=joints,
        focal_px=focal, centre_px=centre, groups=[sequences[i] for i in rows],
    )  # fmt: skip


def _cameras(images: Records) -> tuple[np.ndarray, np.ndarray]:
    """Return focal lengths (m, 2) and centres (m, 2) of the images, pixels."""
    cameras = images.objects('cam_param')
    return cameras.numbers('focal', 2), cameras.numbers('princpt', 2)
