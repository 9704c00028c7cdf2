# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The last layer of a network, computed apart and in full precision.

In bf16 a weight has 8 bits. Over the thousand inputs of a regression layer the rounding of its
weights adds up to a constant error of each output, whatever the image: BlazePose's joints are 53 mm
off, and 5 mm where only the body before the last layer runs in bf16. (Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2, subtract the
mean of the same error.) The layer itself has too few operations to be worth a faster type.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov

from pose3d_ros.models.openvino_core import core

#: The name of the tensor that the layers read.
FEATURES = 'features'


@dataclass(frozen=True)
class LinearHead:
    """A layer that makes k outputs of f features.

    :param weights: (f, k) float32.
    :param bias: (k,) float32.
    """

    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return the outputs (n, k) for features (n, ...) of n crops, f numbers each."""
        outputs: np.ndarray = features.reshape(len(features), -1) @ self.weights + self.bias
        return outputs


def split_heads(model: Path, outputs: Sequence[str]) -> tuple[ov.Model, list[LinearHead]]:
    """Return a network up to the tensor that its last layers read, and these layers.

    Of an output that is squashed by a sigmoid the layer makes the argument: the logit.

    :param model: .tflite or .onnx file.
    :param outputs: names of the outputs, each of a convolution over all of the same tensor.
    :raises ValueError: the file is another network.
    """
    network = core().read_model(str(model))
    ends = {name: end for end in network.outputs for name in end.names}
    if missing := [name for name in outputs if name not in ends]:
        raise ValueError(f'{model} is another network: it has no output {", ".join(missing)}')
    adds = [_upwards(ends[name].node, 'Add', model) for name in outputs]
    convolutions = [_upwards(add, 'Convolution', model) for add in adds]
    features = [convolution.input_value(0) for convolution in convolutions]
    if len({(port.node.friendly_name, port.index) for port in features}) != 1:
        raise ValueError(f'{model} is another network: its last layers read different tensors')
    features[0].add_names({FEATURES})
    heads = [
        LinearHead(_kernel(convolution), _constant(add.input_value(1).node).ravel())
        for convolution, add in zip(convolutions, adds, strict=True)
    ]
    return ov.Model([features[0]], network.get_parameters(), network.friendly_name), heads


def _kernel(convolution: ov.Node) -> np.ndarray:
    """Return the weights (f, k), the features in the order of the tensor (channels, rows, ...)."""
    kernel = _constant(convolution.input_value(1).node)
    return np.ascontiguousarray(kernel.reshape(len(kernel), -1).T)


def _upwards(node: ov.Node, kind: str, model: Path) -> ov.Node:
    """Return the nearest operation of a kind on the way up along first inputs."""
    while node.get_input_size():
        node = node.input_value(0).node
        if node.get_type_name() == kind:
            return node
    raise ValueError(f'{model} is another network: no {kind} makes its outputs')


def _constant(node: ov.Node) -> np.ndarray:
    """Return the numbers behind conversions and reshapes, float32, as they are stored."""
    while node.get_type_name() != 'Constant':
        node = node.input_value(0).node
    return np.asarray(node.data, np.float32)
