# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""BlazePose as ONNX: the numbers of LiteRT, whose file it is, and of OpenVINO, on real crops."""

from functools import cache

import numpy as np
import onnx
import openvino as ov
import pytest
from ai_edge_litert.interpreter import Interpreter
from openvino import opset13
from real import people, people_image

from pose3d_ros import weights
from pose3d_ros.camera import Camera
from pose3d_ros.crops import Crops
from pose3d_ros.models.blazepose import BlazePose, BodyCircles
from pose3d_ros.models.linear_head import split_heads
from pose3d_ros.models.openvino_to_onnx import UnknownOperation, to_onnx
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.stages import POSENETS

VARIANTS = ('lite', 'full', 'heavy')
HEADS = ('Identity', 'Identity_4')  # landmarks in pixels, joints in metres
F32 = RuntimeOptions(precision='f32')
IN_ONNX_RUNTIME = RuntimeOptions('onnxruntime', 'f32')


@cache
def in_litert(variant: str) -> Interpreter:
    """Return the whole network in the runtime that its file is made for."""
    interpreter = Interpreter(str(weights.path(f'blazepose_{variant}')), num_threads=2)
    interpreter.allocate_tensors()
    return interpreter


def crops_of(circles: BodyCircles) -> np.ndarray:
    """Return the crops (n, 256, 256, 3) RGB 0..1 that BlazePose cuts."""
    crops = Crops.around(circles.centres, 2.1 * circles.radii, (256, 256), circles.angles)
    return crops.cut(people_image())[..., ::-1].astype(np.float32) / 255


def joints_by_litert(variant: str, crop_rgb: np.ndarray) -> np.ndarray:
    """Return the 33 joints (33, 3), metres, along the axes of the crop (256, 256, 3) 0..1."""
    interpreter = in_litert(variant)
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], crop_rgb[None])
    interpreter.invoke()
    outputs = {d['name']: d['index'] for d in interpreter.get_output_details()}
    return np.asarray(interpreter.get_tensor(outputs['Identity_4'])).reshape(-1, 3)[:33]


@pytest.mark.parametrize('variant', VARIANTS)
def test_blazepose_in_onnx_runtime_is_as_in_litert_and_openvino(variant: str) -> None:
    """To 0.1 mm, from the image on: crops, their conversion, the network and its last layer."""
    # upright circles: the crop's axes are the image's
    path, circles = weights.path(f'blazepose_{variant}'), BodyCircles.of_boxes(people().boxes)
    ours, theirs = (BlazePose(path, options) for options in (IN_ONNX_RUNTIME, F32))
    found, wanted = (network(people_image(), circles) for network in (ours, theirs))
    np.testing.assert_allclose(found.relative, wanted.relative, atol=1e-4)
    np.testing.assert_allclose(found.pixels, wanted.pixels, atol=0.05)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-3)
    np.testing.assert_allclose(found.presence, wanted.presence, atol=1e-3)
    assert found.relative.shape == (3, 33, 3) and np.abs(found.relative).max() > 0.5
    for joints, crop in zip(found.relative, crops_of(circles), strict=True):
        np.testing.assert_allclose(joints, joints_by_litert(variant, crop), atol=1e-4)


def test_poses_in_metres_are_the_same_in_both_runtimes() -> None:
    image = people_image()
    camera = Camera.fallback(image.shape[1], image.shape[0])
    persons = people().with_roots(
        np.array([[0.0, 0, 3], [0, 0, 4], [0, 0, 6]]), np.full(3, 0.3), None
    )
    ours, theirs = (
        POSENETS['blazepose'](None, options)(image, persons, camera)
        for options in (IN_ONNX_RUNTIME, F32)
    )
    np.testing.assert_allclose(ours.joints, theirs.joints, atol=1e-3)
    assert np.abs(theirs.joints[:, :, 2]).min() > 1


def test_the_graph_is_valid_and_takes_any_batch() -> None:
    body, _ = split_heads(weights.path('blazepose_lite'), HEADS)
    model = to_onnx(body)
    onnx.checker.check_model(model, full_check=True)
    (given,) = model.graph.input
    assert given.type.tensor_type.shape.dim[0].dim_param == 'batch'
    # nothing but these, which CUDA and TensorRT have all
    assert {node.op_type for node in model.graph.node} <= {
        'Add', 'Cast', 'Clip', 'Conv', 'Identity', 'MaxPool', 'Pad', 'Resize', 'Transpose'
    }  # fmt: skip


def made_of(operation: str) -> ov.Model:
    """Return a network of one operation that BlazePose does not have, or not so."""
    image = opset13.parameter([1, 4, 4, 3], np.float32, 'image')
    axes, sizes = np.array([1, 2]), np.array([8, 8])
    result = {
        'Tanh': lambda: opset13.tanh(image),
        'nearest': lambda: opset13.interpolate(image, sizes, 'nearest', 'sizes', axes=axes),
        'reflect': lambda: opset13.pad(image, [0, 1, 1, 0], [0, 1, 1, 0], 'reflect'),
        'Convert': lambda: opset13.convert(image, 'i32'),
    }[operation]()
    result.output(0).set_names({'out'})
    return ov.Model([result], [image], 'made up')


@pytest.mark.parametrize('operation', ['Tanh', 'nearest', 'reflect', 'Convert'])
def test_what_is_not_translated_is_named(operation: str) -> None:
    wanted = {'nearest': 'Interpolate', 'reflect': 'Pad'}.get(operation, operation)
    with pytest.raises(UnknownOperation, match=f'operation {wanted} .*translated'):
        to_onnx(made_of(operation))
