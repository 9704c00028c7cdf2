# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A network that OpenVINO has read, written as ONNX: how a .tflite file reaches ONNX Runtime.

Of OpenVINO's operations these are the ones of which BlazePose consists (`linear_head.split_heads`
has cut off its last layers). Converters of .tflite files exist, but the maintained one needs
TensorFlow; OpenVINO, which is here anyway, has done the reading, and has worked out the padding.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import openvino as ov
from onnx import helper, numpy_helper

_OPSET = 17
_IR_VERSION = 8


class UnknownOperation(ValueError):
    """An operation, or a variant of one, that is not translated; the message names it."""


def to_onnx(network: ov.Model) -> onnx.ModelProto:
    """Return a network with one image input in ONNX, for any batch.

    Names of inputs and outputs stay.

    :raises UnknownOperation: it has operations that BlazePose does not have.
    """
    return _Writer(network).model()


class _Writer:
    """Translates operation by operation, in their order."""

    def __init__(self, network: ov.Model) -> None:
        self._network = network
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        #: Operation that depends on the image -> the name of what it makes.
        self._names: dict[str, str] = {}

    def model(self) -> onnx.ModelProto:
        """Return the translated network."""
        inputs, outputs = [], []
        for node in self._network.get_ordered_ops():
            if node.get_type_name() == 'Parameter':
                inputs.append(_described(node.output(0)))
                self._names[node.friendly_name] = inputs[-1].name
            elif node.get_type_name() == 'Result':
                outputs.append(_described(node.input_value(0)))
                self._add('Identity', [self._name(node.input_value(0).node)], outputs[-1].name, {})
            elif any(port.node.friendly_name in self._names for port in node.input_values()):
                self._translate(node)
        graph = helper.make_graph(
            self._nodes, self._network.friendly_name, inputs, outputs, self._constants
        )
        opset = helper.make_opsetid('', _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def _translate(self, node: ov.Node) -> None:
        kind = node.get_type_name()
        if kind not in _TRANSLATIONS:
            raise UnknownOperation(f'operation {kind} is not translated to ONNX')
        made = self._name(node.input_value(0).node)
        for name, others, attributes in _TRANSLATIONS[kind](node):
            inputs = [made, *(self._name(other) for other in others)]
            made = f'tensor_{len(self._nodes)}'
            self._add(name, inputs, made, attributes)
        self._names[node.friendly_name] = made

    def _add(self, name: str, inputs: list[str], made: str, attributes: dict[str, Any]) -> None:
        self._nodes.append(helper.make_node(name, inputs, [made], made, **attributes))

    def _name(self, given: ov.Node | np.ndarray | None) -> str:
        """Return the name of what an operation makes, or of a constant; '' for left out."""
        if given is None:
            return ''
        if isinstance(given, ov.Node):
            if given.friendly_name in self._names:
                return self._names[given.friendly_name]
            given = _value(given)
        name = f'constant_{len(self._constants)}'
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(given), name))
        return name


#: What an operation becomes, one behind the other, each with name, what it reads besides the one
#: before, and attributes.
_Steps = list[tuple[str, Sequence[ov.Node | np.ndarray | None], dict[str, Any]]]


def _convolution(node: ov.Node) -> _Steps:
    return [('Conv', [node.input_value(1).node], _window(node))]


def _group_convolution(node: ov.Node) -> _Steps:
    kernel = _value(node.input_value(1).node)  # groups, outputs of each, inputs of each, h, w
    groups, outputs = kernel.shape[:2]
    kernel = kernel.reshape(groups * outputs, *kernel.shape[2:])
    return [('Conv', [kernel], {**_window(node), 'group': groups})]


def _add(node: ov.Node) -> _Steps:
    return [('Add', [node.input_value(1).node], {})]


def _clamp(node: ov.Node) -> _Steps:
    limits = node.get_attributes()
    return [('Clip', [np.asarray(limits[key], np.float32) for key in ('min', 'max')], {})]


def _convert(node: ov.Node) -> _Steps:
    if node.get_attributes()['destination_type'] != 'f32':
        raise UnknownOperation('operation Convert is translated to f32 only')
    return [('Cast', [], {'to': onnx.TensorProto.FLOAT})]


def _transpose(node: ov.Node) -> _Steps:
    return [('Transpose', [], {'perm': _value(node.input_value(1).node).tolist()})]


def _pad(node: ov.Node) -> _Steps:
    if node.get_attributes()['pad_mode'] != 'constant':
        raise UnknownOperation('operation Pad is translated with constants only')
    begin, end, value = (_value(node.input_value(i).node) for i in (1, 2, 3))
    return [('Pad', [np.concatenate([begin, end]).astype(np.int64), value], {'mode': 'constant'})]


def _max_pool(node: ov.Node) -> _Steps:
    attributes = node.get_attributes()
    kernel = list(attributes['kernel'])
    ceil = int(attributes['rounding_type'] != 'floor')
    return [('MaxPool', [], {**_window(node), 'kernel_shape': kernel, 'ceil_mode': ceil})]


def _interpolate(node: ov.Node) -> _Steps:
    """Return a Resize of (n, c, h, w), which every provider knows; here it is of (n, h, w, c)."""
    attributes = node.get_attributes()
    mode, axes = attributes['mode'], _value(node.input_value(2).node).tolist()
    if mode != 'linear_onnx' or attributes['antialias'] or axes != [1, 2]:
        raise UnknownOperation(f'operation Interpolate ({mode}, of axes {axes}) is not translated')
    ports = node.input_value(0), node.output(0)
    given, made = (np.array(port.shape)[[0, 3, 1, 2]] for port in ports)
    coordinates = attributes['coordinate_transformation_mode']
    return [
        ('Transpose', [], {'perm': [0, 3, 1, 2]}),
        (
            'Resize',
            [None, (made / given).astype(np.float32)],
            {'mode': 'linear', 'coordinate_transformation_mode': coordinates},
        ),
        ('Transpose', [], {'perm': [0, 2, 3, 1]}),
    ]


_TRANSLATIONS: dict[str, Callable[[ov.Node], _Steps]] = {
    'Add': _add,
    'Clamp': _clamp,
    'Convert': _convert,
    'Convolution': _convolution,
    'GroupConvolution': _group_convolution,
    'Interpolate': _interpolate,
    'MaxPool': _max_pool,
    'Pad': _pad,
    'Transpose': _transpose,
}


def _window(node: ov.Node) -> dict[str, Any]:
    """Return strides, dilations and padding; OpenVINO has worked out what 'same' pads."""
    attributes = node.get_attributes()
    return {
        'strides': list(attributes['strides']),
        'dilations': list(attributes['dilations']),
        'pads': [*attributes['pads_begin'], *attributes['pads_end']],
    }


def _described(port: ov.Output) -> onnx.ValueInfoProto:
    """Return name and shape of an input or output, its batch open."""
    shape = ['batch', *list(port.shape)[1:]]
    return helper.make_tensor_value_info(port.any_name, onnx.TensorProto.FLOAT, shape)


def _value(node: ov.Node) -> np.ndarray:
    """Return what an operation of constants makes, in f32 where it is stored in f16."""
    if node.get_type_name() == 'Constant':
        return np.asarray(node.data)
    made = ov.TensorVector([ov.Tensor(node.output(0).element_type, node.output(0).shape)])
    given = ov.TensorVector([ov.Tensor(_value(port.node)) for port in node.input_values()])
    if not node.evaluate(made, given):
        raise UnknownOperation(f'OpenVINO does not evaluate {node.get_type_name()} of constants')
    return np.array(made[0].data)
