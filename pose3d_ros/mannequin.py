# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A standing person, drawn: enough of one for detectors and pose networks to be sure of it.

Networks are compared on it (`equality`), wherever they run, without a picture to ship.
"""

import cv2
import numpy as np

#: Of the picture: 16:9 as most cameras, since TensorRT builds a detector for the size it is given.
HEIGHT, WIDTH = 448, 796
_GREY = 114

_SKIN, _HAIR, _LIPS, _WHITE = (140, 170, 215), (30, 40, 50), (100, 100, 170), (235, 235, 235)
_SHIRT, _TROUSERS, _SHOE = (150, 80, 50), (70, 60, 55), (40, 40, 40)

#: Colour BGR, then x from the middle, y and radius of both ends, pixels; what comes later hides
#: what came before.
_LIMBS = (
    (_TROUSERS, (22, 256, 19), (30, 332, 14)),
    (_TROUSERS, (30, 332, 14), (34, 404, 9)),
    (_TROUSERS, (-22, 256, 19), (-24, 334, 14)),
    (_TROUSERS, (-24, 334, 14), (-30, 404, 9)),
    (_SHOE, (34, 404, 9), (42, 414, 8)),
    (_SHOE, (-30, 404, 9), (-38, 414, 8)),
    (_SHIRT, (0, 140, 36), (0, 250, 30)),
    (_SHIRT, (38, 142, 15), (-38, 142, 15)),
    (_SHIRT, (38, 142, 14), (58, 205, 10)),
    (_SKIN, (58, 205, 9), (66, 262, 7)),
    (_SKIN, (66, 262, 8), (66, 276, 6)),
    (_SHIRT, (-38, 142, 14), (-56, 207, 10)),
    (_SKIN, (-56, 207, 9), (-50, 264, 7)),
    (_SKIN, (-50, 264, 8), (-50, 278, 6)),
    (_SKIN, (0, 112, 10), (0, 132, 11)),
    (_HAIR, (0, 82, 22), (0, 98, 18)),
    (_SKIN, (0, 88, 19), (0, 102, 15)),
)
_LIGHT = np.array([-0.5, -0.6, 0.62])  # from above, from the left and from the front
_AMBIENT, _DIFFUSE = 0.55, 0.5
_NOISE = 4.0  # of a camera, standard deviation


def draw() -> np.ndarray:
    """Return the picture (HEIGHT, WIDTH, 3) uint8 BGR, always the same."""
    picture = np.full((HEIGHT, WIDTH, 3), _GREY, np.float32)
    for colour, one, other in _LIMBS:
        _draw_limb(picture, np.array(colour), np.array(one, float), np.array(other, float))
    _draw_face(picture, WIDTH // 2)
    picture += np.random.default_rng(0).normal(0, _NOISE, picture.shape)
    return np.asarray(cv2.GaussianBlur(np.clip(picture, 0, 255).astype(np.uint8), (3, 3), 0))


def _draw_limb(picture: np.ndarray, colour: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Draw a round limb between two ends (x from the middle, y, radius), shaded by the light."""
    lowest = np.floor(np.minimum(one[:2] - one[2], other[:2] - other[2])).astype(int)
    highest = np.ceil(np.maximum(one[:2] + one[2], other[:2] + other[2])).astype(int)
    x, y = np.mgrid[lowest[0] : highest[0] + 1, lowest[1] : highest[1] + 1].astype(float)
    along = other[:2] - one[:2]
    t = ((x - one[0]) * along[0] + (y - one[1]) * along[1]) / (along @ along)
    t = np.clip(t, 0, 1)
    centre_x, centre_y, radius = (one[i] + t * (other[i] - one[i]) for i in range(3))
    normal_x, normal_y = (x - centre_x) / radius, (y - centre_y) / radius
    off = normal_x**2 + normal_y**2
    normal_z = np.sqrt(np.clip(1 - off, 0, 1))
    shade = _AMBIENT + _DIFFUSE * np.stack([normal_x, normal_y, normal_z], axis=-1) @ _LIGHT
    inside = off < 1
    columns, rows = x[inside].astype(int) + WIDTH // 2, y[inside].astype(int)
    picture[rows, columns] = colour * shade[inside][:, None]


def _draw_face(picture: np.ndarray, x: int) -> None:
    for eye in (x - 7, x + 7):
        cv2.ellipse(picture, (eye, 88), (4, 2), 0, 0, 360, _WHITE, -1, cv2.LINE_AA)
        cv2.circle(picture, (eye, 88), 2, _HAIR, -1, cv2.LINE_AA)
        cv2.line(picture, (eye - 5, 82), (eye + 5, 82), _HAIR, 1, cv2.LINE_AA)
    cv2.line(picture, (x, 90), (x + 2, 98), _LIPS, 1, cv2.LINE_AA)
    cv2.line(picture, (x - 6, 105), (x + 6, 105), _LIPS, 2, cv2.LINE_AA)
