# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the readers of all data sets end with: columns checked and put together as Annotations."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.records import CocoFile
from pose3d_ros.models.crops3dmppe import usable_squares
from pose3d_ros.skeletons import Skeleton

MILLIMETRES_PER_METRE = 1000
#: What 3DMPPE takes cameras of 2D data sets to have; the published weights have learnt with it.
UNKNOWN_FOCAL_PX = 1500.0


def assemble(
    name: str,
    skeleton: Skeleton,
    folder: Path,
    names: Sequence[str],
    file: CocoFile,
    *,
    pixels: np.ndarray,
    visible: np.ndarray,
    joints: np.ndarray | None = None,
    focal_px: np.ndarray | None = None,
    centre_px: np.ndarray | None = None,
    groups: Sequence[str] | None = None,
) -> Annotations:
    """Return the people of a file, and the images they are in.

    Every annotation of `file` is one person; the arrays have a row for each, as in Annotations. Who
    has no usable box (`usable_squares`) is among them: nothing can be cut of them to learn from or
    to look at, but they are there to be found.

    :param folder: of the images.
    :param names: of the files in it, one per image of `file`, with `/`.
    :param joints: (n, j, 3) metres; None = a 2D data set.
    :param focal_px: (n, 2); None = unknown, as 3DMPPE has it: 1500 and the middle of the image.
    :param centre_px: (n, 2); None with `focal_px`.
    :raises DataError: nobody has a usable box, images are missing, or a record lacks a field.
    """
    origin = file.annotations.origin
    rows = file.image_rows()
    sizes = np.stack([file.images.numbers('width'), file.images.numbers('height')], axis=1)
    boxes = file.annotations.numbers('bbox', 4)
    n, j = len(boxes), len(skeleton)
    if focal_px is None or centre_px is None:
        focal_px, centre_px = np.full((n, 2), UNKNOWN_FOCAL_PX), sizes[rows] / 2
    if joints is None:
        joints = np.full((n, j, 3), np.nan)
    _, usable = usable_squares(boxes, sizes[rows])
    if not usable.all():
        first = int(np.flatnonzero(~usable)[0])
        _say_unusable(origin, file, int((~usable).sum()), first, names[rows[first]], boxes[first])
    if not usable.any():
        raise DataError(
            f'{origin}: none of {n} annotations in {file.annotations.path} has a usable box; look '
            'at their boxes, or choose another split'
        )
    used, indices = np.unique(rows, return_inverse=True)
    check_images(origin, folder, [names[i] for i in used])
    return Annotations(
        name, skeleton, tuple(folder / names[i] for i in used), sizes[used].astype(np.int64),
        indices.reshape(-1), boxes,
        # float32 as in the original: large sets take half the memory, at 1 um in 10 m
        np.where(visible[..., None], pixels, np.nan).astype(np.float32),
        joints.astype(np.float32), visible, focal_px, centre_px,
        ('',) * n if groups is None else tuple(groups),
        file.images.integers('id')[used], file.annotations.integers('id'),
    )  # fmt: skip


def _say_unusable(
    origin: str, file: CocoFile, count: int, first: int, image: str, box: np.ndarray
) -> None:
    """Log how many people cannot be looked at, and who the first is."""
    record = file.annotations.rows[first]
    logging.getLogger(__name__).warning(
        '%s: %s: %d of %d people have no usable box (no area, or outside of the image) and are not '
        'looked at, the first is annotation %s with box %s in %s; correct their bbox, or leave it '
        'at that',
        origin, file.annotations.path, count, len(file.annotations), record.get('id'),
        np.round(box, 1).tolist(), image,
    )  # fmt: skip


def check_images(origin: str, folder: Path, names: Sequence[str]) -> None:
    """Raise DataError where the first image of any folder that `names` mention is not there.

    Not every image is looked for: a network's file system takes minutes for a million.
    """
    firsts: dict[str, str] = {}
    for name in names:
        firsts.setdefault(name.rpartition('/')[0], name)
    missing = [name for name in firsts.values() if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f'{origin}: {len(missing)} of {len(firsts)} folders with images are missing or '
            f'incomplete, the first lacks {folder / missing[0]}; get the images, or say where '
            'they are (docs/training.md draws the folders)'
        )


def join(name: str, parts: Sequence[Annotations]) -> Annotations:
    """Return the people of several Annotations of one joint set as one."""
    if len(parts) == 1:
        return replace(parts[0], name=name)
    offsets = np.cumsum([0, *(len(part.images) for part in parts[:-1])])
    arrays = ('image_sizes', 'boxes', 'pixels', 'joints', 'visible', 'focal_px', 'centre_px')
    return Annotations(
        name=name,
        skeleton=parts[0].skeleton,
        images=tuple(image for part in parts for image in part.images),
        image_indices=np.concatenate(
            [part.image_indices + offset for part, offset in zip(parts, offsets, strict=True)]
        ),
        groups=tuple(group for part in parts for group in part.groups),
        image_ids=_all_ids([part.image_ids for part in parts]),
        person_ids=_all_ids([part.person_ids for part in parts]),
        **{field: np.concatenate([getattr(part, field) for part in parts]) for field in arrays},
    )


def _all_ids(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return ids one after another; None where a part has none."""
    there = [ids for ids in parts if ids is not None]
    return np.concatenate(there) if len(there) == len(parts) else None


def project(joints: np.ndarray, focal_px: np.ndarray, centre_px: np.ndarray) -> np.ndarray:
    """Return pixels (n, j, 2) of joints (n, j, 3) in the optical frame; NaN behind the camera.

    :param focal_px: (n, 2) fx and fy.
    :param centre_px: (n, 2) cx and cy.
    """
    depth = np.where(joints[..., 2:] > 0, joints[..., 2:], np.nan)
    return np.asarray(joints[..., :2] / depth * focal_px[:, None] + centre_px[:, None])


def pick(origin: str, split: str, files: dict[str, str]) -> str:
    """Return the file of a split; DataError where the data set has no such split."""
    if split not in files:
        raise DataError(f"{origin}: there is no split '{split}'; there is " + ', '.join(files))
    return files[split]
