"""Poses over the camera's image: skeletons, boxes, distances. The same person, the same colour."""

import zlib
from functools import lru_cache

import cv2
import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.people import Persons, Poses

#: A joint with a lower score is drawn faint in pictures, and left out of markers.
MIN_JOINT_SCORE = 0.3

_GOLDEN_RATIO = 0.6180339887
_LIGHTNESS, _CHROMA = 0.73, 0.17  # of OKLCH: every hue as bright, readable on black and on white
_LINE_PER_IMAGE = 1 / 420  # line width over the image's longer side
_LINE_PER_PERSON = 1 / 70  # and at the most over the person's height
_TEXT_PER_IMAGE = 1 / 2400  # OpenCV's font scale per pixel of the image's longer side
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FAR_PX = 16000.0  # farther outside the image OpenCV's fixed point numbers end
_SHIFT = 3  # fraction bits of those numbers: eighths of a pixel
_DARK = (24, 24, 24)


@lru_cache(maxsize=1024)
def person_colour(person_id: str, index: int = 0) -> tuple[float, float, float]:
    """Return the colour of a person, RGB 0..1: of the id, or of `index` where it is ''.

    Numbers that follow each other get hues far apart: each is a golden ratio of the circle on.
    """
    if person_id.isdecimal():
        number = int(person_id)
    else:
        number = zlib.crc32(person_id.encode()) if person_id else index + 1
    hue = 2 * np.pi * (number * _GOLDEN_RATIO % 1)
    return _oklch_to_rgb(_LIGHTNESS, _CHROMA, hue)


def _oklch_to_rgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """Return sRGB 0..1 of a colour of OKLCH (Ottosson, 2020), cut to what a screen can show."""
    lab = np.array([lightness, chroma * np.cos(hue), chroma * np.sin(hue)])
    to_lms = np.array(
        [
            [1.0, 0.3963377774, 0.2158037573],
            [1.0, -0.1055613458, -0.0638541728],
            [1.0, -0.0894841775, -1.2914855480],
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(to_rgb @ (to_lms @ lab) ** 3, 0, 1)
    red, green, blue = np.where(
        linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear
    ).tolist()
    return red, green, blue


def skeleton_lines(poses: Poses, min_score: float = MIN_JOINT_SCORE) -> list[np.ndarray]:
    """Return the certain bones of each person, (m, 2, 3) end points in metres.

    A bone is certain when both its joints are finite and have `min_score` or more.
    """
    edges = np.array(poses.skeleton.edges)
    certain = np.isfinite(poses.joints).all(axis=2) & (poses.joint_scores >= min_score)
    return [
        joints[edges[kept[edges].all(axis=1)]]
        for joints, kept in zip(poses.joints, certain, strict=True)
    ]


def distances(roots: np.ndarray, depth_stddev_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far roots (n, 3) are from the camera, straight, and its deviation; metres.

    The root's direction is sure, so the distance is off by the same fraction as the depth z.
    """
    distance_m = np.linalg.norm(roots, axis=1)
    return distance_m, depth_stddev_m * distance_m / roots[:, 2]


def draw_overlay(
    image: np.ndarray, camera: Camera, poses: Poses, persons: Persons | None = None
) -> np.ndarray:
    """Return a new image: the skeletons as the camera sees them, and how far away they are.

    The label is the id and the straight distance from the camera to the pelvis in metres, with
    its standard deviation where that is known (not the depth z, which is less to the sides).

    :param image: (h, w, 3) uint8 BGR.
    :param persons: the people of `poses`, in the same order; or people without poses, where
        `poses` has none. Their boxes are drawn.
    :raises ValueError: persons and poses are not of the same people.
    """
    picture = image.copy()
    if persons is not None:
        if len(poses) not in (0, len(persons)):
            raise ValueError(f'{len(persons)} persons, but {len(poses)} poses')
        _draw_boxes(picture, persons)
    pixels = visible_pixels(camera, poses.joints)
    # the nearest last: they hide the others
    for i in np.argsort(-np.nan_to_num(poses.roots[:, 2])):
        colour = _bgr(person_colour(poses.ids[i], int(i)))
        _draw_skeleton(picture, poses, pixels[i], poses.joint_scores[i], colour)
    if len(poses):
        tops = pixels if persons is None else persons.boxes[:, None, :2]
        _draw_labels(picture, poses.ids, poses.roots, poses.root_depth_stddev_m, tops)
    elif persons is not None:
        roots, stddev_m = persons.roots, persons.root_depth_stddev_m
        _draw_labels(picture, persons.ids, roots, stddev_m, persons.boxes[:, None, :2])
    return picture


def visible_pixels(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Return the pixels (..., 2) of points (..., 3), metres; NaN where they cannot be drawn.

    That is behind the camera, far outside the image, or where the lens model does not hold:
    beyond the image's corners a polynomial folds back, and would bring joints into the image.
    """
    pixels = camera.project(points)
    hidden = ~(np.abs(pixels) < _FAR_PX).all(axis=-1)
    if camera.distortion.size:
        right, bottom = camera.width - 1, camera.height - 1
        corners = np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]])
        limit = 1.3 * np.linalg.norm(camera.rays(corners), axis=1).max()
        with np.errstate(invalid='ignore', divide='ignore'):
            slope = np.linalg.norm(points[..., :2], axis=-1) / points[..., 2]
        hidden |= ~(slope < limit)
    pixels[hidden] = np.nan
    return pixels


def _bgr(colour: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * c) for c in colour)
    return blue, green, red


def _draw_boxes(image: np.ndarray, persons: Persons) -> None:
    """Draw the boxes, one pixel in 1000 wide."""
    width = max(1, round(max(image.shape) / 1000))
    for i, (x, y, w, h) in enumerate(persons.boxes.round().astype(int).tolist()):
        colour = _bgr(person_colour(persons.ids[i], i))
        cv2.rectangle(image, (x, y), (x + w, y + h), colour, width)


def _draw_skeleton(
    image: np.ndarray,
    poses: Poses,
    pixels: np.ndarray,
    scores: np.ndarray,
    colour: tuple[int, int, int],
) -> None:
    """Draw one person: certain bones on a dark rim, uncertain ones thin and half grey."""
    edges = np.array(poses.skeleton.edges)
    edges = edges[np.isfinite(pixels[edges]).all(axis=(1, 2))]
    if not len(edges):
        return
    certain = (scores[edges] >= MIN_JOINT_SCORE).all(axis=1)
    fixed = (np.nan_to_num(pixels) * (1 << _SHIFT)).round().astype(np.int32)
    # a far person is a few pixels tall: lines as wide as the near ones' would make it a blot
    height = np.ptp(pixels[edges][..., 1])
    widest = max(image.shape) * _LINE_PER_IMAGE
    width = max(1, round(min(widest, height * _LINE_PER_PERSON)))
    faint = (colour[0] // 2 + 64, colour[1] // 2 + 64, colour[2] // 2 + 64)

    def lines(bones: np.ndarray, line_colour: tuple[int, int, int], line_width: int) -> None:
        # smooth lines that are wide take three times as long, which a dark rim is not worth
        smooth = line_colour != _DARK
        style = cv2.LINE_AA if smooth else cv2.LINE_8
        cv2.polylines(image, fixed[bones], False, line_colour, line_width, style, _SHIFT)

    lines(edges[~certain], faint, max(1, width // 3))
    if width > 1:
        lines(edges[certain], _DARK, width + 2 * max(1, width // 4))
    lines(edges[certain], colour, width)


def _draw_labels(
    image: np.ndarray,
    ids: tuple[str, ...],
    roots: np.ndarray,
    depth_stddev_m: np.ndarray,
    points: np.ndarray,
) -> None:
    """Write each person's id and distance above the highest of its points (n, k, 2)."""
    distance_m, stddev_m = distances(roots, depth_stddev_m)
    taken: list[tuple[int, int, int, int]] = []
    for i in np.argsort(np.nan_to_num(distance_m)):  # the nearest get the place they want
        seen = points[i][np.isfinite(points[i]).all(axis=1)]
        words = [f'#{ids[i]}'] if ids[i] else []
        if np.isfinite(distance_m[i]):
            deviation = f' +-{stddev_m[i]:.1f}' if stddev_m[i] > 0 else ''
            words.append(f'{distance_m[i]:.1f}{deviation} m')
        if words and len(seen):
            anchor = seen[seen[:, 1].argmin()]
            _draw_label(image, ' '.join(words), anchor, person_colour(ids[i], int(i)), taken)


def _draw_label(
    image: np.ndarray,
    text: str,
    anchor: np.ndarray,
    colour: tuple[float, float, float],
    taken: list[tuple[int, int, int, int]],
) -> None:
    """Write on a coloured plate above a pixel, inside the image, higher where `taken` is."""
    scale = max(0.3, max(image.shape) * _TEXT_PER_IMAGE)
    thickness = max(1, round(2 * scale))
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    margin = max(2, text_height // 3)
    width, height = text_width + 2 * margin, text_height + 2 * margin
    left = int(np.clip(anchor[0], 0, max(image.shape[1] - width, 0)))
    bottom = int(np.clip(anchor[1], height, image.shape[0]))
    for x, y, w, h in sorted(taken, key=lambda plate: -plate[1]):
        if x < left + width and left < x + w and y < bottom and bottom - height < y + h:
            bottom = max(y, height)
    taken.append((left, bottom - height, width, height))
    plate = ((left, bottom), (left + width, bottom - height))
    cv2.rectangle(image, *plate, _bgr(colour), cv2.FILLED)
    origin = (left + margin, bottom - margin)
    cv2.putText(image, text, origin, _FONT, scale, _DARK, thickness, cv2.LINE_AA)
