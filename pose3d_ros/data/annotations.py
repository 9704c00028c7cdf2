# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What every data set is read into: people in images, as one frozen dataclass of arrays.

A reader is a function of a folder and a split that returns `Annotations`; everything behind it
(training, evaluation, pictures) knows no data set by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pose3d_ros.skeletons import Skeleton


class DataError(ValueError):
    """Annotations or images that cannot be used; the message names data set, file and remedy."""


@dataclass(frozen=True)
class Annotations:
    """n people in m images.

    What is unknown is NaN and not visible; 2D data sets have no finite z at all. Cameras are
    pinholes, as in 3DMPPE: pixel = focal * x / z + centre.

    :param name: data set and split, for messages and tables.
    :param skeleton: the joint set, j joints.
    :param images: m paths.
    :param image_sizes: (m, 2) width and height, pixels.
    :param image_indices: (n,) which of the images a person is in.
    :param boxes: (n, 4) x, y of the top-left corner, width, height; tight around people, pixels.
    :param pixels: (n, j, 2) joints in the image, pixels.
    :param joints: (n, j, 3) joints in the camera's optical frame, metres.
    :param visible: (n, j) whether a joint counts: it is annotated, and not marked as hidden.
    :param focal_px: (n, 2) fx and fy.
    :param centre_px: (n, 2) cx and cy.
    :param groups: n names by which tables are split (Human3.6M: the action), '' = none.
    :param image_ids: (m,) by which result files of the data set refer to an image; None = the data
        set has none.
    :param person_ids: (n,) the same for people (3DPW: ann_id).
    """

    name: str
    skeleton: Skeleton
    images: tuple[Path, ...]
    image_sizes: np.ndarray
    image_indices: np.ndarray
    boxes: np.ndarray
    pixels: np.ndarray
    joints: np.ndarray
    visible: np.ndarray
    focal_px: np.ndarray
    centre_px: np.ndarray
    groups: tuple[str, ...]
    image_ids: np.ndarray | None = None
    person_ids: np.ndarray | None = None

    def __post_init__(self) -> None:
        m, n, j = len(self.images), len(self.image_indices), len(self.skeleton)
        wanted = {
            'image_sizes': (m, 2), 'boxes': (n, 4), 'pixels': (n, j, 2), 'joints': (n, j, 3),
            'visible': (n, j), 'focal_px': (n, 2), 'centre_px': (n, 2),
        }  # fmt: skip
        ids = {'image_ids': (m,), 'person_ids': (n,)}
        wanted |= {field: shape for field, shape in ids.items() if getattr(self, field) is not None}
        for field, shape in wanted.items():
            found = np.shape(getattr(self, field))
            if found != shape:
                raise ValueError(f'{self.name}: {field} is {found}, not {shape}')
        if len(self.groups) != n:
            raise ValueError(f'{self.name}: {len(self.groups)} groups of {n} people')

    def __len__(self) -> int:
        return len(self.image_indices)

    def __getitem__(self, rows: np.ndarray | Sequence[int] | slice) -> 'Annotations':
        """Return some of the people, by indices, mask or slice; the list of images stays whole."""
        indices = np.arange(len(self))[rows]
        arrays = ('image_indices', 'boxes', 'pixels', 'joints', 'visible', 'focal_px', 'centre_px')
        return replace(
            self,
            groups=tuple(self.groups[i] for i in indices),
            person_ids=None if self.person_ids is None else self.person_ids[indices],
            **{field: getattr(self, field)[indices] for field in arrays},
        )

    @property
    def roots(self) -> np.ndarray:
        """Return the roots (n, 3) in the optical frame, metres; NaN = unknown."""
        return np.asarray(self.joints[:, list(self.skeleton.root)].mean(axis=1))

    @property
    def have_depth(self) -> np.ndarray:
        """Return (n,) whether the depth of a person's root is known."""
        return np.isfinite(self.roots[:, 2])

    def in_skeleton(self, skeleton: Skeleton) -> 'Annotations':
        """Return the same people in another joint set, joints matched by name.

        Joints that this data set does not have are NaN and not visible, as 3DMPPE trains on
        several data sets at once.
        """
        if skeleton == self.skeleton:
            return self
        names = self.skeleton.joint_names
        pairs = [
            (to, names.index(name)) for to, name in enumerate(skeleton.joint_names) if name in names
        ]
        targets, sources = (list(indices) for indices in zip(*pairs, strict=True))
        n, j = len(self), len(skeleton)
        pixels, joints = np.full((n, j, 2), np.nan), np.full((n, j, 3), np.nan)
        visible = np.zeros((n, j), bool)
        pixels[:, targets] = self.pixels[:, sources]
        joints[:, targets] = self.joints[:, sources]
        visible[:, targets] = self.visible[:, sources]
        return replace(self, skeleton=skeleton, pixels=pixels, joints=joints, visible=visible)
