# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How good a network is in the middle of its training, on people that it does not learn from."""

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from pose3d_ros.data.augmentation import NO_AUGMENTATION
from pose3d_ros.data.crops_dataset import CropDataset, PeopleTable, input_images
from pose3d_ros.training.interruption import Interruption
from pose3d_ros.training.loading import Unreadable, crop_loader, on_device
from pose3d_ros.training.pictures import grid
from pose3d_ros.training.saving import TrainingError
from pose3d_ros.training.tasks import Batch, Task
from pose3d_ros.training.together import Together

_PICTURES = 8


class Validation:
    """Scores a network, the true boxes and roots given.

    :param task: what the network is to find.
    :param table: the held-out people, of whom those with depth are used.
    :param people: at the most, evenly spread.
    :param batch: people in a batch.
    :param workers: that load images.
    """

    def __init__(
        self, task: Task, table: PeopleTable, people: int, batch: int, workers: int
    ) -> None:
        self._task, self._table = task, table
        self._batch, self._workers = batch, workers
        rows = np.flatnonzero(table.have_depth)
        places = np.linspace(0, len(rows) - 1, min(len(rows), people))
        self._rows = rows[places.round().astype(int)]
        self._unreadable = Unreadable(table)

    def __call__(
        self,
        network: nn.Module,
        together: Together,
        writer: SummaryWriter | None,
        epoch: int,
        interruption: Interruption,
    ) -> float | None:
        """Return the mean error, millimetres, of all processes' shares of the people.

        :param network: the processes' own, not what keeps them in step.
        :param together: the processes.
        :param writer: gets pictures of the first people.
        :param interruption: of any of the processes leaves it undone: the result is None.
        :raises TrainingError: no image can be read.
        """
        accelerator = together.accelerator
        share = self._rows[accelerator.process_index :: accelerator.num_processes]
        keys = [(0, i, int(row)) for i, row in enumerate(share)]
        batches = [keys[i : i + self._batch] for i in range(0, len(keys), self._batch)]
        crops = CropDataset(self._table, NO_AUGMENTATION, 0)
        # its workers are not needed again for as long as an epoch takes
        loader = crop_loader(crops, batches, self._workers, accelerator.device, keep=False)
        network.eval()
        found: list[tuple[int, np.ndarray]] = []
        for batch in on_device(loader, self._unreadable, accelerator.device):
            if interruption.asked:
                break
            with torch.inference_mode(), accelerator.autocast():
                images = input_images(batch['crop'], batch['colours'])
                points = self._task.forward(network, images, batch).float()
            if writer is not None and not found:
                self._add_pictures(writer, batch, points, epoch)
            readable = batch['readable'].cpu().numpy()
            rows, values = batch['row'].cpu().numpy(), points.cpu().numpy()
            found += zip(rows[readable].tolist(), values[readable], strict=True)
        if together.any(interruption.asked):
            return None
        self._unreadable.share()
        everybody: list[tuple[int, np.ndarray]] = gather_object(found)
        if not everybody:
            raise TrainingError(f'no image of {", ".join(self._table.names)} can be read')
        rows = np.array([row for row, _ in everybody])
        values = np.stack([value for _, value in everybody])
        return float(self._task.errors_mm(self._table, rows, values).mean())

    def _add_pictures(
        self, writer: SummaryWriter, batch: Batch, found: torch.Tensor, epoch: int
    ) -> None:
        """Add crops with the truth and what was found to TensorBoard."""
        parts = (batch['crop'], batch['target'], found, batch['visible'][..., 0] > 0)
        crops, truth, points, visible = (part[:_PICTURES].cpu().numpy() for part in parts)
        picture = grid(crops, truth, points, visible, self._task.edges)
        writer.add_image('held out', picture, epoch, dataformats='HWC')
