# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From tables of people to batches on the device, and from images that cannot be read to words."""

import sys
from collections.abc import Iterable, Iterator, Mapping

import torch
from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from tqdm import tqdm

from pose3d_ros.data.annotations import DataError
from pose3d_ros.data.crops_dataset import CropDataset, Key, PeopleTable
from pose3d_ros.data.images import read_image
from pose3d_ros.training.interruption import ignore_signals

_NAMED = 10
_SHARE, _AT_LEAST = 0.01, 10


class Unreadable:
    """Counts the images of a table that could not be read, by any of several processes.

    :param table: the people.
    """

    def __init__(self, table: PeopleTable) -> None:
        self._table = table
        self._faults: dict[int, str] = {}  # image -> why
        self._limit = max(_AT_LEAST, int(_SHARE * len(table.images)))

    def note(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Name the images of a batch that could not be read.

        :raises DataError: they are more than 1 % of the images, and more than ten.
        """
        for row in batch['row'][~batch['readable']].tolist():
            image = int(self._table.image_indices[row])
            if image in self._faults:
                continue
            fault = self._faults[image] = self._fault(row)
            self._check()
            if len(self._faults) <= _NAMED:
                tqdm.write(f'left out ({len(self._faults)} so far): {fault}', file=sys.stderr)

    def share(self) -> None:
        """Count those of all processes, each of which reads its share alone; all of them call it.

        :raises DataError: as `note`.
        """
        everybody: list[tuple[int, str]] = gather_object(list(self._faults.items()))
        self._faults = dict(everybody)
        self._check()

    def _check(self) -> None:
        if len(self._faults) > self._limit:
            *_, last = self._faults.values()
            raise DataError(
                f'{len(self._faults)} images of {", ".join(self._table.names)} cannot be used, the '
                f'last since {last}; up to {self._limit} would be left out'
            )

    def _fault(self, row: int) -> str:
        """Return why an image could not be read, for which it is tried again."""
        size = self._table.image_sizes[self._table.image_indices[row]]
        try:
            read_image(self._table.path(row), size)
        except DataError as error:
            return str(error)
        return f'{self._table.path(row)} can be read only now and then'


def crop_loader(
    crops: CropDataset, batches: Iterable[list[Key]], workers: int, device: torch.device, keep: bool
) -> DataLoader:
    """Return what loads crops.

    :param batches: which of them are together.
    :param workers: processes that load; 0 = the process itself.
    :param device: where the batches will go.
    :param keep: the workers, from one epoch to the next.
    """
    return DataLoader(
        crops,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=keep and workers > 0,
        pin_memory=device.type == 'cuda',
        worker_init_fn=ignore_signals,
    )


def stop_workers(loader: DataLoader) -> None:
    """End the workers that a loader keeps.

    They ignore the signal by which Python would end them at its own end, and it waits for them.
    """
    loader._iterator = None


def on_device(
    loader: DataLoader, unreadable: Unreadable, device: torch.device
) -> Iterator[dict[str, torch.Tensor]]:
    """Return the batches where they are needed.

    :param unreadable: is told of them while they are still on the CPU.
    :raises DataError: too many images cannot be read.
    """
    for batch in loader:
        unreadable.note(batch)
        yield {name: values.to(device, non_blocking=True) for name, values in batch.items()}
