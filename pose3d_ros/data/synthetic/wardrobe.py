# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What people wear: colours, patterns and thickness of cloth for each region of the body."""

from dataclasses import dataclass

import cv2
import numpy as np

from pose3d_ros.data.synthetic.bodies import BodyModel

REGIONS = (
    'hair', 'nape', 'face', 'neck', 'chest', 'hips', 'shoulder', 'upper_arm', 'forearm', 'hand',
    'groin', 'thigh', 'shin', 'foot', 'eye',
)  # fmt: skip

_REGION_OF_BONE = {
    'head': 'face', 'eye': 'eye', 'neck': 'neck', 'spine': 'chest', 'clavicle': 'chest',
    'shoulder01': 'chest', 'root': 'hips', 'pelvis': 'hips', 'upperarm01': 'shoulder',
    'upperarm02': 'upper_arm', 'lowerarm': 'forearm', 'wrist': 'hand', 'finger': 'hand',
    'metacarpal': 'hand', 'upperleg01': 'groin', 'upperleg02': 'thigh', 'lowerleg': 'shin',
    'foot': 'foot', 'toe': 'foot',
}  # fmt: skip
# About the middle body's hips: where trousers begin, and where a shirt worn over them ends.
_WAIST_M, _HEM_M = 0.05, -0.06
# The hairline of the middle body: a plane from the forehead down to the nape, y and z in metres.
_FOREHEAD = (-0.11, 0.715)
_FALL = 0.72
_SOFTENING = 12  # rounds over which the edge of cloth evens out on the body

_PLAIN, _PATTERNS, _CLOTH_NOISE = 0, (0, 0, 0, 1, 2, 3, 4), 40.0
_STRIPES_PER_M = (12.0, 50.0)
_SKINS = np.array([[224, 190, 170], [200, 155, 125], [160, 110, 80], [110, 72, 50], [70, 45, 35]])
_HAIRS = np.array([[20, 17, 15], [50, 35, 25], [95, 65, 40], [190, 155, 100], [150, 145, 140],
                   [120, 55, 30]])  # fmt: skip
_GREY_FROM_YEARS = 55
_GREY = 4
_LONG, _SHORT, _NONE = 'long', 'short', 'none'


@dataclass(frozen=True)
class Outfits:
    """What n people wear, by region.

    :param colours: (n, regions, 2, 3) float32, BGR in 0..1.
    :param patterns: (n, regions, 2) float32: kind (shading), stripes per metre.
    :param thickness_m: (n, regions) float32.
    """

    colours: np.ndarray
    patterns: np.ndarray
    thickness_m: np.ndarray


class Tailor:
    """Knows where on the body each region is."""

    def __init__(self, model: BodyModel) -> None:
        self.places = model.rest[0].astype(np.float32)
        self.regions = self._assign(model)
        self._softened = self._soften(model.faces)

    def _assign(self, model: BodyModel) -> np.ndarray:
        names = [
            next(region for start, region in _REGION_OF_BONE.items() if bone.startswith(start))
            for bone in model.strongest_bones
        ]
        regions = np.array([REGIONS.index(name) for name in names], np.int32)
        y, z = self.places[:, 1], self.places[:, 2]
        trunk = np.isin(regions, [REGIONS.index('chest'), REGIONS.index('hips')])
        hips = float(model.rest[1][0, 2])
        regions[trunk] = REGIONS.index('chest')
        regions[trunk & (z < hips + _WAIST_M)] = REGIONS.index('hips')
        upper = trunk | (regions == REGIONS.index('groin'))
        regions[upper & (z < hips + _WAIST_M) & (z > hips + _HEM_M)] = REGIONS.index('hips')
        regions[trunk & (z < hips + _HEM_M)] = REGIONS.index('groin')
        head = np.isin(regions, [REGIONS.index('face'), REGIONS.index('neck')])
        line = _FALL * (y - _FOREHEAD[0]) + z - _FOREHEAD[1]
        regions[head & (line > 0)] = REGIONS.index('hair')
        nape = head & (line <= 0) & (y > -0.03) & (line > -0.09)
        regions[nape] = REGIONS.index('nape')
        return regions

    def _soften(self, faces: np.ndarray) -> np.ndarray:
        """Return how much of each region a vertex is near to (v, regions), in sum 1."""
        share = np.eye(len(REGIONS), dtype=np.float32)[self.regions]
        start, end = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
        count = np.bincount(start, minlength=len(share))[:, None] + 1
        order = np.argsort(start, kind='stable')
        bounds = np.searchsorted(start[order], np.arange(len(share)))
        for _ in range(_SOFTENING):
            share = (share + np.add.reduceat(share[end[order]], bounds, axis=0)) / count
        return share

    def thickness(self, outfits: Outfits) -> np.ndarray:
        """Return how far cloth stands off each vertex (n, v), metres, with soft edges."""
        return np.ascontiguousarray(outfits.thickness_m @ self._softened.T)


def dress(years: np.ndarray, rng: np.random.Generator) -> Outfits:
    """Return random outfits for people of these ages (n,)."""
    n = len(years)
    colours = np.zeros((n, len(REGIONS), 2, 3), np.float32)
    patterns = np.zeros((n, len(REGIONS), 2), np.float32)
    thickness = np.zeros((n, len(REGIONS)), np.float32)
    patterns[..., 1] = _CLOTH_NOISE
    for person, age in enumerate(years):
        for names, colour, pattern, cloth in _pieces(float(age), rng):
            rows = [REGIONS.index(name) for name in names]
            colours[person, rows], patterns[person, rows] = colour, pattern
            thickness[person, rows] = cloth
    return Outfits(colours, patterns, thickness)


_Piece = tuple[tuple[str, ...], np.ndarray, tuple[float, float], float]


def _pieces(years: float, rng: np.random.Generator) -> list[_Piece]:
    """Return skin, hair and clothes: regions, two colours, pattern, thickness; later ones cover."""
    sleeves = rng.choice([_LONG, _SHORT, _NONE], p=[0.55, 0.4, 0.05])
    legs = rng.choice([_LONG, _SHORT], p=[0.75, 0.25])
    top = ('chest',) + {_LONG: ('shoulder', 'upper_arm', 'forearm'), _SHORT: ('shoulder',),
                        _NONE: ()}[sleeves]  # fmt: skip
    if rng.random() < 0.4:  # a shirt over the trousers
        top += ('hips',)
    bottom = ('hips', 'groin') + {_LONG: ('thigh', 'shin'), _SHORT: ('thigh',)}[legs]
    skin = _skin(rng)
    pieces: list[_Piece] = [
        (REGIONS, skin, (_PLAIN, _CLOTH_NOISE), 0.0),
        (('eye',), np.array([[0.25] * 3, [0.15] * 3]), (_PLAIN, _CLOTH_NOISE), 0.0),
        (bottom, *_cloth(rng), float(rng.uniform(0.004, 0.022))),
        (top, *_cloth(rng), float(rng.uniform(0.004, 0.028))),
    ]
    if rng.random() < 0.95:
        shoe = _pair(rng.uniform(0, 1, 3) * rng.choice([0.2, 0.9]))
        pieces.append((('foot',), shoe, (_PLAIN, _CLOTH_NOISE), 0.006))
    if rng.random() < 0.9:
        hair = ('hair', 'nape') if rng.random() < 0.5 else ('hair',)
        pieces.append((hair, _hair(years, rng), (4, 60.0), float(rng.uniform(0.006, 0.03))))
    return pieces


def _skin(rng: np.random.Generator) -> np.ndarray:
    place = rng.uniform(0, len(_SKINS) - 1)
    lower = min(int(place), len(_SKINS) - 2)
    rgb = _SKINS[lower] + (place - lower) * (_SKINS[lower + 1] - _SKINS[lower])
    return _pair(rgb[::-1] / 255, 0.06)


def _hair(years: float, rng: np.random.Generator) -> np.ndarray:
    grey = years > _GREY_FROM_YEARS and rng.random() < 0.7
    rgb = _HAIRS[_GREY if grey else rng.integers(len(_HAIRS))]
    return _pair(rgb[::-1] / 255 * rng.uniform(0.7, 1.3), 0.3)


def _cloth(rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
    """Return two colours (2, 3) and a pattern; street clothes are mostly dull and dark."""
    kind = float(rng.choice(_PATTERNS))
    first = _dye(rng)
    colours = _pair(first, 0.15) if kind == _PLAIN else np.stack([first, _dye(rng)])
    stripes = float(np.exp(rng.uniform(*np.log(_STRIPES_PER_M))))
    return colours, (kind, _CLOTH_NOISE if kind == _PLAIN else stripes)


def _dye(rng: np.random.Generator) -> np.ndarray:
    hsv = np.array([rng.uniform(0, 360), rng.beta(1.0, 1.6), rng.beta(1.2, 1.3)], np.float32)
    return cv2.cvtColor(hsv[None, None], cv2.COLOR_HSV2BGR)[0, 0]


def _pair(colour: np.ndarray, contrast: float = 0.2) -> np.ndarray:
    """Return a colour and a darker one of it (2, 3)."""
    return np.clip(np.stack([colour, colour * (1 - contrast)]), 0, 1)
