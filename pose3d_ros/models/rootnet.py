# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""RootNet (Moon et al., "Camera Distance-aware Top-down Approach for 3D Multi-person Pose
Estimation from a Single RGB Image", ICCV 2019): where a person's pelvis is, and how far away.

Named so that the keys of its state dict are those of the published snapshots. Like their code and
unlike the paper's formula, depth is gamma * k: gamma is a free output.
"""

import torch
from torch import nn

from pose3d_ros.models.backbone import CROP_PX
from pose3d_ros.models.backbones import BACKBONES
from pose3d_ros.models.heatmaps import (
    CHANNELS,
    Upsampling,
    expectation_2d,
    in_f32,
    initialise,
)


class RootHead(nn.Module):
    """Features to the pelvis in the heatmap, and gamma.

    :param features: channels of the backbone's output.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.deconv_layers = Upsampling(features)
        self.xy_layer = nn.Conv2d(CHANNELS, 1, 1)
        self.depth_layer = nn.Conv2d(features, 1, 1)
        initialise(self)

    def forward(self, features: torch.Tensor, k: torch.Tensor | float) -> torch.Tensor:
        """Return x, y in cells of the heatmap and depth in k's unit (b, 3)."""
        # the last layers stay in f32 where the others run in less
        upsampled = self.deconv_layers(features)
        with in_f32(features.device):
            xy = expectation_2d(self.xy_layer(upsampled.float()))
            pooled = features.float().mean(dim=(2, 3), keepdim=True)
            gamma = self.depth_layer(pooled).flatten(1)
            return torch.cat([xy, gamma * k], dim=1)


class RootNet(nn.Module):
    """Crops of people to their pelvises.

    :param backbone: of BACKBONES; resnet50, resnet101 and resnet152 are the paper's.
    :param crop_px: side of the crops that the backbone sees, of backbone.CROPS_PX.
    """

    def __init__(self, backbone: str = 'resnet50', crop_px: int = CROP_PX) -> None:
        super().__init__()
        self.backbone = BACKBONES[backbone](crop_px)
        self.root = RootHead(self.backbone.features)

    def forward(self, image: torch.Tensor, k: torch.Tensor | float = 1.0) -> torch.Tensor:
        """Return the pelvis (b, 3): x, y in 64ths of the crop's side, 0..63, and depth.

        :param image: (b, 3, 256, 256) RGB, (value of 0..255 - mean) / std.
        :param k: (b, 1) the distance that fits the box's area (`crops3dmppe.k_values`), mm; the
            unit of the depth. 1 = the third output is gamma.
        """
        return self.root(self.backbone(image), k)


def rootnet_loss(
    coord: torch.Tensor,
    target: torch.Tensor,
    visible: torch.Tensor,
    have_depth: torch.Tensor,
) -> torch.Tensor:
    """Return the loss (b,) of each crop, as the published weights were trained with.

    Heatmap cells and millimetres are added as they are, so that depth dominates.

    :param coord: (b, 3) what RootNet gives.
    :param target: (b, 3) the same of the truth.
    :param visible: (b, 1) 1 where the pelvis lies in the crop, 0 elsewhere.
    :param have_depth: (b, 1) 0 for data sets of 2D annotations.
    """
    error = (coord - target).abs() * visible
    return (error[:, 0] + error[:, 1] + error[:, 2] * have_depth[:, 0]) / 3
