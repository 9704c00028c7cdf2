"""PoseNet of 3DMPPE (Moon et al., ICCV 2019), which is the integral regression of Sun et al.
(ECCV 2018): the joints of a person around its pelvis.

Named so that the keys of its state dict are those of the published snapshots.
"""

import torch
from torch import nn

from pose3d_ros.models.heatmaps import (
    CHANNELS,
    SIZE,
    Upsampling,
    expectation_3d,
    in_f32,
    initialise,
)
from pose3d_ros.models.resnet import CROP_PX, ResNet


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

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return x, y, z (b, j, 3) in cells of the volume."""
        # the last layer stays in f32 where the others run in less
        upsampled = self.deconv_layers(features)
        with in_f32(features.device):
            return expectation_3d(upsampled.float(), self.final_layer)


class PoseNet(nn.Module):
    """Crops of people to their joints.

    :param joints: how many.
    :param depth: of the backbone: 50, 101 or 152; 18 and 34 are not the paper's.
    :param crop_px: side of the crops that the backbone sees, of resnet.CROPS_PX.
    """

    def __init__(self, joints: int, depth: int = 50, crop_px: int = CROP_PX) -> None:
        super().__init__()
        self.joints = joints
        self.backbone = ResNet(depth, crop_px)
        self.head = PoseHead(joints, self.backbone.features)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the joints (b, j, 3): x, y, z in 64ths of the crop and of 2 m, 0..63.

        :param image: (b, 3, 256, 256) RGB, (value of 0..255 - mean) / std.
        """
        return self.head(self.backbone(image))


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
