# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Postures drawn at random within what joints allow: standing, gesturing, sitting, squatting."""

import numpy as np

from pose3d_ros.data.synthetic.postures import PARENTS, PARTS, about, rotations_of

Range = tuple[float, float]

# Degrees as people say them: forward, outward, turned outward; per arm.
_ARMS: dict[str, tuple[Range, Range, Range, Range]] = {
    # (upper arm forward, outward, turned outward, elbow bent)
    'hanging': ((-15, 20), (4, 15), (-20, 20), (5, 40)),
    'before the body': ((10, 60), (0, 25), (-70, 0), (50, 120)),
    'gesture': ((10, 90), (0, 70), (-40, 50), (20, 130)),
    'to the side': ((-20, 40), (50, 110), (-30, 60), (0, 100)),
    'raised': ((110, 170), (0, 30), (-40, 40), (0, 90)),
    'hand at the hip': ((-35, -10), (35, 50), (-75, -50), (80, 105)),
    'at the ear': ((15, 50), (20, 50), (-30, 10), (125, 145)),
    'on the thigh': ((10, 40), (0, 15), (-30, 10), (40, 85)),
    'forward': ((60, 100), (-5, 20), (-20, 20), (0, 40)),
}
_RELAXED = {'hanging': 7.0, 'before the body': 2.0, 'hand at the hip': 1.0, 'at the ear': 1.0}
_TALKING = {'hanging': 2.0, 'gesture': 4.0, 'before the body': 2.0, 'forward': 1.0}
_ANY = dict.fromkeys(_ARMS, 1.0)
_SEATED = {'on the thigh': 5.0, 'gesture': 2.0, 'before the body': 3.0, 'at the ear': 1.0}

_SIDES = {'R': 1.0, 'L': -1.0}  # of 'outward' about y and z


def waiting(rng: np.random.Generator) -> np.ndarray:
    """Return a posture (13, 3, 3) of somebody who stands about."""
    return _standing(rng, _RELAXED)


def talking(rng: np.random.Generator) -> np.ndarray:
    """Return a posture (13, 3, 3) of somebody who stands and talks with the hands."""
    return _standing(rng, _TALKING)


def posing(rng: np.random.Generator) -> np.ndarray:
    """Return a posture (13, 3, 3): arms anywhere, legs astride or one lifted, the back bent."""
    parts = _upper_body(rng, _ANY, bend=(-15, 45), twist=30)
    lifted = rng.choice(['R', 'L', ''], p=[0.2, 0.2, 0.6])
    for side in _SIDES:
        hip = (20, 95) if side == lifted else (-15, 25)
        knee = (10, 110) if side == lifted else (0, 25)
        _leg(rng, parts, side, forward=hip, outward=(0, 35), knee=knee)
    posture = _posture(parts)
    return _feet_flat(posture, [side for side in _SIDES if side != lifted])


def sitting(rng: np.random.Generator) -> np.ndarray:
    """Return a posture (13, 3, 3) of somebody on a chair."""
    parts = _upper_body(rng, _SEATED, bend=(-10, 30), twist=20)
    parts['pelvis'] = _turn(rng, (-12, 10), (-3, 3), (0, 0))
    apart = rng.uniform(0, 18)
    for side in _SIDES:
        _leg(rng, parts, side, forward=(75, 95), outward=(apart, apart + 6), knee=(65, 105))
    return _feet_flat(_posture(parts), list(_SIDES))


def squatting(rng: np.random.Generator) -> np.ndarray:
    """Return a posture (13, 3, 3) between sitting down and crouching, feet on the ground."""
    parts = _upper_body(rng, {**_SEATED, 'forward': 4.0, 'hanging': 2.0}, bend=(0, 35), twist=20)
    depth = rng.uniform(0.3, 1.0)
    parts['pelvis'] = _turn(rng, (15 * depth, 35 * depth), (-4, 4), (0, 0))
    for side in _SIDES:
        bent, knee = 110 * depth, 130 * depth
        _leg(rng, parts, side, (bent - 8, bent + 8), (5, 25), (knee - 8, knee + 8))
    return _feet_flat(_posture(parts), list(_SIDES))


def one_arm(rng: np.random.Generator, posture: np.ndarray) -> np.ndarray:
    """Return a posture with an arm that does something else, such as holding a telephone."""
    parts: dict[str, np.ndarray] = {}
    side = str(rng.choice(list(_SIDES)))
    _arm(rng, parts, side, _pick(rng, _ANY))
    changed = posture.copy()
    for part, turn in parts.items():
        changed[PARTS.index(part)] = turn
    return changed


def shaken(rng: np.random.Generator, posture: np.ndarray, degrees: float) -> np.ndarray:
    """Return a posture with every part but the pelvis turned a little."""
    vectors = np.radians(degrees) * rng.standard_normal((len(PARTS), 3))
    vectors[0] = 0
    return posture @ rotations_of(vectors)


def mirrored(posture: np.ndarray) -> np.ndarray:
    """Return a posture with left and right exchanged."""
    other = {'R': 'L', 'L': 'R'}
    order = [
        PARTS.index(f'{part[:-1]}{other[part[-1]]}') if part[-2] == '.' else index
        for index, part in enumerate(PARTS)
    ]
    mirror = np.diag([-1.0, 1.0, 1.0])
    return mirror @ posture[order] @ mirror


def _standing(rng: np.random.Generator, arms: dict[str, float]) -> np.ndarray:
    parts = _upper_body(rng, arms, bend=(-6, 12), twist=12)
    for side in _SIDES:
        _leg(rng, parts, side, forward=(-6, 14), outward=(1, 10), knee=(0, 14))
    return _feet_flat(_posture(parts), list(_SIDES))


def _upper_body(
    rng: np.random.Generator, arms: dict[str, float], bend: Range, twist: float
) -> dict[str, np.ndarray]:
    parts = {
        'pelvis': _turn(rng, (-4, 8), (-4, 4), (0, 0)),
        'chest': _turn(rng, bend, (-10, 10), (-twist, twist)),
        'head': _turn(rng, (-15, 30), (-12, 12), (-50, 50)),
    }
    for side in _SIDES:
        _arm(rng, parts, side, _pick(rng, arms))
    return parts


def _arm(rng: np.random.Generator, parts: dict[str, np.ndarray], side: str, kind: str) -> None:
    forward, outward, turned, elbow = (_draw(rng, range_) for range_ in _ARMS[kind])
    sign = _SIDES[side]
    parts[f'upper_arm.{side}'] = _limb(forward, sign * outward, -sign * turned)
    parts[f'forearm.{side}'] = _limb(elbow, 0, 0)


def _leg(
    rng: np.random.Generator, parts: dict[str, np.ndarray], side: str,
    forward: Range, outward: Range, knee: Range,
) -> None:  # fmt: skip
    sign = _SIDES[side]
    turned = _draw(rng, (-5, 20))
    parts[f'thigh.{side}'] = _limb(_draw(rng, forward), sign * _draw(rng, outward), -sign * turned)
    parts[f'shin.{side}'] = _limb(-_draw(rng, knee), 0, 0)


def _turn(rng: np.random.Generator, forward: Range, side: Range, twist: Range) -> np.ndarray:
    """Return how a part of the trunk bends forward and sideways, and turns."""
    x, y, z = (np.radians(_draw(rng, range_)) for range_ in (forward, side, twist))
    return about(2, z) @ about(1, y) @ about(0, x)


def _limb(forward: float, about_y: float, about_z: float) -> np.ndarray:
    """Return a hanging limb turned about its length, then lifted forward, then out; degrees."""
    return (
        about(1, np.radians(about_y))
        @ about(0, -np.radians(forward))
        @ about(2, np.radians(about_z))
    )


def _posture(parts: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([parts.get(part, np.eye(3)) for part in PARTS])


def _feet_flat(posture: np.ndarray, sides: list[str]) -> np.ndarray:
    """Return a posture whose feet are level, pointing where the knees do."""
    world: dict[str, np.ndarray] = {}
    for part, parent in PARENTS.items():
        local = posture[PARTS.index(part)]
        world[part] = world[parent] @ local if parent else local
    for side in sides:
        shin = world[f'shin.{side}']
        left = shin[:, 0]  # level, and across the foot
        level = about(2, float(np.arctan2(left[1], left[0])))
        posture[PARTS.index(f'foot.{side}')] = shin.T @ level
    return posture


def _pick(rng: np.random.Generator, choices: dict[str, float]) -> str:
    weights = np.array(list(choices.values()))
    return str(rng.choice(list(choices), p=weights / weights.sum()))


def _draw(rng: np.random.Generator, range_: Range) -> float:
    return float(rng.uniform(*range_))
