"""What OpenVINO is to compute in: what is asked for, or what is soonest done and accurate."""

from functools import cache
from time import perf_counter

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from pose3d_ros.models.runtime import DeviceUnavailable, RuntimeOptions, RuntimeUnavailable

#: Precision -> what a device that computes in it says it can.
_CAPABILITIES = {'bf16': 'BF16', 'f16': 'FP16'}

# Convolutions as the default networks have many, of a millisecond.
_PROBE_CHANNELS, _PROBE_PIXELS, _PROBE_RUNS = 64, 28, 20


def choose_precision(core: ov.Core, options: RuntimeOptions, bf16_is_accurate: bool) -> str:
    """Return what to compute in.

    :raises DeviceUnavailable: there is no such device.
    :raises RuntimeUnavailable: it does not compute in the precision asked for.
    """
    if options.device.split('.')[0] not in {d.split('.')[0] for d in core.available_devices}:
        raise DeviceUnavailable(
            f"device '{options.device}' is not on this machine, which has "
            + ', '.join(core.available_devices)
        )
    try:
        capabilities = core.get_property(options.device, 'OPTIMIZATION_CAPABILITIES')
    except RuntimeError as error:  # GPU.7 where there is a GPU
        raise DeviceUnavailable(f"device '{options.device}' cannot be used: {error}") from error
    if options.precision == 'auto':
        may_be = 'BF16' in capabilities and bf16_is_accurate
        return 'bf16' if may_be and bf16_is_faster(options.device) else 'f32'
    if options.precision != 'f32' and _CAPABILITIES[options.precision] not in capabilities:
        raise RuntimeUnavailable(
            f"device '{options.device}' does not compute in {options.precision}; use precision f32 "
            'or auto'
        )
    return options.precision


@cache
def bf16_is_faster(device: str) -> bool:
    """Return whether a device that computes in bf16 is sooner done with it than in f32.

    That it can does not say so: a Xeon whose host hides its AMX units from a virtual machine has
    bf16 in AVX-512 alone, and took 1.8 times as long as in f32 for the same convolution. Where AMX
    is there it is several times faster. Measured once a process, in some 0.2 s.
    """
    requests = [
        ov.Core()
        .compile_model(_probe(), device, {'INFERENCE_PRECISION_HINT': precision})
        .create_infer_request()
        for precision in ('bf16', 'f32')
    ]
    # in turn, and the least of each: others on the machine only ever add to a time
    times = [[_seconds(request) for request in requests] for _ in range(_PROBE_RUNS)]
    bf16_s, f32_s = np.min(times, axis=0)
    return bool(bf16_s < f32_s)


def _seconds(request: ov.InferRequest) -> float:
    image = np.ones((1, _PROBE_CHANNELS, _PROBE_PIXELS, _PROBE_PIXELS), np.float32)
    start = perf_counter()
    request.infer({0: image}, share_inputs=True)
    return perf_counter() - start


def _probe() -> ov.Model:
    """Return two 3 x 3 convolutions, one behind the other."""
    shape = [1, _PROBE_CHANNELS, _PROBE_PIXELS, _PROBE_PIXELS]
    values = np.random.default_rng(0).standard_normal((_PROBE_CHANNELS, _PROBE_CHANNELS, 3, 3))
    kernel = ops.constant((values / 24).astype(np.float32))
    image = output = ops.parameter(shape, np.float32)
    for _ in range(2):
        output = ops.relu(ops.convolution(output, kernel, [1, 1], [1, 1], [1, 1], [1, 1]))
    return ov.Model([output], [image], 'probe')
