# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs made ready for ONNX Runtime: cut, in f16, and fed with images as they come."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor

from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.openvino_to_onnx import to_onnx
from pose3d_ros.models.session import ANY, ImageInput, require_outputs

#: The input that takes the images: (batch, height, width, 3) uint8 BGR.
PIXELS = 'pixels'
# Exponentials and sums over a thousand cells, which f16 cannot hold, and the small products that
# end a network: half the digits there cost accuracy and save no time.
_IN_F32 = ('Exp', 'Softmax', 'ReduceMax', 'ReduceMean', 'ReduceSum', 'MatMul')


def load(model: Path | bytes | ov.Model) -> onnx.ModelProto:
    """Return a network as ONNX.

    :param model: path or bytes of an .onnx file, the path of a .tflite file, or a graph.
    :raises RuntimeError: the file is damaged.
    """
    if isinstance(model, bytes):
        return onnx.load_from_string(model)
    if isinstance(model, Path) and model.suffix != '.tflite':
        return onnx.load(model)
    return to_onnx(core().read_model(str(model)) if isinstance(model, Path) else model)


def cut(
    model: onnx.ModelProto, outputs: Sequence[str], source: str = 'the graph'
) -> onnx.ModelProto:
    """Return what of a network makes these outputs.

    :raises ValueError: it has no output of such a name: it is another network.
    """
    require_outputs(outputs, [output.name for output in model.graph.output], source)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in weights]
    return Extractor(model).extract_model(inputs, list(outputs))


def in_f16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network that computes in f16; what comes in and goes out stays f32.

    By ONNX Runtime's own tool: onnxconverter-common's, from which it comes, is behind it.
    """
    from onnxruntime.transformers import float16

    blocked = [*float16.DEFAULT_OP_BLOCK_LIST, *_IN_F32]
    return float16.convert_float_to_float16(model, keep_io_types=True, op_block_list=blocked)


def with_uint8_input(model: onnx.ModelProto, image: ImageInput, one: bool) -> onnx.ModelProto:
    """Return a network that takes images as `PIXELS`, and converts them itself.

    The device does it then, and a quarter of the bytes are copied there.

    :param model: with one input, as `image` describes; it is changed.
    :param one: one image at a time; otherwise any number.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    (given,) = (value.name for value in graph.input if value.name not in weights)
    batch: int | str = 1 if one else 'batch'
    sides = [
        name if side == ANY else side
        for name, side in (('height', image.height), ('width', image.width))
    ]
    pixels = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, [batch, *sides, 3])
    nodes, constants = _conversion(image, given)
    ours = [*nodes, *graph.node]
    kept = [pixels, *(value for value in graph.input if value.name in weights)]
    for field, values in ((graph.node, ours), (graph.input, kept)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)
    graph.initializer.extend(constants)
    # what was said of shapes held for one image of the old size
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField('shape')
    return onnx.shape_inference.infer_shapes(model)


def _conversion(
    image: ImageInput, made: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the nodes that make a network's input of `PIXELS`, and their constants."""
    steps: list[tuple[str, np.ndarray | None, dict[str, Any]]] = []
    steps.append(('Cast', None, {'to': TensorProto.FLOAT}))
    if image.rgb:
        steps.append(('Gather', np.array([2, 1, 0]), {'axis': 3}))
    if any(image.mean):
        steps.append(('Sub', np.array(image.mean, np.float32), {}))
    if set(image.std) != {1.0}:
        steps.append(('Div', np.array(image.std, np.float32), {}))
    if image.layout == 'NCHW':
        steps.append(('Transpose', None, {'perm': [0, 3, 1, 2]}))
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    last = PIXELS
    for operation, constant, attributes in steps:
        name = f'{PIXELS}_{operation.lower()}'
        inputs = [last]
        if constant is not None:
            inputs.append(f'{name}_by')
            constants.append(numpy_helper.from_array(constant, inputs[1]))
        last = made if len(nodes) == len(steps) - 1 else name
        nodes.append(helper.make_node(operation, inputs, [last], name, **attributes))
    return nodes, constants
