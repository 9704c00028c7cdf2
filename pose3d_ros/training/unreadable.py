"""Images that cannot be read: named, counted, and too many of them end a training."""

from collections.abc import Mapping

import torch
from tqdm import tqdm

from pose3d_ros.data.annotations import DataError
from pose3d_ros.data.crops_dataset import PeopleTable, image_fault

_NAMED = 10
_SHARE, _AT_LEAST = 0.01, 10


class Unreadable:
    """Counts the images of a table that could not be read.

    :param table: the people.
    """

    def __init__(self, table: PeopleTable) -> None:
        self._table = table
        self._images: set[int] = set()
        self._limit = max(_AT_LEAST, int(_SHARE * len(table.images)))

    def note(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Name the images of a batch that could not be read.

        :raises DataError: they are more than 1 % of the images, and more than ten.
        """
        for row in batch['row'][~batch['readable']].tolist():
            image = int(self._table.image_indices[row])
            if image in self._images:
                continue
            self._images.add(image)
            width, height = self._table.image_sizes[image].tolist()
            fault = image_fault(self._table.path(row), width, height)
            if len(self._images) > self._limit:
                raise DataError(
                    f'{len(self._images)} images of {", ".join(self._table.names)} cannot be '
                    f'used, the last since {fault}; up to {self._limit} would be left out'
                )
            if len(self._images) <= _NAMED:
                tqdm.write(f'left out ({len(self._images)} so far): {fault}')
