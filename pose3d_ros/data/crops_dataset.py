# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""People of data sets as what RootNet and PoseNet train on: crops, and where joints lie in them.

What a sample is depends on the seed, the epoch and the sample's place in it alone, not on the
worker that makes it nor on what was made before: a training can go on in the middle of an epoch.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.augmentation import Augmentation, crop_affine, cut, moved, occlude
from pose3d_ros.data.images import read_image
from pose3d_ros.models.crops3dmppe import (
    HEATMAP,
    MEAN,
    SIZE,
    STD,
    k_values_of,
    to_cells,
    usable_squares,
)
from pose3d_ros.skeletons import Skeleton

#: (epoch, place in the epoch, row of the table).
Key = tuple[int, int, int]


@dataclass(frozen=True)
class PeopleTable:
    """n people of one or several data sets with what a network has to find of each: p points.

    Those with depth come first.

    :param names: of the data sets.
    :param images: (m,) encoded paths: one array, since workers would copy a list as they count
        the references to its members.
    :param image_sizes: (m, 2) width and height.
    :param image_indices: (n,).
    :param squares: (n, 4) processed boxes.
    :param pixels: (n, p, 2) in the image; what is unknown is 0.
    :param depths: (n, p) as the network gives it; what is unknown is 0.
    :param visible: (n, p).
    :param have_depth: (n,).
    :param joints: (n, p, 3) the same points in the optical frame, metres; NaN = unknown.
    :param root_depth_m: (n,) NaN = unknown.
    :param focal_px: (n, 2).
    :param centre_px: (n, 2).
    :param mirror_order: (p,) which point a point is in the mirror image.
    :param dropped: how many people were left out: no box in the image; or depth, but no visible
        point or no focal length.
    """

    names: tuple[str, ...]
    images: np.ndarray
    image_sizes: np.ndarray
    image_indices: np.ndarray
    squares: np.ndarray
    pixels: np.ndarray
    depths: np.ndarray
    visible: np.ndarray
    have_depth: np.ndarray
    joints: np.ndarray
    root_depth_m: np.ndarray
    focal_px: np.ndarray
    centre_px: np.ndarray
    mirror_order: np.ndarray
    dropped: int

    def __len__(self) -> int:
        return len(self.squares)

    @property
    def k_mm(self) -> np.ndarray:
        """Return (n,) the distances that fit the boxes, of which RootNet finds a multiple."""
        return k_values_of(self.squares, self.focal_px)

    def path(self, row: int) -> Path:
        """Return the image that a person is in."""
        return Path(os.fsdecode(bytes(self.images[self.image_indices[row]])))


def root_table(sets: Sequence[Annotations]) -> PeopleTable:
    """Return people with their roots: depth from the camera, millimetres.

    :raises DataError: there is nobody to use in one of the sets.
    """
    return _table(sets, np.array([0]), _root_points)


def joint_table(sets: Sequence[Annotations], skeleton: Skeleton) -> PeopleTable:
    """Return people with the joints of one joint set: depth from the root, cells of 2 m / 64.

    :raises DataError: there is nobody to use in one of the sets.
    """
    for people in sets:
        if not set(people.skeleton.joint_names) & set(skeleton.joint_names):
            raise DataError(
                f'{people.name}: no joint of {people.skeleton.name} is one of {skeleton.name}'
            )
    return _table(
        [people.in_skeleton(skeleton) for people in sets], skeleton.flip_order, _joint_points
    )


@dataclass(frozen=True)
class _Points:
    """What `PeopleTable` has of the points: pixels, joints and depths as there, and visible."""

    pixels: np.ndarray
    joints: np.ndarray
    depths: np.ndarray
    visible: np.ndarray


def _root_points(people: Annotations) -> _Points:
    root = list(people.skeleton.root)
    joints = people.roots[:, None]
    visible = np.asarray(people.visible[:, root].all(axis=1))[:, None]
    pixels = people.pixels[:, root].mean(axis=1)[:, None]
    return _Points(pixels, joints, joints[..., 2] * 1000, visible)


def _joint_points(people: Annotations) -> _Points:
    behind_m = people.joints[..., 2] - people.roots[:, 2:]
    depths = to_cells(behind_m)
    # of people without any depth, pixels count; of others a joint must be in the cube of 2 m
    inside = (depths >= 0) & (depths < HEATMAP)
    visible = people.visible & np.where(people.have_depth[:, None], inside, True)
    return _Points(people.pixels, people.joints, depths, visible)


def _table(sets: Sequence[Annotations], mirror_order: np.ndarray, points_of: Any) -> PeopleTable:
    """Return people of several data sets, those with depth first."""
    parts, sizes, paths, dropped = [], [], [], 0
    offset = 0
    for people in sets:
        part = _columns(people, points_of(people))
        kept = part.pop('kept')
        if not part['visible'][kept].any():
            raise DataError(
                f'{people.name}: none of its {len(people)} people can be used, which takes a box '
                f'in the image, a visible joint, and a focal length where there is depth'
            )
        dropped += len(people) - int(kept.sum())
        part['image_indices'] = people.image_indices + offset
        parts.append({name: column[kept] for name, column in part.items()})
        offset += len(people.images)
        sizes.append(people.image_sizes)
        paths += [os.fsencode(path) for path in people.images]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(~columns['have_depth'], kind='stable')
    return PeopleTable(
        names=tuple(people.name for people in sets),
        images=np.array(paths),
        image_sizes=np.concatenate(sizes),
        mirror_order=mirror_order,
        dropped=dropped,
        **{name: column[order] for name, column in columns.items()},
    )


def _columns(people: Annotations, points: _Points) -> dict[str, np.ndarray]:
    """Return the columns of the table, one row for each person, and 'kept': who can be used."""
    squares, has_box = usable_squares(people.boxes, people.image_sizes[people.image_indices])
    have_depth, focal_px = people.have_depth, people.focal_px
    visible = points.visible & np.isfinite(points.pixels).all(axis=2)
    # an unknown depth of a single joint, of people with depth
    visible &= np.isfinite(points.depths) | ~have_depth[:, None]
    has_focal = (np.isfinite(focal_px) & (focal_px > 0)).all(axis=1)
    in_front = ~(people.roots[:, 2] <= 0)
    # of those without depth all count, as published: in the mean of the loss, and in how many there
    # are of each kind
    can_teach = visible.any(axis=1) & has_focal & in_front
    return {
        'kept': has_box & (can_teach | ~have_depth),
        'squares': squares,
        'pixels': np.nan_to_num(points.pixels, posinf=0, neginf=0).astype(np.float32),
        'depths': np.nan_to_num(points.depths, posinf=0, neginf=0).astype(np.float32),
        'visible': visible,
        'have_depth': have_depth,
        'joints': points.joints.astype(np.float32),
        'root_depth_m': people.roots[:, 2],
        # where there is no depth to learn, any focal length does
        'focal_px': np.where(has_focal[:, None], focal_px, 1.0),
        'centre_px': people.centre_px,
    }


class CropDataset(Dataset):
    """Crops of the people of a table, by keys of `EpochBatches`.

    :param table: the people.
    :param augmentation: how they are changed.
    :param seed: of the changes.
    """

    def __init__(self, table: PeopleTable, augmentation: Augmentation, seed: int) -> None:
        self._table = table
        self._augmentation = augmentation
        self._seed = seed
        self._k_mm = table.k_mm

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """Return a sample; see `input_images` for what the network gets of it.

        Where the image cannot be read, 'readable' is False, the crop black, and nothing visible,
        so that it adds nothing to the loss.

        crop (256, 256, 3) uint8 BGR; colours (3,) factors of RGB; target (p, 3) x, y in cells and
        depth; visible (p, 1) and have_depth (1,) 0 or 1; k_mm (1,); row of the table; readable.
        """
        epoch, place, row = key
        table = self._table
        rng = np.random.default_rng((self._seed, epoch, place))
        change = self._augmentation.draw(rng)
        size = table.image_sizes[table.image_indices[row]]
        affine = crop_affine(table.squares[row], int(size[0]), change)
        try:
            image = read_image(table.path(row), size)
        except DataError:  # whoever takes the batch reads it again, to say why (training/loading)
            image = None
        if image is not None and change.occlusion > 0:
            occlude(image, table.squares[row], change.occlusion, rng)
        crop = np.zeros((SIZE, SIZE, 3), np.uint8) if image is None else cut(image, affine)
        target, visible = self._target(row, affine, change.mirror)
        return {
            'crop': crop,
            'colours': change.colours,
            'target': target,
            'visible': (visible * (image is not None)).astype(np.float32)[:, None],
            'have_depth': np.array([table.have_depth[row]], np.float32),
            'k_mm': np.array([self._k_mm[row]], np.float32),
            'row': row,
            'readable': image is not None,
        }

    def _target(
        self, row: int, affine: np.ndarray, is_mirrored: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the points (p, 3) in cells, and which are visible (p,)."""
        order = self._table.mirror_order if is_mirrored else slice(None)
        pixels = moved(self._table.pixels[row][order], affine)
        visible = self._table.visible[row][order] & ((pixels >= 0) & (pixels < SIZE)).all(axis=1)
        depths = self._table.depths[row][order]
        target = np.column_stack([pixels / SIZE * HEATMAP, depths])
        return target.astype(np.float32), visible


def input_images(crops: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Return network inputs (n, 3, h, w), RGB, of crops whose colours are changed.

    Made where the crops are, which is the GPU where there is one: they travel as bytes.

    :param crops: (n, h, w, 3) uint8 BGR.
    :param colours: (n, 3) factors of red, green and blue; what leaves 0..255 is cut.
    """
    mean, std = (torch.tensor(values, device=crops.device) for values in (MEAN, STD))
    coloured = (crops.flip(3).float() * colours[:, None, None]).clamp_(0, 255)
    return ((coloured - mean) / std).permute(0, 3, 1, 2)


class EpochBatches(Sampler[list[Key]]):
    """Which people are in which batch of an epoch, for one of several processes.

    People with depth and without are equally many, as 3DMPPE trains: the smaller side is
    repeated, and what remains is drawn at random. One process, or several with their batches put
    together, go through the same people in the same order.

    :param table: the people.
    :param batch: people in a batch of one process; the last of an epoch may be smaller.
    :param seed: of the order.
    :param process: which of the processes this is.
    :param processes: how many there are.
    """

    def __init__(
        self, table: PeopleTable, batch: int, seed: int, process: int = 0, processes: int = 1
    ) -> None:
        self._sides = int(table.have_depth.sum()), int((~table.have_depth).sum())
        self._batch, self._seed = batch, seed
        self._process, self._processes = process, processes
        #: Of the next iteration: the epoch, and how many of its batches were there already.
        self.epoch, self.start = 0, 0

    @property
    def people(self) -> int:
        """Return how many there are in an epoch."""
        length = epoch_length(*self._sides)
        return length + -length % self._processes

    def __len__(self) -> int:
        return math.ceil(self.people / (self._batch * self._processes))

    def __iter__(self) -> Iterator[list[Key]]:
        order = epoch_order(*self._sides, self._seed, self.epoch)
        # a few people twice, so that no process waits for another at the end
        order = np.resize(order, self.people)
        step = self._batch * self._processes
        for begin in range(self.start * step, len(order), step):
            rows = order[begin : begin + step]
            share = len(rows) // self._processes
            first = self._process * share
            yield [(self.epoch, begin + i, int(rows[i])) for i in range(first, first + share)]


def epoch_length(with_depth: int, without: int) -> int:
    """Return how many people there are in an epoch: twice the larger side, where both are."""
    return 2 * max(with_depth, without) if with_depth and without else with_depth + without


def epoch_order(with_depth: int, without: int, seed: int, epoch: int) -> np.ndarray:
    """Return the rows of an epoch in their order, of a table with `with_depth` first.

    The smaller side is repeated as often as it goes in whole; the rest is drawn from it.
    """
    rng = np.random.default_rng((seed, epoch))
    rows = np.arange(with_depth + without)
    sides = [side for side in (rows[:with_depth], rows[with_depth:]) if len(side)]
    largest = max(len(side) for side in sides)
    balanced = []
    for side in sides:
        whole, rest = divmod(largest, len(side))
        balanced += [np.tile(side, whole), rng.choice(side, rest)]
    return rng.permutation(np.concatenate(balanced))
