# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""RootNet and PoseNet over a whole data set: crops of many images at once, results in metres."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.images import read_image
from pose3d_ros.evaluation.multi_person import rows_by_image
from pose3d_ros.evaluation.subjects import Subjects
from pose3d_ros.models import crops3dmppe
from pose3d_ros.models.stages3dmppe import CropNetwork, joint_cells
from pose3d_ros.skeletons import Skeleton

_READERS = 4
_AHEAD = 16  # images read ahead: a full HD one is 6 MB


@dataclass(frozen=True)
class FoundPoses:
    """Poses of n people.

    :param subjects: of whom, with the roots that the depths stand on.
    :param skeleton: the joint set, j joints.
    :param joints: (n, j, 3) in the optical frame, metres.
    :param pixels: (n, j, 2) in the image.
    """

    subjects: Subjects
    skeleton: Skeleton
    joints: np.ndarray
    pixels: np.ndarray


def find_roots(
    data: Annotations, subjects: Subjects, network: CropNetwork, source: str, batch: int = 32
) -> Subjects:
    """Return the subjects with the roots that RootNet finds, with a progress bar.

    A root behind the camera (gamma is free) stays there: published figures count it as it is.

    :param data: whose images the subjects are in.
    :param network: gives x and y in cells of the heatmap, and gamma (n, 3).
    :param source: what the roots are said to come from.
    :param batch: crops computed at once.
    :raises DataError: an image cannot be read, or is not of the annotated size.
    """
    roots = np.full((len(subjects), 3), np.nan)
    for rows, crops in _batches(data, subjects, batch, 'RootNet'):
        found = network(crops)[0].astype(np.float64)
        some = subjects[rows]
        pixels = crops3dmppe.to_pixels(found[:, :2], some.squares)
        depth_m = found[:, 2] * crops3dmppe.k_values_of(some.squares, some.focal_px) / 1000
        roots[rows] = back_projected(pixels, depth_m, some.focal_px, some.centre_px)
    return subjects.with_roots(roots, source)


def find_poses(
    data: Annotations,
    subjects: Subjects,
    network: CropNetwork,
    skeleton: Skeleton,
    flip_test: bool = True,
    batch: int = 32,
) -> FoundPoses:
    """Return the poses that PoseNet finds around the roots of the subjects, with a progress bar.

    :param data: whose images the subjects are in.
    :param network: gives x, y, z of the joints in cells of the volume (n, j, 3).
    :param skeleton: its joint set.
    :param flip_test: the mean of each crop and its mirror image, as published figures.
    :raises DataError: an image cannot be read, or is not of the annotated size; or a subject has
        no root.
    """
    if not np.isfinite(subjects.roots).all():
        raise DataError('there are people without a root, around which no pose can be placed')
    n, j = len(subjects), len(skeleton)
    joints, pixels = np.full((n, j, 3), np.nan), np.full((n, j, 2), np.nan)
    for rows, crops in _batches(data, subjects, batch, 'PoseNet'):
        cells = joint_cells(network, crops, skeleton, flip_test)
        some = subjects[rows]
        pixels[rows] = crops3dmppe.to_pixels(cells[..., :2], some.squares)
        depth_m = some.roots[:, None, 2] + crops3dmppe.to_metres(cells[..., 2])
        joints[rows] = back_projected(pixels[rows], depth_m, some.focal_px, some.centre_px)
    return FoundPoses(subjects, skeleton, joints, pixels)


def back_projected(
    pixels: np.ndarray, depth_m: np.ndarray, focal_px: np.ndarray, centre_px: np.ndarray
) -> np.ndarray:
    """Return the points (n, ..., 3), metres, of pixels (n, ..., 2) at depths (n, ...).

    :param focal_px: (n, 2) of the pinhole camera of each of the n.
    :param centre_px: (n, 2).
    """
    shape = (len(pixels), *(1,) * (pixels.ndim - 2), 2)
    rays = (pixels - centre_px.reshape(shape)) / focal_px.reshape(shape)
    return np.concatenate([rays * depth_m[..., None], depth_m[..., None]], axis=-1)


def projected(points: np.ndarray, focal_px: np.ndarray, centre_px: np.ndarray) -> np.ndarray:
    """Return the pixels (n, ..., 2) of points (n, ..., 3), metres: `back_projected` undone."""
    shape = (len(points), *(1,) * (points.ndim - 2), 2)
    rays = points[..., :2] / points[..., 2:]
    return np.asarray(rays * focal_px.reshape(shape) + centre_px.reshape(shape))


def _batches(
    data: Annotations, subjects: Subjects, batch: int, name: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows (b,) and crops (b, 256, 256, 3) uint8 BGR until everybody had a turn."""
    rows: list[np.ndarray] = []
    crops: list[np.ndarray] = []
    waiting = 0
    with tqdm(total=len(subjects), desc=name, unit='crop', disable=None) as bar:
        for people, cut in _crops(data, subjects):
            rows.append(people)
            crops.append(cut)
            waiting += len(people)
            while waiting >= batch:
                all_rows, all_crops = np.concatenate(rows), np.concatenate(crops)
                yield all_rows[:batch], all_crops[:batch]
                rows, crops = [all_rows[batch:]], [all_crops[batch:]]
                waiting -= batch
                bar.update(batch)
        if waiting:
            yield np.concatenate(rows), np.concatenate(crops)
            bar.update(waiting)


def _crops(data: Annotations, subjects: Subjects) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of an image's people and their crops, image after image, read ahead."""

    def cut(image: int, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            pixels = read_image(data.images[image], data.image_sizes[image])
        except DataError as error:
            raise DataError(
                f'{error}; figures over the rest would be of another data set'
            ) from error
        return people, crops3dmppe.cut_boxes(subjects.squares[people]).cut(pixels)

    ahead: deque[Future[tuple[np.ndarray, np.ndarray]]] = deque()
    with ThreadPoolExecutor(_READERS) as readers:
        for image, people in rows_by_image(subjects.image_indices).items():
            ahead.append(readers.submit(cut, image, people))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
