# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""MuPoTS-3D in the annotation file of 3DMPPE: several people, for testing.

Annotations: MuPoTS-3D.json, in the style of MS COCO: an image has `intrinsic` (fx, fy, cx, cy), an
annotation `keypoints_cam` (17 x 3, optical frame, mm), `keypoints_img` (17 x 2, pixels) and
`is_valid`. Images: <file_name>, such as TS1/img_000000.jpg, in the folder MultiPersonTestSet.
"""

from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations
from pose3d_ros.data.assembly import MILLIMETRES_PER_METRE, assemble, pick
from pose3d_ros.data.records import CocoFile
from pose3d_ros.skeletons import MUPOTS

FILES = {'test': 'MuPoTS-3D.json'}


def read(annotations: Path, images: Path, split: str) -> Annotations:
    """Return the valid people of a split; groups are the sequences, TS1 to TS20.

    Every joint counts: the scores of the data set include hidden ones.

    :raises DataError: there is no such split, or its files are missing or wrong.
    """
    name = f'MuPoTS-3D {split}'
    file = CocoFile.read(annotations / pick('MuPoTS-3D', split, FILES), name)
    file = file.where(file.annotations.numbers('is_valid') != 0)
    people, rows = file.annotations, file.image_rows()
    intrinsic = file.images.numbers('intrinsic', 4)[rows]
    names = file.images.texts('file_name')
    sequences = [image.rpartition('/')[0].rpartition('/')[2] for image in names]
    return assemble(
        name, MUPOTS, images, names, file,
        pixels=people.numbers('keypoints_img', len(MUPOTS), 2),
        visible=np.ones((len(people), len(MUPOTS)), bool),
        joints=people.numbers('keypoints_cam', len(MUPOTS), 3) / MILLIMETRES_PER_METRE,
        focal_px=intrinsic[:, :2], centre_px=intrinsic[:, 2:], groups=[sequences[i] for i in rows],
    )  # fmt: skip
