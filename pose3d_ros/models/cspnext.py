# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""CSPNeXt-s, the backbone of RTMPose-s, which has learned what people's bodies look like.

Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors", arXiv 2212.07784;
Jiang et al., "RTMPose", arXiv 2303.07399. For RootNets and PoseNets that are to learn soon, and to
run on a processor: a sixth of ResNet-50's operations. Its batch norms are part of the convolutions,
as in the file of RTMPose's weights.
"""

import torch
from torch import nn
from torch.nn import functional as F

from pose3d_ros.models.backbone import CROP_PX, Backbone
from pose3d_ros.models.crops3dmppe import MEAN, STD

_FEATURES = 512
_WHITE = 255.0
_POOLS = (5, 9, 13)


class _Conv(nn.Conv2d):
    """A convolution and its activation."""

    def __init__(
        self, channels: int, out: int, side: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels, out, side, stride, side // 2, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(super().forward(x))


class _Block(nn.Module):
    """Three convolutions, beside a shortcut or not."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = _Conv(channels, channels, 3)
        self.depthwise = _Conv(channels, channels, 5, groups=channels)
        self.pointwise = _Conv(channels, channels)
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pointwise(self.depthwise(self.conv1(x)))
        return y + x if self.shortcut else y


class _CspLayer(nn.Module):
    """Blocks for half of the channels, and attention to channels."""

    def __init__(self, channels: int, blocks: int, shortcut: bool) -> None:
        super().__init__()
        half = channels // 2
        # in the order in which the file has them
        self.short = _Conv(channels, half)
        self.main = _Conv(channels, half)
        self.blocks = nn.Sequential(*(_Block(half, shortcut) for _ in range(blocks)))
        self.attention = nn.Conv2d(channels, channels, 1)
        self.final = _Conv(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.blocks(self.main(x)), self.short(x)], dim=1)
        share = F.hardsigmoid(self.attention(x.mean(dim=(2, 3), keepdim=True)))
        return self.final(x * share)


class _Pyramid(nn.Module):
    """The largest of three surroundings, beside the features themselves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _Conv(channels, channels // 2)
        self.conv2 = _Conv(channels // 2 * (1 + len(_POOLS)), channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        pooled = [F.max_pool2d(x, side, stride=1, padding=side // 2) for side in _POOLS]
        return self.conv2(torch.cat([x, *pooled], dim=1))


class CspNext(Backbone):
    """CSPNeXt-s.

    :param crop_px: as of `Backbone`.
    """

    def __init__(self, crop_px: int = CROP_PX) -> None:
        super().__init__('CSPNeXt-s', _FEATURES, crop_px)
        self.stem = nn.Sequential(_Conv(3, 16, 3, 2), _Conv(16, 16, 3), _Conv(16, 32, 3))
        self.stage1 = nn.Sequential(_Conv(32, 64, 3, 2), _CspLayer(64, 1, True))
        self.stage2 = nn.Sequential(_Conv(64, 128, 3, 2), _CspLayer(128, 2, True))
        self.stage3 = nn.Sequential(_Conv(128, 256, 3, 2), _CspLayer(256, 2, True))
        last = _CspLayer(_FEATURES, 1, False)
        self.stage4 = nn.Sequential(_Conv(256, _FEATURES, 3, 2), _Pyramid(_FEATURES), last)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return (b, 512, s, s) of crops (b, 3, 256, 256), s = crop_px / 32."""
        x = _of_unit_range(self.seen(image))
        x = self.stem(x.to(self.stem[0].weight.dtype))
        return self.stage4(self.stage3(self.stage2(self.stage1(x))))


def _of_unit_range(image: torch.Tensor) -> torch.Tensor:
    """Return ImageNet's usual input, (value / 255 - mean) / std, of (value - mean) / std.

    The second is what 3DMPPE's networks are given: batch norms make up for that, of which there are
    none here.
    """
    shift = [(1 / _WHITE - 1) * mean / std for mean, std in zip(MEAN, STD, strict=True)]
    return image / _WHITE + image.new_tensor(shift)[:, None, None]
