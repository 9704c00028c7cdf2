# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""PoseNet of 3DMPPE (Moon et al., ICCV 2019), which is the integral regression of Sun et al.
(ECCV 2018): the joints of a person around its pelvis.

Named so that the keys of its state dict are those of the published snapshots.
"""

import torch
from torch import nn

from pose3d_ros.models.backbone import CROP_PX
from pose3d_ros.models.backbones import BACKBONES
from pose3d_ros.models.heatmaps import (
    CHANNELS,
    SIZE,
    Marginals,
    Upsampling,
    gaussian,
    in_f32,
    initialise,
    marginals_3d,
)

#: Of the mass, below which a cell counts as this: f32 ends where a logarithm would not be a number.
_LEAST_SHARE = 1e-30


class PoseHead(nn.Module):
    """Features to joints.

    :param joints: how many.
    :param features: channels of the backbone's output.
    """

    def __init__(self, joints: int, features: int) -> None:
        super().__init__()
        self.deconv_layers = Upsampling(features)
        self.final_layer = nn.Conv2d(CHANNELS, joints * SIZE, 1)
        initialise(self)

    def forward(self, features: torch.Tensor) -> Marginals:
        """Return where each joint may be."""
        # the last layer stays in f32 where the others run in less
        upsampled = self.deconv_layers(features)
        with in_f32(features.device):
            return marginals_3d(upsampled.float(), self.final_layer)


class PoseNet(nn.Module):
    """Crops of people to their joints.

    :param joints: how many.
    :param backbone: of BACKBONES; resnet50, resnet101 and resnet152 are the paper's.
    :param crop_px: side of the crops that the backbone sees, of backbone.CROPS_PX.
    """

    def __init__(self, joints: int, backbone: str = 'resnet50', crop_px: int = CROP_PX) -> None:
        super().__init__()
        self.joints = joints
        self.backbone = BACKBONES[backbone](crop_px)
        self.head = PoseHead(joints, self.backbone.features)

    def forward(self, image: torch.Tensor, as_marginals: bool = False) -> torch.Tensor | Marginals:
        """Return the joints (b, j, 3): x, y, z in 64ths of the crop and of 2 m, 0..63.

        :param image: (b, 3, 256, 256) RGB, (value of 0..255 - mean) / std.
        :param as_marginals: return where each may be, whose expectations they are.
        """
        found: Marginals = self.head(self.backbone(image))
        return found if as_marginals else found.expectations()


def posenet_loss(
    coord: torch.Tensor,
    target: torch.Tensor,
    visible: torch.Tensor,
    have_depth: torch.Tensor,
) -> torch.Tensor:
    """Return the loss (b, j) of each joint, as the published weights were trained with.

    :param coord: (b, j, 3) what PoseNet gives.
    :param target: (b, j, 3) the same of the truth.
    :param visible: (b, j, 1) 1 where the joint lies in the crop and is annotated, 0 elsewhere.
    :param have_depth: (b, 1) 0 for data sets of 2D annotations.
    """
    error = (coord - target).abs() * visible
    return (error[..., 0] + error[..., 1] + error[..., 2] * have_depth) / 3


def heatmap_loss(
    found: Marginals, target: torch.Tensor, visible: torch.Tensor, have_depth: torch.Tensor
) -> torch.Tensor:
    """Return how far each joint's marginals (b, j) are from Gaussians around the truth, in nats.

    The expectation is the same however the mass is spread around it, so that the published loss
    leaves a network alone in finding out that a joint is in one place; it takes longer for that
    (Nibali et al., "Numerical Coordinate Regression with Convolutional Neural Networks", arXiv
    1801.07372, which compares such terms; "3D Human Pose Estimation with 2D Marginal Heatmaps",
    WACV 2019). Cross-entropies, of which the smallest possible is not taken off. Arguments as
    `posenet_loss` has them.
    """
    side = found.side
    x, y, z = (gaussian(target[..., axis], cells) for axis, cells in enumerate((side, side, SIZE)))
    in_plane = (y[..., :, None] * x[..., None, :]).flatten(2)
    plane = -(in_plane * found.plane.clamp(min=_LEAST_SHARE).log()).sum(dim=2)
    depth = -(z * found.depth.clamp(min=_LEAST_SHARE).log()).sum(dim=2)
    return (plane + depth * have_depth) * visible[..., 0]
