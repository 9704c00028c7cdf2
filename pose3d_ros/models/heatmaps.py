# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What RootNet and PoseNet share behind the backbone: upsampling, and where a heatmap's mass lies.

Integral regression (Sun et al., "Integral Human Pose Regression", ECCV 2018): the coordinate is the
expectation of the cell's index under the softmax of the heatmap.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

#: Places are told in 64ths of the crop's side, and depth in as many steps.
SIZE = 64
CHANNELS = 256
_MIDDLE = (SIZE - 1) / 2
# In 64ths: of a crop's side, as heatmaps have it that are learned (Newell et al., ECCV 2016, one
# pixel of 64; Xiao et al., ECCV 2018, two), and of the 2 m of depth.
_GAUSSIAN_STDDEV = 2.0

# Logits held at once. On a CPU they should stay in the second level cache between the passes over
# them; a GPU wants one large piece, and this is what bounds its memory.
_CPU_BYTES = 4 << 20
_GPU_BYTES = 256 << 20
_EXPORTED_JOINTS = 3


class Upsampling(nn.Sequential):
    """Three times [4 x 4 deconvolution of stride 2, batch norm, ReLU]: 8 x 8 to 64 x 64, say.

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
    """Return the expected x, y (b, 2), 0..63, of heatmaps (b, 1, s, s) of logits."""
    probability = logits.flatten(1).softmax(dim=1)
    moments = probability @ _moment_vectors(logits.shape[-1], logits.device)
    return moments[:, 1:] + _MIDDLE


class Marginals(NamedTuple):
    """How the mass of volumes of probability is spread; each sums up to 1.

    :param plane: (b, j, s * s) over the cells of the crop, row by row.
    :param depth: (b, j, 64) over the steps of depth.
    """

    plane: torch.Tensor
    depth: torch.Tensor

    @property
    def side(self) -> int:
        """Return how many cells the crop's side has."""
        return math.isqrt(self.plane.shape[2])

    def expectations(self) -> torch.Tensor:
        """Return the expected x, y, z (b, j, 3), 0..63."""
        device = self.plane.device
        with in_f32(device):
            in_plane = self.plane @ _moment_vectors(self.side, device)[:, 1:]
            in_depth = self.depth @ _places(SIZE, device)
        return torch.cat([in_plane, in_depth[..., None]], dim=2) + _MIDDLE


def marginals_3d(features: torch.Tensor, layer: nn.Conv2d) -> Marginals:
    """Return how the softmax of the volumes is spread that a 1 x 1 convolution makes.

    The volumes, s * s * 64 numbers for each joint of each crop, are made, exponentiated and summed
    in pieces that fit the processor's cache.

    :param features: (b, 256, s, s).
    :param layer: its outputs are joint * 64 + depth.
    """
    rows = layer.weight.flatten(1)
    bias = torch.zeros_like(rows[:, 0]) if layer.bias is None else layer.bias
    plane, depth = _Marginals.apply(features.flatten(2), rows, bias)
    return Marginals(plane, depth)


class _Marginals(torch.autograd.Function):
    """`marginals_3d` of cells (b, 256, s * s), rows (j * 64, 256) and bias (j * 64,).

    What autograd would keep for the way back is every volume; here they are made a second time, a
    piece after the other, and each goes into the gradients at once. With p the softmax of the
    logits of a joint, and g the sum of the gradients of the two marginals at a cell, that of the
    cell's logit is p (g - the expectation of g).
    """

    @staticmethod
    def forward(
        ctx: Any, cells: torch.Tensor, rows: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        joints = len(rows) // SIZE
        plane = cells.new_empty(len(cells), joints, cells.shape[2])
        depth = cells.new_empty(len(cells), joints, SIZE)
        # the logarithm of each joint's sum of exponentials
        norms = cells.new_empty(len(cells), joints)
        for crops, some in _pieces(cells, joints):
            part = _rows_of(some)
            volume, top = _exponentials(cells[crops], rows[part], bias[part])
            of_depth = volume.sum(dim=3)
            total = of_depth.sum(dim=2)
            plane[crops, some] = volume.sum(dim=2) / total[..., None]
            depth[crops, some] = of_depth / total[..., None]
            norms[crops, some] = top + total.log()
        ctx.save_for_backward(cells, rows, bias, plane, depth, norms)
        return plane, depth

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, ...]:
        cells, rows, bias, plane, depth, norms = ctx.saved_tensors
        in_plane, in_depth = gradients
        mean = (plane * in_plane).sum(dim=2) + (depth * in_depth).sum(dim=2)
        in_depth = in_depth - mean[..., None]
        of_cells, of_rows = torch.zeros_like(cells), torch.zeros_like(rows)
        of_bias = torch.zeros_like(bias)
        for crops, some in _pieces(cells, plane.shape[1]):
            part = _rows_of(some)
            b, joints = len(cells[crops]), some.stop - some.start
            volume = _product(rows[part], cells[crops]).view(b, joints, SIZE, -1)
            shift = bias[part].view(joints, SIZE) - norms[crops, some, None]
            probability = volume.add_(shift[..., None]).exp_()
            at_cell = in_plane[crops, some, None] + in_depth[crops, some, :, None]
            logits = probability.mul_(at_cell).flatten(1, 2)
            for crop, of_logits in zip(range(crops.start, crops.stop), logits, strict=True):
                of_cells[crop].addmm_(rows[part].T, of_logits)
                of_rows[part].addmm_(of_logits, cells[crop].T)
            of_bias[part] += logits.sum(dim=(0, 2))
        return of_cells, of_rows, of_bias


def _pieces(cells: torch.Tensor, joints: int) -> Iterator[tuple[slice, slice]]:
    """Yield crops and joints, so many at once as the device should hold volumes of."""
    budget = _CPU_BYTES if cells.device.type == 'cpu' else _GPU_BYTES
    joint_bytes = SIZE * cells.shape[2] * 4
    joint_step = max(1, min(joints, budget // joint_bytes))
    crop_step = max(1, budget // (joint_step * joint_bytes))
    for crop in range(0, len(cells), crop_step):
        for joint in range(0, joints, joint_step):
            yield (
                slice(crop, min(crop + crop_step, len(cells))),
                slice(joint, min(joint + joint_step, joints)),
            )


def _rows_of(joints: slice) -> slice:
    return slice(joints.start * SIZE, joints.stop * SIZE)


def _product(rows: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Return rows @ cells (b, r, s * s), without the bias."""
    # one crop as a plain product: the batched one runs its products on one core each
    return (rows @ cells[0])[None] if len(cells) == 1 else rows @ cells


def softmax_expectation_3d(features: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Return the expectations of `marginals_3d`, in the operators that OpenVINO runs fastest.

    It has a softmax that passes over a joint's volume once, and a product with three columns costs
    next to nothing, where sums over the axes cost as much again. Three joints at a time: fewer
    make small convolutions, more let the volumes leave the cache, and these are the largest
    tensors of the network by far.

    :param features: (b, 256, s, s).
    :param layer: its outputs are joint * 64 + depth.
    """
    side = features.shape[-1]
    moments = _moment_vectors(side, features.device)
    step = _EXPORTED_JOINTS * SIZE
    masses = []
    for first in range(0, layer.out_channels, step):
        rows = slice(first, first + step)
        bias = None if layer.bias is None else layer.bias[rows]
        volume = functional.conv2d(features, layer.weight[rows], bias)
        joints = volume.shape[1] // SIZE
        probability = volume.reshape(-1, joints, SIZE * side**2).softmax(dim=2)
        masses.append(probability.reshape(-1, joints, SIZE, side**2) @ moments)
    mass = torch.cat(masses, dim=1)  # of each depth, and its shares of x and y
    total, x, y = mass.sum(dim=2).unbind(dim=2)
    z = mass[..., 0] @ _places(SIZE, mass.device)
    return torch.stack([x, y, z], dim=2) / total[..., None] + _MIDDLE


def _exponentials(
    cells: torch.Tensor, rows: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the exponentials (b, j, 64, s * s) of logits, less the largest of each joint (b, j).

    :param cells: (b, 256, s * s) features.
    :param rows: (j * 64, 256) the joints' part of the convolution.
    :param bias: (j * 64,).
    """
    b, joints = len(cells), len(rows) // SIZE
    volume = _product(rows, cells)
    # Softmax is the same from any common shift; the largest logit keeps exp() in range. The bias
    # is constant over a depth's cells, so it joins the shift and costs no pass of its own.
    largest = volume.amax(dim=2) + bias
    top = largest.view(b, joints, SIZE).amax(dim=2, keepdim=True)
    shift = (bias.view(joints, SIZE) - top).view(b, joints * SIZE, 1)
    return volume.add_(shift).exp_().view(b, joints, SIZE, -1), top[..., 0]


def gaussian(place: torch.Tensor, cells: int) -> torch.Tensor:
    """Return the shares (..., cells) of mass around places (...), 0..63, along an axis."""
    distance = _places(cells, place.device) + _MIDDLE - place[..., None]
    return (-0.5 * (distance / _GAUSSIAN_STDDEV) ** 2).softmax(dim=-1)


def _moment_vectors(side: int, device: torch.device) -> torch.Tensor:
    """Return (side * side, 3): 1, x and y of each cell."""
    index = _places(side, device)
    y, x = torch.meshgrid(index, index, indexing='ij')
    return torch.stack([torch.ones_like(x), x, y], dim=2).view(-1, 3)


def _places(cells: int, device: torch.device) -> torch.Tensor:
    """Return where the cells of an axis are, from its middle, where sums round least."""
    return torch.arange(cells, device=device, dtype=torch.float32) * (SIZE / cells) - _MIDDLE
