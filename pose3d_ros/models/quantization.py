# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Networks in 8 bits: where their graphs are rounded, and to which ranges.

The scheme is that of Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (CVPR 2018): weights symmetric with a scale for each output
channel, activations with one range for a whole tensor, in which zero is exact. The graph gets
FakeQuantize operations, from which OpenVINO makes convolutions of 8-bit integers. Weights are
rounded when a network is loaded; the ranges were measured on footage (`pose3d benchmark
eight_bits`) and are in eight_bits.json.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import openvino as ov
from openvino import opset13 as ops

#: Least and largest value of a tensor, by its name.
Ranges = Mapping[str, tuple[float, float]]

#: What hands values on as they are, so that their range is that of what comes in.
_HANDS_ON = ('MaxPool', 'Interpolate', 'Concat', 'SpaceToDepth')
_STEPS = 255  # between the 256 values of 8 bits
_WEIGHT_LEVELS = 255  # -127..127


@dataclass(frozen=True)
class EightBits:
    """How a network is computed in 8 bits.

    :param ranges: of the tensors that convolutions read. One that reads a tensor without a range
        stays in f32.
    :param in_auto: whether precision 'auto' may choose it: it was measured to cost no accuracy.
    """

    ranges: Ranges
    in_auto: bool

    @classmethod
    def of(cls, weights: str) -> 'EightBits':
        """Return what eight_bits.json says of a file of the weights table."""
        entry = _table()[weights]
        ranges = {name: (low, high) for name, (low, high) in entry['ranges'].items()}
        return cls(ranges, entry['in_auto'])


@cache
def _table() -> dict[str, dict]:
    text = resources.files('pose3d_ros.models').joinpath('eight_bits.json').read_text()
    table: dict[str, dict] = json.loads(text)
    return table


def quantize(graph: ov.Model, ranges: Ranges) -> None:
    """Round the weights, and what they are multiplied with, of convolutions; in place.

    :param graph: with the network's own input, before anything is put in front of it.
    :raises ValueError: a range is of a tensor that no convolution reads: it is another network.
    """
    join_swish(graph)
    tensors: dict[str, ov.Output] = {}
    for convolution in _convolutions(graph):
        sources = _sources(convolution.input_value(0))
        if sources.keys() <= ranges.keys():
            tensors |= sources
            _round_weights(convolution)
    if unknown := ranges.keys() - tensors.keys():
        raise ValueError(
            f'{graph.friendly_name} is another network: no convolution reads '
            + ', '.join(sorted(unknown))
        )
    for name, tensor in tensors.items():
        _round(tensor, *ranges[name])
    graph.validate_nodes_and_infer_types()


def join_swish(graph: ov.Model) -> None:
    """Replace x * sigmoid(x) by the one operation that it is, in place.

    OpenVINO does so itself in f32. In 8 bits it did not: the 74 sigmoids of YOLOX took longer than
    its convolutions, behind which a Swish costs nearly nothing.
    """
    for product in graph.get_ordered_ops():
        if product.get_type_name() != 'Multiply':
            continue
        one, other = product.input_values()
        for value, gate in ((one, other), (other, one)):
            if gate.node.get_type_name() == 'Sigmoid' and gate.node.input_value(0) == value:
                swish = ops.swish(value)
                swish.friendly_name = product.friendly_name
                names = product.output(0).get_names()
                product.output(0).replace(swish.output(0))
                swish.output(0).add_names(names)
                break


def shared_ranges(graph: ov.Model) -> list[dict[str, ov.Output]]:
    """Return the tensors that convolutions read, by name; those of one group have one range.

    What is concatenated is one tensor to the convolution behind it, with one scale.
    """
    groups: list[dict[str, ov.Output]] = []
    for convolution in _convolutions(graph):
        group = _sources(convolution.input_value(0))
        for other in [g for g in groups if g.keys() & group.keys()]:
            groups.remove(other)
            group |= other
        groups.append(group)
    return groups


def _convolutions(graph: ov.Model) -> Sequence[ov.Node]:
    # without those by channel (GroupConvolution): in 8 bits they took longer
    return [node for node in graph.get_ordered_ops() if node.get_type_name() == 'Convolution']


def _sources(tensor: ov.Output) -> dict[str, ov.Output]:
    """Return what the values of a tensor come from, by name."""
    node = tensor.node
    if node.get_type_name() not in _HANDS_ON:
        return {min(tensor.get_names()): tensor}
    inputs = node.input_values()
    several = inputs if node.get_type_name() == 'Concat' else inputs[:1]
    return {name: source for one in several for name, source in _sources(one).items()}


def _round_weights(convolution: ov.Node) -> None:
    weights = convolution.input_value(1)
    largest = np.abs(weights.node.data).max(axis=(1, 2, 3), keepdims=True).astype(np.float32)
    largest = np.maximum(largest, np.finfo(np.float32).tiny)  # a channel may be all zero
    rounded = _fake_quantize(weights, -largest, largest, _WEIGHT_LEVELS)
    convolution.input(1).replace_source_output(rounded.output(0))


def _round(tensor: ov.Output, low: float, high: float) -> None:
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / _STEPS
    low = round(low / step) * step  # zero is one of the values: the border of an image
    readers = list(tensor.get_target_inputs())
    rounded = _fake_quantize(tensor, np.float32(low), np.float32(low + _STEPS * step), _STEPS + 1)
    for reader in readers:
        reader.replace_source_output(rounded.output(0))


def _fake_quantize(
    tensor: ov.Output, low: np.ndarray | np.float32, high: np.ndarray | np.float32, levels: int
) -> ov.Node:
    limits = [ops.constant(limit) for limit in (low, high, low, high)]
    return ops.fake_quantize(tensor, *limits, levels)
