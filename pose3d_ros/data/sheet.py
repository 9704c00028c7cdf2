# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pages of pictures of a data set: whether what is drawn into them fits, at a glance."""

from collections.abc import Sequence

import cv2
import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.data.annotations import Annotations
from pose3d_ros.data.images import read_image
from pose3d_ros.drawing import draw_overlay
from pose3d_ros.people import Persons, Poses

_TILE_PX = 256
_COLUMNS = 4


def draw_sheet(people: Annotations, pictures: int = 12) -> np.ndarray:
    """Return a page (height, width, 3) uint8 BGR: every so-manyth image, with boxes and joints.

    Bones to joints that are not visible are drawn thin.

    :raises DataError: an image cannot be read.
    """
    chosen = np.unique(np.linspace(0, len(people.images) - 1, pictures).round().astype(int))
    return page([_annotated(people, int(index)) for index in chosen], _TILE_PX)


def page(pictures: Sequence[np.ndarray], tile_px: int) -> np.ndarray:
    """Return pictures (h, w, 3) uint8 BGR in rows of four, each made to fit a square tile."""
    tiles = [_tile(picture, tile_px) for picture in pictures]
    tiles += [np.zeros((tile_px, tile_px, 3), np.uint8)] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def camera_of(people: Annotations, index: int) -> Camera:
    """Return the camera of an image in which somebody is annotated, of the data set's images."""
    person = int(np.flatnonzero(people.image_indices == index)[0])
    (fx, fy), (cx, cy) = people.focal_px[person], people.centre_px[person]
    width, height = people.image_sizes[index].tolist()
    return Camera(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), width, height)


def _annotated(people: Annotations, index: int) -> np.ndarray:
    """Return an image with what is annotated in it."""
    image = read_image(people.images[index], people.image_sizes[index])
    some = people[people.image_indices == index]
    if len(some):
        camera, n = camera_of(people, index), len(some)
        names = tuple(str(number) for number in range(n))
        poses = Poses(some.skeleton, some.joints, some.visible.astype(np.float64), some.roots,
                      np.zeros(n), np.ones(n), names)  # fmt: skip
        image = draw_overlay(image, camera, poses, Persons(some.boxes, np.ones(n), names))
    return image


def _tile(picture: np.ndarray, side_px: int) -> np.ndarray:
    scale = side_px / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.zeros((side_px, side_px, 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small[:side_px, :side_px]
    return tile
