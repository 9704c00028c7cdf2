# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A network in whatever runtime: what it is asked for, how it is called, how it is refused."""

import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np

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
    :param company: whether others of this process compute now and then at the same time, who are
        `company.at_work` then: meanwhile a call takes half of the threads, or the share of one of
        several streams, and else all. For that it is loaded twice. OpenVINO on a CPU alone.
    :param cpu_fallback: whether a device that is not there is replaced by 'CPU', with a warning.
    :param engine_dir: folder in which TensorRT keeps what it has built; None = it keeps nothing.
    """

    device: str = 'CPU'
    precision: str = 'auto'
    max_batch: int = 16
    threads: int = 0
    streams: int = 1
    company: bool = False
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


def require_outputs(outputs: Sequence[str], known: Container[str], source: object) -> None:
    """Refuse a network that lacks some of the outputs that are wanted.

    :raises ValueError: it is another network.
    """
    if missing := [name for name in outputs if name not in known]:
        raise ValueError(f'{source} is another network: it has no output {", ".join(missing)}')
