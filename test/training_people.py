# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""People to train on that are made up, a tiny network, and the command with both in it.

Run as a script, it is `pose3d train` with a data set `made_up`, whose folder is written first.
"""

import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pose3d_ros.data import datasets
from pose3d_ros.data.annotations import Annotations
from pose3d_ros.skeletons import HUMAN36M, Skeleton

SIZE = 120, 96
FOCAL_PX = 150.0


def made_up(
    folder: Path,
    people: int = 6,
    skeleton: Skeleton = HUMAN36M,
    with_depth: bool = True,
    name: str = 'made up',
    seed: int = 0,
) -> Annotations:
    """Return people of whom each has an image of its own, a bright spot at the root."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    n, j = people, len(skeleton)
    centre = np.array(SIZE) / 2
    roots = np.column_stack([rng.uniform(-0.3, 0.3, (n, 2)), rng.uniform(3, 6, n)])
    joints = roots[:, None] + rng.uniform(-0.7, 0.7, (n, j, 3))
    joints[:, list(skeleton.root)] = roots[:, None]
    pixels = joints[..., :2] / joints[..., 2:] * FOCAL_PX + centre
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    images = []
    for i in range(n):
        path = folder / f'{name.replace(" ", "_")}_{i}.png'
        image = rng.integers(0, 60, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        at = pixels[i, skeleton.root[0]].round().astype(int).tolist()
        cv2.circle(image, at, 5, (200, 220, 255), -1)
        cv2.imwrite(str(path), image)
        images.append(path)
    if not with_depth:
        joints = np.full_like(joints, np.nan)
    return Annotations(
        name, skeleton, tuple(images), np.tile(SIZE, (n, 1)), np.arange(n),
        np.hstack([low, high - low]), pixels, joints, np.ones((n, j), bool),
        np.full((n, 2), FOCAL_PX), np.tile(centre, (n, 1)), ('',) * n,
    )  # fmt: skip


def read_made_up(annotations: Path, images: Path, split: str, **options: Any) -> Annotations:
    """Return a split: more people to train on than to test."""
    people = int(os.environ.get('MADE_UP_PEOPLE', '8')) if split == 'train' else 3
    return made_up(images / split, people, name=f'made up {split}', seed=len(split))


def add_made_up() -> datasets.Dataset:
    """Return the data set as an entry of the table of data sets."""
    return datasets.Dataset(read_made_up, ('.',), ('.',))


def tiny_root_task() -> Any:
    """Return RootNet's task with a network of a few hundred weights, without batch norms."""
    import torch
    from torch import nn

    from pose3d_ros.training.tasks import RootTask

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Sequential(nn.Conv2d(3, 4, 16, 16), nn.ReLU(), nn.Flatten())
            self.root = nn.Linear(4 * 256, 3)

        def forward(self, image: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            found = self.root(self.backbone(image / 1000))
            return found * torch.cat([torch.ones_like(k), torch.ones_like(k), k], dim=1)

    class TinyRootTask(RootTask):
        def network(self, backbone: str, crop_px: int) -> nn.Module:
            return Tiny()

    return TinyRootTask()


def main() -> int:
    """Run `pose3d train` with the made-up data set, and the tiny network where asked for."""
    import torch

    from pose3d_ros.cli import main as pose3d
    from pose3d_ros.cli import train

    datasets.DATASETS['made_up'] = add_made_up()
    if os.environ.get('TINY'):
        train._task = lambda network, learned, recipe: tiny_root_task()  # type: ignore[assignment]
    status = pose3d(sys.argv[1:])
    assert not torch.distributed.is_initialized()
    return status


if __name__ == '__main__':
    sys.exit(main())
