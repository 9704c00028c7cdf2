# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bodies of all ages, sexes and shapes in any posture: Anny's mesh, and the joints of Human3.6M.

How each joint is had (docs/training.md has the table): Pelvis is the middle of the hips; hips,
knees, ankles, shoulders, elbows and wrists are the joints of Anny's skeleton; Torso is its spine02,
Neck its neck01 (the vertebra at the height of the collar bones); Nose is Anny's regressor of the
COCO joint; Head is the crown, the highest vertex of the resting body.
"""

from dataclasses import dataclass
from functools import cached_property

import anny
import numpy as np
import torch
from anny.keypoints import KeypointsRegressor
from anny.models.model_data import ModelData
from anny.shape_distribution import SimpleShapeDistribution

from pose3d_ros.data.synthetic.body_file import body_file
from pose3d_ros.data.synthetic.postures import bone_rotations
from pose3d_ros.skeletons import HUMAN36M_17

#: Joint of Human3.6M -> bone of Anny whose head it is; the other three are not bones.
BONE_OF_JOINT = {
    'R_Hip': 'upperleg01.R', 'R_Knee': 'lowerleg01.R', 'R_Ankle': 'foot.R',
    'L_Hip': 'upperleg01.L', 'L_Knee': 'lowerleg01.L', 'L_Ankle': 'foot.L',
    'Torso': 'spine02', 'Neck': 'neck01',
    'L_Shoulder': 'upperarm01.L', 'L_Elbow': 'lowerarm01.L', 'L_Wrist': 'wrist.L',
    'R_Shoulder': 'upperarm01.R', 'R_Elbow': 'lowerarm01.R', 'R_Wrist': 'wrist.R',
}  # fmt: skip

_ADULT_SHARE = 0.75
_ADULT_YEARS = (18.0, 80.0)
_CHILD_YEARS = (4.0, 18.0)


@dataclass(frozen=True)
class Bodies:
    """n people in a world of their own: metres, z up, facing -y, left is +x.

    :param vertices: (n, v, 3) float32; the lowest is at z = 0.
    :param joints: (n, 17, 3) float32, of HUMAN36M_17; the pelvis is at x = y = 0.
    :param years: (n,) the age whose build they have.
    """

    vertices: np.ndarray
    joints: np.ndarray
    years: np.ndarray


class BodyModel:
    """Anny, loaded once for each process."""

    def __init__(self) -> None:
        data = ModelData.load_safetensors(body_file())
        self._model = anny.Anny.from_model_data(
            data,
            pose_parameterization='local-ref',
            bone_orientation='cached',
            root_identity_orientation=True,
        )
        self._shapes = SimpleShapeDistribution(self._model, _Ages(), _Sexes())
        self._nose = KeypointsRegressor.coco(self._model, ['nose'])

    @cached_property
    def faces(self) -> np.ndarray:
        """Return the triangles (f, 3) int32, counter-clockwise seen from outside."""
        return self._model.faces.numpy().astype(np.int32)

    @cached_property
    def rest(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the middle one of all bodies at rest: vertices (v, 3) and bones' heads (b, 3)."""
        middle = {label: torch.full((1,), 0.5) for label in self._model.phenotype_labels}
        with torch.inference_mode():
            output = self._model(phenotype_kwargs=middle)
        return output['vertices'][0].numpy(), output['bone_poses'][0, :, :3, 3].numpy()

    @cached_property
    def strongest_bones(self) -> list[str]:
        """Return the name of the bone that moves each vertex most."""
        strongest = self._model.vertex_bone_weights.argmax(dim=1, keepdim=True)
        bones = torch.gather(self._model.vertex_bone_indices, 1, strongest)[:, 0]
        return [self._model.bone_labels[bone] for bone in bones.tolist()]

    def make(self, postures: np.ndarray, rng: np.random.Generator) -> Bodies:
        """Return people of random shapes in these postures.

        :param postures: (n, 13, 3, 3) as in `postures`.
        """
        n = len(postures)
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            years, phenotypes = self._shapes.sample(n)
            rotations = bone_rotations(postures, dict(zip(self._labels, self.rest[1], strict=True)))
            pose = torch.eye(4).repeat(n, len(self._labels), 1, 1)
            for bone, rotation in rotations.items():
                pose[:, self._labels.index(bone), :3, :3] = torch.from_numpy(rotation).float()
            output = self._model(pose_parameters=pose, phenotype_kwargs=phenotypes)
            joints = self._joints(output)
        vertices = output['vertices'].numpy()
        middle = joints[:, :1].copy()
        middle[:, 0, 2] = vertices[:, :, 2].min(axis=1)
        return Bodies(vertices - middle, joints - middle, years.numpy())

    @property
    def _labels(self) -> list[str]:
        return self._model.bone_labels

    def _joints(self, output: dict[str, torch.Tensor]) -> np.ndarray:
        heads = output['bone_poses'][:, :, :3, 3].numpy()
        joints = np.zeros((len(heads), len(HUMAN36M_17), 3), np.float32)
        for joint, bone in BONE_OF_JOINT.items():
            joints[:, HUMAN36M_17.index(joint)] = heads[:, self._labels.index(bone)]
        hips = HUMAN36M_17.indices('L_Hip', 'R_Hip')
        joints[:, HUMAN36M_17.index('Pelvis')] = joints[:, hips].mean(axis=1)
        joints[:, HUMAN36M_17.index('Nose')] = self._nose(output)[:, 0].numpy()
        crown = int(self.rest[0][:, 2].argmax())
        joints[:, HUMAN36M_17.index('Head')] = output['vertices'][:, crown].numpy()
        return joints


class _Ages:
    """Years, as Anny's distribution of shapes asks for them: mostly adults."""

    def sample(self, shape: tuple[int, ...]) -> torch.Tensor:
        adult, child = (
            low + (high - low) * torch.rand(shape) for low, high in (_ADULT_YEARS, _CHILD_YEARS)
        )
        return torch.where(torch.rand(shape) < _ADULT_SHARE, adult, child)


class _Sexes:
    """0 = male, 1 = female, and little in between."""

    def sample(self, shape: tuple[int, ...]) -> torch.Tensor:
        return (torch.rand(shape) < 0.5).float() * 0.8 + 0.2 * torch.rand(shape)
