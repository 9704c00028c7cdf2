# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Motion clips of DeepMimic's humanoid, as pybullet brings them: walking, running, dancing, ...

A file is JSON with "Frames": rows of 44 numbers: duration (s), the root's place (3) and turn (4),
then the turns of chest, neck, right hip (4 each), knee (1), ankle, shoulder (4), elbow (1), and the
same of the left side. Turns of 4 are quaternions w, x, y, z, those of 1 angles about z; axes are x
forward, y up, z right.
"""

import json
from pathlib import Path

import numpy as np
import roma
import torch

from pose3d_ros.data.synthetic.postures import PARTS

#: Part -> first column and number of columns.
_COLUMNS = {
    'pelvis': (4, 4), 'chest': (8, 4), 'head': (12, 4),
    'thigh.R': (16, 4), 'shin.R': (20, 1), 'foot.R': (21, 4),
    'upper_arm.R': (25, 4), 'forearm.R': (29, 1),
    'thigh.L': (30, 4), 'shin.L': (34, 1), 'foot.L': (35, 4),
    'upper_arm.L': (39, 4), 'forearm.L': (43, 1),
}  # fmt: skip
_WIDTH = 44
#: Axes of the clips to axes of the body: x forward is -y, y up is z, z right is -x.
_TO_BODY = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def read(path: Path) -> np.ndarray:
    """Return the postures (frames, 13, 3, 3) of a clip.

    :raises ValueError: the file is none of these clips.
    """
    try:
        frames = np.array(json.loads(path.read_text())['Frames'], np.float64)
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path} is no motion clip of a humanoid: {error}') from error
    if frames.ndim != 2 or frames.shape[1] != _WIDTH or not len(frames):
        raise ValueError(f'{path} has frames of shape {frames.shape}, not (n, {_WIDTH})')
    turns = [_rotations(frames[:, first : first + width]) for first, width in
             (_COLUMNS[part] for part in PARTS)]  # fmt: skip
    postures = _TO_BODY @ np.stack(turns, axis=1) @ _TO_BODY.T
    postures[:, 0] = _facing_ahead(postures[:, 0])
    return postures


def _rotations(columns: np.ndarray) -> np.ndarray:
    """Return rotation matrices (n, 3, 3) of quaternions w, x, y, z or angles about z."""
    if columns.shape[1] == 1:
        vectors = torch.from_numpy(columns * [[0.0, 0.0, 1.0]])
        return roma.rotvec_to_rotmat(vectors).numpy()
    quaternions = torch.from_numpy(np.roll(columns, -1, axis=1))  # roma has w last
    return roma.unitquat_to_rotmat(torch.nn.functional.normalize(quaternions)).numpy()


def _facing_ahead(turns: np.ndarray) -> np.ndarray:
    """Return the turns (n, 3, 3) of a pelvis without its heading: scenes give their own."""
    sideways = turns[:, :, 0].copy()  # where the left hip is
    heading = np.arctan2(sideways[:, 1], sideways[:, 0])
    back = np.zeros((len(turns), 3))
    back[:, 2] = -heading
    return roma.rotvec_to_rotmat(torch.from_numpy(back)).numpy() @ turns
