# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the backbones of RootNet and PoseNet have in common: the crops that they see."""

import torch
from torch import nn
from torch.nn import functional as F

#: Side of the crops that the networks are given, and of those that they can see instead.
CROP_PX = 256
CROPS_PX = (128, CROP_PX)


class Backbone(nn.Module):
    """Crops to features of a 32nd of their size.

    :param name: for people.
    :param features: channels that leave.
    :param crop_px: of CROPS_PX. The paper's networks see crops as they come, with 256 pixels;
        averaged down to 128 they take a quarter of the time, to learn and to run.
    """

    def __init__(self, name: str, features: int, crop_px: int) -> None:
        super().__init__()
        self.name, self.features, self.crop_px = name, features, crop_px
        if crop_px != CROP_PX:  # goes with the weights, and the published ones do not have it
            self.register_buffer('seen_px', torch.tensor(crop_px))

    def seen(self, image: torch.Tensor) -> torch.Tensor:
        """Return crops (b, 3, s, s) of crops (b, 3, 256, 256), s = crop_px."""
        if self.crop_px == CROP_PX:
            return image
        return F.avg_pool2d(image, CROP_PX // self.crop_px)
