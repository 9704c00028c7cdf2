# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Memory that runs out: batches halve, it is said, and an image that is too large is named."""

import logging
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from pose3d_ros.models.batches import Batches, OutOfMemory, is_out_of_memory
from pose3d_ros.models.runtime import Network
from pose3d_ros.models.session import ImageInput, RuntimeOptions

#: As the runtimes have them in their issues, the ends left out.
MESSAGES = [
    '[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv '
    "node. Name:'Conv_3' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:"
    '376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory '
    'for requested buffer of size 643840',
    'CUDA failure 2: out of memory ; GPU=0 ; hostname=robot ; expr=cudaMalloc((void**)&p, size);',
    'CUDNN failure 4002: CUDNN_STATUS_ALLOC_FAILED ; GPU=0',
    'CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7.79 GiB',
    '[GPU] CL_MEM_OBJECT_ALLOCATION_FAILURE',
    'std::bad_alloc',
    "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to",
    'IExecutionContext::enqueueV3: Error Code 2: OutOfMemory (no further information)',
]
Infer = Callable[[np.ndarray], list[np.ndarray]]


def holding(most: int, error: Exception, sizes: list[int]) -> Infer:
    """Return what runs a batch, on a device whose memory holds `most`."""

    def infer(images: np.ndarray) -> list[np.ndarray]:
        sizes.append(len(images))
        if len(images) > most:
            raise error
        return [images * 2]

    return infer


@pytest.mark.parametrize('message', MESSAGES)
def test_every_runtime_s_words_are_known(message: str) -> None:
    assert is_out_of_memory(RuntimeException(message))


def test_other_errors_are_not_taken_for_it() -> None:
    error = RuntimeException('[ONNXRuntimeError] : 1 : FAIL : device lost')
    assert not is_out_of_memory(error)
    with pytest.raises(RuntimeException, match='device lost'):
        Batches(8, 'cuda', True).run(np.arange(8), holding(1, error, []))


@pytest.mark.parametrize('few_sizes', [True, False])
def test_batches_halve_and_it_is_said_once(
    few_sizes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    batches, sizes = Batches(16, 'cuda:1', few_sizes), list[int]()
    infer = holding(5, RuntimeException(MESSAGES[0]), sizes)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            (found,) = batches.run(np.arange(16), infer)
            np.testing.assert_array_equal(found, 2 * np.arange(16))
    assert sizes == [16, 8, *12 * [4]]  # from then on no attempt is lost
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2  # once for each size that was too large
    assert "'cuda:1'" in said[0] and 'batch of 16: from now on 8 at once' in said[0]
    assert 'max_batch' in said[1] and 'requested buffer of size 643840' in said[1]


def test_what_was_done_before_memory_ran_out_stays(caplog: pytest.LogCaptureFixture) -> None:
    left = [3]  # batches until another program takes its share

    def infer(images: np.ndarray) -> list[np.ndarray]:
        left[0] -= 1
        if left[0] < 0 and len(images) > 2:
            raise MemoryError
        return [images + 1]

    (found,) = Batches(4, 'cuda', True).run(np.arange(20), infer)
    np.testing.assert_array_equal(found, np.arange(20) + 1)
    assert 'MemoryError' in caplog.text


def test_one_image_that_is_too_large_is_said_with_the_remedy() -> None:
    batches, sizes = Batches(4, 'tensorrt', True), list[int]()
    with pytest.raises(
        OutOfMemory, match=r"'tensorrt' has not enough memory for one image: .*take a "
    ):
        batches.run(np.arange(9), holding(0, RuntimeException(MESSAGES[1]), sizes))
    assert sizes == [4, 2, 1]
    with pytest.raises(OutOfMemory):  # the next frame tries again
        batches.run(np.arange(9), holding(0, RuntimeException(MESSAGES[1]), sizes))
    (found,) = batches.run(np.arange(2), holding(1, MemoryError(), sizes))
    assert found.tolist() == [0, 2]


def greedy() -> bytes:
    """Return a graph that makes (batch ** 24) numbers, and of them one for each image."""
    nodes = [
        helper.make_node('Shape', ['image'], ['shape']),
        helper.make_node('Gather', ['shape', 'first'], ['batch']),
        helper.make_node('Cast', ['batch'], ['batch_f64'], to=TensorProto.DOUBLE),
        helper.make_node('Pow', ['batch_f64', 'power'], ['many_f64']),
        helper.make_node('Cast', ['many_f64'], ['many'], to=TensorProto.INT64),
        helper.make_node('ConstantOfShape', ['many'], ['zeros']),
        helper.make_node('ReduceSum', ['zeros'], ['zero'], keepdims=0),
        helper.make_node('ReduceSum', ['image'], ['sums'], axes=[1, 2, 3], keepdims=0),
        helper.make_node('Add', ['sums', 'zero'], ['out']),
    ]
    constants = [
        helper.make_tensor('first', TensorProto.INT64, [1], [0]),
        helper.make_tensor('power', TensorProto.DOUBLE, [1], [24.0]),
    ]
    shape = ['batch', 3, 2, 2]
    graph = helper.make_graph(
        nodes,
        'greedy',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('out', TensorProto.FLOAT, [None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 11)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_onnx_runtime_that_really_runs_out_of_memory_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """4 images want 2 ** 48 numbers, more than any address space; 2 want 64 MiB."""
    network = Network(greedy(), ImageInput(2, 2), ['out'], RuntimeOptions('onnxruntime', 'f32'))
    images = np.arange(7 * 12, dtype=np.uint8).reshape(7, 2, 2, 3)
    (sums,) = network(images)
    np.testing.assert_array_equal(sums, images.sum(axis=(1, 2, 3), dtype=np.float32))
    assert 'from now on 2 at once' in caplog.text
    caplog.clear()
    network(images)
    assert not caplog.records
