# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""8 bits: rounded by the book, where a range says so alone; the default networks in them."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from real import people, people_image

from pose3d_ros import weights
from pose3d_ros.benchmarks import eight_bits as command
from pose3d_ros.cli import main
from pose3d_ros.crops import Crops
from pose3d_ros.evaluation import box_overlaps
from pose3d_ros.models import precision, rtmpose, yolox
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.openvino_session import read_network, with_uint8_input
from pose3d_ros.models.quantization import EightBits, join_swish, quantize, shared_ranges
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.session import ImageInput, RuntimeOptions
from pose3d_ros.models.yolox import YOLOX

F32 = RuntimeOptions(precision='f32')
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(0.0, 1.0, (3, 2, 1, 1)).astype(np.float32)
IMAGE = RNG.uniform(-1.0, 3.0, (1, 2, 4, 5)).astype(np.float32)


def one_by_one(source: ov.Node, kernel: np.ndarray) -> ov.Node:
    return ops.convolution(source, ops.constant(kernel), [1, 1], [0, 0], [0, 0], [1, 1])


def named(node: ov.Node, name: str) -> ov.Node:
    node.output(0).set_names({name})
    return node


def small() -> ov.Model:
    """Return a convolution over pixels, as one product of matrices."""
    image = named(ops.parameter([1, 2, 4, 5], np.float32), 'image')
    return ov.Model([one_by_one(image, KERNEL)], [image], 'small')


def computed(model: ov.Model, image: np.ndarray = IMAGE) -> np.ndarray:
    compiled = core().compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    result: np.ndarray = compiled([image])[0].copy()
    return result


def test_weights_and_values_are_rounded_by_the_book() -> None:
    """w to 127ths of its channel's largest, x to 255ths of its range: q(w) q(x)."""
    model = small()
    quantize(model, {'image': (-1.0, 3.0)})
    scale = np.abs(KERNEL).max(axis=(1, 2, 3), keepdims=True) / 127
    weights_q = np.round(KERNEL / scale) * scale
    step = 4.0 / 255
    image_q = np.round(IMAGE / step) * step
    expected = np.einsum('oi,bihw->bohw', weights_q[:, :, 0, 0], image_q)
    got = computed(model)
    # a value between two steps may go to either; rounding as such is what the bound is below
    np.testing.assert_allclose(got, expected, atol=0.02)
    exact = computed(small())
    assert 1e-4 < np.abs(got - exact).max() < 0.08


def test_what_lies_outside_its_range_is_brought_to_its_end_and_zero_stays_zero() -> None:
    model = small()
    quantize(model, {'image': (-0.3, 1.0)})
    got = computed(model, np.full_like(IMAGE, 7.0))
    np.testing.assert_allclose(got, computed(small(), np.ones_like(IMAGE)), atol=0.03)
    assert not computed(model, np.zeros_like(IMAGE)).any()


def test_a_convolution_without_a_range_stays_as_it_is() -> None:
    model = small()
    quantize(model, {})
    np.testing.assert_array_equal(computed(model), computed(small()))


def test_the_ranges_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match='small is another network: no convolution reads 807, 9'):
        quantize(small(), {'image': (0.0, 1.0), '9': (0.0, 1.0), '807': (0.0, 1.0)})


def forked() -> ov.Model:
    """Return two branches that are put together again: one a swish, one pooled."""
    image = named(ops.parameter([1, 2, 4, 5], np.float32), 'image')
    left = one_by_one(image, KERNEL)
    left = named(ops.multiply(ops.sigmoid(left), left), 'left')
    right = named(ops.relu(one_by_one(image, KERNEL)), 'right')
    pooled = ops.max_pool(right, [1, 1], [1, 1], [0, 0], [0, 0], [1, 1]).output(0)
    both = ops.concat([left, pooled], 1)
    last = RNG.normal(0.0, 1.0, (1, 6, 1, 1)).astype(np.float32)
    return ov.Model([one_by_one(both, last)], [image], 'forked')


def test_a_swish_is_one_operation_of_the_same_value() -> None:
    model = forked()
    before = computed(model)
    join_swish(model)
    kinds = Counter(node.get_type_name() for node in model.get_ordered_ops())
    assert (kinds['Swish'], kinds['Sigmoid'], kinds['Multiply']) == (1, 0, 0)
    np.testing.assert_allclose(computed(model), before, atol=1e-5)


def test_what_is_concatenated_shares_a_range_whatever_hands_it_on() -> None:
    model = forked()
    join_swish(model)
    assert [set(group) for group in shared_ranges(model)] == [{'image'}, {'left', 'right'}]


def test_ranges_are_the_mean_of_each_images_extremes() -> None:
    image = named(ops.parameter([-1, 3, 2, 2], np.float32), 'image')
    total = np.ones((1, 3, 1, 1), np.float32)
    between = named(one_by_one(image, total), 'between')
    model = ov.Model([one_by_one(between, np.ones((1, 1, 1, 1), np.float32))], [image], 'two')
    dark, bright = (np.full((1, 2, 2, 3), value, np.uint8) for value in (10, 50))
    bright[0, 0, 0] = 0
    found = command.measure(model, ImageInput(2, 2, std=(2.0, 2.0, 1.0)), [dark, bright])
    assert found['image'] == (0.0, 255.0)
    # 10 (1/2 + 1/2 + 1) = 20 everywhere; 0 and 50 * 2 = 100
    assert found['between'] == pytest.approx((10.0, 60.0))


NETWORKS = {
    'yolox_tiny': (lambda: command.open_yolox(), yolox.INPUT, yolox.HEAD_NAMES),
    'rtmpose_s': (lambda: weights.path('rtmpose_s'), rtmpose.INPUT, rtmpose.OUTPUTS),
}


@pytest.mark.parametrize('name', NETWORKS)
def test_the_table_has_all_tensors_but_the_spared(name: str) -> None:
    source, _, outputs = NETWORKS[name]
    network = read_network(source(), outputs, False)
    join_swish(network)
    every = {tensor for group in shared_ranges(network) for tensor in group}
    assert EightBits.of(name).ranges.keys() == every - set(command.SPARED[name])


def rounded(name: str) -> ov.CompiledModel:
    """Return the network in 8 bits, also where the processor is no faster in them."""
    source, image, outputs = NETWORKS[name]
    network = read_network(source(), outputs, False)
    quantize(network, EightBits.of(name).ranges)
    properties = {'INFERENCE_PRECISION_HINT': 'f32'}
    return core().compile_model(with_uint8_input(network, image), 'CPU', properties)


class Rounded:
    """In place of a stage's network."""

    def __init__(self, name: str) -> None:
        self._compiled, self._outputs = rounded(name), NETWORKS[name][2]

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        found = self._compiled([images])
        return [found[name].copy() for name in self._outputs]


def test_the_detector_finds_the_same_people() -> None:
    image, detector = people_image(), YOLOX(weights.path('yolox_tiny'), F32)
    exact = detector(image, DetectorOptions())
    detector.network = Rounded('yolox_tiny')  # type: ignore[assignment]
    coarse = detector(image, DetectorOptions())
    assert len(coarse) == len(exact) > 0
    assert box_overlaps(exact.boxes, coarse.boxes)[0].max(axis=1).min() > 0.9
    assert np.abs(np.sort(exact.scores) - np.sort(coarse.scores)).max() < 0.05
    assert np.abs(exact.boxes - coarse.boxes).max() > 1e-3  # it is another network


def test_keypoints_stay_where_they_are() -> None:
    """Of the 256 rows of a crop: half within 2."""
    image, boxes = people_image(), people().boxes
    estimate = RTMPose(weights.path('rtmpose_s'), F32)
    exact = estimate(image, boxes)
    estimate.network = Rounded('rtmpose_s')  # type: ignore[assignment]
    coarse = estimate(image, boxes)
    scale = np.linalg.det(Crops.of_boxes(boxes, (192, 256), 1.25).affines[:, :, :2]) ** 0.5
    off = np.linalg.norm(exact.xy - coarse.xy, axis=2) * scale[:, None]
    assert 0.01 < np.median(off[exact.scores > 0.5]) < 2


def test_the_command_measures_what_the_table_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On fewer images: their ranges are near those in use, and people are nearly the same."""
    monkeypatch.setattr(command, '_STEP', 50)
    monkeypatch.setattr(precision, '_has_dot_products', lambda: True)  # it is about results
    file = tmp_path / 'eight_bits.json'
    assert main(['benchmark', 'eight_bits', '--write', str(file)]) == 0
    assert 'Ranges measured now' in capsys.readouterr().out
    for name, entry in json.loads(file.read_text()).items():
        used = EightBits.of(name)
        assert entry['in_auto'] is used.in_auto
        ratios = [
            (high - low) / (used.ranges[tensor][1] - used.ranges[tensor][0])
            for tensor, (low, high) in entry['ranges'].items()
        ]
        assert len(ratios) == len(used.ranges)
        assert np.median(ratios) == pytest.approx(1, abs=0.1)
        assert min(ratios) > 0.4 and max(ratios) < 2.5
