# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What runs a network: a file, a device and a precision; images in, arrays out."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino as ov

from pose3d_ros.models.batches import Batches
from pose3d_ros.models.company import at_work
from pose3d_ros.models.openvino_session import OpenVinoSession
from pose3d_ros.models.quantization import EightBits
from pose3d_ros.models.session import (
    ANY,
    ONNXRUNTIME_DEVICES,
    BusyTime,
    ImageInput,
    RuntimeOptions,
    Session,
)


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
        options: RuntimeOptions,
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
                if self.options.company:
                    with at_work(), at_work():
                        list(pool.map(self, batches))


def _session(
    model: Path | bytes | ov.Model,
    image: ImageInput,
    outputs: Sequence[str],
    options: RuntimeOptions,
    bf16_is_accurate: bool,
    eight_bits: EightBits | None,
) -> Session:
    """Return the network in the runtime that the device belongs to."""
    if options.device.partition(':')[0] in ONNXRUNTIME_DEVICES:
        # with onnx, which OpenVINO does without
        from pose3d_ros.models.onnxruntime_session import OnnxRuntimeSession

        return OnnxRuntimeSession(model, image, outputs, options)
    return OpenVinoSession(model, image, outputs, options, bf16_is_accurate, eight_bits)
