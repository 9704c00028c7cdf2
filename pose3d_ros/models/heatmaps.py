"""What RootNet and PoseNet share behind the backbone: upsampling, and where a heatmap's mass lies.

Integral regression (Sun et al., "Integral Human Pose Regression", ECCV 2018): the coordinate is the
expectation of the cell's index under the softmax of the heatmap.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn import functional

SIZE = 64
CHANNELS = 256
_CELLS = SIZE * SIZE
_MIDDLE = (SIZE - 1) / 2

# Logits held at once. On a CPU they should stay in the second level cache between the passes over
# them; a GPU wants one large piece, and this is what bounds its memory.
_CPU_BYTES = 4 << 20
_GPU_BYTES = 256 << 20
_JOINT_BYTES = SIZE * _CELLS * 4
_EXPORTED_JOINTS = 3


class Upsampling(nn.Sequential):
    """Three times [4 x 4 deconvolution of stride 2, batch norm, ReLU]: 8 x 8 to 64 x 64.

    :param features: channels of the backbone's output.
    """

    def __init__(self, features: int) -> None:
        layers: list[nn.Module] = []
        for channels in (features, CHANNELS, CHANNELS):
            layers += [
                nn.ConvTranspose2d(channels, CHANNELS, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(CHANNELS),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


def initialise(head: nn.Module) -> None:
    """Give a head the weights with which the original's training starts."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.001)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def in_f32(device: torch.device) -> AbstractContextManager:
    """Return a context in which training in mixed precision computes in f32 too.

    The last layers' logits end in an exponential, whose sums f16 and bf16 cannot hold.
    """
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def expectation_2d(logits: torch.Tensor) -> torch.Tensor:
    """Return the expected x, y (b, 2), 0..63, of heatmaps (b, 1, 64, 64) of logits."""
    probability = logits.flatten(1).softmax(dim=1)
    moments = probability @ _moment_vectors(logits.device)
    return moments[:, 1:] + _MIDDLE


def expectation_3d(features: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Return the expected x, y, z (b, j, 3), 0..63, of volumes that a 1 x 1 convolution makes.

    The volumes, 1 MiB for each joint of each crop, are made, exponentiated and summed in pieces:
    a product with the three columns 1, x, y gives each depth its mass and its share of x and y,
    and from those come all three marginals' expectations, in one pass where the softmax and its
    marginals take eight.

    :param features: (b, 256, 64, 64).
    :param layer: its outputs are joint * 64 + depth.
    """
    cells, rows = features.flatten(2), layer.weight.flatten(1)
    bias = torch.zeros_like(rows[:, 0]) if layer.bias is None else layer.bias
    joints = len(rows) // SIZE
    budget = _CPU_BYTES if cells.device.type == 'cpu' else _GPU_BYTES
    joint_step = max(1, min(joints, budget // _JOINT_BYTES))
    crop_step = max(1, budget // (joint_step * _JOINT_BYTES))
    step = joint_step * SIZE
    crops = [
        torch.cat(
            [
                _joint_expectations(piece, rows[i : i + step], bias[i : i + step])
                for i in range(0, len(rows), step)
            ],
            dim=1,
        )
        for piece in cells.split(crop_step)
    ]
    return torch.cat(crops)


def softmax_expectation_3d(features: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Return what `expectation_3d` returns, in the operators that OpenVINO runs fastest.

    It has a softmax that passes over a joint's volume once, and a product with three columns costs
    next to nothing, where sums over the axes cost as much again. Three joints at a time: fewer
    make small convolutions, more let the volumes leave the cache, and these are the largest
    tensors of the network by far.

    :param features: (b, 256, 64, 64).
    :param layer: its outputs are joint * 64 + depth.
    """
    moments = _moment_vectors(features.device)
    step = _EXPORTED_JOINTS * SIZE
    masses = []
    for first in range(0, layer.out_channels, step):
        rows = slice(first, first + step)
        bias = None if layer.bias is None else layer.bias[rows]
        volume = functional.conv2d(features, layer.weight[rows], bias)
        joints = volume.shape[1] // SIZE
        probability = volume.reshape(-1, joints, SIZE * _CELLS).softmax(dim=2)
        masses.append(probability.reshape(-1, joints, SIZE, _CELLS) @ moments)
    return _expectations(torch.cat(masses, dim=1))


def _joint_expectations(
    cells: torch.Tensor, rows: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Return the expected x, y, z (b, j, 3) of joints.

    :param cells: (b, 256, 4096) features.
    :param rows: (j * 64, 256) the joints' part of the convolution.
    :param bias: (j * 64,).
    """
    b, joints = len(cells), len(rows) // SIZE
    # one crop as a plain product: the batched one runs its products on one core each
    volume = (rows @ cells[0])[None] if b == 1 else rows @ cells
    # Softmax is the same from any common shift; the largest logit keeps exp() in range. The bias
    # is constant over a depth's cells, so it joins the shift and costs no pass of its own.
    largest = volume.detach().amax(dim=2) + bias.detach()
    top = largest.view(b, joints, SIZE).amax(dim=2, keepdim=True)
    shift = (bias.view(joints, SIZE) - top).view(b, joints * SIZE, 1)
    mass = volume.add_(shift).exp_() @ _moment_vectors(cells.device)
    return _expectations(mass.view(b, joints, SIZE, 3))


def _expectations(mass: torch.Tensor) -> torch.Tensor:
    """Return the expected x, y, z (b, j, 3) for each depth's mass and its shares of x and y.

    :param mass: (b, j, 64, 3), in any unit.
    """
    total, x, y = mass.sum(dim=2).unbind(dim=2)
    depth = torch.arange(SIZE, device=mass.device, dtype=torch.float32) - _MIDDLE
    z = mass[..., 0] @ depth
    return torch.stack([x, y, z], dim=2) / total[..., None] + _MIDDLE


def _moment_vectors(device: torch.device) -> torch.Tensor:
    """Return (4096, 3): 1, x and y of each cell, from the middle, where sums round least."""
    index = torch.arange(SIZE, device=device, dtype=torch.float32) - _MIDDLE
    y, x = torch.meshgrid(index, index, indexing='ij')
    return torch.stack([torch.ones_like(x), x, y], dim=2).view(_CELLS, 3)
