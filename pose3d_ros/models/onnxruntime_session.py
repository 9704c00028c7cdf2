# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A network in ONNX Runtime: on NVIDIA GPUs, by CUDA or TensorRT, and on processors.

Options of the providers: onnxruntime.ai/docs/execution-providers.
"""

import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import openvino as ov

from pose3d_ros.models import onnx_graphs
from pose3d_ros.models.session import (
    ANY,
    DeviceUnavailable,
    ImageInput,
    RuntimeOptions,
    RuntimeUnavailable,
)

#: Kind of device -> its provider, and the extra of setup.cfg that brings it.
_PROVIDERS = {
    'onnxruntime': ('CPUExecutionProvider', 'onnxruntime'),
    'cuda': ('CUDAExecutionProvider', 'cuda'),
    'tensorrt': ('TensorrtExecutionProvider', 'tensorrt'),
}
#: Its exceptions that are about the graph, whatever the provider.
_NETWORK_ERRORS = ('InvalidArgument', 'InvalidGraph', 'InvalidProtobuf', 'NotImplemented')
_LOG_FATAL = 4
_LOG_ERRORS = 3

#: Name and options of a provider.
Provider = tuple[str, dict[str, Any]]


class OnnxRuntimeSession:
    """A loaded network; parameters and errors as those of `runtime.Network`."""

    streams = 1

    def __init__(
        self,
        model: Path | bytes | ov.Model,
        image: ImageInput,
        outputs: Sequence[str],
        options: RuntimeOptions,
    ) -> None:
        kind, number = parse_device(options.device)
        runtime = _runtime(options.device, kind)
        self.precision = choose_precision(options)
        one = options.max_batch == 1
        source = str(model) if isinstance(model, Path) else 'the graph'
        graph = onnx_graphs.cut(onnx_graphs.load(model), outputs, source)
        if self.precision == 'f16':
            graph = onnx_graphs.in_f16(graph)
        data = onnx_graphs.with_uint8_input(graph, image, one).SerializeToString()
        largest = (options.max_batch, image.height, image.width)
        wanted = providers(kind, number, self.precision, largest, _engines(options, kind, data))
        self._session = _load(runtime, data, wanted, options)
        self._outputs = list(outputs)

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Return the outputs (n, ...) float32 for images (n, height, width, 3) uint8 BGR."""
        given = {onnx_graphs.PIXELS: np.ascontiguousarray(images)}
        found: list[np.ndarray] = self._session.run(self._outputs, given)
        return found


def parse_device(device: str) -> tuple[str, int]:
    """Return kind and number of a device: 'cuda:1' is ('cuda', 1), 'tensorrt' ('tensorrt', 0).

    :raises DeviceUnavailable: its name is none of ONNX Runtime's.
    """
    kind, colon, number = device.partition(':')
    counted = kind in _PROVIDERS and kind != 'onnxruntime'
    if kind not in _PROVIDERS or (colon and not (counted and number.isdecimal())):
        raise DeviceUnavailable(
            f"device '{device}' is unknown; ONNX Runtime's are onnxruntime (the CPU), cuda, "
            'cuda:1, tensorrt, tensorrt:1'
        )
    return kind, int(number or 0)


def choose_precision(options: RuntimeOptions) -> str:
    """Return 'f32' or 'f16'; no network's accuracy in f16 was measured, so 'auto' is f32.

    :raises RuntimeUnavailable: it is bf16, for which ONNX Runtime has few operations.
    """
    if options.precision == 'bf16':
        raise RuntimeUnavailable(
            f"device '{options.device}' does not compute in bf16; use precision f16, f32 or auto"
        )
    return 'f16' if options.precision == 'f16' else 'f32'


def providers(
    kind: str, number: int, precision: str, largest: tuple[int, int, int], engines: Path | None
) -> list[Provider]:
    """Return the providers of a device with their options, the first choice first.

    :param kind: of device: 'onnxruntime', 'cuda' or 'tensorrt'.
    :param number: of the GPU.
    :param precision: 'f32' or 'f16'.
    :param largest: batch, height and width of the input, the latter two pixels or ANY.
    :param engines: where TensorRT keeps what it builds; None = nowhere.
    """
    cpu: Provider = (_PROVIDERS['onnxruntime'][0], {})
    if kind == 'onnxruntime':
        return [cpu]
    cuda: Provider = (
        _PROVIDERS['cuda'][0],
        {
            'device_id': number,
            # of 10 bits, where f32 was asked for
            'use_tf32': int(precision != 'f32'),
            # the memory asked for, not the next power of two: a GPU is shared
            'arena_extend_strategy': 'kSameAsRequested',
            # the default tries all algorithms anew for every batch and image size
            'cudnn_conv_algo_search': 'HEURISTIC',
        },
    )
    if kind == 'cuda':
        return [cuda, cpu]
    options: dict[str, Any] = {'device_id': number, 'trt_fp16_enable': precision == 'f16'}
    if engines is not None:
        options |= {
            'trt_engine_cache_enable': True,
            'trt_engine_cache_path': str(engines),
            'trt_timing_cache_enable': True,
            'trt_timing_cache_path': str(engines.parent),
        }
    batch, height, width = largest
    if ANY not in (height, width):
        # one engine for all batches; without, each larger batch would have it built anew
        for name, size in (('min', 1), ('opt', min(batch, 4)), ('max', batch)):
            shape = f'{onnx_graphs.PIXELS}:{size}x{height}x{width}x3'
            options[f'trt_profile_{name}_shapes'] = shape
    return [(_PROVIDERS['tensorrt'][0], options), cuda, cpu]


def _runtime(device: str, kind: str) -> ModuleType:
    """Return ONNX Runtime, with a device's provider and the libraries that it needs loaded.

    :raises DeviceUnavailable: it is not installed, or without this provider.
    """
    provider, extra = _PROVIDERS[kind]
    if importlib.util.find_spec('onnxruntime') is None:
        raise DeviceUnavailable(
            f"device '{device}' needs ONNX Runtime, not installed: {_install(extra)}"
        )
    runtime = importlib.import_module('onnxruntime')
    there = runtime.get_available_providers()
    if provider not in there:
        raise DeviceUnavailable(
            f"device '{device}' needs ONNX Runtime's {provider}; installed is version "
            f'{runtime.__version__} with {", ".join(there)} only: '
            f'pip uninstall onnxruntime; {_install(extra)}'
        )
    if kind == 'tensorrt' and importlib.util.find_spec('tensorrt') is not None:
        importlib.import_module('tensorrt')  # loads its libraries, which no path leads to
    if kind != 'onnxruntime':
        with contextlib.redirect_stdout(io.StringIO()):  # it prints; `_reason` says what matters
            runtime.preload_dlls()
    return runtime


def _install(extra: str) -> str:
    return (
        f"pip install 'pose3d_ros[{extra}]' (where colcon built the package: what its setup.cfg "
        f"lists as extra '{extra}')"
    )


def _load(
    runtime: ModuleType, data: bytes, wanted: Sequence[Provider], options: RuntimeOptions
) -> Any:
    """Return a session that really has its first provider: by itself it goes on without.

    :raises DeviceUnavailable: the provider's libraries do not load, or there is no such GPU.
    :raises RuntimeError: the network cannot be run.
    """
    provider = wanted[0][0]
    settings = runtime.SessionOptions()
    settings.log_severity_level = _LOG_ERRORS
    settings.intra_op_num_threads = options.threads
    # threads that wait for the next image busily would take the cores from the other networks
    settings.add_session_config_entry('session.force_spinning_stop', '1')
    runtime.set_default_logger_severity(_LOG_FATAL)  # what fails here is said in our message
    try:
        session = runtime.InferenceSession(data, settings, list(wanted), enable_fallback=0)
    except Exception as error:  # its own, of no common base
        of_network = type(error).__name__ in _NETWORK_ERRORS
        if of_network or provider == _PROVIDERS['onnxruntime'][0]:
            raise RuntimeError(f'ONNX Runtime cannot run the network: {error}') from error
        raise _unavailable(options.device, runtime, str(error)) from error
    finally:
        runtime.set_default_logger_severity(_LOG_ERRORS)
    if provider not in session.get_providers():
        raise _unavailable(options.device, runtime, 'it was passed over without a reason')
    return session


def _unavailable(device: str, runtime: ModuleType, otherwise: str) -> DeviceUnavailable:
    """Return the error of a provider that does not load: by its library, or `otherwise`."""
    kind, _ = parse_device(device)
    provider, extra = _PROVIDERS[kind]
    reason = _reason(runtime, kind) or ' '.join(otherwise.split())[-300:]
    return DeviceUnavailable(
        f"device '{device}' cannot be used: {provider} of ONNX Runtime {runtime.__version__} does "
        f'not load: {reason}. It needs an NVIDIA driver and GPU, and what brings its libraries: '
        f'{_install(extra)}'
    )


def _reason(runtime: ModuleType, kind: str) -> str:
    """Return why a provider's library cannot be loaded; '' if it can."""
    library = Path(runtime.__file__ or '').parent / f'capi/libonnxruntime_providers_{kind}.so'
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return ''


def _engines(options: RuntimeOptions, kind: str, data: bytes) -> Path | None:
    """Return the folder for TensorRT's engines of a network, made if need be.

    By the whole file: TensorRT's own key leaves the weights out, and would run another training's.
    """
    if kind != 'tensorrt' or options.engine_dir is None:
        return None
    folder = options.engine_dir / hashlib.sha256(data).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
