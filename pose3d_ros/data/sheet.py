"""A page of pictures of a data set with its annotations drawn in: whether they fit, at a glance."""

import cv2
import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.data.annotations import Annotations, DataError
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
    tiles = [_tile(people, int(index)) for index in chosen]
    tiles += [np.zeros((_TILE_PX, _TILE_PX, 3), np.uint8)] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def _tile(people: Annotations, index: int) -> np.ndarray:
    path = people.images[index]
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f'{people.name}: {path} cannot be read as an image')
    some = people[people.image_indices == index]
    if len(some):
        (fx, fy), (cx, cy) = some.focal_px[0], some.centre_px[0]
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        camera = Camera(K, image.shape[1], image.shape[0])
        n = len(some)
        names = tuple(str(number) for number in range(n))
        poses = Poses(some.skeleton, some.joints, some.visible.astype(np.float64), some.roots,
                      np.zeros(n), np.ones(n), names)  # fmt: skip
        image = draw_overlay(image, camera, poses, Persons(some.boxes, np.ones(n), names))
    scale = _TILE_PX / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.zeros((_TILE_PX, _TILE_PX, 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small[:_TILE_PX, :_TILE_PX]
    return tile
