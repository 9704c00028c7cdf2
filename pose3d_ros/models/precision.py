# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What OpenVINO is to compute in: what is asked for, or what is soonest done and accurate."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from time import perf_counter

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from pose3d_ros.models import openvino_core
from pose3d_ros.models.quantization import EightBits, quantize
from pose3d_ros.models.session import DeviceUnavailable, RuntimeOptions, RuntimeUnavailable

#: Precision -> what a device that computes in it says it can.
_CAPABILITIES = {'bf16': 'BF16', 'f16': 'FP16', 'i8': 'INT8'}
#: Flags of processors that multiply and add 8-bit integers in one step. All others do it in two,
#: and of the first the sum of two products may not fit into its 16 bits.
_DOT_PRODUCTS = ('avx512_vnni', 'avx_vnni', 'amx_int8')

#: Those that 'auto' chooses from.
_TIMED = ('f32', 'bf16', 'i8')
# Convolutions as the default networks have many, of a millisecond.
_PROBE_CHANNELS, _PROBE_PIXELS, _PROBE_RUNS = 64, 28, 20


def choose_precision(
    core: ov.Core, options: RuntimeOptions, bf16_is_accurate: bool, eight_bits: EightBits | None
) -> str:
    """Return what to compute in.

    :raises DeviceUnavailable: there is no such device.
    :raises RuntimeUnavailable: it does not compute in the precision asked for.
    """
    native = native_precisions(core, options.device)
    wanted = options.precision
    if wanted == 'auto' or (wanted == 'i8' and eight_bits is None):
        in_8_bits = eight_bits is not None and eight_bits.in_auto and options.device == 'CPU'
        accurate = {'f32': True, 'bf16': bf16_is_accurate, 'i8': in_8_bits}
        return fastest(options.device, tuple(p for p, is_so in accurate.items() if is_so), native)
    if wanted not in native:
        raise RuntimeUnavailable(
            f"device '{options.device}' does not compute in {wanted}; use precision f32 or auto"
        )
    return wanted


def native_precisions(core: ov.Core, device: str) -> tuple[str, ...]:
    """Return what a device computes in.

    :raises DeviceUnavailable: there is no such device.
    """
    if device.split('.')[0] not in {d.split('.')[0] for d in core.available_devices}:
        raise DeviceUnavailable(
            f"device '{device}' is not on this machine, which has "
            + ', '.join(core.available_devices)
        )
    try:
        can = core.get_property(device, 'OPTIMIZATION_CAPABILITIES')
    except RuntimeError as error:  # GPU.7 where there is a GPU
        raise DeviceUnavailable(f"device '{device}' cannot be used: {error}") from error
    native = [precision for precision, capability in _CAPABILITIES.items() if capability in can]
    if device == 'CPU' and 'i8' in native and not _has_dot_products():
        native.remove('i8')
    return ('f32', *native)


def _has_dot_products(cpuinfo: Path = Path('/proc/cpuinfo')) -> bool:
    try:
        flags = cpuinfo.read_text().partition('\nflags')[2].partition('\n')[0].split()
    except OSError:  # not Linux: it is not known
        return False
    return any(flag in flags for flag in _DOT_PRODUCTS)


def fastest(device: str, among: Sequence[str], native: Sequence[str]) -> str:
    """Return what a device is soonest done in of those precisions that it computes in."""
    possible = [precision for precision in among if precision in native]
    if len(possible) == 1:
        return possible[0]
    times_s = _least_s(device, tuple(p for p in _TIMED if p in native))
    return min(possible, key=times_s.__getitem__)


@cache
def _least_s(device: str, precisions: tuple[str, ...]) -> dict[str, float]:
    """Return precision -> the least time of the probe, measured once a process, in 0.1 s for each.

    That a device computes in bf16 does not say that it is faster so: a Xeon whose host hides its
    AMX units from a virtual machine has bf16 in AVX-512 alone, and took 1.8 times as long as in
    f32 for the same convolution. Where AMX is there it is several times faster.
    """
    requests = [_probe_request(device, precision) for precision in precisions]
    # in turn, and the least of each: others on the machine only ever add to a time
    times_s = [[_seconds(request) for request in requests] for _ in range(_PROBE_RUNS)]
    return dict(zip(precisions, np.min(times_s, axis=0).tolist(), strict=True))


def _seconds(request: ov.InferRequest) -> float:
    image = np.ones((1, _PROBE_CHANNELS, _PROBE_PIXELS, _PROBE_PIXELS), np.float32)
    start = perf_counter()
    request.infer({0: image}, share_inputs=True)
    return perf_counter() - start


def _probe_request(device: str, precision: str) -> ov.InferRequest:
    probe = _probe()
    if precision == 'i8':
        quantize(probe, {'image': (0.0, 1.0), 'between': (0.0, 16.0)})
        precision = 'f32'  # what is left
    properties = {'INFERENCE_PRECISION_HINT': precision}
    return openvino_core.core().compile_model(probe, device, properties).create_infer_request()


def _probe() -> ov.Model:
    """Return two 3 x 3 convolutions, one behind the other."""
    shape = [1, _PROBE_CHANNELS, _PROBE_PIXELS, _PROBE_PIXELS]
    values = np.random.default_rng(0).standard_normal((_PROBE_CHANNELS, _PROBE_CHANNELS, 3, 3))
    kernel = (values / 24).astype(np.float32)
    image = output = ops.parameter(shape, np.float32)
    for name in ('image', 'between'):
        output.output(0).set_names({name})
        weights = ops.constant(kernel)
        output = ops.relu(ops.convolution(output, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
    return ov.Model([output], [image], 'probe')
