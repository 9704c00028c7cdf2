# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Runs a PyTorch network on crops of people: a module, a device and a largest batch."""

import threading
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from pose3d_ros.models.backbone import Backbone
from pose3d_ros.models.batches import Batches
from pose3d_ros.models.crops3dmppe import MEAN, SIZE, STD
from pose3d_ros.models.heatmaps import Upsampling
from pose3d_ros.models.session import (
    ONNXRUNTIME_DEVICES,
    BusyTime,
    DeviceUnavailable,
    RuntimeOptions,
)

#: Precision -> what backbone and upsampling compute in; 'auto' is f32.
REDUCED = {'bf16': torch.bfloat16, 'f16': torch.float16}


class TorchNetwork:
    """A network that takes crops of people, like `runtime.Network`.

    :param module: ready to predict; it is changed: its batch norms go into its convolutions.
    :param options: device ('CPU', 'GPU' or 'cuda:1'; see `torch_device`), batch, threads and
        precision. In bf16 and f16 the heads' last layers stay in f32; 'auto' is f32, as what bf16
        costs has been measured on random weights only.
    :raises DeviceUnavailable: no such device.
    """

    def __init__(
        self,
        module: nn.Module,
        options: RuntimeOptions = RuntimeOptions(),  # noqa: B008 (frozen)
    ) -> None:
        self._device = torch_device(options.device)
        self.options = options
        self.device = options.device
        self.precision = options.precision if options.precision in REDUCED else 'f32'
        fold_batch_norms(module)
        if self.precision in REDUCED:
            lower_precision(module, REDUCED[self.precision])
        self._module = module.to(self._device, memory_format=torch.channels_last)
        self._batches = Batches(options.max_batch, options.device, few_sizes=False)
        self._lock = threading.Lock()
        self._busy = BusyTime()

    @property
    def busy_s(self) -> float:
        """Return the seconds that the calling thread has spent in the network."""
        return self._busy.seconds

    def __call__(self, crops: np.ndarray) -> list[np.ndarray]:
        """Return the one output (n, ...) float32 for n > 0 crops (n, 256, 256, 3) uint8 BGR.

        :raises batches.OutOfMemory: the device's memory does not hold one crop.
        """
        with self._lock, torch.inference_mode(), self._busy.measured():
            if self.options.threads:  # holds for the calling thread: nodes call from their own
                torch.set_num_threads(self.options.threads)
            return self._batches.run(crops, self._run)

    def warm_up(self, largest_batch: int = 4) -> None:
        """Run once, so that the first people are not late: libraries and kernels are loaded."""
        n = min(largest_batch, self.options.max_batch)
        self(np.zeros((n, SIZE, SIZE, 3), np.uint8))
        self._busy.seconds = 0.0

    def _run(self, crops: np.ndarray) -> list[np.ndarray]:
        images = normalised(torch.from_numpy(crops).to(self._device))
        # cuDNN would compute convolutions in TF32, whose 10 bits cost PoseNet its last digits
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return [np.asarray(self._module(images).cpu().numpy())]


def lower_precision(module: nn.Module, to: torch.dtype) -> None:
    """Convert backbone and upsampling, in place. The heads' last layers stay in f32."""
    for part in module.modules():
        if isinstance(part, Backbone | Upsampling):
            part.to(to)


def normalised(crops: torch.Tensor) -> torch.Tensor:
    """Return network inputs (n, 3, h, w), RGB, for crops (n, h, w, 3) uint8 BGR."""
    mean, std = (torch.tensor(values, device=crops.device) for values in (MEAN, STD))
    # colours last in memory, as the crops are: convolutions are fastest so
    return ((crops.flip(3).float() - mean) / std).permute(0, 3, 1, 2)


def torch_device(name: str) -> torch.device:
    """Return the device of a name: 'CPU', 'GPU' (the first), 'GPU.1', 'cuda:1'.

    :raises DeviceUnavailable: this machine, or this PyTorch, does not have it.
    """
    plain = name.lower().replace('gpu', 'cuda').replace('.', ':')
    kind, _, number = plain.partition(':')
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if plain == 'cpu' or (
        kind == 'cuda' and (number or '0').isdecimal() and int(number or 0) < count
    ):
        return torch.device(plain)
    there = ', '.join(['CPU', *(f'GPU.{i}' for i in range(count))])
    message = f"device '{name}' is not there for PyTorch {torch.__version__}, which has {there}"
    if plain.partition(':')[0] in ONNXRUNTIME_DEVICES and kind != 'cuda':
        message += '; ONNX Runtime takes the .onnx file that `pose3d export` makes of the weights'
    raise DeviceUnavailable(message)


def fold_batch_norms(module: nn.Module) -> None:
    """Multiply every batch norm that follows a convolution into it, in place."""
    children = list(module.named_children())
    for (name, convolution), (norm_name, norm) in pairwise(children):
        if isinstance(norm, nn.BatchNorm2d):
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            setattr(module, name, fuse_conv_bn_eval(convolution, norm, transpose=transposed))
            setattr(module, norm_name, nn.Identity())
    for _, child in children:
        fold_batch_norms(child)
