# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Devices of ONNX Runtime: names, options of their providers, and what is said where one fails."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from real import people, people_image, rtmpose, yolox
from test_runtime import images_of, toy

from pose3d_ros import weights
from pose3d_ros.models import onnx_graphs, onnxruntime_session
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.onnxruntime_session import parse_device, providers
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.runtime import Network
from pose3d_ros.models.session import (
    ANY,
    DeviceUnavailable,
    ImageInput,
    RuntimeOptions,
    RuntimeUnavailable,
)
from pose3d_ros.models.yolox import YOLOX

OPTIONS = RuntimeOptions('onnxruntime', 'f32')
CROP = (16, 256, 192)


def test_the_names_of_devices() -> None:
    assert parse_device('onnxruntime') == ('onnxruntime', 0)
    assert parse_device('cuda') == ('cuda', 0)
    assert parse_device('cuda:1') == ('cuda', 1)
    assert parse_device('tensorrt:12') == ('tensorrt', 12)


@pytest.mark.parametrize('device', ['cuda:', 'cuda:x', 'cuda:-1', 'onnxruntime:0', 'tensorrt:0:1'])
def test_names_that_are_none(device: str) -> None:
    with pytest.raises(DeviceUnavailable, match=f"'{device}' is unknown; .*cuda:1, tensorrt"):
        Network(toy(), ImageInput(4, 6), ['more'], RuntimeOptions(device))


def test_the_first_choice_comes_first_and_the_cpu_last() -> None:
    names = {
        kind: [name.removesuffix('ExecutionProvider') for name, _ in providers(kind, *rest)]
        for kind in ('onnxruntime', 'cuda', 'tensorrt')
        for rest in [(1, 'f32', CROP, None)]
    }
    assert names == {
        'onnxruntime': ['CPU'],
        'cuda': ['CUDA', 'CPU'],
        'tensorrt': ['Tensorrt', 'CUDA', 'CPU'],
    }


def test_cuda_is_told_the_gpu_and_to_keep_to_f32() -> None:
    (_, exact), _ = providers('cuda', 1, 'f32', CROP, None)
    (_, coarse), _ = providers('cuda', 0, 'f16', CROP, None)
    assert (exact['device_id'], exact['use_tf32']) == (1, 0)
    assert (coarse['device_id'], coarse['use_tf32']) == (0, 1)


def test_tensorrt_builds_one_engine_for_all_batches(tmp_path: Path) -> None:
    engines = tmp_path / 'engines' / 'abc'
    (_, options), (_, cuda), _ = providers('tensorrt', 2, 'f16', CROP, engines)
    assert options['device_id'] == cuda['device_id'] == 2
    assert options['trt_fp16_enable'] is True
    assert options['trt_engine_cache_enable'] is True
    assert options['trt_engine_cache_path'] == str(engines)
    assert options['trt_timing_cache_path'] == str(engines.parent)
    assert options['trt_profile_min_shapes'] == 'pixels:1x256x192x3'
    assert options['trt_profile_opt_shapes'] == 'pixels:4x256x192x3'
    assert options['trt_profile_max_shapes'] == 'pixels:16x256x192x3'


def test_tensorrt_learns_the_size_of_images_of_any_size() -> None:
    (_, options), *_ = providers('tensorrt', 0, 'f32', (1, ANY, ANY), None)
    assert options == {'device_id': 0, 'trt_fp16_enable': False}


def test_every_weight_has_engines_of_its_own(tmp_path: Path) -> None:
    options = RuntimeOptions('tensorrt', engine_dir=tmp_path)
    one, other = (onnxruntime_session._engines(options, 'tensorrt', data) for data in (b'1', b'2'))
    assert one != other and one is not None and one.is_dir() and one.parent == tmp_path
    assert onnxruntime_session._engines(options, 'tensorrt', b'1') == one
    assert onnxruntime_session._engines(options, 'cuda', b'1') is None
    assert onnxruntime_session._engines(RuntimeOptions('tensorrt'), 'tensorrt', b'1') is None


@pytest.mark.parametrize(
    ('device', 'extra', 'provider'),
    [
        ('cuda', 'cuda', 'CUDAExecutionProvider'),
        ('tensorrt:1', 'tensorrt', 'TensorrtExecutionProvider'),
    ],
)
def test_a_package_without_the_provider_says_what_to_install(
    device: str, extra: str, provider: str
) -> None:
    """This onnxruntime is the one for processors."""
    with pytest.raises(DeviceUnavailable) as caught:
        Network(toy(), ImageInput(4, 6), ['more'], RuntimeOptions(device))
    message = str(caught.value)
    assert f"device '{device}' needs ONNX Runtime's {provider}" in message
    assert onnxruntime.__version__ in message and 'CPUExecutionProvider' in message
    assert f"pip install 'pose3d_ros[{extra}]'" in message


def test_no_onnx_runtime_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(DeviceUnavailable, match=r"not installed: pip install 'pose3d_ros\[onnxr"):
        Network(toy(), ImageInput(4, 6), ['more'], OPTIONS)


class GpuPackage:
    """ONNX Runtime for GPUs, on a machine where its providers do not work.

    :param outcome: what making a session does: raises, or leaves the provider out without a word.
    """

    __version__ = '1.31.1'

    def __init__(self, folder: Path, outcome: Exception | None = None) -> None:
        self.__file__ = str(folder / '__init__.py')
        self.SessionOptions = onnxruntime.SessionOptions
        self.set_default_logger_severity = onnxruntime.set_default_logger_severity
        self._outcome = outcome

    def get_available_providers(self) -> list[str]:
        return ['TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider']

    def preload_dlls(self) -> None:
        print('Failed to load libcublas.so.13')

    def InferenceSession(self, *_: Any, enable_fallback: int) -> Any:
        assert enable_fallback == 0, 'it would go on with the CPU and say so on the terminal only'
        if self._outcome is not None:
            raise self._outcome
        return SimpleNamespace(get_providers=lambda: ['CPUExecutionProvider'])


def refusal(package: GpuPackage, device: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, 'onnxruntime', package)  # type: ignore[arg-type]
    monkeypatch.setattr('importlib.util.find_spec', lambda name: name == 'onnxruntime' or None)
    with pytest.raises(DeviceUnavailable) as caught:
        Network(toy(), ImageInput(4, 6), ['more'], RuntimeOptions(device))
    return str(caught.value)


def test_a_provider_left_out_without_a_word_is_a_refusal_that_names_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ONNX Runtime does where CUDA's libraries are missing."""
    (tmp_path / 'capi').mkdir()
    (tmp_path / 'capi' / 'libonnxruntime_providers_cuda.so').write_bytes(b'not a library')
    message = refusal(GpuPackage(tmp_path), 'cuda', monkeypatch)
    assert 'CUDAExecutionProvider of ONNX Runtime 1.31.1 does not load' in message
    assert 'libonnxruntime_providers_cuda.so' in message  # what the loader said of it
    assert "pip install 'pose3d_ros[cuda]'" in message
    assert capsys.readouterr().out == ''


def test_a_gpu_that_is_not_there_is_a_refusal_with_the_runtime_s_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library loads, and the driver says no."""
    monkeypatch.setattr(onnxruntime_session, '_reason', lambda *_: '')
    error = RuntimeError('CUDA failure 100: no CUDA-capable device is detected ; GPU=1')
    message = refusal(GpuPackage(tmp_path, error), 'tensorrt:1', monkeypatch)
    assert "device 'tensorrt:1' cannot be used" in message
    assert 'no CUDA-capable device' in message and 'NVIDIA driver' in message


@pytest.mark.parametrize('outcome', [None, RuntimeError('Please install TensorRT libraries')])
def test_the_severity_of_onnx_runtime_s_log_is_as_before(
    outcome: Exception | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[int] = []
    package = GpuPackage(tmp_path, outcome)
    package.set_default_logger_severity = levels.append
    refusal(package, 'tensorrt', monkeypatch)
    assert levels == [4, 3]


def test_bf16_is_refused() -> None:
    with pytest.raises(RuntimeUnavailable, match='not compute in bf16; use precision f16, f32'):
        Network(toy(), ImageInput(4, 6), ['more'], RuntimeOptions('onnxruntime', 'bf16'))


def test_a_graph_that_is_none_is_not_a_missing_device() -> None:
    node = onnx.helper.make_node('NoSuchOperation', ['image'], ['more'])
    model = onnx.load_from_string(toy())
    model.graph.node[0].CopyFrom(node)
    with pytest.raises(
        RuntimeError, match=r'ONNX Runtime cannot run the network: .*NoSuchOp'
    ) as bad:
        Network(model.SerializeToString(), ImageInput(4, 6), ['more'], OPTIONS)
    assert not isinstance(bad.value, DeviceUnavailable)


def test_the_conversion_of_images_is_in_the_graph() -> None:
    """The session's one input is uint8 as the camera has it, the batch open."""
    image = ImageInput(4, 6, rgb=True, mean=(1, 2, 3), std=(4, 5, 6))
    model = onnx_graphs.with_uint8_input(onnx.load_from_string(toy()), image, one=False)
    (given,) = onnxruntime.InferenceSession(model.SerializeToString()).get_inputs()
    assert (given.name, given.type, given.shape) == ('pixels', 'tensor(uint8)', ['batch', 4, 6, 3])


def test_one_image_at_a_time_is_told_to_the_graph() -> None:
    model = onnx_graphs.with_uint8_input(onnx.load_from_string(toy()), ImageInput(4, 6), one=True)
    (given,) = onnxruntime.InferenceSession(model.SerializeToString()).get_inputs()
    assert given.shape == [1, 4, 6, 3]


def test_branches_that_feed_other_outputs_only_are_cut_off() -> None:
    model = onnx_graphs.cut(onnx.load_from_string(toy()), ['less'])
    assert [node.op_type for node in model.graph.node] == ['Mul']


def test_what_f16_makes_comes_out_as_f32() -> None:
    options = RuntimeOptions('onnxruntime', 'f16')
    network = Network(toy(), ImageInput(4, 6, mean=(0.3, 0.3, 0.3)), ['less'], options)
    images = images_of(2)
    expected = (images.transpose(0, 3, 1, 2) - np.float32(0.3)) / 2
    (found,) = network(images)
    assert (network.precision, found.dtype) == ('f16', np.float32)
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_f16_halves_the_weights_and_spares_sums() -> None:
    graph = onnx_graphs.in_f16(onnx.load(weights.path('rtmpose_s')))
    kinds = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    convolutions = [node for node in graph.graph.node if node.op_type == 'Conv']
    assert len(convolutions) > 40
    assert {kinds[node.input[1]] for node in convolutions} == {onnx.TensorProto.FLOAT16}
    matrices = [
        n.input[1] for n in graph.graph.node if n.op_type == 'MatMul' and n.input[1] in kinds
    ]
    assert matrices and {kinds[name] for name in matrices} == {onnx.TensorProto.FLOAT}


def test_rtmpose_and_yolox_are_as_in_openvino() -> None:
    image, boxes = people_image(), people().boxes
    found = YOLOX(weights.path('yolox_tiny'), OPTIONS)(image, DetectorOptions())
    np.testing.assert_allclose(found.boxes, people().boxes, atol=0.01)
    np.testing.assert_allclose(found.scores, people().scores, atol=1e-4)
    ours, theirs = (
        RTMPose(weights.path('rtmpose_s'), OPTIONS)(image, boxes),
        rtmpose()(image, boxes),
    )
    certain = theirs.scores > 0.5
    np.testing.assert_allclose(ours.xy[certain], theirs.xy[certain], atol=0.05)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)


def test_f16_finds_the_same_people() -> None:
    options = RuntimeOptions('onnxruntime', 'f16')
    found = YOLOX(weights.path('yolox_tiny'), options)(people_image(), DetectorOptions())
    np.testing.assert_allclose(found.boxes, people().boxes, atol=1.0)
    assert np.abs(found.boxes - people().boxes).max() > 1e-3, 'f16 was not used'


def test_yolox_takes_images_of_another_size() -> None:
    network = YOLOX(weights.path('yolox_tiny'), OPTIONS)
    image = people_image()
    for picture in (image[::2, ::2], image[:, 200:900]):
        wanted = yolox()(np.ascontiguousarray(picture), DetectorOptions())
        found = network(np.ascontiguousarray(picture), DetectorOptions())
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=0.01)
