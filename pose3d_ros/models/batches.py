# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""People in batches: of few sizes, and no larger than memory turned out to hold."""

import logging
from collections.abc import Callable

import numpy as np

_LOG = logging.getLogger(__name__)

#: How runtimes say that memory ran out; none has an exception of its own for all its devices.
_OUT_OF_MEMORY = (
    'out of memory',  # CUDA, PyTorch
    "can't allocate memory",  # PyTorch on a processor
    'outofmemory',  # TensorRT
    'failed to allocate memory',  # ONNX Runtime's arenas
    'alloc_failed',  # cuBLAS, cuDNN
    'bad_alloc',
    'bad allocation',
    'out_of_resources',  # OpenCL, which OpenVINO uses on GPUs
    'out_of_host_memory',
    'mem_object_allocation_failure',
    'out of gpu resources',
    'exceeded max size of memory',
)


class OutOfMemory(RuntimeError):
    """Memory does not even hold a single image; the message names the device and the remedy."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out, whichever runtime it is of."""
    text = str(error).lower()
    return isinstance(error, MemoryError | OutOfMemory) or any(
        phrase in text for phrase in _OUT_OF_MEMORY
    )


class Batches:
    """Runs any number of crops in batches, of half the size from when memory ran out on.

    :param largest: crops computed at once at the most.
    :param device: its name, for messages.
    :param few_sizes: the largest, then powers of two. The first call with a batch of a new size
        takes a tenth of a second longer. With batches of few sizes that is soon over; one of 7
        people takes as long as batches of 4, 2 and 1.
    """

    def __init__(self, largest: int, device: str, few_sizes: bool) -> None:
        self.largest = largest
        self._device = device
        self._few_sizes = few_sizes

    def run(
        self, images: np.ndarray, infer: Callable[[np.ndarray], list[np.ndarray]]
    ) -> list[np.ndarray]:
        """Return the outputs (n, ...) for n > 0 images.

        :param infer: returns the outputs of a batch.
        :raises ValueError: there is no image.
        :raises OutOfMemory: memory does not hold one image.
        """
        if not len(images):
            raise ValueError('a network takes one image or more')
        parts: list[list[np.ndarray]] = []
        first = 0
        while first < len(images):
            size = self._size(len(images) - first)
            try:
                parts.append(infer(images[first : first + size]))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(size, error)
            else:
                first += size
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _size(self, left: int) -> int:
        """Return how many to compute at once of those that are left."""
        return min(self.largest, 2 ** (left.bit_length() - 1) if self._few_sizes else left)

    def _halve(self, size: int, error: Exception) -> None:
        """Make batches half as large as one that was too large; for good, so it is said once."""
        if size == 1:
            raise OutOfMemory(
                f"device '{self._device}' has not enough memory for one image: leave it more, take "
                f'a smaller network or input, or another device ({_first_line(error)})'
            ) from error
        self.largest = size // 2
        _LOG.warning(
            "device '%s' has not enough memory for a batch of %d: from now on %d at once; set "
            'max_batch to start so (%s)',
            self._device,
            size,
            self.largest,
            _first_line(error),
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][-200:]
