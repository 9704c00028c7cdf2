# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ResNets (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016).

The backbone of the paper's RootNet and PoseNet, without the classifier. Theirs are ResNet-50, -101
and -152; ResNet-18 and -34 are for training on a processor, and for smaller files. Attributes
carry the names that torchvision gave them, since they are the keys of the published weights; as
there, it is the 3 x 3 convolution of a block that strides.
"""

import torch
from torch import nn
from torch.nn import functional as F

from pose3d_ros.models.backbone import CROP_PX, Backbone

#: Depth -> blocks in each of the four stages.
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut.

    :param channels: of the input.
    :param width: channels inside, and that leave.
    :param stride: of the first convolution and the shortcut.
    """

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (b, width, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)).add_(shortcut), inplace=True)


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut.

    :param channels: of the input.
    :param width: channels inside; four times as many leave.
    :param stride: of the 3 x 3 convolution and the shortcut.
    """

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = width * self.expansion
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = _shortcut(channels, out, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (b, 4 * width, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return F.relu(self.bn3(self.conv3(x)).add_(shortcut), inplace=True)


class ResNet(Backbone):
    """A ResNet without its classifier.

    :param depth: of BLOCKS.
    :param crop_px: as of `Backbone`.
    """

    def __init__(self, depth: int, crop_px: int = CROP_PX) -> None:
        block: type[BasicBlock | Bottleneck] = BasicBlock if depth < 50 else Bottleneck
        super().__init__(f'ResNet-{depth}', 512 * block.expansion, crop_px)
        self.depth = depth
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        one, two, three, four = BLOCKS[depth]
        grown = block.expansion
        self.layer1 = _stage(block, 64, 64, one, stride=1)
        self.layer2 = _stage(block, 64 * grown, 128, two, stride=2)
        self.layer3 = _stage(block, 128 * grown, 256, three, stride=2)
        self.layer4 = _stage(block, 256 * grown, 512, four, stride=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return (b, features, s, s) of crops (b, 3, 256, 256), s = crop_px / 32, as precise."""
        x = self.conv1(self.seen(image).to(self.conv1.weight.dtype))
        x = F.relu(self.bn1(x), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _stage(
    block: type[BasicBlock | Bottleneck], channels: int, width: int, blocks: int, stride: int
) -> nn.Sequential:
    """Return blocks of which the first strides."""
    first = block(channels, width, stride)
    rest = (block(width * block.expansion, width, 1) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


def _shortcut(channels: int, out: int, stride: int) -> nn.Module | None:
    """Return what brings a block's input to the shape of its output; None = nothing has to."""
    if stride == 1 and channels == out:
        return None
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
