# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""RootNet and PoseNet run as the original code runs them: the baseline of `benchmark stages`.

One crop after the other, in eager PyTorch, with the original's heads: nothing is folded, laid out
anew, or taken together. Not for use.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from pose3d_ros.benchmarks.rule_weights import array_of
from pose3d_ros.models.crops3dmppe import HEATMAP, MEAN, STD
from pose3d_ros.models.posenet import PoseNet
from pose3d_ros.models.rootnet import RootNet
from pose3d_ros.models.snapshots import load_posenet, load_rootnet


class Original:
    """A network of the paper, crop by crop.

    :param network: 'rootnet' or 'posenet'.
    :param snapshot: its weights.
    """

    precision = 'f32'

    def __init__(self, network: str, snapshot: Path) -> None:
        rootnet = network == 'rootnet'
        self._network: nn.Module = load_rootnet(snapshot) if rootnet else load_posenet(snapshot)[0]
        self._forward = self._root if rootnet else self._joints

    def __call__(self, crops: np.ndarray) -> list[np.ndarray]:
        """Return x, y, gamma (n, 3), or x, y, z (n, j, 3), for crops (n, 256, 256, 3) BGR."""
        found = []
        with torch.no_grad():
            for crop in crops:
                rgb = crop[:, :, ::-1].astype(np.float32)
                image = torch.from_numpy(rgb.transpose(2, 0, 1).copy())
                image.sub_(torch.tensor(MEAN)[:, None, None]).div_(torch.tensor(STD)[:, None, None])
                found.append(self._forward(image[None]).numpy())
        return [np.concatenate(found)]

    def _root(self, image: torch.Tensor) -> torch.Tensor:
        features = self._network.backbone(image)
        head = self._network.root
        xy = head.xy_layer(head.deconv_layers(features))
        xy = xy.view(-1, 1, HEATMAP * HEATMAP).softmax(2).view(-1, 1, HEATMAP, HEATMAP)
        cells = torch.arange(HEATMAP).float()
        x = (xy.sum(dim=2) * cells).sum(dim=2)
        y = (xy.sum(dim=3) * cells).sum(dim=2)
        pooled = features.view(len(features), features.shape[1], -1).mean(dim=2)
        gamma = head.depth_layer(pooled[:, :, None, None]).view(-1, 1)
        return torch.cat([x, y, gamma], dim=1)

    def _joints(self, image: torch.Tensor) -> torch.Tensor:
        head = self._network.head
        volume = head.final_layer(head.deconv_layers(self._network.backbone(image)))
        joints = volume.shape[1] // HEATMAP
        volume = volume.reshape(-1, joints, HEATMAP**3).softmax(2)
        volume = volume.reshape(-1, joints, HEATMAP, HEATMAP, HEATMAP)
        cells = torch.arange(HEATMAP).float()
        sums = [volume.sum(dim=axes) * cells for axes in ((2, 3), (2, 4), (3, 4))]
        return torch.cat([each.sum(dim=2, keepdim=True) for each in sums], dim=2)


def write_random_snapshot(network: str, backbone: str, joints: int, path: Path) -> None:
    """Write a snapshot of 'rootnet' or 'posenet' with weights by the rule."""
    with torch.device('meta'):
        module = RootNet(backbone) if network == 'rootnet' else PoseNet(joints, backbone)
    tensors = {
        f'module.{key}': torch.from_numpy(array_of(key, like.shape))
        for key, like in module.state_dict().items()
    }
    torch.save({'epoch': 0, 'network': tensors, 'optimizer': {}}, path)
