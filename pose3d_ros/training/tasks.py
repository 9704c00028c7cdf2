# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What differs between training RootNet and PoseNet: the table, the loss, the error."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.crops_dataset import PeopleTable, joint_table, root_table
from pose3d_ros.evaluation import mpjpe, root_errors
from pose3d_ros.evaluation.running import back_projected
from pose3d_ros.models import crops3dmppe
from pose3d_ros.models.cspnext import CspNext
from pose3d_ros.models.heatmaps import Marginals
from pose3d_ros.models.imagenet import load_backbone
from pose3d_ros.models.posenet import PoseNet, heatmap_loss, posenet_loss
from pose3d_ros.models.rootnet import RootNet, rootnet_loss
from pose3d_ros.models.rtmpose_backbone import load_rtmpose
from pose3d_ros.models.snapshots import (
    SnapshotError,
    fault_summary,
    faults_of,
    find_snapshot,
    read_tensors,
)
from pose3d_ros.skeletons import HUMAN36M, HUMAN36M_17, JOINT_SETS, Skeleton

Batch = Mapping[str, torch.Tensor]
_BACKBONES = ('.pkl', '.tgz', '.onnx')
_UPSAMPLING, _SEEN = '.deconv_layers.', 'backbone.seen_px'


class Task(Protocol):
    """A network to train."""

    name: str
    #: Of the validation, which is in millimetres.
    metric: str
    #: Bones between the points of the table.
    edges: tuple[tuple[int, int], ...]

    def table(self, sets: Sequence[Annotations]) -> PeopleTable:
        """Return the people of several data sets with what is learned of them."""

    def network(self, backbone: str, crop_px: int) -> nn.Module:
        """Return the network with its first weights, as a recipe says."""

    def forward(self, network: nn.Module, images: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return what the network finds (b, p, 3): x, y in cells, and depth."""

    def loss(self, network: nn.Module, images: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the loss of a batch, one number."""

    def errors_mm(self, table: PeopleTable, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Return the error (n,) of each of some people, all of which have depth."""


class RootTask:
    """RootNet: where the pelvis is."""

    name = 'rootnet'
    metric = 'MRPE'
    edges: tuple[tuple[int, int], ...] = ()

    def table(self, sets: Sequence[Annotations]) -> PeopleTable:
        """Return people with their roots."""
        return root_table(sets)

    def network(self, backbone: str, crop_px: int) -> nn.Module:
        """Return RootNet."""
        return RootNet(backbone, crop_px)

    def forward(self, network: nn.Module, images: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return x, y and depth in millimetres (b, 1, 3)."""
        return network(images, batch['k_mm'])[:, None]

    def loss(self, network: nn.Module, images: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the published loss."""
        found = self.forward(network, images, batch)[:, 0]
        target, visible = batch['target'][:, 0], batch['visible'][:, 0]
        return rootnet_loss(found, target, visible, batch['have_depth']).mean()

    def errors_mm(self, table: PeopleTable, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Return the distances between roots, whose mean is MRPE."""
        places = places_of(table, rows, found, found[..., 2] / 1000)
        return root_errors(places[:, 0], table.joints[rows, 0]).distance * 1000


class PoseTask:
    """PoseNet: the joints around the pelvis.

    :param skeleton: the joint set that is learned.
    :param heatmap_weight: of the heatmaps' part of the loss; 0 = the loss as published.
    :raises DataError: no network of 3DMPPE has it: a snapshot could not be read.
    """

    name = 'posenet'
    metric = 'MPJPE'

    def __init__(self, skeleton: Skeleton, heatmap_weight: float = 0.0) -> None:
        if JOINT_SETS.get(len(skeleton)) != skeleton:
            known = ', '.join(s.name for s in JOINT_SETS.values())
            raise DataError(f'joint set {skeleton.name} cannot be learned; the known are {known}')
        self.skeleton = skeleton
        self.edges = skeleton.edges
        self.heatmap_weight = heatmap_weight

    def table(self, sets: Sequence[Annotations]) -> PeopleTable:
        """Return people with the joints of the joint set."""
        return joint_table(sets, self.skeleton)

    def network(self, backbone: str, crop_px: int) -> nn.Module:
        """Return PoseNet."""
        return PoseNet(len(self.skeleton), backbone, crop_px)

    def forward(self, network: nn.Module, images: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return x, y and depth in cells (b, j, 3)."""
        return network(images)

    def loss(self, network: nn.Module, images: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the published loss, and what the heatmaps add."""
        found: Marginals = network(images, as_marginals=True)
        truth = batch['target'], batch['visible'], batch['have_depth']
        loss = posenet_loss(found.expectations(), *truth).mean()
        if not self.heatmap_weight:
            return loss
        return loss + self.heatmap_weight * heatmap_loss(found, *truth).mean()

    def errors_mm(self, table: PeopleTable, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Return MPJPE of each person, roots given; of the joints that all of them have.

        Human3.6M's thorax, which is made of the shoulders, is not scored, as in the protocol.
        """
        truth = table.joints[rows]
        names = HUMAN36M_17 if self.skeleton == HUMAN36M else self.skeleton
        known = np.isin(self.skeleton.joint_names, names.joint_names)
        known &= np.isfinite(truth).all(axis=(0, 2))
        if not known[list(self.skeleton.root)].all() or known.sum() < 2:
            raise DataError(f'{", ".join(table.names)}: no two joints are known of everybody')
        depth_m = table.root_depth_m[rows, None] + crops3dmppe.to_metres(found[..., 2])
        places = places_of(table, rows, found, depth_m)
        root = [int(known[:i].sum()) for i in self.skeleton.root]
        return mpjpe(places[:, known], truth[:, known], root) * 1000


def places_of(
    table: PeopleTable, rows: np.ndarray, found: np.ndarray, depth_m: np.ndarray
) -> np.ndarray:
    """Return points (n, p, 3) in the optical frame, metres.

    :param found: (n, p, 3) x and y in cells of the crops.
    :param depth_m: (n, p) from the camera.
    """
    pixels = crops3dmppe.to_pixels(found[..., :2].astype(np.float64), table.squares[rows])
    return back_projected(pixels, depth_m, table.focal_px[rows], table.centre_px[rows])


def start_from(network: nn.Module, path: Path) -> None:
    """Give a network the weights of a file: of its backbone, or all of them.

    :param path: ImageNet weights, as `models.imagenet.load_backbone` takes them; RTMPose-s, for
        CSPNeXt-s; or a snapshot, or a folder of them, whose last is taken. Of RootNet a PoseNet
        takes backbone and upsampling, and the other way round.
    :raises SnapshotError: it cannot be read, or is of another network or backbone.
    """
    path = find_snapshot(path)
    if path.suffix not in _BACKBONES:
        tensors = read_tensors(path, 'network', 'a snapshot, or ImageNet weights,')
        if any(key.startswith('backbone.') for key in tensors):
            tensors = _with_own_head(tensors, network.state_dict())
            if faults := faults_of(network.state_dict(), tensors):
                name = f'{type(network).__name__} as it is to be trained'
                raise SnapshotError(f'{path} is not {name}: {fault_summary(faults)}')
            network.load_state_dict(tensors)
            return
    backbone = network.backbone
    is_rtmpose = path.suffix == '.onnx'
    if isinstance(backbone, CspNext) != is_rtmpose:
        raise SnapshotError(
            f'{path} is not for {backbone.name}: CSPNeXt-s begins with the .onnx of RTMPose-s, a '
            'ResNet with ImageNet weights'
        )
    tensors = load_rtmpose(path) if is_rtmpose else load_backbone(path, backbone.depth)
    backbone.load_state_dict(tensors, strict=False)  # all of them; crop_px is not theirs


def _with_own_head(
    tensors: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return another kind of network's backbone and upsampling, with the rest of one's own.

    Of the same kind of network they are `tensors`.
    """
    theirs, ours = (
        next((key.partition('.')[0] for key in keys if not key.startswith('backbone.')), '')
        for keys in (tensors, own)
    )
    if theirs == ours:
        return dict(tensors)
    renamed = {key.replace(f'{theirs}.', f'{ours}.', 1): value for key, value in tensors.items()}
    return {key: value for key, value in renamed.items() if _is_shared(key)} | {
        key: value for key, value in own.items() if not _is_shared(key)
    }


def _is_shared(key: str) -> bool:
    # the same weights see crops of another size
    return (key.startswith('backbone.') or _UPSAMPLING in key) and key != _SEEN
