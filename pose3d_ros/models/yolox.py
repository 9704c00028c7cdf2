# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""YOLOX person detector (Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430).

Weights: YOLOX-tiny trained on HumanArt and COCO (mmpose's model zoo, Apache-2.0), published with
a fixed 416 x 416 input. The graph is cut before its decoding and opened to any input size here.
"""

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import numpy_helper

from pose3d_ros.models.detection import DetectorOptions, select_people
from pose3d_ros.models.quantization import EightBits
from pose3d_ros.models.runtime import Network
from pose3d_ros.models.session import ANY, ImageInput, RuntimeOptions
from pose3d_ros.people import Persons

STRIDES = (8, 16, 32)
NMS_IOU = 0.65
#: Longer side of the input where none is asked for, pixels; any is rounded to a multiple of 32.
LONG_SIDE = 736
_PADDING_GREY = 114
#: How it wants its images.
INPUT = ImageInput(ANY, ANY)

# Names inside the published graph: what makes 12 channels of 2 x 2 pixels (by reshapes that fix its
# size), the convolution behind it, and per stride the convolutions of class (80, of which 0 is
# person), box and objectness.
_STACKED, _STEM = '509', '1270'
_HEADS = (('807', '808', '809'), ('826', '827', '828'), ('845', '846', '847'))
#: All its outputs.
HEAD_NAMES = [name for head in _HEADS for name in head]


class YOLOX:
    """Detect people in images of any size; the first of another size takes some 0.2 s longer."""

    def __init__(self, weights: Path, options: RuntimeOptions = RuntimeOptions()) -> None:  # noqa: B008
        self.network = Network(
            open_graph(weights),
            INPUT,
            HEAD_NAMES,
            options,
            eight_bits=EightBits.of('yolox_tiny'),
        )
        self.networks = (self.network,)

    def check(self, options: DetectorOptions) -> None:
        """Take any options."""

    def __call__(self, image: np.ndarray, options: DetectorOptions) -> Persons:
        """Return the people of an image (h, w, 3) uint8 BGR, most certain first, no ids."""
        long_side = options.input_long_side or LONG_SIDE
        height, width = input_size(image.shape[1], image.shape[0], long_side)
        canvas, scale = letterbox(image, height, width)
        boxes, scores = decode(self.network(canvas[None]), options.score_threshold)
        return _select(boxes / scale, scores, image.shape, options)


def input_size(image_width: int, image_height: int, long_side: int) -> tuple[int, int]:
    """Return (height, width) of the input: multiples of 32 nearest to the image's aspect."""
    scale = long_side / max(image_width, image_height)
    height, width = (max(32, round(n * scale / 32) * 32) for n in (image_height, image_width))
    return height, width


def letterbox(image: np.ndarray, height: int, width: int) -> tuple[np.ndarray, float]:
    """Return the image scaled into the top left of a grey (height, width, 3), and the scale."""
    scale = min(height / image.shape[0], width / image.shape[1])
    inner = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    canvas = np.full((height, width, 3), _PADDING_GREY, np.uint8)
    canvas[: inner[1], : inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR)
    return canvas, scale


def open_graph(weights: Path) -> bytes:
    """Return the ONNX graph for inputs of any multiple of 32, with only person as its class.

    :raises ValueError: the file is another network.
    """
    model = onnx.load(weights)
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes = {output: node for node in graph.node for output in node.output}
    if missing := [name for name in (_STACKED, _STEM, *HEAD_NAMES) if name not in nodes]:
        raise ValueError(f'{weights} is not the YOLOX-tiny of the weights table: no {missing}')

    def set_tensor(name: str, values: np.ndarray) -> None:
        tensors[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), name))

    # The published reshapes stack a pixel's channels by column, row, colour; SpaceToDepth, which
    # knows no size, by row, column, colour. The convolution that reads them is reordered to match.
    stem = nodes[_STEM].input[1]
    kernel = numpy_helper.to_array(tensors[stem])
    by_pixel = kernel.reshape(len(kernel), 2, 2, 3, *kernel.shape[2:])
    set_tensor(stem, by_pixel.swapaxes(1, 2).reshape(kernel.shape))
    nodes[_STACKED].CopyFrom(
        onnx.helper.make_node('SpaceToDepth', [graph.input[0].name], [_STACKED], blocksize=2)
    )
    for classes, _, _ in _HEADS:  # the first of the 80 classes is person
        for name in nodes[classes].input[1:]:
            set_tensor(name, numpy_helper.to_array(tensors[name])[:1])
    _keep_ancestors(graph, HEAD_NAMES)
    for axis, symbol in ((2, 'height'), (3, 'width')):
        graph.input[0].type.tensor_type.shape.dim[axis].dim_param = symbol
    del graph.output[:]
    for name in HEAD_NAMES:
        info = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4)
        graph.output.append(info)
    del graph.value_info[:]
    return bytes(model.SerializeToString())


def _keep_ancestors(graph: onnx.GraphProto, outputs: list[str]) -> None:
    """Drop every node that no output depends on."""
    nodes = {output: node for node in graph.node for output in node.output}
    wanted: set[str] = set()
    pending = list(outputs)
    while pending:
        name = pending.pop()
        if name in nodes and name not in wanted:
            wanted.add(name)
            pending.extend(nodes[name].input)
    kept = [node for node in graph.node if wanted.intersection(node.output)]
    del graph.node[:]
    graph.node.extend(kept)


def decode(heads: list[np.ndarray], threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (n, 4) as x, y, w, h in input pixels, and scores (n,), above the threshold.

    centre = (xy + cell) * stride, size = exp(wh) * stride, score = sigmoid(class) *
    sigmoid(objectness); only cells above the threshold are computed.
    """
    boxes, scores = [], []
    for stride, index in zip(STRIDES, range(0, 9, 3), strict=True):
        classes, box, objectness = (head[0] for head in heads[index : index + 3])
        with np.errstate(over='ignore'):  # of a hopeless cell: 1 / infinity is its score
            score = 1 / ((1 + np.exp(-classes[0])) * (1 + np.exp(-objectness[0])))
        rows, columns = np.nonzero(score > threshold)
        centre = (box[:2, rows, columns].T + np.stack([columns, rows], 1)) * stride
        size = np.exp(np.minimum(box[2:, rows, columns].T, 10)) * stride
        boxes.append(np.concatenate([centre - size / 2, size], axis=1))
        scores.append(score[rows, columns])
    return np.concatenate(boxes), np.concatenate(scores)


def _select(
    boxes: np.ndarray, scores: np.ndarray, shape: tuple[int, ...], options: DetectorOptions
) -> Persons:
    """Suppress double boxes and keep what the options ask for."""
    kept = np.asarray(
        cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), options.score_threshold, NMS_IOU),
        dtype=int,
    ).ravel()
    return select_people(boxes[kept], scores[kept], shape, options)
