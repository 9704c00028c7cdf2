# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One camera's pictures, with what is known of everybody in them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pose3d_ros.data.annotations import DataError
from pose3d_ros.data.synthetic import motions, scenes
from pose3d_ros.data.synthetic.bodies import Bodies, BodyModel
from pose3d_ros.data.synthetic.renderer import Picture, Renderer, Stage
from pose3d_ros.data.synthetic.views import View, random_view
from pose3d_ros.data.synthetic.wardrobe import dress

_TRIES = 10
_BACKDROP_SHARE = 0.5  # of the cameras, where there are pictures to put behind
_HIDDEN_M = 0.05  # so much nearer something has to be to hide a joint
# Who shows less of himself than this is in the picture but not annotated.
_LEAST_PX = (6, 16)  # width and height of the box
_LEAST_JOINTS = 5


@dataclass(frozen=True)
class Shot:
    """A picture and the n annotated people in it.

    :param image: (height, width, 3) uint8, BGR.
    :param joints_m: (n, 17, 3) in the world, of HUMAN36M_17.
    :param boxes: (n, 4) x, y, width, height, tight around what is seen of a person; pixels.
    :param inside: (n, 17) whether a joint lies in the image.
    :param seen: (n, 17) whether it lies in the image and nobody else and nothing hides it.
    """

    image: np.ndarray
    joints_m: np.ndarray
    boxes: np.ndarray
    inside: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class Reel:
    """What one camera took: everybody does the same, as an action of Human3.6M is one recording."""

    view: View
    action: str
    shots: tuple[Shot, ...]


class Studio:
    """What every reel needs, loaded once for each process.

    :param backdrops: pictures to put behind people; none = only ground, houses and sky.
    :param facing_deg: the most that people are turned away from the camera.
    :raises WeightsError: motion clips have not been fetched.
    :raises OSError: the body model cannot be written.
    """

    def __init__(
        self, backdrops: tuple[Path, ...] = (), facing_deg: float = 180.0, device: str = 'cpu'
    ) -> None:
        self._model = BodyModel()
        self._renderer = Renderer(self._model, device)
        self._repertoire = motions.Repertoire()
        self._backdrops = backdrops
        self._most_turned = np.radians(facing_deg)

    def shoot(self, rng: np.random.Generator, width: int, height: int, pictures: int) -> Reel:
        """Return the reel of a random camera; the same numbers give the same reel.

        :raises DataError: a backdrop cannot be read.
        """
        shares = np.array([share for _, share in motions.ACTIONS.values()])
        action = str(rng.choice(list(motions.ACTIONS), p=shares / shares.sum()))
        setting, places = self._find_setting(rng, width, height, pictures)
        postures = [self._repertoire.draw(action, rng) for place in places for _ in place]
        bodies = self._model.make(np.array(postures), rng)
        stage = self._renderer.survey(setting)
        shots, first = [], 0
        for place in places:
            who = slice(first, first + len(place))
            first += len(place)
            some = Bodies(bodies.vertices[who], bodies.joints[who], bodies.years[who])
            shots.append(self._take(rng, stage, some, place, action))
        return Reel(setting.view, action, tuple(shots))

    def _find_setting(
        self, rng: np.random.Generator, width: int, height: int, pictures: int
    ) -> tuple[scenes.Setting, list[np.ndarray]]:
        """Return a camera before which people find a place, and the places in each picture."""
        while True:
            setting = scenes.random_setting(rng, random_view(rng, width, height))
            if self._backdrops and rng.random() < _BACKDROP_SHARE:
                path = self._backdrops[rng.integers(len(self._backdrops))]
                setting = scenes.before(setting, _backdrop(path, rng, width, height))
            places = [
                scenes.random_places(rng, setting, scenes.number_of_people(rng))
                for _ in range(pictures)
            ]
            if all(len(place) for place in places):
                return setting, places

    def _take(
        self, rng: np.random.Generator, stage: Stage, bodies: Bodies,
        places: np.ndarray, action: str,
    ) -> Shot:  # fmt: skip
        """Return a picture in which somebody can be seen, if there is a way."""
        outfits, setting = dress(bodies.years, rng), stage.setting
        for _ in range(_TRIES):
            turns = scenes.random_turns(rng, places, setting.view, self._most_turned)
            crowd = scenes.gather(rng, bodies, places, turns, setting.view, action == 'Sitting')
            light = scenes.random_light(rng)
            picture = self._renderer.render(rng, stage, crowd, outfits, light)
            shot = annotate(setting.view, crowd.joints_m, picture)
            if len(shot.boxes):
                break
            places = scenes.random_places(rng, setting, len(places))
            if len(places) < len(bodies.years):
                some = slice(len(places))
                bodies = Bodies(bodies.vertices[some], bodies.joints[some], bodies.years[some])
                outfits = dress(bodies.years, rng)
        return shot


def annotate(view: View, joints_m: np.ndarray, picture: Picture) -> Shot:
    """Return what is known of the people (n, 17, 3) in a picture, less those hardly seen."""
    pixels, depths = view.project(joints_m), view.optical(joints_m)[..., 2]
    inside = (
        (depths > 0)
        & (pixels >= 0).all(axis=-1)
        & (pixels <= [view.width - 1, view.height - 1]).all(axis=-1)
    )
    columns, rows = np.moveaxis(np.where(inside[..., None], pixels, 0).round().astype(int), -1, 0)
    own = np.arange(len(joints_m))[:, None] == picture.indices[rows, columns]
    clear = own | (picture.depths_m[rows, columns] > depths - _HIDDEN_M)
    seen = inside & clear
    boxes = np.array([_tight(picture.indices == person) for person in range(len(joints_m))])
    kept = (boxes.reshape(-1, 4)[:, 2:] >= _LEAST_PX).all(axis=1) & (
        seen.sum(axis=1) >= _LEAST_JOINTS
    )
    return Shot(picture.image, joints_m[kept], boxes.reshape(-1, 4)[kept], inside[kept], seen[kept])


def _tight(mask: np.ndarray) -> np.ndarray:
    """Return x, y, width, height around the pixels of a mask, edges included; zeros = none."""
    return np.array(cv2.boundingRect(mask.astype(np.uint8)))


def _backdrop(path: Path, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a random piece of a picture, of the size of an image."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise DataError(f'backdrop {path} cannot be read as an image; remove it from the folder')
    scale = max(width / picture.shape[1], height / picture.shape[0]) * rng.uniform(1.0, 1.5)
    size = [max(int(np.ceil(side * scale)), least) for side, least in
            ((picture.shape[1], width), (picture.shape[0], height))]  # fmt: skip
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(picture, size, interpolation=shrinks)
    left, top = (int(rng.integers(extra + 1)) for extra in (size[0] - width, size[1] - height))
    return scaled[top : top + height, left : left + width]
