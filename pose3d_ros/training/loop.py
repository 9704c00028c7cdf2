# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The loop that trains RootNet or PoseNet, in one process or many (Hugging Face accelerate)."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from pose3d_ros.data.crops_dataset import CropDataset, EpochBatches, PeopleTable, input_images
from pose3d_ros.training.interruption import Interruption
from pose3d_ros.training.loading import Unreadable, crop_loader, on_device, stop_workers
from pose3d_ros.training.recipe import Recipe
from pose3d_ros.training.saving import (
    BEST,
    STATE,
    Progress,
    TrainingError,
    load_state,
    save,
    save_history,
    snapshot,
    snapshot_path,
)
from pose3d_ros.training.tasks import Batch, Task
from pose3d_ros.training.together import Together
from pose3d_ros.training.validation import Validation

_MIXED = {'f32': 'no', 'bf16': 'bf16', 'f16': 'fp16'}
#: Batches between two looks at the loss, which wait for the device.
_LOOK = 10


@dataclass(frozen=True)
class Machine:
    """What does not change what is learned: where it runs, and what it says meanwhile.

    :param workers: processes of each training process that load images; 0 = itself.
    :param on_cpu: even where there is a GPU.
    :param save_minutes: between two saved states within an epoch.
    :param validation_people: of the validation at the most, evenly spread.
    """

    workers: int = 4
    on_cpu: bool = False
    save_minutes: float = 10.0
    validation_people: int = 4096


class Interrupted(Exception):
    """The training was asked to stop, and its state is saved."""


def _parameter_groups(network: nn.Module, recipe: Recipe) -> list[tuple[float, list[nn.Parameter]]]:
    """Return the optimizer's groups, by how many times the recipe's learning rate is theirs.

    Where all learn at one rate they are one group, as in the original, which can go on with it. A
    backbone that stays as it is needs no gradients, which is most of what it would cost.
    """
    if recipe.backbone_rate == 1:
        return [(1.0, list(network.parameters()))]
    head = [p for name, p in network.named_parameters() if not name.startswith('backbone.')]
    if not recipe.backbone_rate:
        network.backbone.requires_grad_(False)
        return [(1.0, head)]
    return [(recipe.backbone_rate, list(network.backbone.parameters())), (1.0, head)]


class Trainer:
    """One training.

    :param task: the network.
    :param network: with its first weights.
    :param recipe: how it is trained.
    :param people: whom it learns from.
    :param held_out: whom it is validated on after each epoch, if anybody.
    :param folder: for all that it leaves; it exists.
    :param machine: where it runs.
    :raises TrainingError: this machine cannot train in the recipe's precision.
    """

    def __init__(
        self,
        task: Task,
        network: nn.Module,
        recipe: Recipe,
        people: PeopleTable,
        held_out: PeopleTable | None,
        folder: Path,
        machine: Machine,
    ) -> None:
        self.task, self.recipe, self.folder, self.machine = task, recipe, folder, machine
        self.people, self.held_out = people, held_out
        precision = _MIXED[recipe.precision]
        self.accelerator = Accelerator(cpu=machine.on_cpu, mixed_precision=precision)
        if recipe.precision == 'f16' and self.accelerator.scaler is None:
            raise TrainingError('precision f16 needs a GPU, for its gradients; bf16 and f32 do not')
        self._together = Together(self.accelerator)
        # torch's own numbers are drawn by nothing below; a layer that would is repeatable too
        torch.manual_seed(recipe.seed)
        torch.backends.cudnn.benchmark = True  # crops are all of one size
        network = network.to(memory_format=torch.channels_last)
        # one pass over weights and moments; several take a CPU a tenth of a small batch's step
        self._times, groups = zip(*_parameter_groups(network, recipe), strict=True)
        optimizer = torch.optim.Adam(
            [{'params': group} for group in groups], lr=recipe.learning_rate, fused=True
        )
        self.network, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.progress = Progress(best_of=self._judged_by)
        self.batches = EpochBatches(
            people,
            recipe.batch,
            recipe.seed,
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        crops = CropDataset(people, recipe.augmentation, recipe.seed)
        device, workers = self.accelerator.device, machine.workers
        self.loader = crop_loader(crops, self.batches, workers, device, keep=True)
        self._unreadable = Unreadable(people)
        self._validation: Validation | None = None
        if held_out is not None:
            most = machine.validation_people
            self._validation = Validation(task, held_out, most, recipe.batch, workers)
        self._saved_at = monotonic()

    @property
    def identity(self) -> dict[str, Any]:
        """Return what has to be the same for a training to be gone on with."""
        recipe = self.recipe.as_dict()
        del recipe['epochs']  # more of them go on where fewer ended
        return {
            'network': self.task.name,
            'data': ', '.join(self.people.names),
            'people': len(self.people),
            'processes': self.accelerator.num_processes,
            **recipe,
        }

    @property
    def _judged_by(self) -> str:
        """Return whose error tells which epoch is the best."""
        if self.held_out is None:
            return 'loss'
        people = min(int(self.held_out.have_depth.sum()), self.machine.validation_people)
        return f'{self.task.metric} of {people} people of {", ".join(self.held_out.names)}'

    def resume(self) -> None:
        """Go on where the folder's training stopped.

        :raises TrainingError: its state cannot be read, or is of another training.
        """
        state = load_state(self.folder / STATE, self.identity)
        self.accelerator.unwrap_model(self.network).load_state_dict(state['network'])
        self.optimizer.load_state_dict(state['optimizer'])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state['scaler'])
        random = state['random'][self.accelerator.process_index]
        torch.set_rng_state(random['cpu'])
        if torch.cuda.is_available() and random['gpu'] is not None:
            torch.cuda.set_rng_state(random['gpu'], self.accelerator.device)
        self.progress = Progress(**state['progress'])
        if self.progress.best_of != self._judged_by:
            self.progress.best, self.progress.best_of = math.inf, self._judged_by

    def run(self) -> None:
        """Train until the recipe's last epoch.

        :raises Interrupted: asked to stop; the state is saved.
        :raises TrainingError: a file cannot be written, too many images cannot be read, or the
            loss is no number.
        """
        main = self.accelerator.is_main_process
        writer = SummaryWriter(
            str(self.folder / 'tensorboard'), purge_step=self._step
        ) if main else None  # fmt: skip
        curves = nullcontext() if writer is None else _closed(writer)
        try:
            with curves, Interruption() as interruption:
                if not self._step:
                    self._save_state()  # whatever happens before the next, this can be gone on with
                while not self.is_done:
                    self._epoch(interruption, writer)
                    if self._together.any(interruption.asked) and not self.is_done:
                        raise Interrupted
        finally:
            stop_workers(self.loader)

    @property
    def is_done(self) -> bool:
        """Return whether the recipe's last epoch is trained."""
        return self.progress.epoch >= self.recipe.epochs

    @property
    def _step(self) -> int:
        """Return how many batches were trained, of one process."""
        return self.progress.epoch * len(self.batches) + self.progress.batches

    def _epoch(self, interruption: Interruption, writer: SummaryWriter | None) -> None:
        """Train the rest of an epoch, validate, and save.

        :raises Interrupted: asked to stop; of the epoch what was done is saved.
        """
        began, progress = monotonic(), self.progress
        before = progress.people
        rate = self.recipe.learning_rate_in(progress.epoch)
        for group, times in zip(self.optimizer.param_groups, self._times, strict=True):
            group['lr'] = rate * times
        self._train(interruption, writer)
        found = {
            'epoch': progress.epoch,
            'learning_rate': rate,
            'loss': progress.loss_sum / max(progress.people, 1),
        }
        if progress.people > before:  # else it was interrupted after the last batch
            found['images_per_s'] = (progress.people - before) / (monotonic() - began)
        if self._validation is not None:
            network = self.accelerator.unwrap_model(self.network)
            self._together.share_statistics(network)
            error_mm = self._validation(
                network, self._together, writer, progress.epoch, interruption
            )
            if error_mm is None:
                self._save_state()
                raise Interrupted
            found[f'{self.task.metric}_mm'] = error_mm
        self._finish_epoch(found, writer)

    def _finish_epoch(self, found: dict[str, float], writer: SummaryWriter | None) -> None:
        """Write the epoch's snapshot, whether it is the best, and the state to go on from."""
        progress, epoch = self.progress, self.progress.epoch
        error = found.get(f'{self.task.metric}_mm', found['loss'])
        is_best = error < progress.best
        progress.history.append(found)
        progress.best = min(error, progress.best)
        if writer is not None:
            for name, value in found.items():
                if name != 'epoch':
                    writer.add_scalar(f'epoch/{name}', value, epoch)
            numbers = ', '.join(f'{name} {value:.4g}' for name, value in found.items())
            # at once: on a cluster it goes into a file
            print(numbers + (', the best so far' if is_best else ''), flush=True)
            network = self.accelerator.unwrap_model(self.network).state_dict()
            content = snapshot(epoch, network, self.optimizer.state_dict())
            save(content, snapshot_path(self.folder, epoch))
            if is_best:
                save(content, self.folder / BEST)
            save_history(progress.history, self.folder)
        progress.epoch, progress.batches = epoch + 1, 0
        progress.loss_sum, progress.people = 0.0, 0
        self._save_state()

    def train_mode(self) -> None:
        """Let the network learn; a backbone that stays as it is keeps its statistics, too."""
        self.network.train()
        if not self.recipe.backbone_rate:
            self.accelerator.unwrap_model(self.network).backbone.eval()

    def _train(self, interruption: Interruption, writer: SummaryWriter | None) -> None:
        """Train the batches of the epoch that are not done yet."""
        progress, accumulate = self.progress, self.recipe.accumulate
        self.batches.epoch, self.batches.start = progress.epoch, progress.batches
        self.train_mode()
        total = len(self.batches)
        # on the device, since looking at each loss would wait for it; what was before a resume is
        # of all processes together, so one of them has it
        before = progress.loss_sum if self.accelerator.is_main_process else 0.0
        loss_sum = torch.tensor(before, dtype=torch.float64, device=self.accelerator.device)
        with self._bar(f'epoch {progress.epoch}', total, progress.batches) as bar:
            for batch in on_device(self.loader, self._unreadable, self.accelerator.device):
                group = progress.batches // accumulate * accumulate
                size = min(accumulate, total - group)
                is_last = progress.batches + 1 == group + size
                loss = self.backward(batch, size, is_last)
                if is_last:
                    self.step()
                people = len(batch['crop'])
                progress.batches += 1
                progress.people += people * self.accelerator.num_processes
                loss_sum += loss.double() * people
                bar.update()
                if progress.batches % _LOOK == 0 or progress.batches == total:
                    self._look(loss, bar, writer)
                if not is_last or progress.batches == total:
                    continue
                if self._together.any_soon(interruption.asked or self._is_state_old):
                    progress.loss_sum = self._whole(loss_sum)
                    self._save_state()
                    if self._together.any(interruption.asked):
                        raise Interrupted
        progress.loss_sum = self._whole(loss_sum)

    def backward(self, batch: Batch, accumulated: int = 1, is_last: bool = True) -> torch.Tensor:
        """Add a batch's gradients; return its loss.

        :param accumulated: how many batches make a step.
        :param is_last: of them: the processes then exchange their gradients.
        """
        with nullcontext() if is_last else self.accelerator.no_sync(self.network):
            images = input_images(batch['crop'], batch['colours'])
            loss = self.task.loss(self.network, images, batch)
            self.accelerator.backward(loss / accumulated)
        return loss.detach()

    def step(self) -> None:
        """Change the weights by the gradients."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _look(self, loss: torch.Tensor, bar: tqdm, writer: SummaryWriter | None) -> None:
        """Show the loss."""
        value = self._number(loss)
        bar.set_postfix(loss=f'{value:.4g}', refresh=False)
        if writer is not None:
            writer.add_scalar('loss', value, self._step)

    def _number(self, loss: torch.Tensor) -> float:
        """Return a loss.

        :raises TrainingError: it is no number, so that such weights are never saved.
        """
        value = float(loss)
        if not math.isfinite(value):
            raise TrainingError(
                f'the loss is {value} in epoch {self.progress.epoch}, batch '
                f'{self.progress.batches}; the files are of before. Begin anew from the last '
                f'snapshot (--weights) with a lower learning_rate, or in precision f32 or bf16'
            )
        return value

    def _bar(self, name: str, total: int, initial: int) -> tqdm:
        hidden = None if self.accelerator.is_main_process else True
        return tqdm(desc=name, total=total, initial=initial, unit='batch', disable=hidden)

    @property
    def _is_state_old(self) -> bool:
        """Return whether it is time to save it."""
        return monotonic() - self._saved_at >= 60 * self.machine.save_minutes

    def _whole(self, loss_sum: torch.Tensor) -> float:
        """Return the sum over all processes.

        :raises TrainingError: it is no number.
        """
        return self._number(self.accelerator.reduce(loss_sum))

    def _save_state(self) -> None:
        """Save all that is needed to go on as if nothing had happened."""
        gpu = None
        if self.accelerator.device.type == 'cuda':
            gpu = torch.cuda.get_rng_state(self.accelerator.device)
        random = gather_object([{'cpu': torch.get_rng_state(), 'gpu': gpu}])
        scaler = self.accelerator.scaler
        if self.accelerator.is_main_process:
            state: Mapping[str, Any] = {
                'identity': self.identity,
                'progress': vars(self.progress),
                'network': self.accelerator.unwrap_model(self.network).state_dict(),
                'optimizer': self.optimizer.state_dict(),
                'scaler': None if scaler is None else scaler.state_dict(),
                'random': random,
            }
            save(state, self.folder / STATE)
        self.accelerator.wait_for_everyone()  # nobody ends before it is written
        self._saved_at = monotonic()
        self._unreadable.share()  # after it is saved: once images are mended, it goes on from there


def leave_group() -> None:
    """Leave the processes it was trained with, if any.

    A thread that still lets go of what they exchanged while Python's interpreter ends would end
    this process by SIGABRT.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _closed(writer: SummaryWriter) -> Iterator[None]:
    """Close the curves at the end; a full disk, which they meet too, is told by whom it stops."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # what it could not write is not why the training ends
            writer.close()
        raise
    writer.close()
