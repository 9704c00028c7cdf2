"""What runs a network: a file, a device and a precision; images in, arrays out."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

PRECISIONS = ('auto', 'f32', 'bf16')
ANY = -1


class WeightFileError(ValueError):
    """A file of weights that cannot be used; the message says what was expected and found."""


class RuntimeUnavailable(RuntimeError):
    """A device or precision that this machine does not have; the message lists what it has."""


@dataclass(frozen=True)
class ImageInput:
    """How a network wants its images.

    :param height: pixels; ANY = any, also another from call to call (a new one costs time once).
    :param width: pixels, or ANY.
    :param layout: 'NCHW' or 'NHWC'.
    :param rgb: RGB instead of BGR.
    :param mean: subtracted from the 0..255 values, per channel in the network's order.
    :param std: what the difference is divided by.
    """

    height: int
    width: int
    layout: str = 'NCHW'
    rgb: bool = False
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class RuntimeOptions:
    """Where and how precisely networks run.

    :param device: an OpenVINO device, e.g. 'CPU' or 'GPU'.
    :param precision: 'f32', 'bf16', or 'auto' = bf16 where the processor computes in it and the
        network was measured to keep its accuracy.
    :param max_batch: crops computed at once at the most, which bounds the memory.
    :param threads: processor threads of a network; 0 = one for each core.
    """

    device: str = 'CPU'
    precision: str = 'auto'
    max_batch: int = 16
    threads: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise RuntimeUnavailable(
                f"precision '{self.precision}' is unknown; known are {', '.join(PRECISIONS)}"
            )
        if self.max_batch < 1:
            raise ValueError(f'max_batch is {self.max_batch}; at least 1 crop is computed at once')


#: By device: networks that take all its cores take turns. At once they would hinder each other: the
#: pipeline made 6 % fewer frames, each 6 % older.
_TURNS: dict[str, threading.Lock] = defaultdict(threading.Lock)


class Network:
    """A compiled network with one image input.

    :param model: path or bytes of an .onnx file, the path of a .tflite file, or a graph.
    :param image: how it wants its images.
    :param outputs: names of the outputs to compute; branches that feed only others are cut off.
    :param options: device, precision and batch.
    :param bf16_is_accurate: whether 'auto' may choose bf16 for this network.
    :raises RuntimeUnavailable: no such device, or no bf16 on it.
    :raises ValueError: the file has no output of such a name: it is another network.
    """

    def __init__(
        self,
        model: Path | bytes | ov.Model,
        image: ImageInput,
        outputs: Sequence[str],
        options: RuntimeOptions = RuntimeOptions(),
        bf16_is_accurate: bool = True,
    ) -> None:
        core = ov.Core()
        self.image = image
        self.options = options
        self.precision = _precision(core, options, bf16_is_accurate)
        compiled = core.compile_model(
            _with_uint8_input(_read(core, model, outputs, options.max_batch == 1), image),
            options.device,
            _properties(self.precision, options.threads),
        )
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock() if options.threads else _TURNS[options.device]
        self._outputs = list(outputs)
        #: Seconds spent in the network since it was made; the rest of a node's time is its own.
        self.busy_s = 0.0

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Return the outputs (n, ...) float32 for images (n, height, width, 3) uint8 BGR, n > 0."""
        if not len(images):
            raise ValueError('a network takes one image or more')
        chunks = []
        with self._lock:
            start = perf_counter()
            for first, size in _batches(len(images), self.options.max_batch):
                chunks.append(self._infer(images[first : first + size]))
            self.busy_s += perf_counter() - start
        if len(chunks) == 1:
            return chunks[0]
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    def warm_up(self, largest_batch: int = 4) -> None:
        """Prepare batches up to a size, so that the first people are not late.

        A network of any image size learns the size from the first image: nothing to prepare.
        """
        if ANY in (self.image.height, self.image.width):
            return
        for size in (2**i for i in range(min(largest_batch, self.options.max_batch).bit_length())):
            self(np.zeros((size, self.image.height, self.image.width, 3), np.uint8))
        self.busy_s = 0.0

    def _infer(self, images: np.ndarray) -> list[np.ndarray]:
        self._request.infer({0: np.ascontiguousarray(images)}, share_inputs=True)
        # copies: the request's own memory is overwritten by the next call
        return [self._request.get_tensor(name).data.copy() for name in self._outputs]


def _properties(precision: str, threads: int) -> dict[str, str | int | bool]:
    """Return how OpenVINO is to compile."""
    properties: dict[str, str | int | bool] = {
        'INFERENCE_PRECISION_HINT': precision,
        'PERFORMANCE_HINT': 'LATENCY',
    }
    if threads:
        # unpinned: each network would be pinned to the same first cores
        properties |= {'INFERENCE_NUM_THREADS': threads, 'ENABLE_CPU_PINNING': False}
    return properties


def _batches(count: int, largest: int) -> Iterator[tuple[int, int]]:
    """Return (first, size) of batches: the largest, then powers of two.

    The first call with a batch of a new size takes a tenth of a second longer. With batches of few
    sizes that is soon over; one of 7 people takes as long as batches of 4, 2 and 1.
    """
    first = 0
    while first < count:
        size = min(largest, 2 ** ((count - first).bit_length() - 1))
        yield first, size
        first += size


def _read(
    core: ov.Core, model: Path | bytes | ov.Model, outputs: Sequence[str], one: bool
) -> ov.Model:
    """Return the network cut to the wanted outputs, for one image at a time or any number."""
    if isinstance(model, ov.Model):
        network = model
    else:
        network = core.read_model(model if isinstance(model, bytes) else str(model))
    by_name = {name: output for output in network.outputs for name in output.names}
    if missing := [name for name in outputs if name not in by_name]:
        source = model if isinstance(model, Path) else 'the graph'
        raise ValueError(f'{source} is another network: it has no output {", ".join(missing)}')
    results = [by_name[name].get_node() for name in outputs]
    network = ov.Model(results, network.get_parameters(), network.get_friendly_name())
    for output, name in zip(network.outputs, outputs, strict=True):
        output.get_tensor().add_names({name})
    shape = network.input(0).partial_shape
    shape[0] = 1 if one else -1
    network.reshape(shape)
    return network


def _with_uint8_input(network: ov.Model, image: ImageInput) -> ov.Model:
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


def _precision(core: ov.Core, options: RuntimeOptions, bf16_is_accurate: bool) -> str:
    """Return 'f32' or 'bf16'; RuntimeUnavailable when the device or its bf16 is absent."""
    if options.device.split('.')[0] not in {d.split('.')[0] for d in core.available_devices}:
        raise RuntimeUnavailable(
            f"device '{options.device}' is not on this machine, which has "
            + ', '.join(core.available_devices)
        )
    try:
        capabilities = core.get_property(options.device, 'OPTIMIZATION_CAPABILITIES')
    except RuntimeError as error:  # GPU.7 where there is a GPU
        raise RuntimeUnavailable(f"device '{options.device}' cannot be used: {error}") from error
    has_bf16 = 'BF16' in capabilities
    if options.precision == 'bf16' and not has_bf16:
        raise RuntimeUnavailable(
            f"device '{options.device}' does not compute in bf16; use precision f32 or auto"
        )
    if options.precision == 'auto':
        return 'bf16' if has_bf16 and bf16_is_accurate else 'f32'
    return options.precision
