# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The weights of CSPNeXt-s, out of the file of RTMPose-s that the default rootnet runs."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from pose3d_ros.models.cspnext import CspNext
from pose3d_ros.models.snapshots import SnapshotError


def load_rtmpose(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of `CspNext` by key, of RTMPose-s as .onnx (`pose3d fetch rtmpose_s`).

    The file has a graph of nodes instead of named layers; convolutions come in the order of ours,
    and the last of them is of the head.

    :raises SnapshotError: it cannot be read, or is another network.
    """
    convolutions = _convolutions(path)
    with torch.device('meta'):
        layers = {k: m for k, m in CspNext().named_modules() if isinstance(m, nn.Conv2d)}
    shapes = [tuple(layer.weight.shape) for layer in layers.values()]
    if [weight.shape for weight, _ in convolutions[:-1]] != shapes:
        raise SnapshotError(
            f'{path} is not RTMPose-s, whose backbone of {len(shapes)} convolutions is expected '
            'in a file of MMPose, exported as .onnx'
        )
    found: dict[str, torch.Tensor] = {}
    for key, (weight, bias) in zip(layers, convolutions, strict=False):
        found |= {f'{key}.weight': torch.tensor(weight), f'{key}.bias': torch.tensor(bias)}
    return found


def _convolutions(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights and biases of a file's convolutions, those that have both in the file."""
    import onnx

    try:
        # weights outside of the file would be looked for wherever it says
        graph = onnx.load(str(path), load_external_data=False).graph
        arrays = {
            t.name: onnx.numpy_helper.to_array(t)
            for t in graph.initializer
            if not onnx.external_data_helper.uses_external_data(t)
        }
    except Exception as error:  # protobuf's, the system's, numpy's: the file is not one of ours
        raise SnapshotError(
            f'{path} is damaged, or no .onnx file ({type(error).__name__}: {error})'
        ) from error
    inputs = [node.input[1:3] for node in graph.node if node.op_type == 'Conv']
    known = [names for names in inputs if len(names) == 2 and arrays.keys() >= set(names)]
    return [(arrays[weight], arrays[bias]) for weight, bias in known]
