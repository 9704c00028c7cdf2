# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of poses: over the camera's image, and in space. The same person, the same colour."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.levelling import levelling
from pose3d_ros.people import Persons, Poses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]

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
_SHOWN_RANGE = 3.0  # over the median distance: who is farther is left out of the scene
_CROWD = 6  # with more people there is no room for distances beside their names


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
    :param poses: those seen first, then those who coast, who are drawn faint.
    :param persons: those seen, in that order; or people without poses. Their boxes are drawn.
    :raises ValueError: persons and poses are not of the same people.
    """
    picture = image.copy()
    seen = len(poses.seen)
    if persons is not None:
        if seen not in (0, len(persons)):
            raise ValueError(f'{len(persons)} persons, but {seen} poses')
        _draw_boxes(picture, persons)
    pixels = visible_pixels(camera, poses.joints)
    # the nearest last: they hide the others
    for i in np.argsort(-np.nan_to_num(poses.roots[:, 2])):
        colour = _bgr(person_colour(poses.ids[i], int(i)))
        _draw_skeleton(picture, poses, pixels[i], poses.joint_scores[i], colour)
    tops = pixels.copy()
    if persons is not None and seen:
        tops[:seen] = persons.boxes[:, None, :2]
    _draw_labels(picture, poses.ids, poses.roots, poses.root_depth_stddev_m, tops)
    if persons is not None and not seen:
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


def draw_scene(poses: Poses | Sequence[Poses], camera: Camera, path: Path) -> None:
    """Write a picture (PNG) of the people in space: in perspective, and from above.

    Where the camera is tilted the picture is not: the floor lies where the ankles do, and up is
    where the shoulders are. Both are guesses for the eye, not measurements.

    :param poses: of one image; or of several, in order: the last are drawn, the others give their
        paths.
    """
    # matplotlib takes half a second to import, and nothing else here needs it
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scene = _Scene.of([poses] if isinstance(poses, Poses) else poses, camera)
    figure = Figure(figsize=(13, 6.2), dpi=120, facecolor='white')
    FigureCanvasAgg(figure)
    _draw_space(figure.add_axes((-0.02, -0.12, 0.66, 1.24), projection='3d'), scene)
    _draw_above(figure.add_axes((0.69, 0.09, 0.30, 0.84)), scene)
    figure.savefig(path, format='png')


@dataclass(frozen=True)
class _Scene:
    """What the picture shows, levelled: x right, y forward, z up from the floor; metres.

    :param poses: the people.
    :param bones: of each person, (m, 2, 3).
    :param roots: (n, 3).
    :param heads: (n, 3) the highest joint of each.
    :param paths: of each person, (t, 3) roots so far.
    :param shown: (n,) bool: who is near enough, and has a root.
    :param eye: (3,) the camera.
    :param rays: (4, 3) from the camera to the image's corners.
    :param low: (3,) the least of everything.
    :param high: (3,) the most of everything.
    """

    poses: Poses
    bones: list[np.ndarray]
    roots: np.ndarray
    heads: np.ndarray
    paths: list[np.ndarray]
    shown: np.ndarray
    eye: np.ndarray
    rays: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, sequence: Sequence[Poses], camera: Camera) -> '_Scene':
        """Return the scene of the last poses."""
        poses = sequence[-1]
        turn, height_m = levelling(sequence)
        eye = np.array([0, 0, height_m])
        joints = poses.joints @ turn.T + eye
        paths = [
            np.array([p.roots[p.ids.index(i)] for p in sequence if i and i in p.ids])
            for i in poses.ids
        ]
        # one false person on the horizon would make all others dots
        distance_m = np.linalg.norm(poses.roots, axis=1)
        known = np.isfinite(distance_m)
        near = distance_m <= _SHOWN_RANGE * np.median(distance_m[known]) if known.any() else known
        right, bottom = camera.width - 1, camera.height - 1
        corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]])
        around = np.array([[-1, 0, 0], [1, 2, 0]]) + eye
        all_shown = np.concatenate([joints[near].reshape(-1, 3), around])
        highest = np.nan_to_num(joints[..., 2], nan=-np.inf).argmax(axis=1)
        return cls(
            poses,
            [bones @ turn.T + eye for bones in skeleton_lines(poses)],
            poses.roots @ turn.T + eye,
            joints[np.arange(len(poses)), highest],
            [path.reshape(-1, 3) @ turn.T + eye for path in paths],
            near,
            eye,
            camera.back_project(corners, np.ones(4)) @ turn.T,
            np.floor(np.nanmin(all_shown, axis=0) - 0.3),
            np.ceil(np.nanmax(all_shown, axis=0) + 0.3),
        )

    @property
    def step_m(self) -> float:
        """Return the distance between the grid's lines."""
        return next((s for s in (1.0, 2.0, 5.0, 10.0, 20.0) if self.high[1] <= 10 * s), 50.0)

    def people(self) -> Iterator[tuple[int, str, tuple[float, float, float]]]:
        """Yield the index, the name ('' = none) and the colour of each person shown."""
        for i in np.flatnonzero(self.shown).tolist():
            person_id = self.poses.ids[i]
            yield i, f'#{person_id}' if person_id else '', person_colour(person_id, i)


def _draw_space(axes: 'Axes3D', scene: _Scene) -> None:
    """Draw the people, the camera's view and the floor in perspective."""
    low, high, step = scene.low, scene.high, scene.step_m
    near, left = min(low[1], 0.0), step * np.floor(low[0] / step)
    for x in np.arange(left, high[0] + 1e-6, step):
        axes.plot([x, x], [0, high[1]], [0, 0], color='0.85', linewidth=0.8, zorder=0)
    for y in np.arange(0, high[1] + 1e-6, step):
        axes.plot([left, high[0]], [y, y], [0, 0], color='0.85', linewidth=0.8, zorder=0)
        place = (high[0] + 0.02 * high[1], y, 0)
        axes.text(*place, f'{y:g} m', color='0.45', fontsize=8, clip_on=True)
    corners = scene.eye + 0.08 * high[1] * scene.rays
    view = np.concatenate([[corner, scene.eye] for corner in corners] + [corners, corners[:1]])
    axes.plot(*view.T, color='0.3', linewidth=1)
    distance_m, _ = distances(scene.poses.roots, scene.poses.root_depth_stddev_m)
    crowd = scene.shown.sum() > _CROWD
    for i, name, colour in scene.people():
        gaps = np.full((len(scene.bones[i]), 1, 3), np.nan)
        bones = np.concatenate([scene.bones[i], gaps], axis=1).reshape(-1, 3)
        axes.plot(*bones.T, color=colour, linewidth=1.2 if crowd else 2.4)
        x, y, z = scene.roots[i]
        axes.plot([x, x], [y, y], [0, z], color=colour, linewidth=0.8, linestyle=':')
        axes.plot(*scene.paths[i][:, :2].T, 0, color=colour, linewidth=1.5, alpha=0.5)
        axes.scatter([x], [y], [0], color=[colour], s=18)
        place = scene.heads[i] + [0, 0, 0.03 * high[1]]
        label = name if name and crowd else f'{name} {distance_m[i]:.1f} m'.strip()
        axes.text(*place, label, fontsize=10, ha='center', weight='bold', color=_dark(colour))
    axes.set(xlim=(left, high[0]), ylim=(near, high[1]), zlim=(0, high[2]))
    axes.set_box_aspect((high[0] - left, high[1] - near, high[2]), zoom=1.2)
    axes.set_axis_off()
    axes.view_init(elev=18, azim=-65)


def _draw_above(axes: 'Axes', scene: _Scene) -> None:
    """Draw the roots, how unsure their distance is, and the edges of the view, from above."""
    low, high, step = scene.low, scene.high, scene.step_m
    angles = np.linspace(0, np.pi, 90)
    for radius in np.arange(step, 2 * high[1], step):
        axes.plot(radius * np.cos(angles), radius * np.sin(angles), color='0.88', linewidth=0.8)
    edges = scene.rays[:, :2] / np.maximum(scene.rays[:, 1:2], 1e-3) * 2 * high[1]
    for edge in (edges[edges[:, 0].argmin()], edges[edges[:, 0].argmax()]):
        axes.plot([0, edge[0]], [0, edge[1]], color='0.6', linewidth=1)
    axes.plot(0, 0, marker='^', color='0.3', markersize=9)
    for i, name, colour in scene.people():
        x, y = scene.roots[i, :2]
        part = scene.poses.root_depth_stddev_m[i] / scene.poses.roots[i, 2]
        axes.plot(*scene.paths[i][:, :2].T, color=colour, linewidth=1.2, alpha=0.5)
        axes.plot([x - part * x, x + part * x], [y - part * y, y + part * y], color=colour)
        axes.plot(x, y, marker='o', color=colour, markersize=8)
        axes.annotate(
            name, (x, y), (8, 5), textcoords='offset points', weight='bold', color=_dark(colour)
        )
    middle, half = (
        (low[0] + high[0]) / 2,
        max((high[0] - low[0]) / 2 + 0.08 * high[1], 0.35 * high[1]),
    )
    axes.set(xlim=(middle - half, middle + half), ylim=(-0.05 * high[1], high[1]))
    axes.set(xlabel='to the right, m', ylabel='forward, m')
    beyond = int((~scene.shown).sum())
    title = 'from above; bars are ± 1 standard deviation'
    axes.set_title(title + (f'; {beyond} beyond' if beyond else ''), fontsize=10)
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_aspect('equal')


def _dark(colour: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the colour for text on white."""
    return 0.7 * colour[0], 0.7 * colour[1], 0.7 * colour[2]
