# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Annotations of people who never were: random, but every number fits the others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations
from pose3d_ros.skeletons import Skeleton

WIDTH, HEIGHT = 640, 480


def people(
    skeleton: Skeleton,
    groups: Sequence[str],
    in_image: int = 1,
    seed: int = 0,
    folder: Path = Path('images'),
) -> Annotations:
    """Return people 3 to 6 m away, wholly in the image, with boxes around them.

    :param groups: of each person; those of an image follow each other.
    :param in_image: people in each image.
    """
    rng = np.random.default_rng(seed)
    n, m = len(groups), len(groups) // in_image
    focal, centre = np.array([500.0, 510.0]), np.array([320.0, 240.0])
    # side by side, so that boxes of an image overlap little
    shift = (np.arange(n) % in_image - (in_image - 1) / 2) * 1.2
    roots = np.column_stack([shift, rng.uniform(-0.2, 0.2, n), rng.uniform(3, 6, n)])
    around = rng.uniform(-0.4, 0.4, (n, len(skeleton), 3))
    around -= around[:, list(skeleton.root)].mean(axis=1, keepdims=True)
    joints = roots[:, None] + around
    pixels = joints[..., :2] / joints[..., 2:] * focal + centre
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    image_indices = np.arange(n) // in_image
    names = [folder / f'{groups[i * in_image] or "s"}' / f'img_{i:06d}.png' for i in range(m)]
    return Annotations(
        'made up test', skeleton, tuple(names), np.tile([WIDTH, HEIGHT], (m, 1)), image_indices,
        np.concatenate([low, high - low], axis=1), pixels, joints,
        np.ones((n, len(skeleton)), bool), np.tile(focal, (n, 1)), np.tile(centre, (n, 1)),
        tuple(groups), 1000 + 7 * np.arange(m), 5000 + np.arange(n),
    )  # fmt: skip
