# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The backbones that RootNet and PoseNet can have, by name."""

from collections.abc import Callable
from functools import partial

from pose3d_ros.models.cspnext import CspNext
from pose3d_ros.models.resnet import BLOCKS, ResNet

#: Name -> what makes it, given the side of the crops that it is to see.
BACKBONES: dict[str, Callable[[int], ResNet | CspNext]] = {
    **{f'resnet{depth}': partial(ResNet, depth) for depth in BLOCKS},
    'cspnext_s': CspNext,
}
