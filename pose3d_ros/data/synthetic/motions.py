# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What people do: Human3.6M's names of actions, and postures for each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pose3d_ros import weights
from pose3d_ros.data.synthetic import motion_clips, random_postures
from pose3d_ros.weights_table import MOTION_CLIPS

Draw = Callable[[np.random.Generator], np.ndarray]

#: Action -> (its number in Human3.6M, share of the images).
ACTIONS = {
    'Walking': (14, 0.35),
    'Waiting': (13, 0.15),
    'Discussion': (3, 0.15),
    'Posing': (7, 0.2),
    'Sitting': (9, 0.1),
    'SittingDown': (10, 0.05),
}

#: Action -> clips, each with its weight against the others and the random postures.
_CLIPS = {
    'Walking': {'walk': 4.0, 'run': 1.0},
    'Posing': {'dance_a': 1.0, 'dance_b': 1.0, 'jump': 0.5, 'kick': 0.5, 'punch': 0.7,
               'spin': 0.5, 'spinkick': 0.3, 'cartwheel': 0.2, 'backflip': 0.1},
    'SittingDown': {'crawl': 0.5, 'roll': 0.4, 'getup_facedown': 0.6, 'getup_faceup': 0.6},
}  # fmt: skip
_RANDOM: dict[str, tuple[Draw, float]] = {
    'Waiting': (random_postures.waiting, 1.0),
    'Discussion': (random_postures.talking, 1.0),
    'Posing': (random_postures.posing, 5.0),
    'Sitting': (random_postures.sitting, 1.0),
    'SittingDown': (random_postures.squatting, 2.0),
}
_SHAKE_DEG = 4.0
_OTHER_ARM_SHARE = 0.3  # of walkers


class Repertoire:
    """All postures at hand: the clips, read once, and the random ones."""

    def __init__(self) -> None:
        self._clips = {name: motion_clips.read(clip_path(name)) for name in MOTION_CLIPS}

    def draw(self, action: str, rng: np.random.Generator) -> np.ndarray:
        """Return a posture (13, 3, 3) of somebody who does this."""
        choices: list[tuple[str, float]] = list(_CLIPS.get(action, {}).items())
        if action in _RANDOM:
            choices.append(('', _RANDOM[action][1]))
        shares = np.array([weight for _, weight in choices])
        name = choices[rng.choice(len(choices), p=shares / shares.sum())][0]
        if not name:
            return _RANDOM[action][0](rng)
        clip = self._clips[name]
        posture = clip[rng.integers(len(clip))]
        if rng.random() < 0.5:
            posture = random_postures.mirrored(posture)
        if action == 'Walking' and rng.random() < _OTHER_ARM_SHARE:
            posture = random_postures.one_arm(rng, posture)
        return random_postures.shaken(rng, posture, _SHAKE_DEG)


def clip_path(name: str) -> Path:
    """Return the verified file of a clip; WeightsError where it has not been fetched."""
    return weights.path(f'motion_{name}')
