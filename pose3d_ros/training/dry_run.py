# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a training will take, measured before it begins: the loader and a step, each alone."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from accelerate.utils import broadcast_object_list

from pose3d_ros.training.loop import Trainer

_SECONDS = 5.0  # for each of both
_WARM_UP = 2


@dataclass(frozen=True)
class Rates:
    """Images a second of one process.

    :param loader: what its workers deliver.
    :param step: what forward, backward and the change of the weights take.
    """

    loader: float
    step: float

    def __str__(self) -> str:
        verdict = 'keeps up' if self.loader >= self.step else 'is what holds up: more --workers'
        return (
            f'loader {self.loader:.1f} images/s, step {self.step:.1f} images/s: the loader '
            f'{verdict}'
        )


def dry_run(trainer: Trainer) -> Rates:
    """Return how fast the first batches are loaded, and trained; nothing is saved."""
    batches = iter(trainer.loader)
    batch = next(batches)
    size = len(batch['crop'])

    def load() -> int:
        return len(next(batches, {'crop': ()})['crop'])

    loader = _rate(load)
    moved = {name: values.to(trainer.accelerator.device) for name, values in batch.items()}
    trainer.train_mode()

    def step() -> int:
        trainer.backward(moved)
        trainer.step()
        if trainer.accelerator.device.type == 'cuda':
            torch.cuda.synchronize()
        return size

    for _ in range(_WARM_UP):
        begin = perf_counter()
        step()
    # a step waits for those of all other processes, so that each of them has to take as many
    (count,) = broadcast_object_list([max(1, round(_SECONDS / (perf_counter() - begin)))])
    begin = perf_counter()
    images = sum(step() for _ in range(count))
    return Rates(loader, images / (perf_counter() - begin))


def _rate(work: Callable[[], int]) -> float:
    """Return images a second of work that returns how many it did; 0 = there are no more."""
    begin, images = perf_counter(), 0
    while perf_counter() - begin < _SECONDS:
        done = work()
        if not done:
            break
        images += done
    return images / (perf_counter() - begin)
