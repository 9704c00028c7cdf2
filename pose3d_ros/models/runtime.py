# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What runs a network: a file, a device and a precision; images in, arrays out."""

import threading
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
import openvino as ov

from pose3d_ros.models.batches import Batches
from pose3d_ros.models.quantization import EightBits

PRECISIONS = ('auto', 'f32', 'bf16', 'f16', 'i8')
#: What the names of ONNX Runtime's devices begin with; all others are OpenVINO's.
ONNXRUNTIME_DEVICES = ('onnxruntime', 'cuda', 'tensorrt')
ANY = -1


class WeightFileError(ValueError):
    """A file of weights that cannot be used; the message says what was expected and found."""


class RuntimeUnavailable(RuntimeError):
    """A device, precision or package that this machine does not have; the message says which."""


class DeviceUnavailable(RuntimeUnavailable):
    """A device that this machine does not have, or whose libraries do not load."""


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

    :param device: 'CPU', 'GPU', 'GPU.1', 'NPU': OpenVINO (a PyTorch network: CPU, or NVIDIA GPU);
        'cuda', 'cuda:1', 'tensorrt', 'tensorrt:1', 'onnxruntime' (the CPU): ONNX Runtime (a
        PyTorch network: 'cuda' only).
    :param precision: 'f32', 'bf16', 'f16', 'i8' = 8 bits where the network has such a form, else
        as 'auto'; 'auto' = what the processor is fastest in (`precision.fastest`) of f32, and of
        bf16 and 8 bits if the network was measured to keep its accuracy.
    :param max_batch: crops computed at once at the most, which bounds the memory.
    :param threads: processor threads of a network; 0 = one for each core.
    :param streams: calls that a network computes at once, each with its share of the threads: more
        images a second, and each of them later. OpenVINO on a CPU alone; elsewhere it is 1.
    :param cpu_fallback: whether a device that is not there is replaced by 'CPU', with a warning.
    :param engine_dir: folder in which TensorRT keeps what it has built; None = it keeps nothing.
    """

    device: str = 'CPU'
    precision: str = 'auto'
    max_batch: int = 16
    threads: int = 0
    streams: int = 1
    cpu_fallback: bool = False
    engine_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise RuntimeUnavailable(
                f"precision '{self.precision}' is unknown; known are {', '.join(PRECISIONS)}"
            )
        if self.max_batch < 1:
            raise ValueError(f'max_batch is {self.max_batch}; at least 1 crop is computed at once')


class BusyTime(threading.local):
    """Seconds that each thread has spent in a network: several nodes may share one."""

    seconds = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add the time that the context takes, if it ends well."""
        start = perf_counter()
        yield
        self.seconds += perf_counter() - start


class Session(Protocol):
    """A network that a runtime has loaded.

    :param streams: calls that it computes at once.
    """

    streams: int

    @property
    def precision(self) -> str:
        """Return what it computes in."""

    def __call__(self, images: np.ndarray, /) -> list[np.ndarray]:
        """Return the outputs (n, ...) float32 for images (n, height, width, 3) uint8 BGR."""


class Network:
    """A compiled network with one image input.

    :param model: path or bytes of an .onnx file, the path of a .tflite file, or a graph.
    :param image: how it wants its images.
    :param outputs: names of the outputs to compute; branches that feed only others are cut off.
    :param options: device, precision and batch.
    :param bf16_is_accurate: whether 'auto' may choose bf16 for this network.
    :param eight_bits: how it is computed in 8 bits, in OpenVINO; None = it is not.
    :raises RuntimeUnavailable: no such device, or no such precision on it.
    :raises RuntimeError: the runtime cannot run it.
    :raises ValueError: the file has no output of such a name: it is another network.
    """

    def __init__(
        self,
        model: Path | bytes | ov.Model,
        image: ImageInput,
        outputs: Sequence[str],
        options: RuntimeOptions = RuntimeOptions(),
        bf16_is_accurate: bool = True,
        eight_bits: EightBits | None = None,
    ) -> None:
        self.image = image
        self.options = options
        self.device = options.device
        self._session = _session(model, image, outputs, options, bf16_is_accurate, eight_bits)
        self.precision = self._session.precision
        self._batches = Batches(options.max_batch, options.device, few_sizes=True)
        # several nodes may share it; those of the device's other networks do not wait here
        self._free = threading.BoundedSemaphore(self._session.streams)
        self._busy = BusyTime()

    @property
    def busy_s(self) -> float:
        """Return the seconds that the calling thread has spent in the network."""
        return self._busy.seconds

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Return the outputs (n, ...) float32 for images (n, height, width, 3) uint8 BGR, n > 0.

        :raises batches.OutOfMemory: the device's memory does not hold one image.
        """
        with self._free, self._busy.measured():
            return self._batches.run(images, self._session)

    def warm_up(self, largest_batch: int = 4) -> None:
        """Prepare batches up to a size, so that the first people are not late.

        A network of any image size learns the size from the first image: nothing to prepare.
        """
        if ANY in (self.image.height, self.image.width):
            return
        sizes = [2**i for i in range(min(largest_batch, self.options.max_batch).bit_length())]
        shape = (self.image.height, self.image.width, 3)
        streams = self._session.streams
        with ThreadPoolExecutor(streams) as pool:  # in which the time for it is counted, and lost
            for size in sizes:
                batches = [np.zeros((size, *shape), np.uint8)] * streams
                list(pool.map(self, batches))


def require_outputs(outputs: Sequence[str], known: Container[str], source: object) -> None:
    """Refuse a network that lacks some of the outputs that are wanted.

    :raises ValueError: it is another network.
    """
    if missing := [name for name in outputs if name not in known]:
        raise ValueError(f'{source} is another network: it has no output {", ".join(missing)}')


def _session(
    model: Path | bytes | ov.Model,
    image: ImageInput,
    outputs: Sequence[str],
    options: RuntimeOptions,
    bf16_is_accurate: bool,
    eight_bits: EightBits | None,
) -> Session:
    """Return the network in the runtime that the device belongs to.

    Each imports the names of this module, and neither is needed where the other runs.
    """
    if options.device.partition(':')[0] in ONNXRUNTIME_DEVICES:
        from pose3d_ros.models.onnxruntime_session import OnnxRuntimeSession

        return OnnxRuntimeSession(model, image, outputs, options)
    from pose3d_ros.models.openvino_session import OpenVinoSession

    return OpenVinoSession(model, image, outputs, options, bf16_is_accurate, eight_bits)
