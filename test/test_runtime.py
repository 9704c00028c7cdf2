# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What runs a network, in each runtime: its input as promised, batches of any size, threads in
turns."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from real import people, people_image

from pose3d_ros import weights
from pose3d_ros.crops import Crops
from pose3d_ros.models import openvino_core
from pose3d_ros.models import precision as precisions
from pose3d_ros.models.batches import Batches
from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.openvino_session import OpenVinoSession
from pose3d_ros.models.precision import choose_precision, fastest, native_precisions
from pose3d_ros.models.quantization import EightBits
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.runtime import Network
from pose3d_ros.models.session import ANY, ImageInput, RuntimeOptions, RuntimeUnavailable

F32 = RuntimeOptions(precision='f32')
both_runtimes = pytest.mark.parametrize('device', ['CPU', 'onnxruntime'])


def toy(layout: str = 'NCHW', channels: int = 3) -> bytes:
    """Return a graph with two outputs: its input plus 1, and half its input."""
    shape: list[str | int | None] = [1, 'h', 'w', channels]
    if layout == 'NCHW':
        shape = [1, channels, 'h', 'w']
    graph = helper.make_graph(
        [
            helper.make_node('Add', ['image', 'one'], ['more']),
            helper.make_node('Mul', ['image', 'half'], ['less']),
        ],
        'toy',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * 4) for n in ('more', 'less')],
        [
            helper.make_tensor('one', TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor('half', TensorProto.FLOAT, [1], [0.5]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def images_of(n: int, height: int = 4, width: int = 6) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('rgb', [False, True])
@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('size', [(4, 6), (ANY, ANY)])
@both_runtimes
def test_images_reach_the_network_as_described(
    device: str, size: tuple[int, int], layout: str, rgb: bool
) -> None:
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    options = RuntimeOptions(device, 'f32')
    network = Network(toy(layout), ImageInput(*size, layout, rgb, mean, std), ['more'], options)
    images = images_of(2)
    expected = ((images[..., ::-1] if rgb else images) - np.array(mean)) / std + 1
    if layout == 'NCHW':
        expected = expected.transpose(0, 3, 1, 2)
    (found,) = network(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


@both_runtimes
def test_outputs_come_in_the_order_asked_for_and_stay(device: str) -> None:
    options = RuntimeOptions(device, 'f32')
    network = Network(toy(), ImageInput(4, 6), ['less', 'more'], options)
    first = images_of(1)
    less, more = network(first)
    kept = less.copy(), more.copy()
    network(255 - first)
    np.testing.assert_array_equal(less, kept[0])
    np.testing.assert_array_equal(more, kept[1])
    np.testing.assert_allclose(2 * less, more - 1)


@both_runtimes
def test_any_size_from_call_to_call(device: str) -> None:
    network = Network(toy(), ImageInput(ANY, ANY), ['more'], RuntimeOptions(device, 'f32'))
    for height, width in ((4, 6), (32, 8), (4, 6), (1, 1)):
        images = images_of(1, height, width)
        np.testing.assert_allclose(network(images)[0], images.transpose(0, 3, 1, 2) + 1.0)


@both_runtimes
def test_views_and_read_only_images(device: str) -> None:
    network = Network(toy(), ImageInput(4, 6), ['more'], RuntimeOptions(device, 'f32'))
    images = images_of(4)
    images.setflags(write=False)
    view = images[::2, ::-1, ::-1]
    np.testing.assert_allclose(network(view)[0], view.transpose(0, 3, 1, 2) + 1.0)


@given(count=st.integers(1, 300), largest=st.integers(1, 64))
def test_batches_cover_everybody_in_few_sizes(count: int, largest: int) -> None:
    sizes: list[int] = []

    def infer(numbers: np.ndarray) -> list[np.ndarray]:
        sizes.append(len(numbers))
        return [numbers.copy(), -numbers]

    numbers, negative = Batches(largest, 'CPU', few_sizes=True).run(np.arange(count), infer)
    assert numbers.tolist() == (-negative).tolist() == list(range(count))
    for size in sizes:
        assert size == largest or (size < largest and size & (size - 1) == 0)
    assert len(sizes) <= count // largest + 7


@pytest.mark.parametrize('n', [1, 3, 7, 9])
@pytest.mark.parametrize('max_batch', [1, 3, 16])
@both_runtimes
def test_the_size_of_batches_changes_nothing(device: str, n: int, max_batch: int) -> None:
    options = RuntimeOptions(device, 'f32', max_batch)
    network = Network(toy(), ImageInput(4, 6), ['more', 'less'], options)
    images = images_of(n)
    more, less = network(images)
    np.testing.assert_allclose(more, images.transpose(0, 3, 1, 2) + 1.0)
    np.testing.assert_allclose(less, images.transpose(0, 3, 1, 2) / 2)


def test_nobody_is_an_error_and_not_an_empty_list() -> None:
    network = Network(toy(), ImageInput(4, 6), ['more'], F32)
    with pytest.raises(ValueError, match='one image or more'):
        network(images_of(0))


def test_warming_up_prepares_the_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    run = OpenVinoSession.__call__

    def infer(session: OpenVinoSession, images: np.ndarray) -> list[np.ndarray]:
        sizes.append(len(images))
        return run(session, images)

    monkeypatch.setattr(OpenVinoSession, '__call__', infer)
    network = Network(toy(), ImageInput(4, 6), ['more'], F32)
    network.warm_up()
    assert sizes == [1, 2, 4]
    assert network.busy_s == 0
    network(images_of(7))
    assert sizes[3:] == [4, 2, 1]
    assert network.busy_s > 0
    sizes.clear()
    Network(toy(), ImageInput(4, 6), ['more'], RuntimeOptions(max_batch=3)).warm_up(16)
    Network(toy(), ImageInput(ANY, ANY), ['more'], F32).warm_up()
    assert sizes == [1, 2]


@pytest.mark.parametrize(
    ('device', 'streams'), [('CPU', 1), ('CPU', 3), ('onnxruntime', 1), ('onnxruntime', 3)]
)
def test_threads_each_get_their_own_result(device: str, streams: int) -> None:
    options = RuntimeOptions(device, 'f32', streams=streams)
    network = Network(toy(), ImageInput(64, 64), ['more', 'less'], options)

    def work(number: int) -> bool:
        start = perf_counter()
        images = np.full((1 + number % 3, 64, 64, 3), number * 10, np.uint8)
        results = [network(images) for _ in range(100)]
        right = all((m == number * 10 + 1).all() and (s == number * 5).all() for m, s in results)
        return right and 0 < network.busy_s < perf_counter() - start

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))


@pytest.mark.parametrize('threads', [0, 2])
def test_streams_run_beside_each_other(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    options = RuntimeOptions(precision='f32', threads=threads, streams=2)
    network = Network(toy(), ImageInput(4, 6), ['more'], options)
    both = threading.Barrier(2)
    run = OpenVinoSession.__call__

    def infer(session: OpenVinoSession, images: np.ndarray) -> list[np.ndarray]:
        both.wait(timeout=10)  # for the other: a call that came alone would break it
        return run(session, images)

    monkeypatch.setattr(OpenVinoSession, '__call__', infer)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: network(images_of(1)), range(2)))
    np.testing.assert_array_equal(*found)


@both_runtimes
def test_another_network_is_named(device: str, tmp_path: Path) -> None:
    path = tmp_path / 'toy.onnx'
    path.write_bytes(toy())
    with pytest.raises(ValueError, match=r'toy\.onnx is another network: .* no output dets, boxes'):
        Network(path, ImageInput(4, 6), ['dets', 'more', 'boxes'], RuntimeOptions(device))


@pytest.mark.parametrize('device', ['TPU', 'cpu', ''])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=rf"device '{device}' .*CPU"):
        Network(toy(), ImageInput(4, 6), ['more'], RuntimeOptions(device))


@pytest.mark.parametrize('precision', ['f64', 'int8', '', 'F32'])
def test_a_precision_that_is_not_known(precision: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=rf"'{precision}' is unknown; known are auto, f32"):
        RuntimeOptions(precision=precision)


@pytest.mark.parametrize('max_batch', [0, -1])
def test_a_batch_of_nobody(max_batch: int) -> None:
    with pytest.raises(ValueError, match='max_batch'):
        RuntimeOptions(max_batch=max_batch)


class OtherMachine:
    """An OpenVINO core that says what another machine has."""

    def __init__(self, *capabilities: str) -> None:
        self.available_devices = ['CPU', 'GPU.0', 'GPU.1']
        self._capabilities = capabilities

    def get_property(self, device: str, name: str) -> list[str]:
        assert name == 'OPTIMIZATION_CAPABILITIES'
        if device == 'GPU.7':
            raise RuntimeError('no such device')
        return ['FP32', *self._capabilities]


IN_AUTO, ON_REQUEST = EightBits({}, in_auto=True), EightBits({}, in_auto=False)


@pytest.mark.parametrize(
    ('precision', 'capabilities', 'soonest', 'bf16_is_accurate', 'eight_bits', 'chosen'),
    [
        ('auto', ['BF16', 'FP16'], 'bf16', True, None, 'bf16'),
        ('auto', ['BF16', 'FP16'], 'bf16', False, None, 'f32'),
        ('auto', ['BF16', 'FP16'], 'f32', True, None, 'f32'),
        ('auto', [], 'bf16', True, None, 'f32'),
        ('bf16', ['BF16'], 'f32', False, None, 'bf16'),
        ('f32', ['BF16'], 'bf16', True, None, 'f32'),
        ('f16', ['FP16'], 'f32', True, None, 'f16'),
        ('auto', ['BF16', 'INT8'], 'i8', True, IN_AUTO, 'i8'),
        ('auto', ['BF16', 'INT8'], 'i8', True, ON_REQUEST, 'bf16'),
        ('auto', ['BF16', 'INT8'], 'bf16', True, IN_AUTO, 'bf16'),
        ('auto', ['BF16'], 'i8', True, IN_AUTO, 'bf16'),
        ('i8', ['BF16', 'INT8'], 'bf16', True, ON_REQUEST, 'i8'),
        ('i8', ['BF16', 'INT8'], 'bf16', True, None, 'bf16'),  # as auto
    ],
)
def test_which_precision_is_chosen(
    precision: str,
    capabilities: list[str],
    soonest: str,
    bf16_is_accurate: bool,
    eight_bits: EightBits | None,
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def least_s(device: str, timed: tuple[str, ...]) -> dict[str, float]:
        order = ('bf16', 'i8', 'f32')  # but for the soonest
        return {p: 0.0 if p == soonest else 1.0 + order.index(p) for p in timed}

    monkeypatch.setattr(precisions, '_least_s', least_s)
    monkeypatch.setattr(precisions, '_has_dot_products', lambda: True)
    core, options = OtherMachine(*capabilities), RuntimeOptions(precision=precision)
    assert choose_precision(core, options, bf16_is_accurate, eight_bits) == chosen


def test_8_bits_are_for_processors_that_add_their_products_in_one_step(tmp_path: Path) -> None:
    for flags, has in (('avx2 avx_vnni', True), ('avx512f avx512_vnni', True), ('avx2', False)):
        file = tmp_path / 'cpuinfo'
        file.write_text(f'processor\t: 0\nflags\t\t: fpu {flags} sse\nbugs\t: none\n')
        assert precisions._has_dot_products(file) is has
    assert not precisions._has_dot_products(tmp_path / 'absent')


def test_without_dot_products_8_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precisions, '_has_dot_products', lambda: False)
    core = OtherMachine('INT8')
    assert native_precisions(core, 'CPU') == ('f32',)
    assert choose_precision(core, RuntimeOptions(), True, IN_AUTO) == 'f32'
    with pytest.raises(RuntimeUnavailable, match='not compute in i8; use precision f32 or auto'):
        choose_precision(core, RuntimeOptions(precision='i8'), True, IN_AUTO)


@pytest.mark.parametrize(('bf16_s', 'soonest'), [(2.0, 'f32'), (0.5, 'bf16')])
def test_the_fastest_is_that_of_the_least_time(
    bf16_s: float, soonest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([1.0, 9.0, 9.0, bf16_s] * 100)  # others are at work now and then
    monkeypatch.setattr(precisions, '_seconds', lambda request: next(times))
    monkeypatch.setattr(precisions, '_least_s', precisions._least_s.__wrapped__)
    assert fastest('CPU', ('f32', 'bf16'), ('f32', 'bf16')) == soonest


def test_the_probes_of_all_precisions_run_here() -> None:
    native = native_precisions(core(), 'CPU')
    for precision in native:
        assert precisions._seconds(precisions._probe_request('CPU', precision)) > 0
    assert fastest('CPU', ('f32', 'bf16', 'i8'), native) in native


@pytest.mark.parametrize('precision', ['bf16', 'f16'])
def test_a_precision_that_the_device_lacks(precision: str) -> None:
    options = RuntimeOptions(precision=precision)
    with pytest.raises(RuntimeUnavailable, match=f'not compute in {precision}; use precision f32'):
        choose_precision(OtherMachine(), options, True, None)


def test_a_second_gpu_that_is_not_there() -> None:
    with pytest.raises(RuntimeUnavailable, match=r"'GPU\.7' cannot be used: no such device"):
        choose_precision(OtherMachine(), RuntimeOptions('GPU.7'), True, None)


def test_bf16_is_near_f32_on_real_crops() -> None:
    """Of the 256 rows of a crop: half the keypoints within 1, all that are certain within 6."""
    image, boxes = people_image(), people().boxes
    try:
        network = RTMPose(weights.path('rtmpose_s'), RuntimeOptions(precision='bf16'))
    except RuntimeUnavailable:
        pytest.skip('this processor has no bf16')
    exact = RTMPose(weights.path('rtmpose_s'), F32)(image, boxes)
    coarse = network(image, boxes)
    scale = np.linalg.det(Crops.of_boxes(boxes, (192, 256), 1.25).affines[:, :, :2]) ** 0.5
    off = np.linalg.norm(exact.xy - coarse.xy, axis=2) * scale[:, None]
    assert np.median(off) < 1
    assert off[exact.scores > 0.5].max() < 6
    assert np.abs(exact.scores - coarse.scores).max() < 0.15
    assert off.max() > 0, 'bf16 was not used'


def test_a_signal_finds_its_stack_when_networks_are_gone() -> None:
    """OpenVINO gives a thread a stack for handlers: one that lay in what is freed ended us."""
    code = (
        'import gc, os, signal\n'
        'from pose3d_ros import weights\n'
        'from pose3d_ros.models.rtmpose import RTMPose\n'
        "signal.signal(signal.SIGTERM, lambda *_: print('handled', flush=True))\n"
        "networks = [RTMPose(weights.path('rtmpose_s')) for _ in range(2)]\n"
        'while networks:\n'
        '    networks.pop(0)\n'
        '    gc.collect()\n'
        '    os.kill(os.getpid(), signal.SIGTERM)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ['handled', 'handled']), done.stderr


def test_all_of_the_package_shares_one_core() -> None:
    package = Path(openvino_core.__file__).parents[1]
    makers = [p.name for p in package.rglob('*.py') if 'ov.Core()' in p.read_text()]
    assert makers == ['openvino_core.py']
