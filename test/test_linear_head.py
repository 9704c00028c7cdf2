# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The last layer apart: the same numbers as within the network, and what it is worth in bf16."""

from pathlib import Path

import numpy as np
import pytest
from real import people_image

from pose3d_ros import weights
from pose3d_ros.crops import Crops
from pose3d_ros.models.linear_head import FEATURES, split_heads
from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.runtime import Network
from pose3d_ros.models.session import ImageInput, RuntimeOptions

OUTPUTS = ('Identity', 'Identity_4')  # landmarks, joints in metres
IMAGE = ImageInput(256, 256, layout='NHWC', rgb=True, std=(255.0, 255.0, 255.0))
BLAZEPOSE = weights.path('blazepose_full')


def crops() -> np.ndarray:
    boxes = np.array([[420.0, 560, 300, 700], [0, 300, 300, 700], [650, 500, 400, 800]])
    return Crops.of_boxes(boxes, (256, 256), 1.25).cut(people_image())


def whole(precision: str) -> list[np.ndarray]:
    """Return the outputs of the network in one piece."""
    return Network(BLAZEPOSE, IMAGE, OUTPUTS, RuntimeOptions(precision=precision))(crops())


def in_two(precision: str) -> list[np.ndarray]:
    """Return the same outputs, their layer apart."""
    body, heads = split_heads(BLAZEPOSE, OUTPUTS)
    (features,) = Network(body, IMAGE, [FEATURES], RuntimeOptions(precision=precision))(crops())
    return [head(features) for head in heads]


def test_apart_is_as_within() -> None:
    for apart, within in zip(in_two('f32'), whole('f32'), strict=True):
        np.testing.assert_allclose(apart, within.reshape(len(within), -1), atol=2e-4, rtol=1e-5)


def test_a_sigmoid_behind_the_layer_is_left_to_the_caller() -> None:
    body, (head,) = split_heads(BLAZEPOSE, ['Identity_1'])
    f32 = RuntimeOptions(precision='f32')
    (features,) = Network(body, IMAGE, [FEATURES], f32)(crops())
    (presence,) = Network(BLAZEPOSE, IMAGE, ['Identity_1'], f32)(crops())
    np.testing.assert_allclose(
        1 / (1 + np.exp(-head(features))), presence.reshape(-1, 1), atol=1e-5
    )


@pytest.mark.skipif(
    'BF16' not in core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'),
    reason='this processor does not compute in bf16',
)
def test_in_bf16_the_layer_apart_is_nearer_by_far() -> None:
    _, joints = whole('f32')
    joints = joints.reshape(len(joints), -1)
    _, apart = in_two('bf16')
    _, within = whole('bf16')
    error, error_within = np.abs(apart - joints).mean(), np.abs(np.squeeze(within) - joints).mean()
    assert error < 0.02 and error < 0.4 * error_within


def test_another_network_is_named() -> None:
    yolox: Path = weights.path('yolox_tiny')
    with pytest.raises(ValueError, match=r'yolox_tiny\.onnx is another network: .* Identity'):
        split_heads(yolox, OUTPUTS)
