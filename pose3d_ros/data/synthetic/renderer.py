# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of people in a scene: the kernels launched, and what a lens and a sensor add."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import warp as wp

from pose3d_ros.data.synthetic import kernels, shading
from pose3d_ros.data.synthetic.bodies import BodyModel
from pose3d_ros.data.synthetic.scenes import Box, Crowd, Ground, Light, Setting
from pose3d_ros.data.synthetic.textures import noise_pyramid
from pose3d_ros.data.synthetic.views import View
from pose3d_ros.data.synthetic.wardrobe import Outfits, Tailor

_NEAR_M = 0.2
_GRAIN_PX = 64
_MIDDLE_GREY = 0.48
_WIDE_PX = 3.0


@dataclass(frozen=True)
class Picture:
    """What one camera sees.

    :param image: (height, width, 3) uint8, BGR.
    :param indices: (height, width) what is seen: a person from 0, a box from shading.FIRST_BOX
        on, or shading.NOTHING.
    :param depths_m: (height, width) z of it in the optical frame; shading.FAR_M = nothing there.
    """

    image: np.ndarray
    indices: np.ndarray
    depths_m: np.ndarray


@dataclass(frozen=True)
class Stage:
    """What a camera sees before people come, on the device; `boxes` are those in view."""

    setting: Setting
    boxes: tuple[Box, ...]
    eye: Any
    around: Any
    albedos: Any
    normals: Any
    indices: Any
    depths: Any


class Renderer:
    """Holds what all pictures share on a device: the mesh, its regions and the noise.

    :param device: 'cpu' or 'cuda', as Warp names them.
    """

    def __init__(self, model: BodyModel, device: str = 'cpu') -> None:
        self._device = device
        self._tailor = Tailor(model)
        self._faces = self._array(model.faces, int)
        self._cloth = self._array(self._tailor.places, wp.vec3)
        self._regions = self._array(self._tailor.regions, int)
        self._noise = self._array(noise_pyramid(), float)

    def survey(self, setting: Setting) -> Stage:
        """Return what a camera sees before people come."""
        view = setting.view
        boxes, frames = _in_view(setting.boxes, view)
        around = _surroundings(setting.ground, setting.backdrop is None)
        size = (view.height, view.width)
        albedos, normals = (self._zeros(size, wp.vec3) for _ in range(2))
        indices, depths = self._zeros(size, int), self._zeros(size, float)
        stage = Stage(setting, boxes, _eye(view), around, albedos, normals, indices, depths)
        self._launch(shading.survey, _strips(view), self._array(_box_rows(boxes, 0.0), wp.vec3),
                     self._array(frames, float), stage.eye, around, self._noise, albedos, normals,
                     indices, depths)  # fmt: skip
        return stage

    def render(
        self, rng: np.random.Generator, stage: Stage, crowd: Crowd, outfits: Outfits, light: Light
    ) -> Picture:
        """Return the picture of one moment; `rng` is for what lens and sensor add."""
        setting, eye, sun = stage.setting, stage.eye, _light(light)
        people, fallen = self._project(crowd, outfits, eye, sun)
        shadow = self._shadow(fallen, eye, light.softness_px)
        cells = wp.full(stage.depths.shape, kernels.EMPTY, wp.uint64, device=self._device)
        self._launch(kernels.rasterise, self._each_face(people.screen), people.screen, self._faces,
                     eye, cells)  # fmt: skip
        boxes, frames = _in_view(crowd.boxes, setting.view)
        length = float(np.linalg.norm(light.to_sun[:2]) / light.to_sun[2])
        pixels = self._zeros(cells.shape, wp.vec3)
        indices, depths = wp.clone(stage.indices), wp.clone(stage.depths)
        self._launch(
            shading.shade, _strips(setting.view), cells, people,
            self._array(_box_rows(boxes, length), wp.vec3), self._array(frames, float),
            len(stage.boxes), self._array(_box_rows(stage.boxes + boxes, length), wp.vec3),
            eye, sun, stage.around, self._array(shadow, float), self._noise, stage.albedos,
            stage.normals, pixels, indices, depths,
        )  # fmt: skip
        image, seen = pixels.numpy(), indices.numpy()
        if setting.backdrop is not None:
            dark = 1 - np.float32(light.shadow) * shadow
            behind = setting.backdrop / np.float32(255) * dark[..., None]
            image = np.where((seen == shading.NOTHING)[..., None], behind, image)
        return Picture(_photograph(rng, image), seen, depths.numpy())

    def _project(self, crowd: Crowd, outfits: Outfits, eye: Any, sun: Any) -> tuple[Any, Any]:
        """Return the people as the kernels want them, and where their vertices' shadows fall."""
        vertices = self._array(crowd.vertices_m, wp.vec3)
        people, fallen = shading.People(), self._zeros(vertices.shape, wp.vec3)
        people.screen, people.normals = (self._zeros(vertices.shape, wp.vec3) for _ in range(2))
        people.faces, people.cloth, people.regions = self._faces, self._cloth, self._regions
        people.colours = self._array(outfits.colours, wp.vec3)
        people.patterns = self._array(outfits.patterns, wp.vec2)
        thickness = self._array(self._tailor.thickness(outfits), float)
        self._launch(kernels.add_face_normals, self._each_face(vertices), vertices, self._faces,
                     people.normals)  # fmt: skip
        self._launch(kernels.dress_and_project, vertices.shape, vertices, people.normals,
                     thickness, eye, sun, people.screen, fallen)  # fmt: skip
        return people, fallen

    def _shadow(self, fallen: Any, eye: Any, softness_px: float) -> np.ndarray:
        """Return how much (0..1) of each pixel (h, w) the people's shadows cover, on the ground."""
        covered = self._zeros((eye.height, eye.width), wp.uint8)
        self._launch(kernels.cover, self._each_face(fallen), fallen, self._faces, eye, covered)
        return _softened(covered.numpy(), softness_px) / np.float32(255)

    def _each_face(self, vertices: Any) -> tuple[int, int]:
        return vertices.shape[0], self._faces.shape[0]

    def _zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return wp.zeros(shape, dtype, device=self._device)

    def _array(self, values: np.ndarray, dtype: Any) -> Any:
        return wp.array(values, dtype=dtype, device=self._device)

    def _launch(self, kernel: Any, size: tuple[int, ...], *inputs: Any) -> None:
        wp.launch(kernel, dim=size, inputs=inputs, device=self._device)


def _strips(view: View) -> tuple[int, int]:
    return view.height, -(-view.width // shading.STRIP)


def _eye(view: View) -> Any:
    eye = kernels.Eye()
    eye.R = wp.mat33(*view.rotation.ravel().tolist())
    eye.t = wp.vec3(*view.translation_m.tolist())
    eye.centre = wp.vec3(*view.place_m.tolist())
    eye.focal = wp.vec2(*view.focal_px.tolist())
    eye.principal = wp.vec2(*view.centre_px.tolist())
    eye.width, eye.height = view.width, view.height
    return eye


def _light(light: Light) -> Any:
    sun = kernels.Light()
    sun.to_sun, sun.sun = wp.vec3(*light.to_sun.tolist()), wp.vec3(*light.sun.tolist())
    sun.sky, sun.bounce = wp.vec3(*light.sky.tolist()), wp.vec3(*light.bounce.tolist())
    sun.shadow, sun.hard = light.shadow, int(light.hard)
    return sun


def _surroundings(ground: Ground, drawn: bool) -> Any:
    around = shading.Surroundings()
    around.first, around.second = wp.vec3(*ground.first.tolist()), wp.vec3(*ground.second.tolist())
    around.horizon = wp.vec3(*ground.horizon.tolist())
    around.zenith = wp.vec3(*ground.zenith.tolist())
    around.scale, around.clouds, around.drawn = ground.scale, ground.clouds, int(drawn)
    return around


def _box_rows(boxes: tuple[Box, ...], shadow: float) -> np.ndarray:
    """Return boxes (n, 6, 3) as the kernels want them; `shadow`: its length per height."""
    rows = np.zeros((len(boxes), 6, 3), np.float32)
    for row, box in zip(rows, boxes, strict=True):
        row[0], row[1], row[3:5] = box.middle_m, box.half_m, box.colours
        row[2] = np.cos(box.heading), np.sin(box.heading), box.pattern[0]
        row[5, 0] = box.pattern[1]
        row[5, 1] = np.linalg.norm(box.half_m[:2]) + 2 * box.half_m[2] * shadow
    return rows


def _in_view(boxes: tuple[Box, ...], view: View) -> tuple[tuple[Box, ...], np.ndarray]:
    """Return the boxes that can be seen, and left, top, right, bottom (n, 4) of where."""
    whole = np.array([0, 0, view.width, view.height], np.float32)
    seen, frames = [], []
    for box in boxes:
        corners = box.corners_m
        before = view.optical(corners)[:, 2] > _NEAR_M
        frame = whole
        if before.all():  # else it may be all around
            pixels = view.project(corners)
            frame = np.concatenate([pixels.min(axis=0) - 1, pixels.max(axis=0) + 1])
        if before.any() and (frame[:2] < whole[2:]).all() and (frame[2:] > 0).all():
            seen.append(box)
            frames.append(frame)
    return tuple(seen), np.array(frames, np.float32).reshape(-1, 4)


def _softened(mask: np.ndarray, softness_px: float) -> np.ndarray:
    """Return a blurred mask; a wide blur at a quarter of the size, which cannot be told apart."""
    if softness_px < _WIDE_PX:
        return cv2.GaussianBlur(mask, (0, 0), softness_px)
    small = cv2.resize(mask, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), softness_px / 4)
    return cv2.resize(blurred, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)


@cache
def _grain(height: int, width: int) -> np.ndarray:
    """Return noise of which every picture takes a piece: drawing it anew would take longer."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((height + _GRAIN_PX, width + _GRAIN_PX, 3), np.float32)


def _photograph(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Return what a camera makes of light (h, w, 3): exposure, tone, softness and noise, uint8."""
    middle = max(float(np.minimum(light[::4, ::4], 1).mean()), 0.05)
    exposure = np.exp(rng.normal(0, 0.2)) * (_MIDDLE_GREY / middle) ** 0.7
    gains = (255 * exposure * np.exp(rng.normal(0, 0.04, 3))).astype(np.float32)
    sharp = cv2.convertScaleAbs(light * gains)
    soft = cv2.GaussianBlur(sharp, (0, 0), float(rng.uniform(0.45, 1.0)))
    tones = 255 * np.linspace(0, 1, 256, dtype=np.float32) ** np.float32(rng.uniform(0.8, 1.15))
    height, width = light.shape[:2]
    top, left = rng.integers(_GRAIN_PX, size=2)
    grain = _grain(height, width)[top : top + height, left : left + width]
    strength = 255 * float(rng.uniform(0, 0.02))
    return cv2.addWeighted(cv2.LUT(soft, tones), 1, grain, strength, 0, dtype=cv2.CV_8U)
