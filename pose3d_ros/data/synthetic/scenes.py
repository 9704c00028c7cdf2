# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where people and things are before a camera, and what the light is like: all at random."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from pose3d_ros.data.synthetic.bodies import Bodies
from pose3d_ros.data.synthetic.postures import about, rotations_of
from pose3d_ros.data.synthetic.views import NEAREST_M, View
from pose3d_ros.skeletons import HUMAN36M_17

_PEOPLE_SHARES = {1: 0.35, 2: 0.3, 3: 0.2, 4: 0.1, 5: 0.05}
_TOGETHER_SHARE = 0.45  # of people who stand beside another one
_TOGETHER_M = (0.5, 1.3)
_APART_M = 0.45
_BEYOND = 0.04  # of the image's width: where pelves may be outside of it
_UP = np.array([0.0, 0.0, 1.0])
_CHEST_M = 1.1
_TRIES = 40
_NEARNESS = (1.0, 1.5)  # of a beta distribution: near people fall out of view more often
_HALF_WIDTH_M = 0.4  # what a person needs beside a box
_SEAT_M = 0.25  # half a seat
_BARRIER_SHARE = 0.15  # of people with something that hides their legs
_WINDOWS, _PLAIN = 5.0, 0.0
MOST_PEOPLE = max(_PEOPLE_SHARES)


@dataclass(frozen=True)
class Box:
    """A house, a piece of furniture or a barrier.

    :param middle_m: (3,) in the world.
    :param half_m: (3,) half its sides.
    :param heading: turned so much about z, radians.
    :param pattern: of shading, and how many repeats a metre has.
    :param colours: (2, 3) BGR in 0..1.
    """

    middle_m: np.ndarray
    half_m: np.ndarray
    heading: float
    pattern: tuple[float, float]
    colours: np.ndarray

    @property
    def corners_m(self) -> np.ndarray:
        """Return its corners (8, 3) in the world."""
        signs = np.array(list(itertools.product((-1, 1), repeat=3)))
        return signs * self.half_m @ about(2, self.heading).T + self.middle_m

    def distance_m(self, place: np.ndarray) -> float:
        """Return how far a place on the ground is outside of the box; 0 or less = within."""
        cosine, sine = np.cos(self.heading), np.sin(self.heading)
        x, y = (place - self.middle_m)[:2]
        local = np.abs([cosine * x + sine * y, -sine * x + cosine * y])
        return float((local - self.half_m[:2]).max())


@dataclass(frozen=True)
class Light:
    """Where the sun is and what it and the sky give, BGR.

    :param shadow: 0 = none, 1 = black.
    :param softness_px: of the shadows' edges.
    :param hard: sunshine, in which things throw shadows as people do.
    """

    to_sun: np.ndarray
    sun: np.ndarray
    sky: np.ndarray
    bounce: np.ndarray
    shadow: float
    softness_px: float
    hard: bool


@dataclass(frozen=True)
class Ground:
    """Colours (BGR) of the ground and the sky; `scale`: texels of noise per metre."""

    first: np.ndarray
    second: np.ndarray
    scale: float
    horizon: np.ndarray
    zenith: np.ndarray
    clouds: float


@dataclass(frozen=True)
class Setting:
    """What stays while a camera takes several pictures."""

    view: View
    boxes: tuple[Box, ...]
    ground: Ground
    backdrop: np.ndarray | None = None  # (height, width, 3) uint8, in the place of all but people


@dataclass(frozen=True)
class Crowd:
    """n people at their places: vertices (n, v, 3) and joints (n, 17, 3) in the world, metres."""

    vertices_m: np.ndarray
    joints_m: np.ndarray
    boxes: tuple[Box, ...]  # what belongs to them: seats, barriers


def number_of_people(rng: np.random.Generator) -> int:
    """Return how many people an image has: 2.2 on average."""
    return int(rng.choice(list(_PEOPLE_SHARES), p=list(_PEOPLE_SHARES.values())))


def random_setting(rng: np.random.Generator, view: View) -> Setting:
    """Return houses behind and beside, some things that stand about, ground and sky."""
    boxes = [_house(rng, view) for _ in range(rng.integers(0, 5))]
    boxes += [_thing(rng, view) for _ in range(rng.integers(0, 5))]
    near = tuple(box for box in boxes if box.distance_m(view.place_m) > 1.0)
    tone = rng.uniform(0.15, 0.75)
    first = np.clip(tone + rng.normal(0, 0.03, 3), 0.02, 1)
    horizon = np.clip(np.array([0.95, 0.9, 0.87]) * rng.uniform(0.5, 1.0), 0, 1)
    ground = Ground(
        first,
        np.clip(first * rng.uniform(0.3, 1.6) + rng.normal(0, 0.03, 3), 0.02, 1),
        float(np.exp(rng.uniform(np.log(3), np.log(80)))),
        horizon,
        np.clip(horizon * rng.uniform([0.8, 0.6, 0.4], [1.0, 0.9, 0.9]), 0, 1),
        float(rng.uniform(0, 0.9)),
    )
    return Setting(view, near, ground)


def before(setting: Setting, backdrop: np.ndarray) -> Setting:
    """Return a setting with a picture in the place of ground, houses and sky."""
    return replace(setting, boxes=(), backdrop=backdrop)


def random_light(rng: np.random.Generator) -> Light:
    """Return sunshine, a covered sky, or lamps."""
    height, bearing = np.radians(rng.uniform(25, 80)), rng.uniform(-np.pi, np.pi)
    to_sun = np.array([np.cos(height) * np.cos(bearing), np.cos(height) * np.sin(bearing),
                       np.sin(height)])  # fmt: skip
    sunny = bool(rng.random() < 0.55)
    strength = rng.uniform(0.55, 1.0) if sunny else rng.uniform(0.05, 0.35)
    warm = np.array([1.0, 1.0, 1.0]) + rng.uniform(0, 1) * np.array([-0.25, -0.08, 0.0])
    sky = np.array([1.05, 1.0, 0.95]) * (rng.uniform(0.35, 0.6) if sunny else rng.uniform(0.5, 1.0))
    bounce = sky * rng.uniform(0.35, 0.7)
    shadow = strength / (strength + sky.mean()) if sunny else rng.uniform(0.2, 0.5)
    softness = rng.uniform(0.3, 1.5) if sunny else rng.uniform(4, 12)
    return Light(to_sun, strength * warm, sky, bounce, float(shadow), float(softness), sunny)


def random_places(rng: np.random.Generator, setting: Setting, n: int) -> np.ndarray:
    """Return where up to n people stand (m, 3): apart from boxes and each other, and in view."""
    places: list[np.ndarray] = []
    for _ in range(n):
        for _ in range(_TRIES):
            beside = bool(places) and rng.random() < _TOGETHER_SHARE
            place = _beside(rng, places) if beside else _anywhere(rng, setting.view)
            if _free(place, setting, places):
                places.append(place)
                break
    return np.array(places).reshape(-1, 3)


def random_turns(
    rng: np.random.Generator, places: np.ndarray, view: View, most: float
) -> np.ndarray:
    """Return the headings (n,) of people at places (n, 3), radians.

    :param most: that somebody is turned away from the camera; pi = any way.
    """
    towards = view.place_m - places
    # with heading 0 a body looks along -y
    to_camera = np.arctan2(towards[:, 0], -towards[:, 1])
    return np.asarray(to_camera + rng.uniform(-most, most, len(places)))


def gather(
    rng: np.random.Generator,
    bodies: Bodies,
    places: np.ndarray,
    turns: np.ndarray,
    view: View,
    seated: bool,
) -> Crowd:
    """Return people at their places, with what they sit on or stand behind.

    :param turns: (n,) their headings, about z, radians.
    """
    rotations = rotations_of(turns[:, None] * _UP).transpose(0, 2, 1).astype(np.float32)
    vertices = bodies.vertices @ rotations + places[:, None].astype(np.float32)
    joints = bodies.joints @ rotations + places[:, None].astype(np.float32)
    boxes = []
    for person, place in enumerate(places):
        if seated:
            boxes.append(_seat(rng, vertices[person], joints[person], float(turns[person])))
        elif rng.random() < _BARRIER_SHARE:
            barrier = _barrier(rng, place, view)
            if all(barrier.distance_m(other) > _HALF_WIDTH_M for other in places):
                boxes.append(barrier)
    return Crowd(vertices, joints, tuple(boxes))


def _anywhere(rng: np.random.Generator, view: View) -> np.ndarray:
    range_ = np.log(view.farthest_m / NEAREST_M)
    depth = NEAREST_M * np.exp(range_ * rng.beta(*_NEARNESS))
    column = rng.uniform(-_BEYOND, 1 + _BEYOND) * view.width
    return view.ground(column, depth)


def _beside(rng: np.random.Generator, places: list[np.ndarray]) -> np.ndarray:
    other, bearing = places[rng.integers(len(places))], rng.uniform(-np.pi, np.pi)
    step = rng.uniform(*_TOGETHER_M)
    return other + step * np.array([np.cos(bearing), np.sin(bearing), 0.0])


def _free(place: np.ndarray, setting: Setting, places: list[np.ndarray]) -> bool:
    view = setting.view
    chest = place + _UP * _CHEST_M
    depth = view.optical(chest)[2]
    if not 0.9 * NEAREST_M <= depth <= view.farthest_m:
        return False
    x, y = view.project(chest)
    if not (-_BEYOND * view.width <= x <= (1 + _BEYOND) * view.width and 0 <= y <= view.height):
        return False
    if np.linalg.norm((place - view.place_m)[:2]) < NEAREST_M / 2:
        return False
    if any(np.linalg.norm(place - other) < _APART_M for other in places):
        return False
    return all(box.distance_m(place) > _HALF_WIDTH_M for box in setting.boxes)


def _house(rng: np.random.Generator, view: View) -> Box:
    half = rng.uniform([2, 2, 1.2], [12, 8, 9])
    place = view.ground(
        rng.uniform(-0.3, 1.3) * view.width, view.farthest_m * rng.uniform(0.6, 2.0)
    )
    pattern = _WINDOWS if rng.random() < 0.7 else float(rng.choice([1, 2, 3, 4]))
    return Box(place + _UP * half[2], half, rng.uniform(-np.pi, np.pi),
               (pattern, float(rng.uniform(0.25, 0.6))), _colours(rng))  # fmt: skip


def _thing(rng: np.random.Generator, view: View) -> Box:
    half = rng.uniform([0.1, 0.1, 0.15], [1.2, 0.7, 1.1])
    depth = np.exp(rng.uniform(np.log(2 * NEAREST_M), np.log(view.farthest_m)))
    place = view.ground(rng.uniform(0, 1) * view.width, depth)
    return Box(place + _UP * half[2], half, rng.uniform(-np.pi, np.pi),
               (float(rng.integers(0, 5)), float(rng.uniform(1, 8))), _colours(rng))  # fmt: skip


def _seat(
    rng: np.random.Generator, vertices: np.ndarray, joints: np.ndarray, heading: float
) -> Box:
    """Return what somebody sits on: from the ground up to below the thighs."""
    hips = joints[HUMAN36M_17.indices('R_Hip', 'L_Hip')].mean(axis=0)
    near = np.linalg.norm((vertices - hips)[:, :2], axis=1) < 0.15
    top = max(float(vertices[near, 2].min()), 0.1)
    backwards = np.array([-np.sin(heading), np.cos(heading), 0.0]) * 0.05
    middle = np.array([hips[0], hips[1], top / 2]) + backwards
    half = np.array([rng.uniform(_SEAT_M, 3 * _SEAT_M), _SEAT_M, top / 2])
    return Box(middle, half, heading, (_PLAIN, 5.0), _colours(rng))


def _barrier(rng: np.random.Generator, place: np.ndarray, view: View) -> Box:
    towards = (view.place_m - place) * [1, 1, 0]
    towards /= max(float(np.linalg.norm(towards)), 1e-6)
    half = rng.uniform([0.3, 0.05, 0.2], [1.0, 0.2, 0.55])
    middle = place + towards * rng.uniform(0.7, 1.2) + _UP * half[2]
    heading = float(np.arctan2(towards[1], towards[0])) + np.pi / 2 + rng.normal(0, 0.2)
    return Box(middle, half, heading, (float(rng.integers(0, 5)), 5.0), _colours(rng))


def _colours(rng: np.random.Generator) -> np.ndarray:
    """Return two dull colours (2, 3)."""
    tones = rng.uniform(0.08, 0.85, (2, 1))
    return np.clip(tones + rng.normal(0, 0.07, (2, 3)), 0, 1)
