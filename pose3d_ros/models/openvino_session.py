# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A network in OpenVINO: on processors, and on Intel's GPUs and NPUs."""

from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

from pose3d_ros.models.company import is_alone
from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.precision import choose_precision
from pose3d_ros.models.quantization import EightBits, quantize
from pose3d_ros.models.session import ANY, ImageInput, RuntimeOptions, require_outputs


class OpenVinoSession:
    """A compiled network; parameters and errors as those of `runtime.Network`.

    In company it is compiled twice: for a call on all threads, and for calls on a share of them,
    which is that of a stream, or half of them where there is one.
    """

    def __init__(
        self,
        model: Path | bytes | ov.Model,
        image: ImageInput,
        outputs: Sequence[str],
        options: RuntimeOptions,
        bf16_is_accurate: bool,
        eight_bits: EightBits | None,
    ) -> None:
        self.precision = choose_precision(core(), options, bf16_is_accurate, eight_bits)
        network = read_network(model, outputs, options.max_batch == 1)
        if self.precision == 'i8' and eight_bits is not None:
            quantize(network, eight_bits.ranges)
        network = with_uint8_input(network, image)
        self.streams = options.streams if options.device == 'CPU' else 1
        self._outputs = list(outputs)
        compiled = _compiled(network, self.precision, options, options.threads, self.streams)
        self._alone = self._shared = _requests(compiled, self.streams)
        if not options.company or options.device != 'CPU':
            return
        threads = compiled.get_property('INFERENCE_NUM_THREADS')
        if threads > 1 and self.streams > 1:
            compiled = _compiled(network, self.precision, options, threads, 1)
            self._alone = _requests(compiled, 1)
        elif threads > 1:
            compiled = _compiled(network, self.precision, options, threads // 2, 1)
            self._shared = _requests(compiled, 1)

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Return the outputs (n, ...) float32 for images (n, height, width, 3) uint8 BGR."""
        idle = self._alone if is_alone() else self._shared
        request = idle.get()
        try:
            request.infer({0: np.ascontiguousarray(images)}, share_inputs=True)
            # copies: the request's own memory is overwritten by the next call
            return [request.get_tensor(name).data.copy() for name in self._outputs]
        finally:
            idle.put(request)


def _compiled(
    network: ov.Model, precision: str, options: RuntimeOptions, threads: int, streams: int
) -> ov.CompiledModel:
    """Compile a network for so many threads, which the streams share; 0 = one for each core."""
    properties: dict[str, str | int | bool] = {
        # all that is not in 8 bits is in f32 then
        'INFERENCE_PRECISION_HINT': 'f32' if precision == 'i8' else precision,
        'PERFORMANCE_HINT': 'LATENCY',
    }
    if options.device == 'CPU':
        # Each network would be pinned to the same first cores, where networks have to take turns
        # so as not to wait for each other: so the pipeline made 3 to 33 % fewer frames, in six
        # comparisons on two noisy cores, than with neither pins nor turns.
        properties['ENABLE_CPU_PINNING'] = False
    if threads:
        properties['INFERENCE_NUM_THREADS'] = threads
    if options.device == 'CPU' and streams > 1:
        properties['NUM_STREAMS'] = streams
    return core().compile_model(network, options.device, properties)


def _requests(compiled: ov.CompiledModel, number: int) -> SimpleQueue[ov.InferRequest]:
    """Return the calls that may be at work at once."""
    idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
    for _ in range(number):
        idle.put(compiled.create_infer_request())
    return idle


def read_network(model: Path | bytes | ov.Model, outputs: Sequence[str], one: bool) -> ov.Model:
    """Return the network cut to the wanted outputs, for one image at a time or any number."""
    if isinstance(model, ov.Model):
        network = model
    else:
        network = core().read_model(model if isinstance(model, bytes) else str(model))
    by_name = {name: output for output in network.outputs for name in output.names}
    require_outputs(outputs, by_name, model if isinstance(model, Path) else 'the graph')
    results = [by_name[name].get_node() for name in outputs]
    network = ov.Model(results, network.get_parameters(), network.get_friendly_name())
    for output, name in zip(network.outputs, outputs, strict=True):
        output.get_tensor().add_names({name})
    shape = network.input(0).partial_shape
    shape[0] = 1 if one else -1
    network.reshape(shape)
    return network


def with_uint8_input(network: ov.Model, image: ImageInput) -> ov.Model:
    """Move the conversion of uint8 BGR images into the network, where it costs nearly nothing."""
    prepost = PrePostProcessor(network)
    tensor = prepost.input().tensor()
    tensor.set_element_type(ov.Type.u8)
    tensor.set_layout(ov.Layout('NHWC'))
    batch = network.input(0).partial_shape[0]
    tensor.set_shape(ov.PartialShape([batch, image.height, image.width, 3]))
    tensor.set_color_format(ColorFormat.BGR)
    steps = prepost.input().preprocess()
    steps.convert_element_type(ov.Type.f32)
    if image.rgb:
        if ANY in (image.height, image.width):
            # behind NHWC of any size OpenVINO (2026.4) loses the swap of colours, without a word
            steps.convert_layout(ov.Layout(image.layout))
        steps.convert_color(ColorFormat.RGB)
    steps.mean(list(image.mean))
    steps.scale(list(image.std))
    prepost.input().model().set_layout(ov.Layout(image.layout))
    return prepost.build()
