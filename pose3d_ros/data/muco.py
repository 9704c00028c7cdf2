# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""MuCo-3DHP, composed of people of MPI-INF-3DHP, as 3DMPPE has it: for training.

Annotations: MuCo-3DHP.json, in the style of MS COCO: an image has `f` and `c`, an annotation
`keypoints_cam` (21 x 3, optical frame, mm), `keypoints_img` (21 x 2, pixels) and `keypoints_vis`
(21). Images: <file_name>, which begins with augmented_set/ or unaugmented_set/.
"""

from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations
from pose3d_ros.data.assembly import MILLIMETRES_PER_METRE, assemble, pick
from pose3d_ros.data.records import CocoFile
from pose3d_ros.skeletons import MUCO

FILES = {'train': 'MuCo-3DHP.json'}
#: The depths of roots that the original trains RootNet with, metres; PoseNet is trained with all.
ROOTNET_DEPTHS_M = (1.5, 7.5)
_APART_M = 0.5


def read(
    annotations: Path,
    images: Path,
    split: str,
    depths_m: tuple[float, float] = (-np.inf, np.inf),
) -> Annotations:
    """Return the people of a split who are not too close to others in front.

    :param depths_m: the least and the largest depth of a root that is kept; ROOTNET_DEPTHS_M as
        the original trains RootNet.
    :raises DataError: there is no such split, or its files are missing or wrong.
    """
    name = f'MuCo-3DHP {split}'
    file = CocoFile.read(annotations / pick('MuCo-3DHP', split, FILES), name)
    joints = file.annotations.numbers('keypoints_cam', len(MUCO), 3) / MILLIMETRES_PER_METRE
    roots = joints[:, MUCO.root[0]]
    chosen = uncrowded(roots, file.image_rows())
    chosen &= (roots[:, 2] >= depths_m[0]) & (roots[:, 2] <= depths_m[1])
    file, joints = file.where(chosen), joints[chosen]
    rows = file.image_rows()
    # RootNet's original leaves out a root marked as hidden; PoseNet's counts every joint
    visible = np.ones(joints.shape[:2], bool)
    root = MUCO.root[0]
    visible[:, root] = file.annotations.numbers('keypoints_vis', len(MUCO))[:, root] > 0
    return assemble(
        name, MUCO, images, file.images.texts('file_name'), file,
        pixels=file.annotations.numbers('keypoints_img', len(MUCO), 2), visible=visible,
        joints=joints, focal_px=file.images.numbers('f', 2)[rows],
        centre_px=file.images.numbers('c', 2)[rows],
    )  # fmt: skip


def uncrowded(roots: np.ndarray, image_rows: np.ndarray) -> np.ndarray:
    """Return (n,) who is trained with, as 3DMPPE chooses: the images are composed of layers.

    Of an image the nearest person always is, and whoever is 0.5 m or more from everybody else,
    both in space and in x and y alone (which implies the former).

    :param roots: (n, 3) metres.
    :param image_rows: (n,) which image each is in.
    """
    order = np.lexsort((roots[:, 2], image_rows))
    sorted_rows = image_rows[order]
    starts = np.diff(sorted_rows, prepend=-1) != 0
    chosen = np.zeros(len(roots), bool)
    alone = np.ones(len(roots), bool)
    # everybody against those who come 1, 2, ... places later in the same image
    for step in range(1, len(roots)):
        first, second = order[:-step], order[step:]
        same = image_rows[first] == image_rows[second]
        if not same.any():
            break
        first, second = first[same], second[same]
        apart = np.linalg.norm(roots[first, :2] - roots[second, :2], axis=1) >= _APART_M
        alone[first] &= apart
        alone[second] &= apart
    chosen[order[starts]] = True
    return chosen | alone
