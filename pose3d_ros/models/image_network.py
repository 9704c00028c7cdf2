# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Runs a PyTorch network on whole images: a module, a device and a precision."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_weights

from pose3d_ros.models.batches import Batches
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import BusyTime, RuntimeOptions, RuntimeUnavailable
from pose3d_ros.models.torch_network import REDUCED, torch_device

#: Of frozen batch norms that do not say it: every one of DETR's family has this written in it.
_FROZEN_EPS = 1e-5
_WARM_UP_SHAPE = (480, 640, 3)

#: (n, 4) boxes as x1, y1, x2, y2 in pixels of the image, and (n,) scores.
Found = tuple[torch.Tensor, torch.Tensor]


class ImageNetwork:
    """A detector's network, which takes one image of any size at a time.

    :param module: ready to predict; it is changed.
    :param find: what is computed of an image (3, h, w) uint8 RGB on the module's device.
    :param options: device ('CPU', 'GPU' or 'cuda:1'; see `torch_device`), threads and precision;
        'auto' is f32.
    :param wide: names of the parts of the module which bf16 and f16 are for. All else stays in f32:
        the coordinates of a box in a wide image do not fit into their 8 and 11 bits.
    :raises RuntimeUnavailable: no such device, or bf16 or f16 of a network that has no such parts.
    """

    def __init__(
        self,
        module: nn.Module,
        find: Callable[[torch.Tensor, DetectorOptions], Found],
        options: RuntimeOptions,
        wide: Sequence[str],
    ) -> None:
        self._device = torch_device(options.device)
        self.device = options.device
        self._find = find
        self._threads = options.threads
        self.precision = options.precision if options.precision in REDUCED else 'f32'
        if self.precision in REDUCED:
            if not wide:
                raise RuntimeUnavailable(
                    f'{type(module).__name__} has no backbone apart from the rest, which is what '
                    f'precision {self.precision} is for here; use f32 or auto'
                )
            for name in wide:
                _compute_in(REDUCED[self.precision], module.get_submodule(name))
        # colours last in memory: convolutions are fastest so
        module.to(self._device, memory_format=torch.channels_last)
        self._lock = threading.Lock()
        self._batches = Batches(1, options.device, few_sizes=True)
        self._busy = BusyTime()

    @property
    def busy_s(self) -> float:
        """Return the seconds that the calling thread has spent in it, with scaling the images."""
        return self._busy.seconds

    def __call__(
        self, image: np.ndarray, options: DetectorOptions
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (n, 4) as x, y, width, height in pixels of the image, and scores (n,).

        :param image: (h, w, 3) uint8 BGR.
        :raises batches.OutOfMemory: the device's memory does not hold it.
        """
        # cuDNN would compute convolutions in TF32, which has no more digits than bf16
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with self._lock, torch.inference_mode(), exact, self._busy.measured():
            if self._threads:  # holds for the calling thread: nodes call from their own
                torch.set_num_threads(self._threads)
            boxes, scores = self._batches.run(image[None], lambda one: self._infer(one[0], options))
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1), scores

    def warm_up(self, largest_batch: int = 4) -> None:
        """Run once, so that the first image is not late: libraries and kernels are loaded."""
        self(np.zeros(_WARM_UP_SHAPE, np.uint8), DetectorOptions())
        self._busy.seconds = 0.0

    def _infer(self, image: np.ndarray, options: DetectorOptions) -> list[np.ndarray]:
        rgb = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).to(self._device)
        found = self._find(rgb.permute(2, 0, 1), options)
        return [values.double().cpu().numpy() for values in found]


def fold_norms(module: nn.Module, convolution: str, norm: str) -> None:
    """Multiply batch norms, frozen ones too, into the convolutions before them, in place.

    :param convolution: attribute by which a part of the module has its convolution.
    :param norm: the attribute with the norm that this part computes right behind it.
    """
    for part in module.modules():
        conv: Any = getattr(part, convolution, None)
        bn: Any = getattr(part, norm, None)
        if isinstance(conv, nn.Conv2d) and hasattr(bn, 'running_var'):
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight,
                conv.bias,
                bn.running_mean,
                bn.running_var,
                getattr(bn, 'eps', _FROZEN_EPS),
                bn.weight,
                bn.bias,
            )
            setattr(part, norm, nn.Identity())


def _compute_in(dtype: torch.dtype, part: nn.Module) -> None:
    """Make a part of a network compute in bf16 or f16; what comes in and goes out stays f32."""
    part.to(dtype)
    part.register_forward_pre_hook(lambda _, given: _cast(given, dtype))
    part.register_forward_hook(lambda _, given, output: _cast(output, torch.float32))


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Return a tensor, or a container of some, with the floating-point ones in `dtype`."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return type(value)((key, _cast(item, dtype)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value)(_cast(item, dtype) for item in value)
    return value
